//! The counters that tell every node that something was changed.
//!
//! Owns the entries below `fence/` and this node's generations, which caches compare. Must never
//! know what was changed, or hold what was read. One more kind of change is one more `Counter`.
//!
//! How a cache uses it: take `generation` *before* reading the store, keep it beside what was
//! read, and use that only while the generation is the same and the fence `is_fresh`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

use crate::{
    barrier::{Barrier, Error, View, Writes, layout::Prefix},
    clock::Clock,
    ids, limits,
    storage::Version,
};

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

/// One node's knowledge of what was changed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    view: View,
    clock: Clock,
    generations: [AtomicU64; Counter::ALL.len()],
    /// When the last successful ask began: microseconds of monotonic time plus one; 0 is never.
    fresh: AtomicU64,
    /// Asks that have begun.
    begun: AtomicU64,
    /// One ask at a time: answers applied out of order would move generations back and forth.
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The versions of the counters' entries, as the last ask found them; None before the first.
    versions: Option<Vec<Option<Version>>>,
    /// Which ask that was.
    ask: u64,
}

impl Fence {
    /// Not fresh until the first `ask`.
    pub fn new(barrier: Barrier, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            view: barrier.view(Prefix::Fence),
            clock,
            generations: Default::default(),
            fresh: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            seen: Mutex::default(),
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

    /// To be awaited after the commit of what was raised, and before the answer: from then on
    /// this node uses nothing that it remembers of before.
    pub async fn settle(&self, counters: &[Counter]) {
        if self.ask().await.is_ok() {
            return;
        }
        // The store is away, but that these were raised is known without it.
        for counter in counters {
            self.step(*counter);
        }
    }

    /// Differs from what it was whenever anybody has raised `counter` in between.
    pub fn generation(&self, counter: Counter) -> u64 {
        self.0.generations[counter as usize].load(Ordering::Acquire)
    }

    /// A successful ask began less than `limits::FENCE_STALE` ago. Without it, use nothing remembered.
    pub fn is_fresh(&self) -> bool {
        let Some(began) = self.0.fresh.load(Ordering::Acquire).checked_sub(1) else { return false };
        self.micros().saturating_sub(began) < limits::FENCE_STALE.as_micros() as u64
    }

    /// Reads all counters and moves the generations of those that were raised. Whoever waits while
    /// another asks is served by the next ask, all at once.
    pub async fn ask(&self) -> Result<(), Error> {
        let called = self.0.begun.load(Ordering::SeqCst);
        let mut seen = self.0.seen.lock().await;
        if seen.ask > called {
            return Ok(());
        }
        let ask = self.0.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let began = self.micros();
        let found = self.0.view.get_many(&Counter::ALL.map(Counter::key)).await?;
        let versions: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.version)).collect();
        for counter in Counter::ALL {
            // What was remembered before the first ask is compared with nothing: it goes.
            if seen.versions.as_ref().is_none_or(|old| old[counter as usize] != versions[counter as usize]) {
                self.step(counter);
            }
        }
        *seen = Seen { versions: Some(versions), ask };
        self.0.fresh.store(began + 1, Ordering::Release);
        Ok(())
    }

    fn step(&self, counter: Counter) {
        self.0.generations[counter as usize].fetch_add(1, Ordering::AcqRel);
    }

    fn micros(&self) -> u64 {
        self.0.clock.monotonic().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        barrier::testing::Unsteady,
        clock::{Hand, Timestamp},
    };

    struct Node {
        fence: Fence,
        barrier: Barrier,
    }

    /// Nodes on one store under one keyring.
    fn nodes(count: usize) -> (Vec<Node>, Arc<Unsteady>, Hand) {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        let storage = Arc::new(Unsteady::default());
        let barrier = Barrier::for_test(storage.clone(), clock.clone());
        let node = || Node { fence: Fence::new(barrier.clone(), clock.clone()), barrier: barrier.clone() };
        ((0..count).map(|_| node()).collect(), storage, hand)
    }

    impl Node {
        async fn change(&self, counters: &[Counter]) {
            let mut writes = Writes::default();
            counters.iter().for_each(|counter| self.fence.raise(&mut writes, *counter));
            self.barrier.commit(writes).await.unwrap();
        }

        fn generations(&self) -> Vec<u64> {
            Counter::ALL.map(|counter| self.fence.generation(counter)).to_vec()
        }
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[tokio::test]
    async fn nothing_is_fresh_before_the_first_ask_or_a_second_after_the_last() {
        let (nodes, _, hand) = nodes(1);
        let fence = &nodes[0].fence;
        assert!(!fence.is_fresh());
        fence.ask().await.unwrap();
        hand.advance(limits::FENCE_STALE - Duration::from_millis(1));
        assert!(fence.is_fresh());
        hand.set(Timestamp::from_millis(0));
        assert!(fence.is_fresh(), "the time of day is nothing to the fence");
        hand.advance(Duration::from_millis(1));
        assert!(!fence.is_fresh());
        fence.ask().await.unwrap();
        assert!(fence.is_fresh());
    }

    #[tokio::test]
    async fn freshness_counts_from_the_beginning_of_an_ask() {
        let (nodes, storage, hand) = nodes(1);
        let fence = nodes[0].fence.clone();
        let held = storage.hold().await;
        let ask = tokio::spawn({
            let fence = fence.clone();
            async move { fence.ask().await }
        });
        storage.somebody_waits().await;
        hand.advance(limits::FENCE_STALE);
        drop(held);
        ask.await.unwrap().unwrap();
        assert!(!fence.is_fresh());
    }

    #[tokio::test]
    async fn a_failed_ask_freshens_nothing() {
        let (nodes, storage, hand) = nodes(1);
        nodes[0].fence.ask().await.unwrap();
        hand.advance(limits::FENCE_STALE / 2);
        storage.fail_reads(true);
        assert!(nodes[0].fence.ask().await.is_err());
        hand.advance(limits::FENCE_STALE / 2);
        assert!(!nodes[0].fence.is_fresh());
    }

    #[tokio::test]
    async fn what_was_remembered_before_the_first_ask_is_not_used_after_it() {
        let (nodes, ..) = nodes(1);
        let before = nodes[0].generations();
        nodes[0].fence.ask().await.unwrap();
        assert!(before.iter().zip(nodes[0].generations()).all(|(old, new)| *old != new));
    }

    #[tokio::test]
    async fn settling_moves_the_own_generation_even_if_the_store_has_gone_away() {
        let (nodes, storage, _) = nodes(1);
        nodes[0].fence.ask().await.unwrap();
        let before = nodes[0].fence.generation(Counter::Users);
        nodes[0].change(&[Counter::Users]).await;
        storage.fail_reads(true);
        nodes[0].fence.settle(&[Counter::Users]).await;
        assert_ne!(nodes[0].fence.generation(Counter::Users), before);
    }

    #[tokio::test]
    async fn a_settle_is_not_served_by_an_ask_that_began_before_it() {
        let (nodes, storage, _) = nodes(1);
        let fence = nodes[0].fence.clone();
        fence.ask().await.unwrap();
        let before = fence.generation(Counter::Roles);
        let held = storage.hold().await;
        let early = tokio::spawn({
            let fence = fence.clone();
            async move { fence.ask().await }
        });
        storage.somebody_waits().await;
        nodes[0].change(&[Counter::Roles]).await;
        let settle = tokio::spawn({
            let fence = fence.clone();
            async move { fence.settle(&[Counter::Roles]).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        early.await.unwrap().unwrap();
        settle.await.unwrap();
        assert_eq!(fence.generation(Counter::Roles), before + 1);
    }

    #[tokio::test]
    async fn a_counter_that_was_tampered_with_is_an_error_and_never_freshness() {
        let (nodes, storage, hand) = nodes(1);
        nodes[0].change(&[Counter::Mounts]).await;
        let (key, mut entry) = storage.memory().dump().remove(0);
        *entry.value.last_mut().unwrap() ^= 1;
        storage.memory().tamper(&key, Some(entry));
        assert!(matches!(nodes[0].fence.ask().await, Err(Error::Corrupt(_))));
        hand.advance(limits::FENCE_STALE);
        assert!(!nodes[0].fence.is_fresh());
    }

    #[tokio::test]
    async fn what_rests_on_a_counter_conflicts_with_whoever_raises_it() {
        let (nodes, ..) = nodes(2);
        for raised in [Counter::Users, Counter::Roles] {
            let mut writes = Writes::default();
            nodes[0].fence.rest_on(&mut writes, Counter::Users).await.unwrap();
            nodes[0].fence.raise(&mut writes, Counter::Roles);
            nodes[1].change(&[raised]).await;
            let stored = nodes[0].barrier.commit(writes).await;
            assert_eq!(stored.is_err(), raised == Counter::Users);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Change(usize, Vec<usize>),
        Ask(usize),
        Settle(usize, usize),
        AskWhileAway(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3usize, prop::collection::vec(0..8usize, 1..3))
                .prop_map(|(node, counters)| Step::Change(node, counters)),
            (0..3usize).prop_map(Step::Ask),
            (0..3usize, 0..8usize).prop_map(|(node, counter)| Step::Settle(node, counter)),
            (0..3usize).prop_map(Step::AskWhileAway),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        #[test]
        fn a_generation_moves_exactly_when_somebody_raised(steps in steps()) {
            block_on(async {
                let (nodes, storage, _) = nodes(3);
                for node in &nodes {
                    node.fence.ask().await.unwrap();
                }
                let mut raised = [[false; 8]; 3];
                for step in steps {
                    match step {
                        Step::Change(node, counters) => {
                            let named: Vec<_> = counters.iter().map(|at| Counter::ALL[*at]).collect();
                            nodes[node].change(&named).await;
                            counters.iter().for_each(|at| raised.iter_mut().for_each(|seen| seen[*at] = true));
                        }
                        Step::AskWhileAway(node) => {
                            let before = nodes[node].generations();
                            storage.fail_reads(true);
                            assert!(nodes[node].fence.ask().await.is_err());
                            storage.fail_reads(false);
                            assert_eq!(nodes[node].generations(), before);
                        }
                        Step::Ask(node) | Step::Settle(node, _) => {
                            let before = nodes[node].generations();
                            match step {
                                Step::Settle(_, counter) => nodes[node].fence.settle(&[Counter::ALL[counter]]).await,
                                _ => nodes[node].fence.ask().await.unwrap(),
                            }
                            let after = nodes[node].generations();
                            for at in 0..8 {
                                assert_eq!(after[at] != before[at], std::mem::take(&mut raised[node][at]));
                            }
                        }
                    }
                }
            });
        }
    }
}
