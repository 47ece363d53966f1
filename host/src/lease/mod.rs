//! What plugins have lent: to whom, until when, and who takes it back.
//!
//! Owns the records of leases, and of intents: deeds outside that a call has announced and that are
//! undone unless it commits. Both are revoked by their plugin, on any node, one node at a time, and
//! again until that succeeds: nothing is given up unless an operator says so, and what fails is shown as `failing`. A lease
//! ends with its time, with its session, or when somebody says so; each of that moves it to the
//! front of what is due, in storage, so that no crash loses it. Never knows HTTP, nor what a lease
//! is good for. One more reason why leases end is one more look in `ends.rs`.

mod ends;
mod error;
mod granted_action;
mod issue;
mod journal;
mod list;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod model;
mod older;
mod record;
mod renew;
mod requester;
mod reservation;
mod revoke;
mod store;
mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_policy;
#[cfg(test)]
mod tests_of_reservations;

use std::{collections::HashSet, sync::Arc};

pub use error::Error;
pub use granted_action::GrantedAction;
pub use issue::Borrower;
pub use journal::journal;
pub use list::{Filter, Page, Place, Scope, Selection};
pub use record::{Lease, State};
pub use renew::Asker;
pub use requester::Requester;
pub use reservation::{Reservation, Reservations};

use crate::{
    audit::Audit, barrier, barrier::Barrier, clock::Clock, directory::Directory, ids::MountId, mount::Mounts,
    policy::Policies, session::Sessions,
};

use store::Store;

/// What is lent. A cheap handle.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Inner>);

/// What it works with.
#[derive(Debug)]
pub struct Parts {
    pub audit: Audit,
    pub barrier: Barrier,
    pub clock: Clock,
    pub directory: Directory,
    pub mounts: Mounts,
    pub policies: Policies,
    /// The same as its journal has.
    pub reservations: Reservations,
    pub sessions: Sessions,
}

#[derive(Debug)]
struct Inner {
    audit: Audit,
    barrier: Barrier,
    clock: Clock,
    directory: Directory,
    mounts: Mounts,
    policies: Policies,
    reservations: Reservations,
    sessions: Sessions,
    store: Store,
}

impl Leases {
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, barrier, clock, directory, mounts, policies, reservations, sessions } = parts;
        let store = Store::new(&barrier);
        Self(Arc::new(Inner { audit, barrier, clock, directory, mounts, policies, reservations, sessions, store }))
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    /// Mounts with something that is still to be revoked.
    pub async fn lenders(&self) -> Result<HashSet<MountId>, barrier::Error> {
        self.store().lenders().await
    }
}
