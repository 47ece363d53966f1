use super::{Error, Operate};
use crate::{
    audit::{Phase, Record},
    mount::Mount,
};

impl Operate {
    /// Upgrades that fail are undone, where there is a way back; with a record before and after.
    pub(super) async fn roll_back(&self) -> Result<(), Error> {
        for (mount, why) in self.0.mounts.failing() {
            self.0.audit.record(work("mounts.rollback", &mount, "tried", Some(why.clone()))).await?;
            let Some(rolled_back) = self.0.mounts.roll_back(&mount, &why).await? else { continue };
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
            self.0.audit.record(work("mounts.migrate", &mount, "tried", None)).await?;
            match self.0.mounts.migrate(&mount).await {
                Ok(done) => tracing::info!(mount = %mount.name, done, "data is moved on to a new version"),
                Err(error) => tracing::error!(mount = %mount.name, %error, "data cannot be moved on"),
            }
        }
        Ok(())
    }
}

fn work(operation: &'static str, mount: &Mount, decision: &str, cause: Option<String>) -> Record {
    let resource = Some(format!("sys/setting/{}/{}", mount.kind.as_str(), mount.name));
    Record { resource, decision: Some(decision.to_owned()), cause, ..Record::new(Phase::Work, operation) }
}
