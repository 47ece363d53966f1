//! Places that the calls of all mounts share: each has one for as long as it takes.
//!
//! What waits waits behind its own mount alone: a place that is given up goes to the mount that has the fewest, and
//! among those to the one that was given one longest ago.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::oneshot;

use super::Fault;

/// How much of them one mount may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    /// As many as it leaves free, and no more: whoever sleeps in a place cannot be put out of it, so half of what
    /// the others have left is always there for the next.
    Half,
    /// All that nobody else waits for: what is done there comes to an end by itself.
    All,
}

/// A mount's. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    pool: Arc<Pool>,
    own: Arc<Own>,
}

/// One of them, until it is dropped.
pub(super) struct Place(Places);

struct Pool {
    share: Share,
    state: Mutex<State>,
}

struct State {
    free: usize,
    given: u64,
    waiting: Vec<Waiting>,
}

/// Read and written under the pool's lock.
#[derive(Default)]
struct Own {
    held: AtomicUsize,
    /// When it was given its last one, as a number of the pool's.
    last: AtomicU64,
}

struct Waiting {
    by: Places,
    sender: oneshot::Sender<Place>,
}

impl Places {
    pub(super) fn new(places: usize, share: Share) -> Self {
        let state = State { free: places, given: 0, waiting: Vec::new() };
        Self { pool: Arc::new(Pool { share, state: Mutex::new(state) }), own: Arc::default() }
    }

    /// Of another mount.
    pub(super) fn for_another_mount(&self) -> Self {
        Self { pool: self.pool.clone(), own: Arc::default() }
    }

    pub(super) fn free(&self) -> usize {
        self.pool.lock().free
    }

    pub(super) async fn enter(&self) -> Result<Place, Fault> {
        let waiting = {
            let mut state = self.pool.lock();
            // Nobody who waits could have it: whoever can was given it when it became free.
            if state.can_give(self) {
                return Ok(state.give(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            state.forget_gone();
            state.waiting.push(Waiting { by: self.clone(), sender });
            receiver
        };
        // The sender goes only with the receiver, or with the place.
        waiting.await.map_err(|_| Fault::Busy)
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn can_give(&self, to: &Places) -> bool {
        match to.pool.share {
            Share::Half => to.own.held.load(Relaxed) < self.free,
            Share::All => self.free > 0,
        }
    }

    fn give(&mut self, to: Places) -> Place {
        self.free -= 1;
        self.given += 1;
        to.own.held.fetch_add(1, Relaxed);
        to.own.last.store(self.given, Relaxed);
        Place(to)
    }

    /// Those who have given up waiting.
    fn forget_gone(&mut self) {
        self.waiting.retain(|waiting| !waiting.sender.is_closed());
    }

    /// Gives what there is to those whose turn it is.
    fn give_all(&mut self) -> Vec<(oneshot::Sender<Place>, Place)> {
        let mut given = Vec::new();
        if self.waiting.is_empty() {
            return given;
        }
        self.forget_gone();
        let rank = |own: &Own| (own.held.load(Relaxed), own.last.load(Relaxed));
        loop {
            let fit = self.waiting.iter().enumerate().filter(|(_, waiting)| self.can_give(&waiting.by));
            // Of one mount's the first is the one that has waited for longest.
            let Some((at, _)) = fit.min_by_key(|(_, waiting)| rank(&waiting.by.own)) else { return given };
            let Waiting { by, sender } = self.waiting.remove(at);
            given.push((sender, self.give(by)));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let given = {
            let mut state = self.0.pool.lock();
            state.free += 1;
            self.0.own.held.fetch_sub(1, Relaxed);
            state.give_all()
        };
        // Without the lock: the place of one who has gone meanwhile comes back here.
        for (sender, place) in given {
            drop(sender.send(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(places: &Places) -> Option<Place> {
        places.enter().now_or_never().and_then(Result::ok)
    }

    fn fill(places: &Places) -> Vec<Place> {
        std::iter::from_fn(|| now(places)).collect()
    }

    #[test]
    fn however_many_a_mount_wants_half_of_the_rest_is_left() {
        let places = Places::new(64, Share::Half);
        let mounts: Vec<Places> = (0..6).map(|_| places.for_another_mount()).collect();
        let held: Vec<Vec<Place>> = mounts.iter().map(fill).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2, 1]);
        let other = places.for_another_mount();
        assert!(now(&other).is_some(), "there is one for a mount that has none");
        drop(held);
        assert_eq!(places.free(), 64);
        assert_eq!(fill(&Places::new(1, Share::Half)).len(), 1);
    }

    #[tokio::test]
    async fn what_is_given_up_goes_to_the_mount_that_has_the_fewest_and_in_turn() {
        let places = Places::new(2, Share::All);
        let (crowd, one, other) = (places.for_another_mount(), places.for_another_mount(), places.for_another_mount());
        let mut held = fill(&crowd);
        assert_eq!(held.len(), 2, "all of them, while nobody else wants one");
        let mut waiting = Vec::new();
        for (name, mount) in [("crowd", &crowd), ("crowd", &crowd), ("one", &one), ("one", &one), ("other", &other)] {
            let mut entering = Box::pin(mount.enter());
            assert!(entering.as_mut().now_or_never().is_none());
            waiting.push((name, entering));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            held.remove(0);
            let mut came = None;
            for (at, (_, entering)) in waiting.iter_mut().enumerate() {
                if let Some(place) = entering.as_mut().now_or_never() {
                    assert!(came.replace((at, place.ok().unwrap())).is_none(), "one for one");
                }
            }
            let (at, place) = came.unwrap();
            held.push(place);
            order.push(waiting.remove(at).0);
        }
        assert_eq!(order, ["one", "other", "crowd", "one", "crowd"]);
    }

    #[tokio::test]
    async fn who_has_gone_is_passed_over_whenever_he_went() {
        let places = Places::new(1, Share::Half);
        let held = fill(&places);
        let (mut gone, mut going, mut stays) =
            (Box::pin(places.enter()), Box::pin(places.enter()), Box::pin(places.enter()));
        for entering in [&mut gone, &mut going, &mut stays] {
            assert!(entering.as_mut().now_or_never().is_none());
        }
        drop(gone);
        drop(held);
        // It has been given the place by now, and has not looked.
        drop(going);
        let place = stays.as_mut().now_or_never().unwrap().ok().unwrap();
        assert_eq!(places.free(), 0);
        drop(place);
        assert_eq!((places.free(), places.pool.lock().waiting.len()), (1, 0));
    }
}
