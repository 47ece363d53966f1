//! Guesses under way on this node, by bucket. A burst of right ones is let through, because who
//! finds a bucket full waits for those that are being looked at, one woken after the other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Mutex as Queue, MutexGuard as Asked, Notify};

use super::store::{Kind, Place};

type Key = (Kind, u32);

/// Lanes, and how many stand in each: one that nobody stands in is forgotten.
type Lanes = HashMap<Key, (Arc<Lane>, usize)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<Lanes>>);

#[derive(Debug, Default)]
struct Lane {
    /// One asks at a time, so that what is being looked at is known when the answer comes.
    queue: Queue<()>,
    pending: AtomicUsize,
    changed: Notify,
}

/// A place among those who want to guess at one bucket. Whoever leaves wakes the next.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    key: Key,
    lane: Arc<Lane>,
}

/// It is this one who asks.
pub(super) struct Asking<'a> {
    lane: &'a Arc<Lane>,
    alone: bool,
    _asked: Asked<'a, ()>,
}

/// A guess that is being looked at, until it is dropped.
#[derive(Debug)]
pub(super) struct Pending(Turn);

impl Turns {
    pub(super) fn of(&self, place: &Place) -> Turn {
        self.join((place.kind, place.bucket))
    }

    fn join(&self, key: Key) -> Turn {
        let mut lanes = self.lock();
        let (lane, standing) = lanes.entry(key).or_default();
        *standing += 1;
        Turn { turns: self.clone(), key, lane: lane.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Turn {
    pub(super) async fn ask(&self) -> Asking<'_> {
        let asked = self.lane.queue.lock().await;
        let alone = self.lane.pending.load(Ordering::Acquire) == 0;
        Asking { lane: &self.lane, alone, _asked: asked }
    }

    /// To be called while asking.
    pub(super) fn begun(&self) -> Pending {
        self.lane.pending.fetch_add(1, Ordering::AcqRel);
        Pending(self.turns.join(self.key))
    }
}

impl Asking<'_> {
    /// Nobody was being looked at when it was asked: a full bucket stays full.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Until somebody who was being looked at, or who waited too, is gone.
    pub(super) fn wait(self) -> impl Future<Output = ()> + Send + use<> {
        let lane = self.lane.clone();
        async move { lane.changed.notified().await }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The turn in it is dropped after this, and wakes the next one.
        self.0.lane.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lane.changed.notify_one();
        let mut lanes = self.turns.lock();
        if let Some((_, standing)) = lanes.get_mut(&self.key) {
            *standing -= 1;
            if *standing == 0 {
                lanes.remove(&self.key);
            }
        }
    }
}
