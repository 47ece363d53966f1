use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Error, Operate};
use crate::{
    audit::{Phase, Record},
    ids::RequestId,
    limits,
    mount::Mount,
};

impl Operate {
    /// Upgrades that fail are undone, where there is a way back; with a record before and after.
    pub(super) async fn roll_back(&self) -> Result<(), Error> {
        for (mount, why) in self.0.mounts.failing() {
            self.0.audit.record(work("mounts.rollback", &mount, "tried", Some(why.clone()))).await?;
            let lends = self.0.leases.lenders().await?.contains(&mount.id);
            let Some(rolled_back) = self.0.mounts.roll_back(&mount, &why, lends).await? else { continue };
            tracing::error!(mount = %mount.name, version = %rolled_back.version, why, "an upgrade failed and is undone");
            let mut record = work("mounts.rollback", &mount, "done", Some(why));
            record.values.insert("version".to_owned(), rolled_back.version.to_string());
            self.0.audit.record(record).await?;
        }
        Ok(())
    }

    /// What mounts hold is moved on to versions from which there is no way back any more.
    pub async fn migrate(&self) -> Result<(), Error> {
        if self.0.barrier.is_sealed() {
            return Ok(());
        }
        for mount in self.0.mounts.unmigrated() {
            if let Err(error) = self.migrate_one(&mount).await {
                tracing::error!(mount = %mount.name, %error, "data cannot be moved on");
            }
        }
        Ok(())
    }

    /// With a record before, of the node that does it.
    async fn migrate_one(&self, mount: &Arc<Mount>) -> Result<(), Error> {
        let Some(moving) = self.0.mounts.claim_migration(mount).await? else { return Ok(()) };
        self.0.audit.record(work("mounts.migrate", mount, "tried", None)).await?;
        match self.0.mounts.migrate(moving).await {
            Ok(done) => tracing::info!(mount = %mount.name, done, "data is moved on to a new version"),
            Err(error) => tracing::error!(mount = %mount.name, %error, "data cannot be moved on"),
        }
        Ok(())
    }
}

impl Operate {
    /// Plugins that want to be called by the clock are, each on one node at a time; with a record before.
    pub async fn tick(&self) -> Result<(), Error> {
        if self.0.barrier.is_sealed() {
            return Ok(());
        }
        self.0.mounts.refresh().await?;
        let due = self.0.mounts.due_ticks().await?;
        stream::iter(due)
            .for_each_concurrent(limits::TICKS_AT_ONCE, |mount| async move {
                if let Err(error) = self.tick_one(&mount).await {
                    tracing::warn!(mount = %mount.name, %error, "a plugin is not called by the clock");
                }
            })
            .await;
        Ok(())
    }

    async fn tick_one(&self, mount: &Arc<Mount>) -> Result<(), Error> {
        let Some(due) = self.0.mounts.claim_tick(mount).await? else { return Ok(()) };
        let request = RequestId::new();
        let record = work("mounts.tick", mount, "tried", None);
        self.0.audit.record(Record { request: Some(request.clone()), ..record }).await?;
        if let Err(error) = self.0.mounts.tick(due, &request).await {
            tracing::error!(mount = %mount.name, kind = mount.kind.as_str(), %request, %error, "work by the clock has failed");
        }
        Ok(())
    }
}

fn work(operation: &'static str, mount: &Mount, decision: &str, cause: Option<String>) -> Record {
    let resource = Some(format!("sys/setting/{}", mount.kind.key(&mount.name)));
    Record { resource, decision: Some(decision.to_owned()), cause, ..Record::new(Phase::Work, operation) }
}
