//! The plugin catalog as an admin sees it: what is there, what may come in, what may go.
//!
//! Owns the way of an upload: looked at, compiled, stored in one batch, there when it is answered.
//! Never enables anything: that is a setting of a mount. One more thing to refuse is one more line
//! in `upload`.

mod error;
mod upload;

pub use error::Error;
pub use upload::Upload;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    barrier::{self, Barrier, Writes},
    catalog::{Catalog, Found, Wanted},
    clock::Clock,
    fence::{Counter, Fence},
    ids::{Action, PluginName},
    lease::Leases,
    limits,
    mount::Mounts,
    policy::{Caller, Delete, List, Permit, Policies, Read, Resource},
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Plugins {
    parts: Parts,
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub barrier: Barrier,
    pub catalog: Catalog,
    pub clock: Clock,
    pub fence: Fence,
    pub leases: Leases,
    pub mounts: Mounts,
    pub policies: Policies,
}

/// All plugins in policy: `sys/plugins`.
#[derive(Clone, Copy, Debug)]
pub struct AllPlugins;

impl Resource for AllPlugins {
    fn path(&self) -> String {
        "sys/plugins".to_owned()
    }
}

/// One version of one: `sys/plugins/<name>/<version>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct PluginPath {
    pub name: PluginName,
    pub version: Version,
}

impl Resource for PluginPath {
    fn path(&self) -> String {
        format!("{}/{}/{}", AllPlugins.path(), self.name, self.version)
    }
}

/// A plugin that is there.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub found: Found,
    /// Keys of the settings of mounts that use it, of those that the caller may read.
    pub used_by: Vec<String>,
}

impl Plugins {
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// By name, then by version; `after` is the last one that was shown.
    pub fn list(
        &self,
        permit: &Permit<List, AllPlugins>,
        after: Option<&PluginPath>,
        limit: usize,
    ) -> (Vec<Plugin>, Option<PluginPath>) {
        let mut all: Vec<(PluginPath, Found)> = self.parts.catalog.all().into_iter().map(|f| (place(&f), f)).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.retain(|(path, _)| after.is_none_or(|after| path > after));
        all.retain(|(path, _)| self.parts.policies.allows(permit.caller(), Action::Read, &path.path()));
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|(path, _)| path.clone());
        (all.into_iter().map(|(_, found)| self.shown(found, permit.caller())).collect(), next)
    }

    pub fn get(&self, permit: &Permit<Read, PluginPath>) -> Result<Plugin, Error> {
        let PluginPath { name, version } = permit.resource();
        let found = self.parts.catalog.find(name, &Wanted::Exact(version.clone())).map_err(|_| Error::NotFound)?;
        Ok(self.shown(found, permit.caller()))
    }

    /// Refused while a mount uses it. What the name and version stood for is remembered.
    pub async fn delete(&self, permit: &Permit<Delete, PluginPath>) -> Result<(), Error> {
        let PluginPath { name, version } = permit.resource();
        let parts = &self.parts;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            // First: a mount that begins to use it from here on changes the record.
            let record = parts.catalog.record(name, version).await?;
            parts.fence.ask().await?;
            parts.mounts.refresh().await?;
            let Some(record) = record.filter(|record| !record.value.deleted) else {
                let shipped = parts.catalog.find(name, &Wanted::Exact(version.clone())).is_ok_and(|f| f.shipped());
                return Err(if shipped { Error::Shipped } else { Error::NotFound });
            };
            if !parts.mounts.users_of(name, version).is_empty() {
                return Err(Error::InUse);
            }
            // What a removed mount has lent is still to be taken back with it.
            let departed = parts.mounts.departed_from(name, version).await?;
            if !departed.is_empty() && !parts.leases.lenders().await?.is_disjoint(&departed.into_iter().collect()) {
                return Err(Error::InUse);
            }
            let mut writes = Writes::default();
            parts.catalog.propose_deletion(&mut writes, name, version, &record);
            if self.commit(writes).await? {
                return Ok(());
            }
        }
        Err(barrier::Error::Conflict.into())
    }

    /// Stores a change of the catalog, in force when this returns. False: others were faster.
    async fn commit(&self, mut writes: Writes) -> Result<bool, Error> {
        let parts = &self.parts;
        parts.fence.raise(&mut writes, Counter::Mounts);
        match parts.barrier.commit(writes).await {
            Ok(()) => {}
            Err(barrier::Error::Conflict) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        parts.fence.settle(&[Counter::Mounts]).await;
        parts.mounts.refresh().await?;
        Ok(true)
    }

    fn shown(&self, found: Found, caller: &Caller) -> Plugin {
        let PluginPath { name, version } = place(&found);
        let may_read = |key: &String| self.parts.policies.allows(caller, Action::Read, &format!("sys/setting/{key}"));
        let used_by = self.parts.mounts.users_of(&name, &version).into_iter().filter(may_read).collect();
        Plugin { found, used_by }
    }
}

fn place(found: &Found) -> PluginPath {
    let manifest = &found.component.manifest;
    PluginPath { name: manifest.name.clone(), version: manifest.version.clone() }
}
