use super::{Error, Operate};
use crate::audit::{Phase, Record};

impl Operate {
    /// Gives back the space of mounts that were removed long enough ago; with a record, for what
    /// it deletes is data.
    pub async fn sweep_removed(&self) -> Result<(), Error> {
        if self.0.barrier.is_sealed() {
            return Ok(());
        }
        let gone = self.0.mounts.sweep_removed(&self.0.leases.lenders().await?).await?;
        if gone > 0 {
            let mut record = Record::new(Phase::Work, "mounts.sweep");
            record.values.insert("mounts".to_owned(), gone.to_string());
            self.0.audit.record(record).await?;
        }
        Ok(())
    }
}
