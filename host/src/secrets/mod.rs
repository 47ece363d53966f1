//! Secrets: what is asked of a secrets engine, and what of its answer is shown.
//!
//! Owns the way from a permitted operation to the mount's plugin and back, and the filtering of
//! listings. Never knows what an engine makes of a path. One more operation is a verb in a
//! plugin's manifest.

mod cursor;
mod error;
mod handle;
mod list;
mod verb;

pub use error::Error;
pub use handle::{Asker, Operation, RESERVED};
pub use list::{Listed, Listing, Page};

use std::sync::Arc;

use crate::{
    barrier::Barrier,
    ids::MountName,
    lease::Leases,
    mount::{Kind, Mount, Mounts},
    policy::Policies,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Secrets {
    barrier: Barrier,
    leases: Leases,
    mounts: Mounts,
    policies: Policies,
}

impl Secrets {
    pub fn new(barrier: Barrier, leases: Leases, mounts: Mounts, policies: Policies) -> Self {
        Self { barrier, leases, mounts, policies }
    }

    fn mount(&self, name: &MountName) -> Result<Arc<Mount>, Error> {
        self.mounts.get(Kind::Secrets, name).ok_or(Error::NoMount)
    }
}
