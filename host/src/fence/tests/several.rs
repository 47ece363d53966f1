//! Nodes that know of each other.

use tokio::task::JoinHandle;

use super::*;
use crate::{
    barrier::layout,
    storage::{Entry, Version},
};

/// Each of them on the roll, and fresh.
async fn peers(count: usize) -> (Vec<Node>, Arc<Unsteady>, Hand) {
    let (nodes, storage, hand) = nodes_in(Peers::Allowed, count);
    // The second time each knows of all.
    for _ in 0..2 {
        for node in &nodes {
            node.fence.ask().await.unwrap();
        }
    }
    (nodes, storage, hand)
}

fn settle(node: &Node, counter: Counter) -> JoinHandle<()> {
    let fence = node.fence.clone();
    tokio::spawn(async move { fence.settle(&[counter]).await })
}

/// It does not end by itself, as far as can be seen.
async fn waits(settled: &JoinHandle<()>) {
    tokio::time::sleep(limits::FENCE_LOOK * 10).await;
    assert!(!settled.is_finished());
}

#[test]
fn who_is_struck_off_has_not_been_fresh_for_long() {
    assert!(limits::NODE_GONE > limits::NODE_HELD + limits::FENCE_STALE);
    assert!(limits::NODE_HELD > limits::NODE_BEAT * 2);
    assert!(limits::FENCE_SETTLE > limits::FENCE_STALE);
}

#[tokio::test]
async fn a_change_is_settled_when_every_node_has_seen_it() {
    let (nodes, ..) = peers(3).await;
    let before = nodes[2].fence.generation(Counter::Users);
    nodes[0].change(&[Counter::Users]).await;
    let settled = settle(&nodes[0], Counter::Users);
    waits(&settled).await;
    nodes[1].fence.ask().await.unwrap();
    waits(&settled).await;
    nodes[2].fence.ask().await.unwrap();
    settled.await.unwrap();
    assert_ne!(nodes[2].fence.generation(Counter::Users), before);
}

#[tokio::test]
async fn nodes_tell_what_they_have_brought_up_and_take_it_back_when_it_changes() {
    let (nodes, _, hand) = peers(3).await;
    let beat = async || {
        for _ in 0..2 {
            hand.advance(limits::NODE_BEAT);
            for node in &nodes {
                node.fence.ask().await.unwrap();
            }
        }
    };
    nodes[0].change(&[Counter::Mounts]).await;
    beat().await;
    assert_eq!(nodes[0].fence.others_with("a"), (0, 2));
    for node in &nodes[1..] {
        node.fence.brought_up(Some(node.fence.generation(Counter::Mounts)), []);
    }
    beat().await;
    assert_eq!(nodes[0].fence.others_with("a"), (2, 2));
    nodes[2].fence.brought_up(Some(nodes[2].fence.generation(Counter::Mounts)), ["a".to_owned()]);
    beat().await;
    assert_eq!((nodes[0].fence.others_with("a"), nodes[0].fence.others_with("b")), ((1, 2), (2, 2)));
    // Of what was changed since, nobody has said anything.
    nodes[0].change(&[Counter::Mounts]).await;
    beat().await;
    assert_eq!(nodes[0].fence.others_with("b"), (0, 2));
    nodes[1].fence.leave().await;
    nodes[0].fence.ask().await.unwrap();
    assert_eq!(nodes[0].fence.others_with("b"), (0, 1));
}

#[tokio::test]
async fn alone_on_the_roll_there_is_nobody_to_wait_for() {
    let (nodes, ..) = peers(1).await;
    nodes[0].change(&[Counter::Users]).await;
    nodes[0].fence.settle(&[Counter::Users]).await;
}

#[tokio::test]
async fn a_node_that_says_nothing_has_stopped_when_the_change_is_settled() {
    let (nodes, _, hand) = peers(2).await;
    // Time as it passes while it is waited for.
    nodes[0].change(&[Counter::Users]).await;
    let settled = settle(&nodes[0], Counter::Users);
    while !settled.is_finished() {
        hand.advance(Duration::from_millis(50));
        tokio::time::sleep(limits::FENCE_LOOK).await;
    }
    assert!(!nodes[1].fence.is_fresh());
}

