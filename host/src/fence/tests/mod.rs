use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    barrier::testing::Unsteady,
    clock::{Hand, Timestamp},
};

mod several;

struct Node {
    fence: Fence,
    barrier: Barrier,
}

/// Nodes on one store under one keyring, which know nothing of each other.
fn nodes(count: usize) -> (Vec<Node>, Arc<Unsteady>, Hand) {
    nodes_in(Peers::Impossible, count)
}

fn nodes_in(peers: Peers, count: usize) -> (Vec<Node>, Arc<Unsteady>, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
    let storage = Arc::new(Unsteady::default());
    let barrier = Barrier::for_test(storage.clone(), clock.clone());
    let node = || Node { fence: Fence::among(peers, barrier.clone(), clock.clone()), barrier: barrier.clone() };
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
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
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
        (0..3usize, prop::collection::vec(0..8usize, 1..3)).prop_map(|(node, counters)| Step::Change(node, counters)),
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
