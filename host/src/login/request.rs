use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    ids::{MountName, RequestId, Scope},
    sensitive::Secret,
    span::Span,
};

/// A login by the credentials of an auth mount.
#[derive(Debug)]
pub struct Attempt {
    /// `grant_type`: the name of the mount.
    pub mount: MountName,
    pub credentials: Credentials,
    /// Which program asks, if it says so.
    pub program: Option<Program>,
    pub wish: Wish,
    pub client: Client,
}

/// A program by its own word (RFC 6749 section 2.3.1).
#[derive(Clone, Debug)]
pub struct Program {
    pub id: String,
    pub secret: Secret<String>,
}

impl Attempt {
    /// Hands the program's id and secret to the plugin, as what the login is by.
    pub(super) fn show_program(&mut self) {
        if let Some(Program { id, secret }) = self.program.take() {
            self.credentials.0.insert("client_id".to_owned(), Value::String(id));
            self.credentials.0.insert("client_secret".to_owned(), Value::String(secret.reveal().clone()));
        }
    }
}

/// What the client sent for the plugin. Never printed.
#[derive(Clone)]
pub struct Credentials(pub Map<String, Value>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[credentials]")
    }
}

/// How the session is to be narrower than the rules would have it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wish {
    pub scope: Option<Scope>,
    pub session: SessionWish,
}

/// The member `session` of a login.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionWish {
    pub bind: Option<Bind>,
    /// Networks, as `10.0.0.0/8`.
    #[schema(value_type = Option<Vec<String>>)]
    pub addresses: Option<Vec<IpNet>>,
    pub max_uses: Option<u32>,
    pub one_time: bool,
    pub ttl: Option<Span>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bind {
    None,
    Caller,
    List,
}

/// Where a request comes from, as the listener established it.
#[derive(Clone, Debug)]
pub struct Client {
    /// None: no trustworthy address.
    pub address: Option<IpAddr>,
    /// An untrusted peer sent a forwarding header: its address may be a proxy's.
    pub forwarded: bool,
    /// What the client calls itself, for the list of sessions.
    pub device: String,
    pub request: RequestId,
    /// What a plugin may be shown, if it is granted: names in lower case, values that are text.
    pub headers: Arc<[(String, String)]>,
}
