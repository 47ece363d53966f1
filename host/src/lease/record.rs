use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::granted_action::GrantedAction;
use crate::{
    clock::Timestamp,
    ids::{LeaseId, MountId, SessionId, UserId},
    runtime::types::Bytes,
};

/// Something lent, or, without a session, something announced that may have been done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) mount: MountId,
    /// As policy knows it: `secrets/db/creds/app`.
    pub(super) path: String,
    pub(super) user: Option<UserId>,
    pub(super) session: Option<SessionId>,
    /// Of the request that it came of.
    pub(super) request: String,
    /// What its holder was permitted when it was lent. None: nobody wrote it down then.
    #[serde(default, rename = "deed", skip_serializing_if = "Option::is_none")]
    pub(super) granted: Option<GrantedAction>,
    pub(super) made_at: Timestamp,
    pub(super) renewed_at: Option<Timestamp>,
    pub(super) expires_at: Timestamp,
    /// No renewal goes beyond it; nor does the session.
    pub(super) max_expires_at: Timestamp,
    pub(super) renewable: bool,
    /// What it was first given for, in seconds.
    pub(super) span: u64,
    /// The plugin's own.
    pub(super) internal: Internal,
    /// When there is something to do about it: its end, another attempt, the end of a claim.
    pub(super) due: Timestamp,
    /// A node is revoking it, until it is due.
    pub(super) claimed: bool,
    /// It is to go before its time.
    pub(super) ending: bool,
    /// Revocations that failed, and what the last one failed of, in words of ours.
    pub(super) failures: u32,
    pub(super) reason: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Internal(pub(super) Bytes);

impl Serialize for Internal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Internal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let bytes = BASE64_STANDARD_NO_PAD.decode(&*text).map_err(|_| de::Error::custom("not base64"))?;
        Ok(Self(bytes.into()))
    }
}

/// How a lease is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LeaseState)]
pub enum State {
    Active,
    /// It is to go, and nothing has gone wrong so far.
    Revoking,
    /// It is to go, and its plugin could not take it back yet.
    Failing,
    /// Announced by a call that has not committed, and may still.
    Unresolved,
}

impl Record {
    pub(super) fn is_intent(&self) -> bool {
        self.session.is_none()
    }

    pub(super) fn state(&self, now: Timestamp) -> State {
        match self {
            _ if self.failures > 0 => State::Failing,
            _ if self.claimed || self.ending || self.due <= now => State::Revoking,
            _ if self.is_intent() => State::Unresolved,
            _ => State::Active,
        }
    }

    /// A node is at it, and its claim has not run out.
    pub(super) fn is_claimed(&self, now: Timestamp) -> bool {
        self.claimed && self.due > now
    }

    /// What it came of, as its plugin knows it: what stands after the mount.
    pub(super) fn place(&self) -> &str {
        self.path.splitn(3, '/').nth(2).unwrap_or_default()
    }
}

/// A lease as its holder may see it: nothing of it is secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub id: LeaseId,
    /// `secrets/db/creds/app`.
    pub path: String,
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub made_at: Timestamp,
    pub renewed_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub max_expires_at: Timestamp,
    pub renewable: bool,
    pub state: State,
    pub failures: u32,
    pub reason: Option<String>,
    /// When it is tried again, where it has failed.
    pub again_at: Option<Timestamp>,
}

impl Lease {
    pub(super) fn of(id: &LeaseId, record: &Record, now: Timestamp) -> Self {
        Self {
            id: id.clone(),
            path: record.path.clone(),
            user: record.user.clone(),
            session: record.session.clone(),
            made_at: record.made_at,
            renewed_at: record.renewed_at,
            expires_at: record.expires_at,
            max_expires_at: record.max_expires_at,
            renewable: record.renewable && record.state(now) == State::Active,
            state: record.state(now),
            failures: record.failures,
            reason: record.reason.clone(),
            again_at: (record.failures > 0).then_some(record.due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As stores have it: the names of members are not to change.
    #[test]
    fn a_record_is_stored_as_it_has_ever_been() {
        let stored = format!(
            r#"{{"mount":"{0}","path":"secrets/db/a","user":"{0}","session":null,"request":"r","deed":{{"actions":["create"],"verb":"creds"}},"made_at":1,"renewed_at":null,"expires_at":2,"max_expires_at":3,"renewable":true,"span":1,"internal":"Bw","due":2,"claimed":false,"ending":false,"failures":0,"reason":null}}"#,
            "0".repeat(24)
        );
        let record: Record = serde_json::from_str(&stored).unwrap();
        assert!(record.granted.is_some());
        assert_eq!(serde_json::to_string(&record).unwrap(), stored);
    }
}
