//! What is done on one node at a time: whoever does it holds a claim, and what it stores rests on that.

use super::Mounts;
use crate::{
    barrier::{Error, Writes},
    limits,
    storage::{Expect, Version},
};

/// A claim of this node's. A dead node's ends by itself.
#[derive(Debug)]
pub(super) struct Claim {
    key: String,
    version: Version,
}

impl Mounts {
    /// None: another node is at it.
    pub(super) async fn claim(&self, key: String) -> Result<Option<Claim>, Error> {
        let now = self.0.clock.now();
        let mut writes = Writes::default();
        self.0.view.expect(&mut writes, &key, Expect::Absent);
        let version = self.0.view.put(&mut writes, &key, &now, Some(now.after(limits::MOUNT_CLAIM)));
        match self.0.barrier.commit(writes).await {
            Ok(()) => Ok(Some(Claim { key, version })),
            Err(Error::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a batch rest on the claim, and the claim last from now on: what the claim is, once it is stored.
    pub(super) fn prolong(&self, to: &mut Writes, claim: &Claim) -> Claim {
        let now = self.0.clock.now();
        self.0.view.expect(to, &claim.key, Expect::Version(claim.version));
        let version = self.0.view.put(to, &claim.key, &now, Some(now.after(limits::MOUNT_CLAIM)));
        Claim { key: claim.key.clone(), version }
    }

    /// It has not lapsed, and so nobody else has it.
    pub(super) async fn holds(&self, claim: &Claim) -> Result<bool, Error> {
        let stored = self.0.view.get_bytes(&claim.key).await?;
        Ok(stored.is_some_and(|stored| stored.version == claim.version))
    }

    /// Another node need not wait until it lapses. One that another node has taken since is left to it.
    pub(super) async fn release(&self, claim: Claim) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.0.view.expect(&mut writes, &claim.key, Expect::Version(claim.version));
        self.0.view.delete(&mut writes, &claim.key);
        match self.0.barrier.commit(writes).await {
            Err(Error::Conflict) => Ok(()),
            other => other,
        }
    }
}
