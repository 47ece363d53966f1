use super::*;

const REKEY: Ceremony = Ceremony::Rekey { shares: 3, threshold: 2 };

fn is_rekey(ceremony: Ceremony) -> bool {
    ceremony == REKEY
}

async fn rekeyed(barrier: &Barrier, shares: &[Secret<String>]) -> Vec<Secret<String>> {
    let first = barrier.begin(REKEY, &shares[0]).await.unwrap();
    assert_eq!((first.progress, first.proof.is_none()), (1, true));
    let second = barrier.join(is_rekey, &first.nonce, &shares[1]).await.unwrap();
    barrier.rekey(second.proof.expect("there are enough"), 3, 2).await.unwrap()
}

#[tokio::test]
async fn after_a_rekey_only_the_new_shares_open_and_everything_is_there() {
    let (nodes, barrier, old) = Nodes::shamir(5, 2).await;
    write(&barrier, "a", "one").await.unwrap();
    let new = rekeyed(&barrier, &old).await;
    assert_eq!(new.len(), 3);
    assert_eq!(read(&barrier, "a").await.unwrap(), "one");
    assert_eq!(barrier.rotate().await.unwrap(), 2, "keys rotate under the new root key");

    let later = nodes.start();
    for share in &old {
        assert!(matches!(later.unseal_share(share).await, Err(Error::Key("is not of this store"))));
    }
    later.unseal_share(&new[2]).await.unwrap();
    assert!(!later.unseal_share(&new[0]).await.unwrap().sealed);
    assert_eq!(read(&later, "a").await.unwrap(), "one");
}

#[tokio::test]
async fn a_node_with_the_old_root_key_goes_on_until_keys_rotate() {
    let (nodes, barrier, old) = Nodes::shamir(2, 2).await;
    let other = nodes.start();
    other.unseal_share(&old[0]).await.unwrap();
    other.unseal_share(&old[1]).await.unwrap();
    let new = rekeyed(&barrier, &old).await;
    write(&barrier, "a", "one").await.unwrap();
    assert_eq!(read(&other, "a").await.unwrap(), "one");
    barrier.rotate().await.unwrap();
    write(&barrier, "b", "two").await.unwrap();
    assert!(matches!(read(&other, "b").await, Err(Error::Sealed)));
    assert!(other.is_sealed());
    other.unseal_share(&new[0]).await.unwrap();
    other.unseal_share(&new[1]).await.unwrap();
    assert_eq!(read(&other, "b").await.unwrap(), "two");
}

#[tokio::test]
async fn what_is_brought_for_one_deed_serves_no_other() {
    let (_, barrier, shares) = Nodes::shamir(2, 2).await;
    let root = barrier.begin(Ceremony::RootToken, &shares[0]).await.unwrap();
    let crossed = barrier.join(is_rekey, &root.nonce, &shares[1]).await;
    assert!(matches!(crossed, Err(Error::Seal(_))));
    let guessed = barrier.join(is_rekey, &"0".repeat(32), &shares[1]).await;
    assert!(matches!(guessed, Err(Error::Seal(_))));
    let done = barrier.join(|ceremony| ceremony == Ceremony::RootToken, &root.nonce, &shares[1]).await.unwrap();
    assert!(done.proof.is_some());
    let again = barrier.join(|ceremony| ceremony == Ceremony::RootToken, &root.nonce, &shares[1]).await;
    assert!(matches!(again, Err(Error::Seal(_))), "an attempt is used up");
}

#[tokio::test]
async fn a_wrong_share_neither_begins_an_attempt_nor_ends_one() {
    let (_, barrier, shares) = Nodes::shamir(2, 2).await;
    let (_, _, foreign) = Nodes::shamir(2, 2).await;
    assert!(matches!(barrier.begin(Ceremony::RootToken, &foreign[0]).await, Err(Error::Key(_))));
    let root = barrier.begin(Ceremony::RootToken, &shares[0]).await.unwrap();
    let is_root = |ceremony| ceremony == Ceremony::RootToken;
    for wrong in [&foreign[1], &shares[0]] {
        assert!(matches!(barrier.join(is_root, &root.nonce, wrong).await, Err(Error::Key(_))));
    }
    assert!(barrier.join(is_root, &root.nonce, &shares[1]).await.unwrap().proof.is_some());
}

#[tokio::test]
async fn attempts_are_few_and_end_with_time() {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
    let nodes = Nodes { storage: Arc::default(), clock };
    let barrier = nodes.start();
    let shares = barrier.init(Init::Shamir { shares: 2, threshold: 2 }).await.unwrap().shares;
    let first = barrier.begin(Ceremony::RootToken, &shares[0]).await.unwrap();
    for _ in 1..limits::CEREMONIES {
        barrier.begin(Ceremony::RootToken, &shares[0]).await.unwrap();
    }
    assert!(matches!(barrier.begin(Ceremony::RootToken, &shares[0]).await, Err(Error::Seal(_))));
    hand.advance(limits::CEREMONY_LIFE);
    let late = barrier.join(|ceremony| ceremony == Ceremony::RootToken, &first.nonce, &shares[1]).await;
    assert!(matches!(late, Err(Error::Seal(_))));
    barrier.begin(Ceremony::RootToken, &shares[0]).await.unwrap();
}

#[tokio::test]
async fn of_two_rekeys_at_once_one_is_done() {
    let (nodes, barrier, shares) = Nodes::shamir(1, 1).await;
    let one = barrier.begin(REKEY, &shares[0]).await.unwrap().proof.unwrap();
    let other = barrier.begin(REKEY, &shares[0]).await.unwrap().proof.unwrap();
    let new = barrier.rekey(one, 3, 2).await.unwrap();
    assert!(matches!(barrier.rekey(other, 3, 2).await, Err(Error::Conflict)));
    let later = nodes.start();
    later.unseal_share(&new[0]).await.unwrap();
    assert!(!later.unseal_share(&new[1]).await.unwrap().sealed);
}

#[tokio::test]
async fn where_a_key_unseals_the_key_is_what_is_brought() {
    let (_, barrier, key) = Nodes::key_file().await;
    let text = |key: &[u8; 32]| Secret::new(hex::encode(key));
    assert!(barrier.begin(Ceremony::RootToken, &text(key.reveal())).await.unwrap().proof.is_some());
    assert!(matches!(barrier.begin(Ceremony::RootToken, &text(&[1; 32])).await, Err(Error::Key(_))));
    assert!(matches!(barrier.begin(REKEY, &text(key.reveal())).await, Err(Error::Seal(_))));
}
