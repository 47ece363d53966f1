//! What whoever writes to the disk can do to stored values: have an error, never another value.

use std::sync::Arc;

use super::{testing::Unsteady, *};
use crate::storage::{Entry, Expect, Version};

struct Store {
    storage: Arc<Unsteady>,
    barrier: Barrier,
    view: View,
    clock: Clock,
}

const END: Timestamp = Timestamp::from_millis(5_000_000);

impl Store {
    /// `a` without an end, `b` with one.
    async fn with_two_values() -> Self {
        let (clock, _) = Clock::manual(Timestamp::from_millis(1_000_000));
        let storage = Arc::new(Unsteady::default());
        let barrier = Barrier::for_test(storage.clone(), clock.clone());
        let view = barrier.view(layout::Prefix::Setting);
        let mut writes = Writes::default();
        view.put(&mut writes, "a", "first value", None);
        view.put(&mut writes, "b", "other value", Some(END));
        barrier.commit(writes).await.unwrap();
        Self { storage, barrier, view, clock }
    }

    fn entry(&self, key: &str) -> Entry {
        self.storage.memory().dump().into_iter().find(|(found, _)| found == key).unwrap().1
    }

    /// With `entry` at `setting/a`, reading it is an error that names it, and `b` is as it was.
    async fn assert_corrupt(&self, entry: Entry) {
        self.storage.memory().tamper("setting/a", Some(entry.clone()));
        let read = self.view.get::<String>("a").await;
        assert!(matches!(&read, Err(Error::Corrupt(key)) if key == "setting/a"), "{read:?} of {entry:?}");
        assert_eq!(self.view.get::<String>("b").await.unwrap().unwrap().value, "other value");
    }
}

#[tokio::test]
async fn a_value_comes_back_with_its_version_and_end() {
    let store = Store::with_two_values().await;
    let stored = store.view.get::<String>("b").await.unwrap().unwrap();
    assert_eq!((&stored.value[..], stored.expires_at), ("other value", Some(END)));
    assert_eq!(stored.version, store.entry("setting/b").version);
    assert!(store.view.get::<String>("c").await.unwrap().is_none());
}

#[tokio::test]
async fn a_value_with_a_bit_flipped_anywhere_does_not_open() {
    let store = Store::with_two_values().await;
    let whole = store.entry("setting/a");
    for at in 0..whole.value.len() {
        for bit in [0x01, 0x80] {
            let mut entry = whole.clone();
            entry.value[at] ^= bit;
            store.assert_corrupt(entry).await;
        }
    }
}

#[tokio::test]
async fn a_value_cut_or_prolonged_by_bytes_does_not_open() {
    let store = Store::with_two_values().await;
    let whole = store.entry("setting/a");
    for len in 0..whole.value.len() {
        store.assert_corrupt(Entry { value: whole.value[..len].to_vec(), ..whole.clone() }).await;
        store.assert_corrupt(Entry { value: whole.value[len + 1..].to_vec(), ..whole.clone() }).await;
    }
    for more in [&[0][..], &[0; 16], &whole.value] {
        store.assert_corrupt(Entry { value: [&whole.value, more].concat(), ..whole.clone() }).await;
    }
}

#[tokio::test]
async fn a_value_moved_swapped_or_given_another_version_or_end_does_not_open() {
    let store = Store::with_two_values().await;
    let (a, b) = (store.entry("setting/a"), store.entry("setting/b"));
    store.assert_corrupt(b.clone()).await;
    store.assert_corrupt(Entry { value: b.value.clone(), ..a.clone() }).await;
    store.assert_corrupt(Entry { version: Version::random(), ..a.clone() }).await;
    store.assert_corrupt(Entry { expires_at: Some(END), ..a.clone() }).await;
    store.storage.memory().tamper("setting/a", Some(a));
    for end in [None, Some(Timestamp::from_millis(END.millis() + 1)), Some(Timestamp::from_millis(END.millis() - 1))] {
        store.storage.memory().tamper("setting/b", Some(Entry { expires_at: end, ..b.clone() }));
        assert!(matches!(store.view.get::<String>("b").await, Err(Error::Corrupt(_))), "{end:?}");
    }
}

