//! Below the barrier every value is ciphertext, bound to store, key, version, end and term.
//!
//! Owns the root key, the keyring and every encryption of stored values; gives out `View`s that
//! cannot reach outside their prefix, MACs and sealed blobs under purpose keys. Never knows what
//! a value means. One more stored thing is one more line in `layout.rs`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::{
    clock::{Clock, Timestamp},
    metrics::{Counter, Histogram},
    storage::{self, Batch, Storage},
};

mod envelope;
mod error;
mod hex_text;
mod keyring;
pub mod layout;
mod purpose;
mod seal;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod view;
mod writes;
mod xaes;

pub use error::Error;
pub use purpose::{Mac, Purpose};
pub use seal::{
    Ceremony, Gathered, Init, InitCode, Initialised, Mark, Proof, SealKind, SealStatus, dev_key, parse_key, read_key,
};
pub use view::{Stored, View};
pub use writes::Writes;

use keyring::Keyring;
use seal::{Attempt, Progress};

/// The barrier of one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Barrier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Clock,
    counts: Counts,
    /// None while sealed.
    keyring: ArcSwapOption<Keyring>,
    /// The shares given to this node so far; held while anything about the seal changes.
    progress: tokio::sync::Mutex<Progress>,
    /// What shares are being brought for on this node, besides unsealing.
    attempts: tokio::sync::Mutex<Vec<Attempt>>,
}

/// Commits, as counted by one node.
#[derive(Debug, Default)]
pub struct Counts {
    pub committed: Counter,
    /// What they rested on had changed: most are run again.
    pub conflicts: Counter,
    /// The store was away, or refused.
    pub failed: Counter,
    pub took: Histogram,
}

impl Barrier {
    /// Sealed until somebody unseals it.
    pub fn new(storage: Storage, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            storage,
            clock,
            counts: Counts::default(),
            keyring: ArcSwapOption::empty(),
            progress: tokio::sync::Mutex::default(),
            attempts: tokio::sync::Mutex::default(),
        }))
    }

    /// What a service holds: the entries below `prefix`, and no others.
    pub fn view(&self, prefix: layout::Prefix) -> View {
        View::new(self.clone(), prefix.to_string())
    }

    /// Stores everything in `writes`, or nothing. `Conflict` if what they rest on has changed.
    pub async fn commit(&self, writes: Writes) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        let witness = writes.witness();
        let (batch, counts) = (writes.seal(&*self.keyring()?)?, &self.0.counts);
        let begun = Clock::system().monotonic();
        let outcome = self.apply(batch, witness).await;
        counts.took.observe(Clock::system().monotonic().saturating_sub(begun));
        match &outcome {
            Ok(()) => counts.committed.add(),
            Err(Error::Conflict) => counts.conflicts.add(),
            Err(_) => counts.failed.add(),
        }
        outcome
    }

    /// What this node has done so far.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    async fn apply(&self, batch: Batch, witness: Option<(storage::Key, storage::Version)>) -> Result<(), Error> {
        match self.0.storage.apply(batch, self.now()).await {
            Err(storage::Error::Unknown(cause)) => self.settle(witness, cause).await,
            other => other.map_err(Error::from),
        }
    }

    /// Was the batch stored, though nobody said so? Its own random version tells.
    async fn settle(&self, witness: Option<(storage::Key, storage::Version)>, cause: String) -> Result<(), Error> {
        let Some((key, version)) = witness else { return Err(Error::Unknown(cause)) };
        let found = self.0.storage.get(&[key], self.now()).await.map_err(|_| Error::Unknown(cause.clone()))?;
        match found.first().and_then(Option::as_ref) {
            Some(entry) if entry.version == version => Ok(()),
            _ => Err(Error::Unknown(cause)),
        }
    }

    /// The MAC key of a purpose, at its newest version.
    pub fn mac(&self, purpose: Purpose) -> Result<Mac, Error> {
        self.keyring()?.mac(purpose, None)
    }

    /// The MAC key of a purpose at a version that a record names.
    pub fn mac_at(&self, purpose: Purpose, version: u32) -> Result<Mac, Error> {
        self.keyring()?.mac(purpose, Some(version))
    }

    /// Encrypts something that is kept elsewhere (a session in Redis, a cursor in a client's
    /// hands). It opens only for the same purpose and the same `bound`, byte for byte.
    pub fn seal_blob(&self, purpose: Purpose, bound: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.keyring()?.seal_blob(purpose, bound, plain)
    }

    pub fn open_blob(
        &self,
        purpose: Purpose,
        bound: &[&[u8]],
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        self.keyring()?.open_blob(purpose, bound, sealed)
    }

    /// Names this store: random, made by `init`, in every associated data.
    pub fn store_id(&self) -> Result<[u8; 16], Error> {
        Ok(self.keyring()?.store_id())
    }

    pub fn is_sealed(&self) -> bool {
        self.0.keyring.load().is_none()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn keyring(&self) -> Result<Arc<Keyring>, Error> {
        self.0.keyring.load_full().ok_or(Error::Sealed)
    }

    /// A barrier with a keyring of its own that is stored nowhere.
    #[cfg(test)]
    pub fn for_test(storage: Storage, clock: Clock) -> Self {
        let barrier = Self::new(storage, clock);
        let document = keyring::Document::generate(&crate::ids::random());
        let keyring = Keyring::open(&document, seal::Root::generate()).expect("a new keyring is whole");
        barrier.0.keyring.store(Some(Arc::new(keyring)));
        barrier
    }
}
