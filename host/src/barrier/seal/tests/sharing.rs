use proptest::prelude::*;

use super::*;
use crate::barrier::seal::{shamir, share::Share};

#[tokio::test]
async fn enough_shares_open_and_progress_is_told() {
    let (nodes, barrier, shares) = Nodes::shamir(5, 3).await;
    write(&barrier, "a", "one").await.unwrap();
    let later = nodes.start();
    for (given, share) in [4, 0].into_iter().enumerate() {
        let status = later.unseal_share(&shares[share]).await.unwrap();
        assert_eq!((status.sealed, status.progress), (true, given as u8 + 1));
    }
    let status = later.unseal_share(&shares[2]).await.unwrap();
    assert_eq!((status.sealed, status.progress), (false, 0));
    assert_eq!(read(&later, "a").await.unwrap(), "one");
    assert!(!later.unseal_share(&shares[1]).await.unwrap().sealed, "one more share does no harm");
}

#[tokio::test]
async fn progress_is_a_nodes_own() {
    let (nodes, _, shares) = Nodes::shamir(2, 2).await;
    let (one, other) = (nodes.start(), nodes.start());
    one.unseal_share(&shares[0]).await.unwrap();
    assert!(other.unseal_share(&shares[1]).await.unwrap().sealed);
    assert_eq!((one.status().await.unwrap().progress, other.status().await.unwrap().progress), (1, 1));
}

#[tokio::test]
async fn a_wrong_or_repeated_share_is_refused_by_itself() {
    let (nodes, _, shares) = Nodes::shamir(3, 3).await;
    let (_, _, foreign) = Nodes::shamir(3, 3).await;
    let later = nodes.start();
    later.unseal_share(&shares[0]).await.unwrap();
    assert!(matches!(later.unseal_share(&shares[0]).await, Err(Error::Key("was given already"))));
    for share in &foreign {
        assert!(matches!(later.unseal_share(share).await, Err(Error::Key("is not of this store"))));
    }
    // The right bytes under another number are another share.
    let moved = Share::parse(&shares[1]).unwrap();
    let moved = Share::new(3, moved.bytes()[1..].try_into().unwrap()).to_text();
    assert!(matches!(later.unseal_share(&moved).await, Err(Error::Key("is not of this store"))));
    assert_eq!(later.status().await.unwrap().progress, 1);
    later.unseal_share(&shares[2]).await.unwrap();
    assert!(!later.unseal_share(&shares[1]).await.unwrap().sealed);
}

#[tokio::test]
async fn a_share_with_a_slip_in_it_is_told_as_such() {
    let (nodes, _, shares) = Nodes::shamir(3, 2).await;
    let later = nodes.start();
    let text = shares[0].reveal();
    for at in 0..text.len() {
        let mut slip = text.clone().into_bytes();
        slip[at] = if slip[at] == b'7' { b'8' } else { b'7' };
        let slip = Secret::new(String::from_utf8(slip).unwrap());
        assert!(matches!(later.unseal_share(&slip).await, Err(Error::Key(_))), "character {at}");
        let short = Secret::new(text[..at].to_owned());
        assert!(matches!(later.unseal_share(&short).await, Err(Error::Key(_))));
    }
    assert_eq!(later.status().await.unwrap().progress, 0);
    let shouted = Secret::new(format!(" {}\n", text.to_ascii_uppercase()));
    assert_eq!(later.unseal_share(&shouted).await.unwrap().progress, 1);
}

#[tokio::test]
async fn sharing_that_makes_no_sense_is_refused() {
    let too_many = limits::SHARES + 1;
    for (shares, threshold) in [(0, 0), (1, 0), (0, 1), (3, 1), (2, 3), (too_many, 2), (255, 255)] {
        let nodes = Nodes::none();
        let refused = nodes.start().init(Init::Shamir { shares, threshold }).await;
        assert!(matches!(refused, Err(Error::Seal(_))), "{threshold} of {shares}");
        assert!(nodes.storage.memory().dump().is_empty());
    }
}

#[tokio::test]
async fn a_store_of_shares_takes_no_key_and_the_other_way_round() {
    let (_, shamir, _) = Nodes::shamir(1, 1).await;
    assert!(matches!(shamir.unseal_key(&Secret::new([1; 32])).await, Err(Error::Seal(_))));
    let (nodes, ..) = Nodes::key_file().await;
    let share = Share::new(1, [1; 32]).to_text();
    assert!(matches!(nodes.start().unseal_share(&share).await, Err(Error::Seal(_))));
}

#[test]
fn every_subset_of_enough_shares_opens_and_none_of_fewer() {
    for (shares, threshold) in [(1, 1), (2, 2), (5, 3), (6, 2), (6, 6)] {
        let root = Root::generate();
        let split = shamir::split(&root, threshold, shares).unwrap();
        for subset in 1..1_u32 << shares {
            let chosen = split.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, share)| share);
            let opened = shamir::combine(chosen).is_some_and(|found| found.bytes() == root.bytes());
            assert_eq!(opened, subset.count_ones() >= threshold.into(), "{subset:b} of {threshold} of {shares}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_sharing_opens_with_enough_and_not_with_a_foreign_one(
        threshold in 2..10_u8, more in 0..10_u8, order in any::<u64>(),
    ) {
        let shares = threshold + more;
        let (root, other) = (Root::generate(), Root::generate());
        let mut split = shamir::split(&root, threshold, shares).unwrap();
        let foreign = shamir::split(&other, threshold, shares).unwrap();
        split.sort_by_key(|share| (u64::from(share.number()) + 1).wrapping_mul(order | 1));
        let enough = &split[..threshold.into()];
        let opened = shamir::combine(enough.iter()).unwrap();
        prop_assert_eq!(opened.bytes(), root.bytes());
        let swapped = &foreign[usize::from(enough[0].number()) - 1];
        let mixed = shamir::combine(enough[1..].iter().chain([swapped])).unwrap();
        prop_assert!(mixed.bytes() != root.bytes() && mixed.bytes() != other.bytes());
        let fewer = shamir::combine(enough[1..].iter());
        prop_assert!(fewer.is_none_or(|found| found.bytes() != root.bytes()));
        for share in &split {
            let parsed = Share::parse(&share.to_text()).unwrap();
            prop_assert_eq!(parsed.bytes(), share.bytes());
        }
    }

    #[test]
    fn no_text_makes_a_share_panic(text in "(cof_share_)?[0-9a-f_]{0,90}|.{0,100}") {
        prop_assert!(Share::parse(&Secret::new(text)).is_err());
    }
}

/// A byte of the secret that is fixed must leave every share's bytes as good as random.
#[test]
fn shares_of_one_secret_differ_from_sharing_to_sharing() {
    let root = Root::new(&[0; 32]).unwrap();
    let mut seen = [false; 256];
    for _ in 0..200 {
        let split = shamir::split(&root, 2, 2).unwrap();
        split[0].bytes()[1..].iter().for_each(|byte| seen[usize::from(*byte)] = true);
    }
    assert!(seen.iter().all(|seen| *seen), "each value occurs in 6,400 draws");
}
