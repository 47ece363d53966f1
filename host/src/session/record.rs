//! A family as it is kept: a clear part that scripts compare and change, and a sealed part that
//! repeats the digests and holds everything that gives a right.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AccessToken, Digest, Epochs, Error, Narrower, RefreshToken, Session, find::intersect, types::Hold};
use crate::{
    barrier::{self, Barrier, Purpose},
    clock::Timestamp,
    ids::{MountId, MountName, Scope, SessionId, UserId, random_base62},
    limits,
    storage::Version,
};

/// Of the sealed part; stands in its associated data.
const FORMAT: &[u8] = b"1";
const REV: usize = 12;

/// One family, as a store keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Another one whenever the sealed part is written anew, and never by a use. Random, so that
    /// it does not come twice when a store is put back.
    pub rev: String,
    /// Digests of the live tokens; `r` is empty where there is no refresh token.
    pub a: String,
    pub r: String,
    /// Either half of the live pair has been accepted.
    pub used: bool,
    /// Uses left of the block that storage released last, and which block that is.
    pub left: u32,
    pub block: u32,
    /// The last use.
    pub seen: Timestamp,
    #[serde(with = "base64_bytes")]
    pub sealed: Vec<u8>,
}

/// The sealed part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) a: Digest,
    pub(super) r: Option<Digest>,
    /// The refresh token spent last, which bought the live pair, and how often it was shown again.
    pub(super) last: Option<Digest>,
    pub(super) again: u32,
    /// Every other refresh token that was given out, newest first.
    pub(super) spent: Vec<Digest>,
    /// Version of the family's row in storage.
    pub(super) generation: i64,
    pub(super) user: UserId,
    pub(super) mount: MountId,
    pub(super) method: MountName,
    pub(super) subject: String,
    pub(super) groups: Vec<String>,
    pub(super) plugin: String,
    pub(super) client: Option<UserId>,
    pub(super) scope: Option<Scope>,
    pub(super) addresses: Option<Vec<IpNet>>,
    pub(super) max_uses: Option<u32>,
    pub(super) epochs: Epochs,
    /// Nearest first. The family ends with any of them.
    pub(super) parents: Vec<SessionId>,
    pub(super) address: Option<IpAddr>,
    pub(super) device: String,
    pub(super) login_at: Timestamp,
    #[serde(default, rename = "unseen")]
    pub(super) by_device_flow: bool,
    pub(super) created_at: Timestamp,
    /// When the live pair was given out, and when its access token ends at the latest.
    pub(super) given_at: Timestamp,
    pub(super) until: Timestamp,
    /// The family's absolute deadline.
    pub(super) end: Timestamp,
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    #[serde(with = "base64_bytes")]
    pub(super) internal: Vec<u8>,
}

/// What a refresh token is to a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// The live one.
    Live,
    /// The one spent last, while it may still be shown again.
    Again,
    /// Given out once, and no longer good: there are two holders.
    Spent,
    /// Never given out, or too long ago to tell.
    Never,
}

