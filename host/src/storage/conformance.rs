//! The one story that every backend must tell: `Memory`, SQLite and PostgreSQL.

use super::{Batch, Entry, Error, Expect, Key, Page, Range, Storage, Version, Write, for_test::Place};
use crate::clock::Timestamp;

mod contents;
mod listing;
mod races;
mod random;

macro_rules! tell {
    ($place:expr, $story:path) => {{
        let place = $place;
        $story(&place.storage).await;
        place.end().await;
    }};
}

/// Every story on every backend.
macro_rules! on_every_backend {
    ($($story:path as $name:ident),* $(,)?) => {
        mod memory {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { tell!(Place::memory(), $story) })*
        }
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { tell!(Place::sqlite().await, $story) })*
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { tell!(Place::postgres().await, $story) })*
        }
    };
}

on_every_backend! {
    contents::told_in_order as entries_are_told_in_the_order_asked_from_one_snapshot,
    contents::expiry as an_expired_entry_counts_as_absent_everywhere,
    contents::expectations as a_batch_is_stored_only_if_all_it_expects_is_so,
    contents::recreated as what_was_deleted_and_made_again_never_matches_the_old_version,
    contents::all_or_nothing as a_batch_is_all_or_nothing,
    contents::sweep as a_sweep_deletes_only_what_has_expired_and_no_more_than_asked,
    contents::limits as what_is_beyond_a_limit_is_refused,
    contents::large as many_and_large_entries_in_one_batch,
    contents::ping as it_answers_until_it_is_closed,
    listing::plain as keys_are_listed_in_byte_order,
    listing::pages as a_listing_goes_on_where_it_stopped,
    listing::folders as folders_are_told_once,
    listing::crowded as a_crowded_folder_is_jumped_over,
    listing::odd as wildcards_and_edges_mean_nothing,
    races::counter as concurrent_increments_lose_nothing,
    races::crossed as crossed_writes_never_both_win,
    races::skew as a_sum_over_several_keys_is_never_overdrawn,
    races::claim as an_absent_key_is_claimed_by_one,
    races::blind as writes_that_expect_nothing_never_conflict,
    races::snapshot as a_read_of_many_keys_sees_no_half_batch,
    random::compared as it_does_what_memory_does,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn entry(value: &str) -> Entry {
    Entry { value: value.as_bytes().to_vec(), version: Version::random(), expires_at: None }
}

fn until(value: &str, end: i64) -> Entry {
    Entry { expires_at: Some(at(end)), ..entry(value) }
}

fn put(key: &str, entry: &Entry) -> (Key, Write) {
    (key.to_owned(), Write::Put(entry.clone()))
}

fn delete(key: &str) -> (Key, Write) {
    (key.to_owned(), Write::Delete)
}

fn is(key: &str, entry: &Entry) -> (Key, Expect) {
    (key.to_owned(), Expect::Version(entry.version))
}

fn absent(key: &str) -> (Key, Expect) {
    (key.to_owned(), Expect::Absent)
}

/// Stores at `NOW`.
async fn store(
    storage: &Storage,
    expects: impl Into<Vec<(Key, Expect)>>,
    writes: impl Into<Vec<(Key, Write)>>,
) -> Result<(), Error> {
    storage.apply(Batch { expects: expects.into(), writes: writes.into() }, NOW).await
}

async fn one(storage: &Storage, key: &str) -> Option<Entry> {
    storage.get(&[key.to_owned()], NOW).await.expect("it is there").pop().flatten()
}