#[tokio::test]
async fn an_ask_that_began_before_the_commit_confirms_nothing_of_it() {
    let (nodes, storage, hand) = peers(2).await;
    let held = storage.hold().await;
    let early = tokio::spawn({
        let fence = nodes[1].fence.clone();
        async move { fence.ask().await }
    });
    storage.so_many_wait(1).await;
    hand.advance(Duration::from_millis(900));
    nodes[0].change(&[Counter::Users]).await;
    let settled = settle(&nodes[0], Counter::Users);
    storage.so_many_wait(2).await;
    drop(held);
    early.await.unwrap().unwrap();
    waits(&settled).await;
    hand.advance(Duration::from_millis(100));
    assert!(!nodes[1].fence.is_fresh(), "it counts from where it began");
    nodes[1].fence.ask().await.unwrap();
    settled.await.unwrap();
}

#[tokio::test]
async fn while_others_change_things_all_the_time_two_looks_are_enough() {
    let (nodes, ..) = peers(2).await;
    nodes[0].change(&[Counter::Users]).await;
    let settled = settle(&nodes[0], Counter::Users);
    waits(&settled).await;
    for _ in 0..2 {
        assert!(!settled.is_finished());
        nodes[1].fence.ask().await.unwrap();
        // Never the same again.
        nodes[1].change(&[Counter::Users]).await;
    }
    settled.await.unwrap();
}

#[tokio::test]
async fn a_node_that_has_left_is_not_waited_for_and_uses_nothing() {
    let (nodes, ..) = peers(2).await;
    let before = nodes[1].generations();
    nodes[1].fence.leave().await;
    assert!(!nodes[1].fence.is_fresh());
    nodes[0].change(&[Counter::Users]).await;
    nodes[0].fence.settle(&[Counter::Users]).await;
    // It may come back, and has forgotten everything.
    nodes[1].fence.ask().await.unwrap();
    assert!(nodes[1].fence.is_fresh());
    assert!(before.iter().zip(nodes[1].generations()).all(|(old, new)| *old != new));
}

#[tokio::test]
async fn a_node_that_has_died_is_struck_off_and_one_that_comes_back_has_forgotten() {
    let (nodes, _, hand) = peers(2).await;
    let before = nodes[1].generations();
    for _ in 0..30 {
        hand.advance(limits::FENCE_ASK);
        nodes[0].fence.ask().await.unwrap();
    }
    nodes[0].change(&[Counter::Users]).await;
    nodes[0].fence.settle(&[Counter::Users]).await;
    assert!(!nodes[1].fence.is_fresh());
    nodes[1].fence.ask().await.unwrap();
    assert!(nodes[1].fence.is_fresh());
    assert!(before.iter().zip(nodes[1].generations()).all(|(old, new)| *old != new));
    // It is waited for again.
    nodes[0].change(&[Counter::Users]).await;
    let settled = settle(&nodes[0], Counter::Users);
    waits(&settled).await;
    nodes[1].fence.ask().await.unwrap();
    settled.await.unwrap();
}

