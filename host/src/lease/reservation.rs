//! So many leases of one mount may one user hold, however many calls ask at once. What is stored is counted, and
//! with it what calls under way on this node have not stored yet; on several nodes it may be more by as much as is
//! under way on the others at that moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Error, Leases,
    store::{Holder, Store},
};
use crate::{
    barrier,
    ids::{MountId, RequestId, UserId},
    limits,
};

/// Places that calls under way have taken and not filled yet, by mount and holder.
#[derive(Clone, Debug, Default)]
pub struct Reservations(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    places: HashMap<String, Vec<Place>>,
    last: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    request: String,
    /// By something that its call has announced: it goes in the batch that brings the lease.
    is_filled: bool,
}

/// A place. It is free again once this is dropped: when what takes it is stored, or never will be.
#[derive(Debug)]
pub struct Reservation {
    reservations: Reservations,
    of: String,
    number: u64,
}

impl Reservations {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: there is none.
    pub(super) async fn take(
        &self,
        store: &Store,
        holder: Holder<'_>,
        request: &str,
    ) -> Result<Option<Reservation>, barrier::Error> {
        let of = holder.folder();
        // Before what is stored is counted: whoever is not under way any more has stored it.
        let (reservation, taken) = self.enter(&of, request);
        let left = (limits::LEASES_PER_USER + 1).saturating_sub(taken);
        let is_full = left == 0 || store.has_at_least(&store.mounts, &of, left).await?;
        Ok((!is_full).then_some(reservation))
    }

    /// The one that the call itself has taken, for what it announces first: there is never both that and a lease.
    pub(super) fn of_call(&self, holder: Holder<'_>, request: &str) -> Option<Reservation> {
        let (of, mut taken) = (holder.folder(), self.taken());
        let own = |place: &&mut Place| !place.is_filled && place.request == request;
        let place = taken.places.get_mut(&of)?.iter_mut().find(own)?;
        place.is_filled = true;
        Some(Reservation { reservations: self.clone(), number: place.number, of })
    }

    fn enter(&self, of: &str, request: &str) -> (Reservation, usize) {
        let mut taken = self.taken();
        taken.last += 1;
        let number = taken.last;
        let places = taken.places.entry(of.to_owned()).or_default();
        places.push(Place { number, request: request.to_owned(), is_filled: false });
        (Reservation { reservations: self.clone(), of: of.to_owned(), number }, places.len())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.taken().places.is_empty()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut taken = self.reservations.taken();
        if let Some(places) = taken.places.get_mut(&self.of) {
            places.retain(|place| place.number != self.number);
            if places.is_empty() {
                taken.places.remove(&self.of);
            }
        }
    }
}

impl Leases {
    /// A place for one more lease, to be kept until that is stored. To be asked for before the plugin does anything
    /// outside.
    pub async fn reserve(&self, mount: &MountId, user: &UserId, request: &RequestId) -> Result<Reservation, Error> {
        let holder = Holder { mount, user: Some(user) };
        let reservation = self.0.reservations.take(self.store(), holder, request.as_str()).await?;
        reservation.ok_or(Error::TooMany(limits::LEASES_PER_USER))
    }
}
