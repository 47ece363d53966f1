//! What whoever writes to the file can do, and what `verify` says to it.

use super::*;

/// Three chains of five lines each, all sealed.
async fn three_chains() -> (Trail, Vec<String>) {
    let mut trail = Trail::begin().await;
    trail.fill(4).await;
    for _ in 0..2 {
        trail.restart().await;
        trail.fill(4).await;
    }
    let lines = trail.lines();
    assert_eq!((lines.len(), trail.first_break(&lines).await), (15, None));
    (trail, lines)
}

fn why(broken: Option<Broken>) -> (usize, String) {
    let broken = broken.expect("the trail is broken");
    (broken.index, broken.why)
}

#[tokio::test]
async fn a_line_removed_is_told_by_the_next() {
    let (trail, lines) = three_chains().await;
    for at in 0..lines.len() - 1 {
        let mut cut = lines.clone();
        cut.remove(at);
        let broken = trail.first_break(&cut).await;
        // Of a whole chain's last line, the head in the store knows.
        assert_eq!(broken.map(|broken| broken.index), Some(at), "line {at} removed");
    }
    let mut cut = lines.clone();
    cut.drain(2..4);
    assert_eq!(why(trail.first_break(&cut).await), (2, "2 lines before it are missing".to_owned()));
}

#[tokio::test]
async fn a_line_changed_in_any_byte_is_told() {
    let (trail, lines) = three_chains().await;
    for at in 0..lines[7].len() {
        for flip in [0x01, 0x20] {
            let mut bytes = lines[7].clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(line) = String::from_utf8(bytes) else { continue };
            let mut changed = lines.clone();
            changed[7] = line;
            let broken = trail.first_break(&changed).await;
            assert_eq!(broken.map(|broken| broken.index), Some(7), "byte {at} of the line");
        }
    }
}

#[tokio::test]
async fn lines_reordered_are_told_at_the_first() {
    let (trail, lines) = three_chains().await;
    for at in 0..lines.len() - 1 {
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        assert_eq!(trail.first_break(&swapped).await.map(|broken| broken.index), Some(at));
    }
}

#[tokio::test]
async fn a_line_inserted_is_told() {
    let (trail, lines) = three_chains().await;
    for (line, at, told) in [(3, 4, 4), (8, 4, 4), (0, 5, 5), (2, 15, 15)] {
        let mut more = lines.clone();
        more.insert(at, lines[line].clone());
        assert_eq!(trail.first_break(&more).await.map(|broken| broken.index), Some(told));
    }
    for junk in ["", "{}", "# a remark", "{\"seq\":5}"] {
        let mut more = lines.clone();
        more.insert(3, junk.to_owned());
        assert_eq!(why(trail.first_break(&more).await), (3, "not a line of the trail".to_owned()));
    }
}

/// Whoever has no key can make a line with a SHA-256 link that fits what is before it.
#[tokio::test]
async fn an_unkeyed_line_slipped_in_is_told_by_the_keyed_one_after_it() {
    let (trail, lines) = three_chains().await;
    let last = trail.verify(&lines[..3]).await.last.unwrap();
    let head = line::Head { chain: last.chain, seq: 3, mac: last.mac, time: trail.clock.now(), after: None };
    let sealed = Barrier::new(trail.storage.clone(), trail.clock.clone());
    let (forged, _) = head.append(&about("secrets/kv/forged"), trail.clock.now(), &sealed).unwrap();
    let mut more = lines.clone();
    more[3] = String::from_utf8(forged).unwrap().trim_end().to_owned();
    let (index, why) = why(trail.first_break(&more).await);
    assert_eq!((index, &why[..]), (4, "the line before it is not the one it follows"));
}

#[tokio::test]
async fn a_trail_cut_at_the_end_is_told_by_the_sealed_head() {
    let (trail, lines) = three_chains().await;
    for kept in 1..lines.len() {
        assert!(trail.first_break(&lines[..kept]).await.is_some(), "{kept} lines kept");
    }
    let torn = [&lines[..14], &[lines[14][..40].to_owned()]].concat();
    assert_eq!(why(trail.first_break(&torn).await).1, "the last line is not whole");
}