#[tokio::test]
async fn the_time_of_day_strikes_nobody_off() {
    let (nodes, _, hand) = peers(2).await;
    for day in [0, i64::MAX / 2, 5] {
        hand.set(Timestamp::from_millis(day));
        nodes[0].fence.ask().await.unwrap();
        assert!(nodes[1].fence.is_fresh());
        nodes[0].change(&[Counter::Users]).await;
        let settled = settle(&nodes[0], Counter::Users);
        waits(&settled).await;
        nodes[1].fence.ask().await.unwrap();
        settled.await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_can_read_and_not_write_stops_before_it_is_struck_off() {
    let (nodes, storage, hand) = peers(1).await;
    storage.fail_writes(true);
    hand.advance(limits::NODE_HELD - Duration::from_millis(1));
    nodes[0].fence.ask().await.unwrap();
    assert!(nodes[0].fence.is_fresh());
    hand.advance(Duration::from_millis(1));
    assert!(!nodes[0].fence.is_fresh());
    assert!(nodes[0].fence.ask().await.is_err());
    storage.fail_writes(false);
    nodes[0].fence.ask().await.unwrap();
    assert!(nodes[0].fence.is_fresh());
}

#[tokio::test]
async fn an_order_to_seal_is_part_of_what_an_ask_learns() {
    let (nodes, storage, _) = peers(1).await;
    // Another node's hand.
    let order = Entry { value: b"{}".to_vec(), version: Version::random(), expires_at: None };
    storage.memory().tamper(layout::SEALED, Some(order));
    assert!(matches!(nodes[0].fence.ask().await, Err(Error::Sealed)));
    assert!(nodes[0].barrier.is_sealed());
}

#[tokio::test]
async fn a_node_that_must_be_alone_is_refused_beside_another_and_takes_its_place_when_it_dies() {
    let (nodes, _, hand) = nodes_in(Peers::Forbidden, 2);
    nodes[0].fence.join().await.unwrap();
    // The other is there, and beats.
    let refused = tokio::spawn({
        let fence = nodes[1].fence.clone();
        async move { fence.join().await }
    });
    while !refused.is_finished() {
        hand.advance(limits::NODE_BEAT / 4);
        nodes[0].fence.ask().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = refused.await.unwrap().unwrap_err().to_string();
    assert!(why.contains("another node") && why.contains("same Redis"), "{why}");
    assert!(!nodes[1].fence.is_fresh());
    // It has died: in so many words, it says nothing.
    for _ in 0..5 {
        assert!(nodes[1].fence.ask().await.is_err());
        hand.advance(limits::NODE_BEAT);
    }
    hand.advance(limits::NODE_BEAT);
    nodes[1].fence.join().await.unwrap();
    assert!(nodes[1].fence.is_fresh() && !nodes[0].fence.is_fresh());
    assert!(nodes[0].fence.ask().await.is_err());
    nodes[1].fence.leave().await;
    nodes[0].fence.ask().await.unwrap();
}

/// What a node remembers: it read this much of the truth, when the generation was that.
type Memory = Option<(u64, u64)>;

#[derive(Clone, Debug)]
enum Act {
    Use(usize),
    /// A change by one node; those of the others that ask while it is settled.
    Change(usize, Vec<usize>),
    Ask(usize),
    Leave(usize),
    Pass(u64),
    Jump(i64),
    Away(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..3usize).prop_map(Act::Use),
        4 => (0..3usize, prop::collection::vec(0..3usize, 0..3)).prop_map(|(node, others)| Act::Change(node, others)),
        4 => (0..3usize).prop_map(Act::Ask),
        1 => (0..3usize).prop_map(Act::Leave),
        4 => prop::sample::select(&[10, 250, 700, 1_000, 2_500, 6_000][..]).prop_map(Act::Pass),
        1 => any::<i32>().prop_map(|millis| Act::Jump(millis.into())),
        1 => any::<bool>().prop_map(Act::Away),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_node_uses_what_was_before_a_settled_change(acts in acts()) {
        block_on(async {
            let (nodes, storage, hand) = nodes_in(Peers::Allowed, 3);
            let (mut truth, mut settled, mut memory) = (0, 0, [Memory::None; 3]);
            for act in acts {
                match act {
                    Act::Use(at) => {
                        let fence = &nodes[at].fence;
                        let generation = fence.generation(Counter::Users);
                        match memory[at] {
                            Some((known, read)) if fence.is_fresh() && known == generation => {
                                assert!(read >= settled, "node {at} used {read} after {settled}");
                            }
                            _ => memory[at] = Some((generation, truth)),
                        }
                    }
                    Act::Change(at, others) => {
                        let mut writes = Writes::default();
                        nodes[at].fence.raise(&mut writes, Counter::Users);
                        if nodes[at].barrier.commit(writes).await.is_err() {
                            continue;
                        }
                        truth += 1;
                        let done = settle(&nodes[at], Counter::Users);
                        for other in others {
                            tokio::time::sleep(limits::FENCE_LOOK).await;
                            let _ = nodes[other].fence.ask().await;
                        }
                        tokio::time::sleep(limits::FENCE_LOOK * 3).await;
                        while !done.is_finished() {
                            hand.advance(Duration::from_millis(300));
                            tokio::time::sleep(limits::FENCE_LOOK).await;
                        }
                        settled = truth;
                    }
                    Act::Ask(at) => drop(nodes[at].fence.ask().await),
                    Act::Leave(at) => nodes[at].fence.leave().await,
                    Act::Pass(millis) => hand.advance(Duration::from_millis(millis)),
                    Act::Jump(millis) => hand.set(Timestamp::from_millis(millis)),
                    Act::Away(away) => storage.fail_reads(away),
                }
            }
        });
    }
}
