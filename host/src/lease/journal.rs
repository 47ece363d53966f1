//! Intents are leases without a borrower: due when their call must have ended, and dropped in the
//! batch of the call if that commits.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    record::{Internal, Record},
    reservation::Reservations,
    store::{Holder, Store},
};
use crate::{
    barrier::{Barrier, Writes},
    clock::Clock,
    ids::{LeaseId, UserId},
    limits, mount,
    runtime::{Intent, Journal, Unnoted},
};

#[derive(Debug)]
struct Notes {
    barrier: Barrier,
    clock: Clock,
    store: Store,
    reservations: Reservations,
}

/// Where the sandbox notes what plugins announce.
pub fn journal(barrier: &Barrier, clock: &Clock, reservations: &Reservations) -> Arc<dyn Journal> {
    let (barrier, store) = (barrier.clone(), Store::new(barrier));
    Arc::new(Notes { barrier, clock: clock.clone(), store, reservations: reservations.clone() })
}

#[async_trait]
impl Journal for Notes {
    async fn note(&self, intent: Intent) -> Result<Writes, Unnoted> {
        let Intent { origin, principal, request, undo, until } = intent;
        let user = principal.and_then(|id| UserId::parse(&id).ok());
        let holder = Holder { mount: &origin.mount, user: user.as_ref() };
        let reservation = match self.reservations.of_call(holder, &request) {
            Some(reservation) => reservation,
            None => self.reservations.take(&self.store, holder, &request).await?.ok_or(Unnoted::TooMany)?,
        };
        let due = until.after(limits::LEASE_INTENT_GRACE);
        let record = Record {
            mount: origin.mount,
            path: origin.path,
            user,
            session: None,
            request,
            granted: None,
            made_at: self.clock.now(),
            renewed_at: None,
            expires_at: due,
            max_expires_at: due,
            renewable: false,
            span: 0,
            internal: Internal(undo),
            due,
            claimed: false,
            ending: false,
            failures: 0,
            reason: None,
        };
        let (id, mut writes) = (LeaseId::new(), Writes::default());
        // The plugin of a mount that was removed stays only for what is to be taken back already.
        let of_mount = format!("{}/", record.mount);
        if !mount::rest_on(&self.barrier, &mut writes, &record.mount).await?
            && !self.store.has_at_least(&self.store.mounts, &of_mount, 1).await?
        {
            return Err(Unnoted::Gone);
        }
        let noted = self.store.insert(&mut writes, &id, record);
        self.barrier.commit(writes).await?;
        drop(reservation);
        // Once it is being undone it is too late to commit: then the batch of the call conflicts.
        let mut drops = Writes::default();
        self.store.remove(&mut drops, &id, &noted);
        Ok(drops)
    }
}
