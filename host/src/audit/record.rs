use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use crate::ids::{MountId, MountName, RequestId, RoleName, SessionId, UserId};

/// One thing to be recorded. There is no field for a value, a token or a credential.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    #[serde(flatten)]
    pub who: Who,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What was asked for, in our words: `secrets.read`.
    pub operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Name and `Audit::hash`, or numbers of ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is known who asks and what was decided; nothing has been spent or changed.
    Decided,
    /// The answer is about to leave.
    Answered,
    /// Turned away before anybody was known.
    Refused,
    /// Nobody asked: ticks, sweeps, egress.
    Work,
}

/// Who asks, as far as it is known.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Who {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleName>,
    /// Where they logged in: the mount, and its name at the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<MountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<MountName>,
}

impl Record {
    pub fn new(phase: Phase, operation: &'static str) -> Self {
        Self {
            phase,
            request: None,
            who: Who::default(),
            address: None,
            operation,
            resource: None,
            action: None,
            decision: None,
            status: None,
            cause: None,
            values: BTreeMap::new(),
        }
    }

    /// What anybody on the network can make any number of.
    pub(super) fn is_anonymous_refusal(&self) -> bool {
        self.phase == Phase::Refused && self.who == Who::default()
    }
}
