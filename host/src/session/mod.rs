//! Tokens, and whom they stand for.
//!
//! Owns the token grammar, the family record, uses, renewal and endings, and the two stores that
//! keep families: Redis and, without one, the same storage as everything else. Redis is the gate,
//! storage the authority: what must never come back (endings, generations, spent uses) is also
//! there. Never knows policy, and never keeps a token: only its digest. One more store implements
//! `Store` and runs the one conformance story (`conformance.rs`) and the model (`model.rs`).

use std::sync::Arc;

use crate::{barrier::Barrier, clock::Clock, fence::Fence, metrics::Counter};

mod copies;
mod create;
pub mod embedded;
mod end;
mod epochs;
mod error;
mod find;
mod list;
mod record;
pub mod redis;
mod renew;
mod standing;
mod store;
mod token;
mod types;
mod uses;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod model;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod races;
#[cfg(test)]
mod renewals;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod thief;
#[cfg(test)]
mod uses_tests;

pub use end::Kept;
pub use epochs::{EpochOf, Epochs, EpochsOf};
pub use error::Error;
pub use find::intersect;
pub use record::Record;
pub use renew::Pending;
pub use store::{Listed, Refill, Store, Touch, Verdict, Was};
pub use token::{AccessToken, AnyToken, Digest, Malformed, RefreshToken};
pub use types::{Lifetimes, Narrower, NewSession, OverLimit, PerUser, Renewal, Session, Summary, Tokens, Told};

use copies::Copies;

/// Sessions, as counted by one node.
#[derive(Debug, Default)]
pub struct Counts {
    pub created: Counter,
    pub renewed: Counter,
    /// One by one.
    pub ended: Counter,
    /// Endings of all of something: of a user, a mount, a plugin.
    pub ended_all: Counter,
    /// A refresh token was shown that had been spent before: somebody has a copy.
    pub reused: Counter,
}

/// The sessions of one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<dyn Store>,
    barrier: Barrier,
    fence: Fence,
    clock: Clock,
    copies: Arc<Copies>,
    counts: Arc<Counts>,
    /// Who releases a block of a family on this node, one at a time.
    releases: Arc<[tokio::sync::Mutex<()>; 64]>,
}

impl Sessions {
    pub fn new(store: Arc<dyn Store>, barrier: Barrier, fence: Fence, clock: Clock) -> Self {
        let releases = Arc::new(std::array::from_fn(|_| tokio::sync::Mutex::default()));
        let (copies, counts) = (Arc::new(Copies::new()), Arc::default());
        Self { store, barrier, fence, clock, copies, counts, releases }
    }

    /// What this node has done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// To be read before a credential is looked at, and before the user is looked up.
    pub async fn epochs(&self, of: &EpochsOf) -> Result<Epochs, Error> {
        Ok(epochs::of(&epochs::view(&self.barrier), of).await?)
    }
}
