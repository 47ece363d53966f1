//! Bytes under ordered keys, with conditional atomic batches, on SQLite or PostgreSQL.
//!
//! Owns durability: what `apply` has answered survives a kill. Never sees plaintext and never
//! knows what a key means. A new backend implements `Backend` and runs the one conformance
//! story (`conformance.rs`).

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::clock::Timestamp;

mod bounds;
mod error;
mod examine;
mod failure;
mod memory;
mod migrations;
mod open;
mod postgres;
mod sqlite;
mod walk;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod for_test;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod measure;

pub use error::Error;
pub use examine::examine;
pub use memory::Memory;
pub use open::open;

/// The store, whichever it is: a cheap handle.
pub type Storage = Arc<dyn Backend>;

/// An expired entry counts as absent everywhere; `now` says when that is.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug + 'static {
    /// The entries at these keys, in the order asked for, from one snapshot.
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error>;

    /// Names below a prefix, in byte order.
    async fn list(&self, range: Range, now: Timestamp) -> Result<Page, Error>;

    /// All of the batch, durably, or none of it. `Conflict` if anything it expects is not so.
    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Error>;

    /// Is the store there, and does it answer?
    async fn ping(&self) -> Result<(), Error>;

    /// Deletes at most `most` entries that have expired, and says how many it deleted.
    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error>;

    /// Finishes what was begun and lets go of the store.
    async fn close(&self);
}

/// A key: bytes in bytewise order, at most `limits::KEY_BYTES`. In the clear in the store.
pub type Key = String;

/// Picked at random by the writer, 63 bits, and compared for equality only: so it is known before
/// the commit, never comes twice after a delete, and tells an unknown outcome apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version(i64);

impl Version {
    /// A new one.
    pub fn random() -> Self {
        Self(i64::from_be_bytes(crate::ids::random()) & i64::MAX)
    }

    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    pub const fn raw(self) -> i64 {
        self.0
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub value: Vec<u8>,
    pub version: Version,
    pub expires_at: Option<Timestamp>,
}

/// What a batch demands of a key, at the moment it is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    Absent,
    Version(Version),
}

/// Writes and what they rest on. Each key stands at most once in `writes` and once in `expects`.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    pub expects: Vec<(Key, Expect)>,
    pub writes: Vec<(Key, Write)>,
}

#[derive(Clone, Debug)]
pub enum Write {
    Put(Entry),
    Delete,
}

/// A stretch of keys.
#[derive(Clone, Debug)]
pub struct Range {
    pub prefix: Key,
    /// Keys are cut after the first occurrence of this beyond the prefix, and told once.
    pub delimiter: Option<char>,
    /// Only what comes after this key (or cut key), which begins with the prefix.
    pub after: Option<Key>,
    pub limit: usize,
}

/// Keys in byte order; a cut key ends in the delimiter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    pub keys: Vec<Key>,
    /// There is more: ask again with `after` set to the last key.
    pub more: bool,
}
