//! What a mount has lent goes on being renewed and revoked while the mount is disabled, and is still
//! revoked after it was removed: until then its plugin is called with what it had last.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Attempts, Error, Kind, Live, Mount, Mounts, Record, Refusal, Spec, State, compiled::Patience};
use crate::{
    barrier::{self, Writes},
    ids::{MountId, MountName, PluginName},
    runtime::Facts,
    storage::Version,
};

/// Where it is kept what a removed mount was.
const DEPARTED: &str = "departed/";

#[derive(Debug, Serialize, Deserialize)]
struct Departed {
    kind: Kind,
    name: MountName,
    record: Record,
}

/// Plugins that answer for nothing else any more, by mount; the version is of the record that they were made from.
#[derive(Debug, Default)]
pub(super) struct Attended(Mutex<HashMap<MountId, (Version, Arc<Live>)>>);

impl Attended {
    fn get(&self, id: &MountId, version: Version) -> Option<Arc<Live>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(made_from, _)| *made_from == version).map(|(_, live)| live.clone())
    }

    fn keep(&self, id: &MountId, version: Version, live: &Arc<Live>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), (version, live.clone()));
    }

    fn retain(&self, is_needed: impl Fn(&MountId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_needed(id));
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) fn depart(mounts: &Mounts, to: &mut Writes, (kind, name): (Kind, &MountName), record: &Record) {
    let departed = Departed { kind, name: name.clone(), record: record.clone() };
    mounts.0.view.put(to, &key(&record.id), &departed, None);
}

/// What was removed is gone for good.
pub(super) fn forget(view: &barrier::View, to: &mut Writes, id: &MountId) {
    view.delete(to, &key(id));
}

fn key(id: &MountId) -> String {
    format!("{DEPARTED}{id}")
}

impl Mounts {
    /// A call about what a mount has lent, and for nothing else.
    pub async fn attend(&self, id: &MountId, facts: Facts, place: &str) -> Result<Attempts, Error> {
        let (mount, live) = self.attended(id).await?;
        let headers = live.shown(&facts.headers);
        let facts = Facts { mount_path: mount.name.to_string(), headers, ..facts };
        self.attempts(&mount, &live, facts, place)
    }

    /// Lets go of the plugins of mounts that answer again by themselves, or have lent nothing that is out: code, and
    /// credentials in the clear.
    pub fn attend_only(&self, lenders: &HashSet<MountId>) {
        let answers = |id: &MountId| self.by_id(id).is_some_and(|mount| mount.live().is_ok());
        self.0.attended.retain(|id| lenders.contains(id) && !answers(id));
    }

    #[cfg(test)]
    pub(crate) fn attending(&self) -> usize {
        self.0.attended.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn attended(&self, id: &MountId) -> Result<(Arc<Mount>, Arc<Live>), Error> {
        let departed = match self.by_id(id) {
            Some(mount) => match &mount.state {
                State::Live(live) => return Ok((mount.clone(), live.clone())),
                State::Compiling(digest) => return Err(Error::Compiling(digest.clone())),
                State::Broken(why) => return Err(Error::Broken(why.clone())),
                State::Passing(why) => return Err(Error::Passing(why.clone())),
                State::Disabled => {
                    let record = self.record(mount.kind, &mount.name).await?.filter(|record| record.value.id == *id);
                    record.map(|stored| {
                        (stored.version, Departed { kind: mount.kind, name: mount.name.clone(), record: stored.value })
                    })
                }
            },
            None => {
                let stored = self.0.view.get::<Departed>(&key(id)).await?;
                stored.map(|stored| (stored.version, stored.value))
            }
        };
        let (version, departed) = departed.ok_or_else(|| Error::Broken("it is gone".to_owned()))?;
        let Departed { kind, name, record } = departed;
        let spec = Spec::shipped(record.plugin.clone());
        let spec = record.live.as_ref().map_or_else(|| spec.clone(), |installed| installed.over(&spec));
        let live = match self.0.attended.get(id, version) {
            Some(live) => live,
            None => {
                let live =
                    Arc::new(self.revive(kind, &spec, &record, Patience::Endless).await.map_err(
                        |refusal| match refusal {
                            Refusal::Failed(error) => error,
                            Refusal::Invalid(_) => Error::Broken("its setting does not fit its plugin".to_owned()),
                        },
                    )?);
                self.0.attended.keep(id, version, &live);
                live
            }
        };
        Ok((Arc::new(Mount::trial(id.clone(), kind, name, spec, State::Disabled)), live))
    }

    /// Removed mounts whose plugin this was.
    pub async fn departed_from(
        &self,
        plugin: &PluginName,
        version: &semver::Version,
    ) -> Result<Vec<MountId>, barrier::Error> {
        let mut found = Vec::new();
        for id in self.departed().await? {
            let record = self.0.view.get::<Departed>(&key(&id)).await?.map(|stored| stored.value.record);
            let was = |record: &Record| record.live.as_ref().is_some_and(|live| live.version == *version);
            if record.is_some_and(|record| record.plugin == *plugin && was(&record)) {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Mounts that were removed, as long as what they left is kept.
    pub async fn departed(&self) -> Result<Vec<MountId>, barrier::Error> {
        let keys = self.0.view.keys(DEPARTED, None).await?;
        Ok(keys.iter().filter_map(|key| MountId::parse(&key[DEPARTED.len()..]).ok()).collect())
    }
}
