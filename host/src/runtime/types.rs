//! What crosses the border, as the rest of the server sees it: mirrors of the records of
//! `wit/v1/plugin.wit`, checked, with nothing of the sandbox in them.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use ipnet::IpNet;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::problem::Problem;

/// Bytes that may hold a secret: wiped when dropped, never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Zeroizing<Vec<u8>>);

impl Bytes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// One operation on one path of a mount.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `create`, `read`, `update`, `patch`, `delete`, `list`, or a verb of the manifest.
    pub operation: String,
    /// Relative to the mount, canonical; "" is the mount itself.
    pub path: String,
    /// A JSON object, or empty.
    pub body: Bytes,
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    /// A JSON object, or empty: that has been checked.
    pub body: Bytes,
    pub warnings: Vec<String>,
    pub lease: Option<LeaseSpec>,
}

impl Response {
    /// The body as an object; empty if there is none.
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a plugin says of a credential with an end. `ttl` is at most `max_ttl`.
#[derive(Clone, Debug)]
pub struct LeaseSpec {
    pub ttl: Duration,
    pub max_ttl: Duration,
    pub renewable: bool,
    pub internal: Bytes,
}

/// How a step of a login ended.
#[derive(Clone, Debug)]
pub enum Step {
    Identity(Identity),
    Challenge(Challenge),
}

/// Who the caller is at the identity provider.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Stable and never reused. Not empty.
    pub subject: String,
    pub display_name: String,
    pub groups: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub limits: SessionLimits,
    pub internal: Bytes,
}

/// What the plugin allows the session to be at most.
#[derive(Clone, Debug, Default)]
pub struct SessionLimits {
    pub ttl: Option<Duration>,
    pub max_uses: Option<u32>,
    /// None says nothing; an empty list allows nobody.
    pub addresses: Option<Vec<IpNet>>,
    pub renewable: bool,
}

#[derive(Clone, Debug)]
pub struct Challenge {
    /// `redirect`, `device`, `prompt`; open set.
    pub kind: String,
    /// A JSON object for the client.
    pub details: Bytes,
    pub expires_in: Duration,
    pub poll_interval: Option<Duration>,
    pub state: Bytes,
}

/// The codes with which a plugin says no as it should.
pub(crate) const REFUSALS: [&str; 11] = [
    "invalid",
    "exists",
    "denied",
    "not-found",
    "conflict",
    "unsupported",
    "too-large",
    "rate-limited",
    "unavailable",
    "pending",
    "slow-down",
];

/// The plugin's own refusal. `code` is an open set (`plugins.md` has the host's answers).
#[derive(Clone, Debug)]
pub struct GuestError {
    pub code: String,
    pub message: String,
    /// `at` points into what the plugin was given.
    pub problems: Vec<Problem>,
    pub retry_after: Option<Duration>,
}

impl GuestError {
    /// What a caller is told of an ordinary one is theirs; of others they are told nothing.
    pub fn for_operator(&self) -> Cow<'_, str> {
        match self.is_ordinary() || self.message.is_empty() {
            true => Cow::Borrowed(&self.code),
            false => Cow::Owned(format!("{}: {}", self.code, self.message)),
        }
    }

    /// It does its work: this is an answer, and no failure.
    pub fn is_ordinary(&self) -> bool {
        REFUSALS.contains(&self.code.as_str())
    }
}
