//! The counters that tell every node that something was changed, and the roll of the nodes that
//! are to be told.
//!
//! Owns the entries below `fence/`: counters, roll, what each node has confirmed; and this node's
//! generations, which caches compare. Must never know what was changed, or hold what was read. One
//! more kind of change is one more `Counter`.
//!
//! How a cache uses it: take `generation` *before* reading the store, keep it beside what was
//! read, and use that only while the generation is the same and the fence `is_fresh`.
//!
//! Why nobody acts on what was before a change, once `settle` has returned: each other node has
//! confirmed that it has seen it; or is no longer on the roll, and then it is not fresh; or has not
//! for 1.1 s, and then its last successful ask *began* before the commit, so it is not fresh
//! either. All of this is measured in each node's own monotonic time: no time of day is compared.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};

use crate::{
    barrier::{Barrier, Error, View, Writes, layout::Prefix},
    clock::Clock,
    ids, limits,
};

mod ask;
mod roll;
mod settle;
#[cfg(test)]
mod tests;

use ask::Seen;

/// What decides access, by kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Counter {
    Users,
    Roles,
    Policies,
    Settings,
    Mounts,
    Epochs,
    Endings,
    Seal,
}

impl Counter {
    pub const ALL: [Self; 8] = [
        Self::Users,
        Self::Roles,
        Self::Policies,
        Self::Settings,
        Self::Mounts,
        Self::Epochs,
        Self::Endings,
        Self::Seal,
    ];

    const fn key(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Roles => "roles",
            Self::Policies => "policies",
            Self::Settings => "settings",
            Self::Mounts => "mounts",
            Self::Epochs => "epochs",
            Self::Endings => "endings",
            Self::Seal => "seal",
        }
    }
}

/// Who else may work on the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peers {
    /// Nobody can: the store itself lets one process in.
    Impossible,
    /// Somebody could and must not: what this node keeps, it keeps as the only one.
    Forbidden,
    Allowed,
}

/// One node's knowledge of what was changed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    barrier: Barrier,
    view: View,
    clock: Clock,
    peers: Peers,
    /// This process, on the roll: random, and never used again.
    node: String,
    generations: [AtomicU64; Counter::ALL.len()],
    /// Until when what is remembered may be used: microseconds of monotonic time.
    fresh_until: AtomicU64,
    /// Asks that have begun.
    begun: AtomicU64,
    /// One ask at a time: answers applied out of order would move generations back and forth.
    seen: Mutex<Seen>,
    /// Counts what was raised here, for whoever tells the other nodes.
    raised: watch::Sender<u64>,
    /// What this node has brought up, for the next beat; and what it knows of the others.
    raised_mounts: std::sync::Mutex<roll::Raised>,
    known: ArcSwap<roll::Known>,
}

impl Fence {
    /// On a store of its own. Not fresh until the first `ask`.
    pub fn new(barrier: Barrier, clock: Clock) -> Self {
        Self::among(Peers::Impossible, barrier, clock)
    }

    /// On a store that others may work on as well.
    pub fn among(peers: Peers, barrier: Barrier, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            view: barrier.view(Prefix::Fence),
            barrier,
            clock,
            peers,
            node: ids::random_base62(NODE),
            generations: Default::default(),
            fresh_until: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            seen: Mutex::default(),
            raised: watch::Sender::default(),
            raised_mounts: std::sync::Mutex::default(),
            known: ArcSwap::default(),
        }))
    }

    /// Says in the batch that makes the change that it was made. Never a conflict: the counter is
    /// a fresh random number, so two that raise it at once need not know of each other.
    pub fn raise(&self, to: &mut Writes, counter: Counter) {
        self.0.view.put(to, counter.key(), &u64::from_be_bytes(ids::random()), None);
    }

    /// Makes a batch rest on nobody raising `counter` from now on: for a change that is right only as
    /// long as nothing of that kind changes.
    pub async fn rest_on(&self, to: &mut Writes, counter: Counter) -> Result<(), Error> {
        let read = self.0.view.get_bytes(counter.key()).await?;
        self.0.view.expect_as_read(to, counter.key(), read.as_ref());
        Ok(())
    }

    /// Differs from what it was whenever anybody has raised `counter` in between.
    pub fn generation(&self, counter: Counter) -> u64 {
        self.0.generations[counter as usize].load(Ordering::Acquire)
    }

    /// All generations: what they were is to be compared with what they are.
    pub fn generations(&self) -> Generations {
        Counter::ALL.map(|counter| self.generation(counter))
    }

    /// A successful ask began less than `limits::FENCE_STALE` ago. Without it, use nothing remembered.
    pub fn is_fresh(&self) -> bool {
        self.micros() < self.0.fresh_until.load(Ordering::Acquire)
    }

    /// Moves whenever something that was raised here has been committed: other nodes are to be told.
    pub fn raised(&self) -> watch::Receiver<u64> {
        self.0.raised.subscribe()
    }

    fn step(&self, counter: Counter) {
        self.0.generations[counter as usize].fetch_add(1, Ordering::AcqRel);
    }

    fn micros(&self) -> u64 {
        self.0.clock.monotonic().as_micros() as u64
    }
}

pub type Generations = [u64; Counter::ALL.len()];

/// Characters of a node's id.
const NODE: usize = 16;

fn micros(span: std::time::Duration) -> u64 {
    span.as_micros() as u64
}

/// Of what a node remembers.
fn stale() -> u64 {
    micros(limits::FENCE_STALE)
}

fn corrupt() -> Error {
    Error::Corrupt(Prefix::Fence.to_string())
}
