//! "All of" endings: a row in storage for everything, a user, a mount, a plugin digest, a client.
//! The row's version, random and never repeated, is the epoch; a session lives only while every
//! epoch it was made under still stands. Never a time, so that no clock brings a session back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    barrier::{Barrier, Error, View, Writes, layout::Prefix},
    ids::{MountId, UserId},
    storage::{Expect, Version},
};

/// What can be ended as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EpochOf {
    Everything,
    User(UserId),
    /// All that came in through this auth mount.
    Mount(MountId),
    /// What is just coming in through it: raised when a mount stops taking logins. What has come in
    /// before lives on.
    Logins(MountId),
    /// All that a plugin of this digest has vouched for.
    Digest(String),
    /// All that this program (a user of kind machine) asked for.
    Client(UserId),
}

impl EpochOf {
    fn key(&self) -> String {
        match self {
            Self::Everything => "all".to_owned(),
            Self::User(id) => format!("user/{id}"),
            Self::Mount(id) => format!("mount/{id}"),
            Self::Logins(id) => format!("{LOGINS}{id}"),
            Self::Digest(digest) => format!("digest/{digest}"),
            Self::Client(id) => format!("client/{id}"),
        }
    }
}

const LOGINS: &str = "logins/";

/// Whose epochs a login reads before it looks at the credential. Everything's are always read.
#[derive(Clone, Default, Debug)]
pub struct EpochsOf {
    pub user: Option<UserId>,
    pub mount: Option<MountId>,
    pub digest: Option<String>,
    pub client: Option<UserId>,
}

/// Epochs as they were read: by row, its version, or none if it was never raised.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Epochs(BTreeMap<String, Option<i64>>);

/// An epoch that a batch raises, not yet committed.
#[derive(Clone, Debug)]
pub struct Raised {
    key: String,
    version: Version,
}

impl Epochs {
    /// What a login learns later (which user this is) is read later, and still before it is
    /// relied on. Where both know a row, what was read first stands.
    pub fn and(mut self, later: Self) -> Self {
        for (key, version) in later.0 {
            self.0.entry(key).or_insert(version);
        }
        self
    }

    pub fn has(&self, of: &EpochOf) -> bool {
        self.0.contains_key(&of.key())
    }

    /// These, without what matters only while a session is being made.
    pub(super) fn lasting(mut self) -> Self {
        self.0.retain(|key, _| !key.starts_with(LOGINS));
        self
    }

    /// These, with one that the session itself raised.
    pub(super) fn raised(mut self, raised: &Raised) -> Self {
        self.0.insert(raised.key.clone(), Some(raised.version.raw()));
        self
    }

    /// These, resting on one less.
    pub fn without(mut self, of: &EpochOf) -> Self {
        self.0.remove(&of.key());
        self
    }

    /// Makes a batch rest on none of them having moved.
    pub(super) fn expect(&self, view: &View, to: &mut Writes) {
        for (key, version) in &self.0 {
            let expect = version.map_or(Expect::Absent, |raw| Expect::Version(Version::from_raw(raw)));
            view.expect(to, key, expect);
        }
    }

    /// As they are now, all that any of these knows.
    pub(super) async fn current(view: &View, of: impl Iterator<Item = &Self>) -> Result<Self, Error> {
        let keys: BTreeSet<&String> = of.flat_map(|epochs| epochs.0.keys()).collect();
        read(view, keys.into_iter().cloned().collect()).await
    }

    /// Is each of them what it is there?
    pub(super) fn stand_in(&self, current: &Self) -> bool {
        self.0.iter().all(|(key, version)| current.0.get(key) == Some(version))
    }

    /// Do all of them still stand?
    pub(super) async fn hold(&self, view: &View) -> Result<bool, Error> {
        Ok(read(view, self.0.keys().cloned().collect()).await? == *self)
    }
}

pub(super) fn view(barrier: &Barrier) -> View {
    barrier.view(Prefix::Epoch)
}

pub(super) async fn of(view: &View, of: &EpochsOf) -> Result<Epochs, Error> {
    let named = [
        of.user.clone().map(EpochOf::User),
        of.mount.clone().map(EpochOf::Mount),
        of.mount.clone().map(EpochOf::Logins),
        of.digest.clone().map(EpochOf::Digest),
        of.client.clone().map(EpochOf::Client),
    ];
    read(view, named.into_iter().flatten().chain([EpochOf::Everything]).map(|of| of.key()).collect()).await
}

/// Raised without being read: two raises at once are two endings, and neither is in the other's way.
pub(super) fn raise(view: &View, to: &mut Writes, of: &EpochOf) -> Raised {
    let key = of.key();
    let version = view.put(to, &key, &(), None);
    Raised { key, version }
}

async fn read(view: &View, keys: Vec<String>) -> Result<Epochs, Error> {
    let found = view.get_many_bytes(&keys).await?;
    let versions = found.into_iter().map(|row| row.map(|row| row.version.raw()));
    Ok(Epochs(keys.into_iter().zip(versions).collect()))
}
