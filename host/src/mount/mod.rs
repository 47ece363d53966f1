//! Mounts: which plugin answers where, with which configuration and grant.
//!
//! Owns the live table, how it is read from the store, and how a plugin call becomes stored
//! writes. Never knows users or sessions, and never decides who may. One more kind of mount is
//! one more `Kind`.

mod attempts;
mod attend;
mod claim;
mod compiled;
mod enrolled;
mod error;
mod exposed;
mod grant;
mod migrate;
mod next;
mod prepare;
mod prove;
mod record;
mod removed;
mod rollback;
mod spec;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod tick;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

pub use attempts::Attempts;
pub use error::{Error, Refusal};
pub use migrate::Moving;
pub use prepare::Change;
pub use record::RolledBack;
pub use removed::rest_on;
pub use spec::{Granted, Mapping, Second, Spec, When};
pub use state::{Condition, Health};
pub use tick::Due;

use record::{Installed, Previous, Record, Unmigrated};

use crate::{
    barrier::{Barrier, View, layout::Prefix},
    catalog::{Catalog, Component, Digest, Manifest, Publisher},
    clock::Clock,
    document::Documents,
    fence::Fence,
    ids::{MountId, MountName},
    runtime::{Argon2Cost, Dearest, Facts, Grant, PasswordCosts, Plugin, Runtime, Stats, Tally, egress::Credentials},
    security::{self, Security},
    storage::Version,
};

/// The plugin that keeps the passwords of the host's own users, and the mount where it stands from the first day on.
pub const PASSWORD: &str = "password";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Auth,
    Secrets,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Secrets => "secrets",
        }
    }

    /// The key of a mount's setting, and of its record: `auth/github`.
    pub fn key(self, name: &MountName) -> String {
        format!("{}/{name}", self.as_str())
    }

    /// The kind and mount that a setting's key speaks of: `auth/github`.
    pub fn of_key(key: &str) -> Option<(Self, &str)> {
        let (kind, name) = key.split_once('/')?;
        let kind = [Self::Auth, Self::Secrets].into_iter().find(|known| known.as_str() == kind)?;
        Some((kind, name))
    }
}

/// What stands at a path now.
#[derive(Debug)]
pub struct Mount {
    /// Never reused: what is mounted here later has another.
    pub id: MountId,
    pub kind: Kind,
    pub name: MountName,
    /// The setting; while an upgrade waits, with the live version in it.
    pub spec: Spec,
    /// Of the setting and the record that this was made from.
    number: u64,
    revision: Option<Version>,
    /// The version that the setting names, and what it waits for.
    pending: Option<(String, Granted)>,
    previous: Option<Previous>,
    unmigrated: Option<Unmigrated>,
    rolled_back: Option<RolledBack>,
    state: State,
    tally: Arc<Tally>,
}

#[derive(Debug)]
enum State {
    Live(Arc<Live>),
    Disabled,
    /// It answers when its plugin, of this digest, is compiled.
    Compiling(Digest),
    /// Why, for the operator.
    Broken(String),
    /// The same of what is tried again soon, for it was not the mount's.
    Passing(String),
}

/// A plugin that answers.
#[derive(Debug)]
pub struct Live {
    pub plugin: Plugin,
    pub component: Arc<Component>,
    publisher: Publisher,
    config: Arc<[u8]>,
    grant: Arc<Grant>,
    credentials: Arc<Credentials>,
    /// Of the mount, over changes of its plugin and setting.
    queues: Arc<attempts::Queues>,
    /// While there is a way back to the version before.
    watch: Option<watch::Watch>,
}

/// All mounts of the server: a cheap handle.
#[derive(Clone, Debug)]
pub struct Mounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    barrier: Barrier,
    clock: Clock,
    view: View,
    documents: Documents,
    fence: Fence,
    security: Security,
    catalog: Catalog,
    runtime: Runtime,
    table: ArcSwap<table::Table>,
    /// One at a time reads it anew: an older reading must not replace a newer one.
    refreshing: tokio::sync::Mutex<()>,
    compiled: compiled::Compiled,
    attended: attend::Attended,
}

impl Live {
    /// Of the headers of a request, those that the plugin asks for and is granted.
    fn shown(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        headers.iter().filter(|(name, _)| self.grant.headers.contains(name)).cloned().collect()
    }

    pub fn manifest(&self) -> &Manifest {
        &self.component.manifest
    }

    pub fn digest(&self) -> &Digest {
        &self.component.digest
    }

    /// It proves the host's own users, and may answer the one who was named.
    pub fn proves_users(&self) -> bool {
        self.manifest().auth.proves_users()
    }

