//! Once there is no way back, what a mount holds is moved on to its new version.

use std::sync::Arc;

use super::{Error, Kind, Mount, Mounts, Previous, Record, Unmigrated, claim::Claim};
use crate::{
    barrier::{self, Stored, Writes},
    fence::Counter,
    limits,
    runtime::{Facts, Migrate},
};

/// Where a node says that it is at it.
const CLAIM: &str = "migrating/";

/// Data of a mount that is this node's to move on.
#[derive(Debug)]
pub struct Moving {
    mount: Arc<Mount>,
    claim: Claim,
}

impl Mounts {
    /// Mounts whose upgrade is final and whose data may not be the new version's yet.
    pub fn unmigrated(&self) -> Vec<Arc<Mount>> {
        let now = self.0.clock.now();
        let due = |mount: &Arc<Mount>| {
            mount.live().is_ok() && mount.unmigrated.as_ref().is_some_and(|unmigrated| unmigrated.is_due(now))
        };
        [Kind::Auth, Kind::Secrets].into_iter().flat_map(|kind| self.of_kind(kind)).filter(due).collect()
    }

    /// Makes it this node's. None: it is another's, or has been done.
    pub async fn claim_migration(&self, mount: &Arc<Mount>) -> Result<Option<Moving>, barrier::Error> {
        let Some(claim) = self.claim(format!("{CLAIM}{}", mount.id)).await? else { return Ok(None) };
        let is_to_do = |record: &Record| record.id == mount.id && record.to_migrate().is_some();
        match self.record(mount.kind, &mount.name).await {
            Ok(Some(record)) if is_to_do(&record.value) => Ok(Some(Moving { mount: mount.clone(), claim })),
            other => {
                self.release(claim).await?;
                other.map(|_| None)
            }
        }
    }

    /// Has the plugin move some of the data on. True: all of it is.
    pub async fn migrate(&self, moving: Moving) -> Result<bool, Error> {
        let Moving { mount, mut claim } = moving;
        let moved = self.migrate_claimed(&mount, &mut claim).await;
        self.release(claim).await?;
        moved
    }

    async fn migrate_claimed(&self, mount: &Mount, claim: &mut Claim) -> Result<bool, Error> {
        for _ in 0..limits::MIGRATION_STEPS {
            let Some(record) = self.record(mount.kind, &mount.name).await? else { return Ok(false) };
            let Some(unmigrated) = record.value.to_migrate() else { return Ok(true) };
            let live = mount.live()?;
            if record.value.id != mount.id || record.value.live.as_ref().is_none_or(|l| l.digest != *live.digest()) {
                return Ok(false);
            }
            if !live.plugin.exports().maintenance {
                return self.note(&record, mount, None, Writes::default()).await;
            }
            let from = unmigrated.from.to_string();
            let facts = Facts { mount_path: mount.name.to_string(), ..Facts::default() };
            let mut attempts = self.call(mount, facts, "")?;
            loop {
                let outcome = attempts.run(Migrate { from: from.clone() }).await?;
                // With the first of its writes it stands there that there is no way back.
                let rest = (!outcome.value).then(|| Unmigrated { begun: true, ..unmigrated.clone() });
                let is_done = rest.is_none();
                let mut writes = outcome.writes;
                self.propose_rest(&mut writes, &record, mount, rest);
                // However long it takes: nobody else begins between two steps, and who has lost the claim stores nothing.
                let prolonged = self.prolong(&mut writes, claim);
                if attempts.commit(writes, outcome.may_rerun).await? {
                    *claim = prolonged;
                    if is_done {
                        self.publish().await?;
                        return Ok(true);
                    }
                    break;
                }
                if !self.holds(claim).await? {
                    return Ok(false);
                }
                if self.record(mount.kind, &mount.name).await?.map(|now| now.version) != Some(record.version) {
                    break;
                }
            }
        }
        Ok(false)
    }

    async fn note(
        &self,
        record: &Stored<Record>,
        mount: &Mount,
        rest: Option<Unmigrated>,
        mut writes: Writes,
    ) -> Result<bool, Error> {
        self.propose_rest(&mut writes, record, mount, rest);
        match self.0.barrier.commit(writes).await {
            Ok(()) => {
                self.publish().await?;
                Ok(true)
            }
            Err(barrier::Error::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn propose_rest(&self, to: &mut Writes, record: &Stored<Record>, mount: &Mount, rest: Option<Unmigrated>) {
        let key = mount.kind.key(&mount.name);
        self.0.view.expect_as_read(to, &key, Some(record));
        let record = record.value.clone();
        let previous = record.previous.clone().filter(|_| rest.is_some());
        let previous = previous.map(|previous| Previous { migrating: true, ..previous });
        self.0.view.put(to, &key, &record.with(previous, rest), None);
        self.0.fence.raise(to, Counter::Mounts);
    }

    async fn publish(&self) -> Result<(), barrier::Error> {
        self.0.fence.settle(&[Counter::Mounts]).await;
        self.refresh().await
    }
}
