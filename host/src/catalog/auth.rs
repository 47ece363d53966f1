//! What an auth method says of itself in its manifest.

use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The credential that names a user; the host canonicalises it, throttles and audits on it.
    pub identifier: Option<String>,
    pub subjects: Subjects,
    /// `client_id` and `client_secret` are the plugin's own credentials: it is given them.
    pub client_credentials: bool,
}

impl Auth {
    /// It says of the host's own users that it is them.
    pub fn proves_users(&self) -> bool {
        self.subjects == Subjects::Users
    }
}

/// Whose subjects an auth method proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subjects {
    /// The host's own users: it may answer that id only.
    Users,
    #[default]
    External,
}
