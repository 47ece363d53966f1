use std::sync::Arc;

use super::*;
use crate::{
    barrier::{View, Writes, layout::Prefix, testing::Unsteady},
    clock::Clock,
    ids::random,
};

mod ceremonies;
mod keys;
mod sharing;
mod terms;

/// Nodes of one store.
struct Nodes {
    storage: Arc<Unsteady>,
    clock: Clock,
}

impl Nodes {
    fn none() -> Self {
        let (clock, _) = Clock::manual(Timestamp::from_millis(1_000_000));
        Self { storage: Arc::default(), clock }
    }

    /// Another node, or the same one after a restart.
    fn start(&self) -> Barrier {
        Barrier::new(self.storage.clone(), self.clock.clone())
    }

    async fn shamir(shares: u8, threshold: u8) -> (Self, Barrier, Vec<Secret<String>>) {
        let nodes = Self::none();
        let barrier = nodes.start();
        let made = barrier.init(Init::Shamir { shares, threshold }).await.unwrap();
        (nodes, barrier, made.shares)
    }

    async fn key_file() -> (Self, Barrier, Secret<[u8; 32]>) {
        let (nodes, key) = (Self::none(), Secret::new(random()));
        let barrier = nodes.start();
        barrier.init(Init::KeyFile(key.clone())).await.unwrap();
        (nodes, barrier, key)
    }

    fn row(&self, key: &str) -> Option<Entry> {
        self.storage.memory().dump().into_iter().find(|(found, _)| found == key).map(|(_, entry)| entry)
    }
}

fn view(barrier: &Barrier) -> View {
    barrier.view(Prefix::Setting)
}

async fn write(barrier: &Barrier, key: &str, value: &str) -> Result<(), Error> {
    let mut writes = Writes::default();
    view(barrier).put(&mut writes, key, value, None);
    barrier.commit(writes).await
}

async fn read(barrier: &Barrier, key: &str) -> Result<String, Error> {
    Ok(view(barrier).get(key).await?.expect("it was written").value)
}

#[tokio::test]
async fn an_empty_store_is_neither_initialised_nor_open() {
    let nodes = Nodes::none();
    let barrier = nodes.start();
    let status = barrier.status().await.unwrap();
    assert_eq!((status.initialized, status.sealed, status.kind), (false, true, None));
    let share = Secret::new("cof_share_1".to_owned());
    assert!(matches!(barrier.unseal_share(&share).await, Err(Error::Key(_))));
    assert!(matches!(barrier.unseal_key(&Secret::new([7; 32])).await, Err(Error::Seal(_))));
    assert!(matches!(barrier.seal(false).await, Err(Error::Seal(_))));
    assert!(matches!(barrier.rotate().await, Err(Error::Sealed)));
}

#[tokio::test]
async fn init_leaves_the_node_unsealed_and_says_how_it_is_kept() {
    let (_, barrier, shares) = Nodes::shamir(5, 3).await;
    assert_eq!(shares.len(), 5);
    let expected = SealStatus {
        initialized: true,
        sealed: false,
        sealed_by_order: false,
        kind: Some(SealKind::Shamir),
        mark: Some(Mark::Production),
        threshold: 3,
        shares: 5,
        progress: 0,
    };
    assert_eq!(barrier.status().await.unwrap(), expected);
    write(&barrier, "a", "one").await.unwrap();
}