impl Facts {
    /// Seals the facts under a revision of their own. Use, block and time of use are the store's.
    pub(super) fn seal(&self, barrier: &Barrier, namespace: &str, id: &SessionId) -> Result<Record, Error> {
        let rev = random_base62(REV);
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(self).expect("our own records serialise"));
        let sealed = barrier.seal_blob(Purpose::Session, &bound(namespace, id, &rev), &plain)?;
        let r = self.r.as_ref().map(Digest::text).unwrap_or_default();
        Ok(Record { rev, a: self.a.text(), r, used: false, left: 0, block: 0, seen: self.given_at, sealed })
    }

    /// The facts of a record, if it is one of this family and both parts agree.
    pub(super) fn open(
        record: &Record,
        barrier: &Barrier,
        namespace: &str,
        id: &SessionId,
    ) -> Result<Option<Self>, Error> {
        let opened = barrier.open_blob(Purpose::Session, &bound(namespace, id, &record.rev), &record.sealed);
        let plain = match opened {
            Err(barrier::Error::Corrupt(_)) => return Ok(refused(id)),
            other => other?,
        };
        let Ok(facts) = serde_json::from_slice::<Self>(&plain) else { return Ok(refused(id)) };
        let r = facts.r.as_ref().map(Digest::text).unwrap_or_default();
        let agree = equal(&facts.a.text(), &record.a) & equal(&r, &record.r);
        Ok(if agree { Some(facts) } else { refused(id) })
    }

    /// The access token of these facts has ended by itself, last used at `seen`.
    pub(super) fn is_over(&self, seen: Timestamp, now: Timestamp) -> bool {
        // A time of use before the token was given out is no use of it.
        now >= self.until.min(self.end).min(seen.max(self.given_at).after(self.idle))
    }

    /// What others may know of the family.
    pub(super) fn session(&self, id: &SessionId, record: &Record, uses_left: Option<u32>) -> Session {
        Session {
            id: id.clone(),
            user: self.user.clone(),
            mount: self.mount.clone(),
            method: self.method.clone(),
            subject: self.subject.clone(),
            groups: self.groups.clone(),
            plugin: self.plugin.clone(),
            client: self.client.clone(),
            scope: self.scope.clone(),
            addresses: self.addresses.clone(),
            max_uses: self.max_uses,
            uses_left,
            login_at: self.login_at,
            by_device_flow: self.by_device_flow,
            created_at: self.created_at,
            expires_at: self.until,
            idle: self.idle,
            absolute_end: self.end,
            renewable: self.r.is_some(),
            parent: self.parents.first().cloned(),
            address: self.address,
            device: self.device.clone(),
            hold: Hold {
                rev: record.rev.clone(),
                a: self.a.clone(),
                generation: Version::from_raw(self.generation),
                epochs: self.epochs.clone(),
                seen: record.seen.max(self.given_at).millis().into(),
                used: record.used.into(),
            },
        }
    }

    pub(super) fn is_access(&self, token: &AccessToken, barrier: &Barrier) -> Result<bool, Error> {
        Ok(token.is(&self.a, barrier)?)
    }

    pub(super) fn shown(
        &self,
        token: &RefreshToken,
        used: bool,
        now: Timestamp,
        barrier: &Barrier,
    ) -> Result<Shown, Error> {
        if let Some(live) = &self.r
            && token.is(live, barrier)?
        {
            return Ok(Shown::Live);
        }
        if let Some(last) = &self.last
            && token.is(last, barrier)?
        {
            let lost = !used && self.again < limits::SESSION_SHOWN_AGAIN && !self.is_over(self.given_at, now);
            return Ok(if lost { Shown::Again } else { Shown::Spent });
        }
        for digest in &self.spent {
            if token.is(digest, barrier)? {
                return Ok(Shown::Spent);
            }
        }
        Ok(Shown::Never)
    }

    /// Takes away what a renewal takes away. False: the family gets no further refresh token.
    pub(super) fn narrow(&mut self, to: &Narrower, now: Timestamp) -> bool {
        self.end = to.ttl.map_or(self.end, |ttl| self.end.min(now.after(ttl)));
        self.max_uses = [self.max_uses, to.max_uses].into_iter().flatten().min();
        self.addresses = match (self.addresses.take(), &to.addresses) {
            (Some(had), Some(told)) => Some(intersect(&had, told)),
            (had, told) => had.or_else(|| told.clone()),
        };
        to.renewable && self.max_uses.is_none()
    }

    /// Remembers a refresh token that is no longer good.
    pub(super) fn forget(&mut self, spent: Option<Digest>) {
        self.spent.splice(..0, spent);
        // One of what is remembered is `last`.
        self.spent.truncate(limits::SESSION_SPENT - 1);
    }
}

fn bound<'a>(namespace: &'a str, id: &'a SessionId, rev: &'a str) -> [&'a [u8]; 4] {
    [FORMAT, namespace.as_bytes(), id.as_str().as_bytes(), rev.as_bytes()]
}

fn equal(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Somebody has altered the record. To the client it is a token like any that is no good.
fn refused<T>(id: &SessionId) -> Option<T> {
    tracing::warn!(session = %id, "the record of a session was altered outside of the server; it is refused");
    None
}

pub(super) mod base64_bytes {
    use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD_NO_PAD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD_NO_PAD.decode(String::deserialize(from)?).map_err(|_| D::Error::custom("base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::Bench;

    #[tokio::test]
    async fn a_sealed_part_opens_in_its_own_place_only() {
        let bench = Bench::embedded();
        let id = bench.login().await.session.id.clone();
        let (record, other_id) = (bench.sessions.store.get(&id).await.unwrap().unwrap(), SessionId::new());
        let open =
            |record: &Record, namespace, id| Facts::open(record, &bench.barrier, namespace, id).unwrap().is_some();
        assert!(open(&record, "embedded", &id));
        assert!(!open(&record, "elsewhere", &id));
        assert!(!open(&record, "embedded", &other_id));
        let another = "x".to_owned();
        let others = [
            Record { rev: another.clone(), ..record.clone() },
            Record { a: another.clone(), ..record.clone() },
            Record { r: another, ..record.clone() },
            Record { sealed: Vec::new(), ..record.clone() },
            Record { sealed: record.sealed[1..].to_vec(), ..record.clone() },
        ];
        for other in &others {
            assert!(!open(other, "embedded", &id));
        }
        let used = Record { used: true, left: 7, block: 7, seen: bench.clock.now(), ..record.clone() };
        assert!(open(&used, "embedded", &id), "what a use changes is not sealed");
    }
}
