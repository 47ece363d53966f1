//! How often credentials may be guessed: by address block first, then by name.
//!
//! Owns the counters of failed logins, in Redis where the sessions are there, in memory
//! otherwise, and what counts as one name and one address block. Never knows whether a name is
//! anybody's, nor what was wrong with a guess: whoever asks is told "too many" (a block), or that
//! the name is slowed and is to be refused as a wrong password is, after the same work. One more
//! place where credentials can be guessed calls `begin` with a `Try` of the same realm.
//!
//! Counters stand in a fixed number of buckets, which a MAC picks, so invented names cost no
//! memory. What that costs: a name shares its bucket with one of `n` names that are slowed just
//! now with probability `n / limits::THROTTLE_BUCKETS`, and is slowed with it, except from where
//! it has logged in lately; a block shares with one that is over its limit likewise. Where
//! several nodes share counters, each waits for its own guesses only: as many right logins of one
//! name at one moment as there may be failures, spread over nodes, can be refused. In memory the
//! counts, and from where a name has logged in, are forgotten at a restart.

mod error;
mod guess;
mod in_memory;
mod in_redis;
mod name;
mod store;
#[cfg(test)]
mod tests;
mod turns;

use std::{net::IpAddr, sync::Arc, time::Duration};

pub use error::Error;
pub use guess::Guess;
pub use name::{block, canonical, neighbourhood};

use crate::{
    barrier::{Barrier, Purpose},
    clock::Clock,
    limits,
    security::Security,
    shared::Link,
};
use guess::{Counted, Named};
use store::{Bound, Kind, Place, Store, Taken};
use turns::Turns;

/// The realm of the server's own users: whatever mount proves them, a name has one count.
pub const USERS: &str = "users";

/// One count for all. A cheap handle.
#[derive(Clone, Debug)]
pub struct Throttle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    barrier: Barrier,
    security: Security,
    clock: Clock,
    turns: Turns,
}

/// Somebody is about to show a credential.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Within which a name is one name: `USERS`, or the id of a mount that has names of its own.
    pub realm: &'a str,
    /// As it was sent. None where the credential names nobody.
    pub name: Option<&'a str>,
    /// None: no trustworthy address. Whoever has none shares one count.
    pub address: Option<IpAddr>,
}

/// What became of a guess that was to be counted.
enum Slot {
    Counted(Counted),
    /// There is none for so long.
    Full(Duration),
}

impl Throttle {
    /// `link`: where the counts are shared between nodes.
    pub fn new(link: Option<Link>, barrier: Barrier, security: Security, clock: Clock) -> Self {
        let store = link.map_or_else(Store::memory, Store::Redis);
        Self(Arc::new(Inner { store, barrier, security, clock, turns: Turns::default() }))
    }

    /// Counts a guess before it is made, so that no number of them at once is more than may fail;
    /// who turns out to be right is not counted. `TooMany`: the address block is over its limit,
    /// and nothing more is to be looked at.
    pub async fn begin(&self, of: Try<'_>) -> Result<Guess, Error> {
        let rules = self.0.security.rules();
        let logins = &rules.logins;
        let block = name::block(of.address);
        let bound = |most| Bound { most, window: logins.window.duration() };
        let place = self.place(Kind::Block, &[b"throttle block", block.as_bytes()])?;
        let block_counted = match self.take(place, bound(logins.failures_per_address)).await? {
            Slot::Counted(counted) => counted,
            Slot::Full(wait) => return Err(Error::TooMany(wait)),
        };
        let named = match of.name {
            None => None,
            Some(name) => {
                let (realm, name) = (of.realm.as_bytes(), canonical(name));
                let mut place = self.place(Kind::Name, &[b"throttle name", realm, name.as_bytes()])?;
                if of.address.is_some() {
                    let print = self.mac(&[b"throttle pair", realm, name.as_bytes(), block.as_bytes()])?;
                    place.print = Some(number(&print));
                }
                Some(match self.take(place, bound(logins.failures)).await? {
                    Slot::Counted(counted) => Named::Counted(counted),
                    Slot::Full(_) => Named::Slowed,
                })
            }
        };
        Ok(Guess::new(self.clone(), block_counted, named))
    }

    /// Guesses that are under way may turn out to be right: only when there are none left is a
    /// place really full.
    async fn take(&self, place: Place, bound: Bound) -> Result<Slot, Error> {
        let turn = self.0.turns.of(&place);
        loop {
            let waited = {
                let asking = turn.ask().await;
                match self.0.store.take(&place, bound, self.0.clock.now()).await? {
                    Taken::Counted(receipt) => {
                        return Ok(Slot::Counted(Counted { place, receipt, pending: turn.begun() }));
                    }
                    Taken::Full(wait) if asking.is_alone() => return Ok(Slot::Full(wait)),
                    Taken::Full(_) => asking.wait(),
                }
            };
            waited.await;
        }
    }

    fn place(&self, kind: Kind, parts: &[&[u8]]) -> Result<Place, Error> {
        let bucket = number(&self.mac(parts)?) % u64::from(limits::THROTTLE_BUCKETS);
        Ok(Place { kind, bucket: u32::try_from(bucket).unwrap_or_default(), print: None })
    }

    fn mac(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        Ok(self.0.barrier.mac(Purpose::Name)?.sign(parts))
    }
}

fn number(mac: &[u8; 32]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|at| mac[at]))
}