#[tokio::test]
async fn a_second_init_is_refused_and_changes_nothing() {
    let (nodes, barrier, _) = Nodes::shamir(1, 1).await;
    let before = nodes.storage.memory().dump();
    for node in [&barrier, &nodes.start()] {
        let again = node.init(Init::KeyFile(Secret::new([1; 32]))).await;
        assert!(matches!(again, Err(Error::Seal("is initialised already"))));
    }
    assert_eq!(nodes.storage.memory().dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_inits_at_once_one_is_done() {
    for _ in 0..20 {
        let nodes = Nodes::none();
        let all: Vec<_> = (0..8).map(|_| nodes.start()).collect();
        let held = nodes.storage.hold().await;
        let inits: Vec<_> = all
            .iter()
            .cloned()
            .map(|node| tokio::spawn(async move { node.init(Init::Shamir { shares: 3, threshold: 2 }).await }))
            .collect();
        // All have found the store empty before the first writes.
        nodes.storage.so_many_wait(8).await;
        drop(held);
        let mut done = Vec::new();
        for init in inits {
            match init.await.unwrap() {
                Ok(made) => done.push(made),
                Err(error) => assert!(matches!(error, Error::Seal("is initialised already")), "{error}"),
            }
        }
        let [made] = &done[..] else { panic!("{} were initialised", done.len()) };
        assert_eq!(all.iter().filter(|node| !node.is_sealed()).count(), 1);
        let later = nodes.start();
        later.unseal_share(&made.shares[0]).await.unwrap();
        assert!(!later.unseal_share(&made.shares[2]).await.unwrap().sealed);
    }
}

#[tokio::test]
async fn an_init_that_failed_leaves_nothing_and_can_be_done_again() {
    let nodes = Nodes::none();
    let barrier = nodes.start();
    nodes.storage.fail_writes(true);
    assert!(matches!(barrier.init(Init::Shamir { shares: 1, threshold: 1 }).await, Err(Error::Away(_))));
    assert!(barrier.is_sealed() && nodes.storage.memory().dump().is_empty());
    nodes.storage.fail_writes(false);
    barrier.init(Init::Shamir { shares: 1, threshold: 1 }).await.unwrap();
}

#[tokio::test]
async fn an_init_whose_answer_was_lost_still_tells_its_shares() {
    let nodes = Nodes::none();
    nodes.storage.lose_answers(true);
    let made = nodes.start().init(Init::Shamir { shares: 1, threshold: 1 }).await.unwrap();
    assert!(!nodes.start().unseal_share(&made.shares[0]).await.unwrap().sealed);
}

#[tokio::test]
async fn an_order_to_seal_outlives_restarts_until_somebody_unseals() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let other = nodes.start();
    other.unseal_key(&key).await.unwrap();
    barrier.seal(false).await.unwrap();
    assert!(barrier.is_sealed() && !other.is_sealed());
    other.obey().await.unwrap();
    assert!(other.is_sealed());
    assert!(barrier.status().await.unwrap().sealed_by_order);
    for node in [&barrier, &other, &nodes.start()] {
        assert!(matches!(node.unseal_key(&key).await, Err(Error::Sealed)));
        assert!(node.is_sealed());
    }
    barrier.unseal_key_by_order(&key).await.unwrap();
    for node in [&other, &nodes.start()] {
        node.unseal_key(&key).await.unwrap();
        node.obey().await.unwrap();
        assert!(!node.is_sealed());
    }
}

#[tokio::test]
async fn shares_lift_an_order_to_seal() {
    let (nodes, barrier, shares) = Nodes::shamir(3, 2).await;
    barrier.seal(false).await.unwrap();
    assert!(barrier.unseal_share(&shares[0]).await.unwrap().sealed_by_order);
    let status = barrier.unseal_share(&shares[1]).await.unwrap();
    assert!(!status.sealed && !status.sealed_by_order);
    assert_eq!(nodes.row(layout::SEALED), None);
}

#[tokio::test]
async fn an_order_that_a_node_has_not_yet_met_is_lifted_by_it_too() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    let other = nodes.start();
    other.unseal_key(&key).await.unwrap();
    barrier.seal(false).await.unwrap();
    assert!(matches!(other.unseal_key(&key).await, Err(Error::Sealed)));
    assert!(other.is_sealed());
    barrier.unseal_key_by_order(&key).await.unwrap();
    other.unseal_key(&key).await.unwrap();
    barrier.seal(false).await.unwrap();
    other.unseal_key_by_order(&key).await.unwrap();
    other.obey().await.unwrap();
    assert!(!other.is_sealed() && !other.status().await.unwrap().sealed_by_order);
}

#[tokio::test]
async fn sealing_one_node_is_not_an_order() {
    let (nodes, barrier, key) = Nodes::key_file().await;
    barrier.seal(true).await.unwrap();
    assert!(barrier.is_sealed());
    let other = nodes.start();
    other.unseal_key(&key).await.unwrap();
    other.obey().await.unwrap();
    assert!(!other.is_sealed());
    barrier.unseal_key(&key).await.unwrap();
}

#[tokio::test]
async fn a_node_that_cannot_tell_the_others_is_sealed_all_the_same() {
    let (nodes, barrier, _) = Nodes::key_file().await;
    nodes.storage.fail_writes(true);
    assert!(barrier.seal(false).await.is_err());
    assert!(barrier.is_sealed());
}

#[tokio::test]
async fn an_order_that_cannot_be_lifted_stays_and_the_last_share_can_be_given_again() {
    let (nodes, barrier, shares) = Nodes::shamir(2, 2).await;
    barrier.seal(false).await.unwrap();
    barrier.unseal_share(&shares[0]).await.unwrap();
    nodes.storage.fail_writes(true);
    assert!(matches!(barrier.unseal_share(&shares[1]).await, Err(Error::Away(_))));
    assert!(barrier.is_sealed());
    nodes.storage.fail_writes(false);
    assert!(!barrier.unseal_share(&shares[1]).await.unwrap().sealed);
}

#[tokio::test]
async fn a_store_is_dev_or_production_for_ever() {
    let nodes = Nodes::none();
    let barrier = nodes.start();
    barrier.require(Mark::Dev).await.unwrap();
    barrier.require(Mark::Production).await.unwrap();
    barrier.init(Init::Dev(Secret::new([1; 32]))).await.unwrap();
    barrier.require(Mark::Dev).await.unwrap();
    assert!(matches!(barrier.require(Mark::Production).await, Err(Error::Seal("is a dev store, for ever"))));
    let (_, production, _) = Nodes::key_file().await;
    assert!(matches!(production.require(Mark::Dev).await, Err(Error::Seal("is a production store, for ever"))));

    // Whoever writes to the disk cannot take the mark away: the keyring is bound to it.
    let mut entry = nodes.row(layout::SEAL).unwrap();
    let text = String::from_utf8(entry.value).unwrap();
    entry.value = text.replace("\"mark\":\"dev\"", "\"mark\":\"production\"").into_bytes();
    nodes.storage.memory().tamper(layout::SEAL, Some(entry));
    let node = nodes.start();
    assert!(matches!(node.unseal_key(&Secret::new([1; 32])).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn nothing_of_the_seal_is_printed() {
    let key = Secret::new([0x5a; 32]);
    let init = Init::KeyFile(key);
    assert_eq!(format!("{init:?}"), "KeyFile([secret])");
    let (_, barrier, shares) = Nodes::shamir(3, 2).await;
    barrier.seal(true).await.unwrap();
    barrier.unseal_share(&shares[0]).await.unwrap();
    let secret = shares[0].reveal().split('_').nth(3).unwrap();
    let bytes = format!("{:?}", &hex::decode(secret).unwrap()[..4]);
    let printed = format!("{barrier:?} {shares:?}");
    assert!(!printed.contains(secret) && !printed.contains(bytes.trim_matches(['[', ']'])), "{printed}");
}
