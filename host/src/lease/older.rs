//! Leases whose indexes were written when what is due stood in one row, whatever mount it came from, and what a
//! mount has lent in another, whoever holds it: they are moved to where both are looked for now.

use super::{Error, Leases, ends::one_of_many, store::id_in};
use crate::{barrier, barrier::Writes, limits};

/// As the moments began which stood first: of all that a clock of today can tell, and of one mount in 4,096.
const MOMENTS: &str = "000";
const MOMENT_DIGITS: usize = 16;

impl Leases {
    pub(super) async fn move_older(&self) -> Result<(), Error> {
        let due = &self.store().due;
        for moment in due.keys(MOMENTS, Some('/')).await? {
            if moment.len() != MOMENT_DIGITS + 1 {
                continue;
            }
            for key in due.list(&moment, None, None, limits::LIST_MOST).await?.keys {
                one_of_many(self.move_one(&key).await)?;
            }
        }
        Ok(())
    }

    async fn move_one(&self, key: &str) -> Result<(), Error> {
        let (store, mut writes) = (self.store(), Writes::default());
        store.due.delete(&mut writes, key);
        if let Some(id) = id_in(key) {
            if let Some(mount) = key.split('/').nth(1) {
                store.mounts.delete(&mut writes, &format!("{mount}/{id}"));
            }
            if let Some(stored) = store.get(&id).await? {
                store.settle(&mut writes, &id, &stored);
            }
        }
        match self.0.barrier.commit(writes).await {
            // Somebody is at it: next time.
            Ok(()) | Err(barrier::Error::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