#[tokio::test]
async fn a_trail_cut_at_the_beginning_is_told_and_verifies_from_its_link() {
    let (trail, lines) = three_chains().await;
    for cut in 1..lines.len() {
        assert_eq!(why(trail.first_break(&lines[cut..]).await), (0, "lines before it are missing".to_owned()));
        let from = trail.verify(&lines[..cut]).await.last;
        let verified = trail.audit.verify(&lines[cut..], from).await.unwrap();
        assert_eq!(verified.broken, None);
    }
}

#[tokio::test]
async fn a_whole_chain_cut_out_is_told() {
    let (trail, lines) = three_chains().await;
    let middle = [&lines[..5], &lines[10..]].concat();
    assert_eq!(why(trail.first_break(&middle).await), (5, "another chain stood before it".to_owned()));
    let last = trail.first_break(&lines[..10]).await.unwrap();
    assert!(last.why.ends_with("followed and is missing"), "{}", last.why);
}

#[tokio::test]
async fn a_chain_of_which_no_line_was_given_is_named() {
    let (trail, _) = three_chains().await;
    let ending = trail.audit.verify_end(None, &Default::default()).await.unwrap();
    assert_eq!(ending.elsewhere.iter().map(|chain| chain.seq).collect::<Vec<_>>(), [5, 5, 5]);
}

#[tokio::test]
async fn a_line_of_another_store_is_told() {
    let (trail, lines) = three_chains().await;
    let (other, theirs) = three_chains().await;
    assert_eq!(why(other.first_break(&lines).await), (0, "the line was changed".to_owned()));
    let spliced = [&lines[..5], &theirs[..]].concat();
    assert_eq!(why(trail.first_break(&spliced).await).0, 5);
}

#[tokio::test]
async fn a_rewritten_tail_is_told_by_the_sealed_head() {
    let mut trail = Trail::begin().await;
    trail.fill(4).await;
    // As if it had been restored from before the last record, and the server had gone on from there.
    trail.audit.close().await.unwrap();
    let kept = trail.lines()[..4].join("\n") + "\n";
    fs::write(trail.path(), kept).unwrap();
    trail.audit = trail.open().await.unwrap();
    trail.fill(1).await;
    let (index, why) = why(trail.first_break(&trail.lines()).await);
    assert_eq!(index, 4);
    assert!(why.contains("ends at 4, but was sealed in the store at 5"), "{why}");
}

/// A server that starts sealed records before it has a key; what it recorded is held fast later.
#[tokio::test]
async fn lines_made_while_sealed_are_held_by_the_first_keyed_one() {
    use crate::{barrier::Init, sensitive::Secret};

    let mut trail = Trail::begin().await;
    trail.audit.close().await.unwrap();
    fs::remove_file(trail.path()).unwrap();
    let key = Secret::new([7; 32]);
    Barrier::new(trail.storage.clone(), trail.clock.clone()).init(Init::KeyFile(key.clone())).await.unwrap();
    trail.barrier = Barrier::new(trail.storage.clone(), trail.clock.clone());
    trail.audit = trail.open().await.unwrap();
    trail.fill(3).await;
    assert_eq!(trail.audit.hash("value"), None);
    assert!(trail.lines().iter().all(|line| line.contains("\"link\":\"sha256\"")));
    trail.barrier.unseal_key(&key).await.unwrap();
    trail.record("unsealed").await.unwrap();
    let unanchored = trail.verify(&trail.lines()[..4]).await.last.unwrap();
    trail.fill(3).await;
    let lines = trail.lines();
    assert_eq!((unanchored.unkeyed, trail.verify(&lines).await.last.unwrap().unkeyed), (4, 0));
    assert_eq!(trail.first_break(&lines).await, None);

    // Whoever rewrites a line that has no key must rewrite all that follow, up to the keyed one.
    let sealed = Barrier::new(trail.storage.clone(), trail.clock.clone());
    let first = trail.verify(&lines[..1]).await.last.unwrap();
    let mut head = line::Head { chain: first.chain, seq: 1, mac: first.mac, time: trail.clock.now(), after: None };
    let mut forged = lines.clone();
    for line in &mut forged[1..4] {
        let (bytes, next) = head.append(&about("secrets/kv/forged"), trail.clock.now(), &sealed).unwrap();
        (*line, head) = (String::from_utf8(bytes).unwrap().trim_end().to_owned(), next);
    }
    assert_eq!(why(trail.first_break(&forged).await), (4, "the line before it is not the one it follows".to_owned()));
}
