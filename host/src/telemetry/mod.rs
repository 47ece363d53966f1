//! What the server tells of itself: metrics, and how the plugins of its mounts do.
//!
//! Owns which numbers are shown and by which names; the counters belong to those who count. All
//! of it is this node's, since it started. Never tells who did something: names of users stand in
//! no label. One more number is one more family in `text.rs`.

mod process;
mod requests;
mod text;

pub use requests::Requests;

use std::sync::Arc;

use crate::{
    audit::Audit,
    barrier::Barrier,
    fence::Fence,
    ids::{Action, MountName},
    mount::{Condition, Kind, Mount, Mounts},
    policy::{List, Permit, Policies, Read, Resource},
    runtime::{Failed, Line, Stats},
    session::Sessions,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Telemetry {
    parts: Parts,
    requests: Requests,
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub audit: Audit,
    pub barrier: Barrier,
    pub fence: Fence,
    pub mounts: Mounts,
    pub policies: Policies,
    pub sessions: Sessions,
}

/// The numbers in policy: `sys/metrics`.
#[derive(Clone, Copy, Debug)]
pub struct Metrics;

impl Resource for Metrics {
    fn path(&self) -> String {
        "sys/metrics".to_owned()
    }
}

/// All mounts in policy: `sys/mounts`.
#[derive(Clone, Copy, Debug)]
pub struct AllMounts;

impl Resource for AllMounts {
    fn path(&self) -> String {
        "sys/mounts".to_owned()
    }
}

/// What of a mount is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Whole,
    Log,
    Failures,
}

/// `sys/mounts/<kind>/<mount>`, and below it `log` and `failures`: who may see how a mount does
/// need not be shown what its plugin says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountPath {
    pub kind: Kind,
    pub name: MountName,
    pub part: Part,
}

impl Resource for MountPath {
    fn path(&self) -> String {
        let below = match self.part {
            Part::Whole => "",
            Part::Log => "/log",
            Part::Failures => "/failures",
        };
        format!("{}/{}/{}{below}", AllMounts.path(), self.kind.as_str(), self.name)
    }
}

/// A mount as it is watched.
#[derive(Debug)]
pub struct Watched {
    pub mount: Arc<Mount>,
    pub condition: Condition,
    pub stats: Stats,
}

impl Telemetry {
    pub fn new(parts: Parts) -> Self {
        Self { parts, requests: Requests::default() }
    }

    /// Where requests are counted.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// For Prometheus.
    pub fn metrics(&self, _: &Permit<Read, Metrics>) -> String {
        text::of(self)
    }

    /// The mounts that the caller may look at, by kind and name.
    pub fn mounts(&self, permit: &Permit<List, AllMounts>) -> Vec<Watched> {
        let may_read = |mount: &Arc<Mount>| {
            let path = MountPath { kind: mount.kind, name: mount.name.clone(), part: Part::Whole };
            self.parts.policies.allows(permit.caller(), Action::Read, &path.path())
        };
        self.all().into_iter().filter(may_read).map(|mount| self.watched(mount)).collect()
    }

    /// None: there is no such mount.
    pub fn mount(&self, permit: &Permit<Read, MountPath>) -> Option<Watched> {
        Some(self.watched(self.find(permit)?))
    }

    /// The last lines that its plugin logged, oldest first: without the secrets of their calls, as
    /// far as the sandbox can find them.
    pub fn log(&self, permit: &Permit<Read, MountPath>) -> Option<Vec<Line>> {
        Some(self.find(permit)?.tally().log())
    }

    /// The last calls that failed, oldest first.
    pub fn failures(&self, permit: &Permit<Read, MountPath>) -> Option<Vec<Failed>> {
        Some(self.find(permit)?.tally().failures())
    }

    fn find(&self, permit: &Permit<Read, MountPath>) -> Option<Arc<Mount>> {
        let MountPath { kind, name, .. } = permit.resource();
        self.parts.mounts.get(*kind, name)
    }

    fn all(&self) -> Vec<Arc<Mount>> {
        [Kind::Auth, Kind::Secrets].into_iter().flat_map(|kind| self.parts.mounts.of_kind(kind)).collect()
    }

    fn watched(&self, mount: Arc<Mount>) -> Watched {
        Watched { condition: self.parts.mounts.condition(&mount), stats: mount.stats(), mount }
    }
}
