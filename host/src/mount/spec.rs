use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ids::{MountName, PluginName, RoleName},
    problem::{self, Problem},
};

/// The value of the settings `auth/<mount>` and `secrets/<mount>`: which plugin answers there,
/// how it is configured and what it may do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub plugin: PluginName,
    /// Exact, or `shipped`.
    #[serde(default = "shipped")]
    pub version: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub config: Map<String, Value>,
    #[serde(default)]
    pub grant: Granted,
    /// What it asks for and does not get, so that an upgrade need not wait for it.
    #[serde(default, skip_serializing_if = "Granted::is_empty")]
    pub deny: Granted,
    /// A login that nobody is linked to yet makes a new user.
    #[serde(default)]
    pub provision: bool,
    /// Who has logged in here is asked for something else besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Second>,
    /// Roles by what the plugin tells of a login: `team:42`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Mapping>,
}

/// What an admin lets the mount do, of what the plugin asks for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Granted {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Of the host's own functions. They come with the plugin; a name here answers an upgrade that
    /// asks for more of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crypto: Vec<String>,
    /// `users`: it says of the server's own users that it is them. That comes with the plugin, too, but for an upgrade
    /// of one that did not. It cannot be denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

impl Granted {
    pub fn is_empty(&self) -> bool {
        [&self.http, &self.headers, &self.crypto, &self.subjects].iter().all(|names| names.is_empty())
    }
}

/// A second factor: the auth mount that asks for it, and of whom.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    pub mount: MountName,
    pub when: When,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Of those who have a credential there.
    Enrolled,
    /// Of everybody: who has none there does not get in.
    Always,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub give: Vec<RoleName>,
    /// For people: what the key means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Spec {
    pub fn parse(value: &Value) -> Result<Self, Vec<Problem>> {
        problem::decode(value)
    }

    /// Every role that its mapping gives to somebody.
    pub fn given(&self) -> impl Iterator<Item = &RoleName> {
        self.roles.values().flat_map(|mapping| &mapping.give)
    }

    /// A shipped plugin with nothing configured.
    pub fn shipped(plugin: PluginName) -> Self {
        Self {
            plugin,
            version: shipped(),
            enabled: true,
            config: Map::new(),
            grant: Granted::default(),
            deny: Granted::default(),
            provision: false,
            second: None,
            roles: BTreeMap::new(),
        }
    }
}

fn shipped() -> String {
    "shipped".to_owned()
}

const fn yes() -> bool {
    true
}