    /// It proves programs by what they show of themselves: nobody else has credentials there.
    pub fn takes_machines_only(&self) -> bool {
        self.manifest().auth.client_credentials
    }

    /// Whom it proves is somebody of elsewhere, and the plugin keeps nothing of them: what one can log in with there is
    /// an identity that the host links to a user.
    pub fn takes_links(&self) -> bool {
        !self.proves_users() && !self.takes_machines_only() && !self.plugin.exports().credentials
    }
}

impl Mount {
    /// One that is in no table.
    fn trial(id: MountId, kind: Kind, name: MountName, spec: Spec, state: State) -> Self {
        Self {
            id,
            kind,
            name,
            spec,
            number: 0,
            revision: None,
            pending: None,
            previous: None,
            unmigrated: None,
            rolled_back: None,
            state,
            tally: Arc::default(),
        }
    }

    /// The plugin that answers here, or why none does.
    pub fn live(&self) -> Result<&Arc<Live>, Error> {
        match &self.state {
            State::Live(live) => Ok(live),
            State::Disabled => Err(Error::Disabled),
            State::Compiling(digest) => Err(Error::Compiling(digest.clone())),
            State::Broken(why) => Err(Error::Broken(why.clone())),
            State::Passing(why) => Err(Error::Passing(why.clone())),
        }
    }

    /// By what stands there, not by its name: another plugin may stand at `password` one day.
    pub fn keeps_passwords(&self) -> bool {
        self.spec.plugin.as_str() == PASSWORD
    }

    /// Of the headers of a request, those that the plugin asks for and is granted.
    pub fn shown(&self, headers: &[(String, String)]) -> Vec<(String, String)> {
        self.live().map_or_else(|_| Vec::new(), |live| live.shown(headers))
    }

    /// How its calls went on this node, whichever plugin answered them.
    pub fn stats(&self) -> Stats {
        self.live().map_or_else(|_| self.tally.read(), |live| live.plugin.stats())
    }

    /// What its plugin logged and how it failed on this node, as far as it is kept.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Mounts {
    pub fn new(
        (barrier, clock, fence): (&Barrier, &Clock, &Fence),
        documents: Documents,
        security: Security,
        catalog: Catalog,
        runtime: Runtime,
    ) -> Self {
        Self(Arc::new(Inner {
            barrier: barrier.clone(),
            clock: clock.clone(),
            view: barrier.view(Prefix::Mount),
            documents,
            fence: fence.clone(),
            security,
            catalog,
            runtime,
            table: ArcSwap::default(),
            refreshing: tokio::sync::Mutex::default(),
            compiled: compiled::Compiled::default(),
            attended: attend::Attended::default(),
        }))
    }

    pub fn get(&self, kind: Kind, name: &MountName) -> Option<Arc<Mount>> {
        self.0.table.load().get(kind, name)
    }

    pub fn by_id(&self, id: &MountId) -> Option<Arc<Mount>> {
        self.0.table.load().by_id(id)
    }

    /// Every mount of a kind, by name.
    pub fn of_kind(&self, kind: Kind) -> Vec<Arc<Mount>> {
        self.0.table.load().of_kind(kind)
    }

    /// A call of a mount's plugin that is run until it is stored. `place` is what it is about:
    /// calls that conflict over one place line up.
    pub fn call(&self, mount: &Mount, facts: Facts, place: &str) -> Result<Attempts, Error> {
        self.attempts(mount, mount.live()?, facts, place)
    }

    fn attempts(&self, mount: &Mount, live: &Arc<Live>, facts: Facts, place: &str) -> Result<Attempts, Error> {
        if let Some(barred) = prove::barred(&self.0.security.rules(), live.digest(), live.publisher) {
            return Err(Error::Broken(format!("the plugin {}", barred.why)));
        }
        let inner = &self.0;
        let parts = (&inner.barrier, &inner.clock);
        // By the rules of this moment, not of when the mount came up.
        let bounds = self.bounds(live.manifest());
        Ok(Attempts::new(parts, mount, live, (facts, place), (bounds, self.passwords())))
    }

    fn passwords(&self) -> PasswordCosts {
        let cost = |cost: &security::Argon2| Argon2Cost {
            memory_kib: cost.memory_kib,
            passes: cost.iterations,
            lanes: cost.parallelism,
        };
        let (rules, security) = (self.0.security.rules(), &self.0.security);
        let most = |most: Dearest, past: &security::Argon2| most.or(past.memory_kib, past.iterations);
        PasswordCosts {
            present: cost(&rules.passwords.argon2),
            earlier: security.earlier_costs().iter().map(cost).collect(),
            dearest: security.past_costs().iter().fold(Dearest::default(), most),
        }
    }
}