#[tokio::test]
async fn a_value_of_another_store_does_not_open() {
    let (store, other) = (Store::with_two_values().await, Store::with_two_values().await);
    store.assert_corrupt(other.entry("setting/a")).await;
}

#[tokio::test]
async fn no_value_stands_in_the_store_in_the_clear() {
    let store = Store::with_two_values().await;
    for (_, entry) in store.storage.memory().dump() {
        assert!(!entry.value.windows(5).any(|window| window == b"value"));
    }
}

#[tokio::test]
async fn a_sealed_barrier_gives_and_takes_nothing() {
    let store = Store::with_two_values().await;
    store.barrier.seal(true).await.unwrap();
    assert!(matches!(store.view.get::<String>("a").await, Err(Error::Sealed)));
    assert!(matches!(store.view.list("", None, None, 10).await, Err(Error::Sealed)));
    let mut writes = Writes::default();
    store.view.put(&mut writes, "c", "new", None);
    assert!(matches!(store.barrier.commit(writes).await, Err(Error::Sealed)));
    assert!(matches!(store.barrier.mac(Purpose::Name), Err(Error::Sealed)));
    assert!(matches!(store.barrier.store_id(), Err(Error::Sealed)));
    assert!(matches!(store.barrier.seal_blob(Purpose::Cursor, &[], b"x"), Err(Error::Sealed)));
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_found_by_its_version() {
    let store = Store::with_two_values().await;
    store.storage.lose_answers(true);
    let mut writes = Writes::default();
    store.view.put(&mut writes, "c", "new", None);
    store.barrier.commit(writes).await.unwrap();
    let mut deletion = Writes::default();
    store.view.delete(&mut deletion, "c");
    assert!(matches!(store.barrier.commit(deletion).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn what_was_read_and_has_changed_is_a_conflict() {
    let store = Store::with_two_values().await;
    let read = store.view.get::<String>("a").await.unwrap();
    let write = |value: &str| {
        let mut writes = Writes::default();
        store.view.expect_as_read(&mut writes, "a", read.as_ref());
        store.view.put(&mut writes, "a", value, None);
        writes
    };
    store.barrier.commit(write("one")).await.unwrap();
    assert!(matches!(store.barrier.commit(write("two")).await, Err(Error::Conflict)));
    let mut writes = Writes::default();
    store.view.expect(&mut writes, "a", Expect::Absent);
    store.view.put(&mut writes, "a", "three", None);
    assert!(matches!(store.barrier.commit(writes).await, Err(Error::Conflict)));
    assert_eq!(store.view.get::<String>("a").await.unwrap().unwrap().value, "one");
}

#[tokio::test]
async fn a_blob_opens_only_for_its_purpose_and_bounds_and_unchanged() {
    let store = Store::with_two_values().await;
    let barrier = &store.barrier;
    let sealed = barrier.seal_blob(Purpose::Session, &[b"ab", b"c"], b"record").unwrap();
    assert_eq!(&barrier.open_blob(Purpose::Session, &[b"ab", b"c"], &sealed).unwrap()[..], b"record");
    for bound in [&[&b"a"[..], b"bc"][..], &[b"ab"], &[b"ab", b"c", b""], &[]] {
        assert!(matches!(barrier.open_blob(Purpose::Session, bound, &sealed), Err(Error::Corrupt(_))));
    }
    assert!(barrier.open_blob(Purpose::Cursor, &[b"ab", b"c"], &sealed).is_err());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(barrier.open_blob(Purpose::Session, &[b"ab", b"c"], &changed).is_err(), "byte {at}");
        assert!(barrier.open_blob(Purpose::Session, &[b"ab", b"c"], &sealed[..at]).is_err());
    }
}

#[tokio::test]
async fn nothing_of_a_barrier_or_its_writes_is_printed() {
    let store = Store::with_two_values().await;
    let mut writes = Writes::default();
    store.view.put(&mut writes, "c", "canary-value", None);
    let printed = format!("{:?} {:?} {:?} {:?}", store.barrier, store.view, writes, store.clock);
    assert!(!printed.contains("canary") && !printed.contains(&format!("{:?}", b"canary-value")));
    let read = store.view.get_bytes("a").await.unwrap();
    assert!(!format!("{:?}", store.barrier.0.keyring).contains("store_id"));
    drop(read);
}
