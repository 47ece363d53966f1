//! How the root key is kept, and whether this node has it.
//!
//! Owns what stands below `core/`, the shares given so far, and the files a key comes from. Must
//! never print or store a root key or share. One more way to keep the root key is one more
//! `SealKind`.

use serde::{Deserialize, Serialize};

use super::{Barrier, Error, layout};
use crate::{
    clock::Timestamp,
    limits,
    sensitive::Secret,
    storage::{Batch, Entry, Expect, Version, Write},
};

mod code;
mod init;
mod key;
mod quorum;
mod record;
mod rekey;
mod root;
mod rotate;
mod shamir;
mod share;
#[cfg(test)]
mod tests;
mod unseal;

pub use code::InitCode;
pub use init::{Init, Initialised};
pub use key::{dev_key, parse_key, read_key};
pub(super) use quorum::Attempt;
pub use quorum::{Ceremony, Gathered, Proof};
pub(super) use root::Root;
pub(super) use unseal::Progress;

use record::SealRecord;

/// How the root key is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealKind {
    /// In shares, with people.
    Shamir,
    /// Derived from a key that the machine gives: a file, the environment.
    KeyFile,
    /// In a file that the server itself made beside the store: for trying out.
    Dev,
}

/// Given by `init`, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Dev,
    Production,
}

/// For anybody to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SealStatus {
    pub initialized: bool,
    /// This node.
    pub sealed: bool,
    /// Somebody has sealed the whole store, and nobody has unsealed it since.
    pub sealed_by_order: bool,
    /// None before `init`.
    pub kind: Option<SealKind>,
    pub mark: Option<Mark>,
    /// Shares needed and made; 0 for kinds without shares.
    pub threshold: u8,
    pub shares: u8,
    /// Shares given to this node so far.
    pub progress: u8,
}

/// The entries below `core/`, from one snapshot.
struct Core {
    seal: Option<(SealRecord, Entry)>,
    keyring: Option<Entry>,
    /// The mark of a seal of the whole store.
    sealed: Option<Version>,
}

impl Barrier {
    pub async fn status(&self) -> Result<SealStatus, Error> {
        let core = self.core().await?;
        let progress = self.0.progress.lock().await.count();
        Ok(self.status_of(&core, progress))
    }

    /// Refuses a store that was made for the other purpose. One that is not initialised is for either.
    pub async fn require(&self, mark: Mark) -> Result<(), Error> {
        match self.core().await?.seal {
            Some((seal, _)) if seal.mark() != mark => Err(Error::Seal(match mark {
                Mark::Dev => "is a production store, for ever",
                Mark::Production => "is a dev store, for ever",
            })),
            _ => Ok(()),
        }
    }

    /// Forgets the keys. Without `node_only` every node of the store does, and stays so over
    /// restarts until somebody unseals it. Whatever the store answers, this node is sealed.
    pub async fn seal(&self, node_only: bool) -> Result<(), Error> {
        let mut progress = self.0.progress.lock().await;
        self.0.keyring.store(None);
        *progress = Progress::default();
        if node_only {
            return Ok(());
        }
        if self.core().await?.seal.is_none() {
            return Err(Error::Seal("is not initialised"));
        }
        let (entry, version) = clear_entry(b"{}".to_vec());
        let writes = vec![(layout::SEALED.to_owned(), Write::Put(entry))];
        self.apply(Batch { expects: Vec::new(), writes }, Some((layout::SEALED.to_owned(), version))).await
    }

    /// Seals this node if somebody has sealed the store: for every node, each `limits::FENCE_ASK`.
    pub async fn obey(&self) -> Result<(), Error> {
        let mut progress = self.0.progress.lock().await;
        if !self.is_sealed() && self.core().await?.sealed.is_some() {
            self.0.keyring.store(None);
            *progress = Progress::default();
            tracing::warn!("the store was sealed");
        }
        Ok(())
    }

    fn status_of(&self, core: &Core, progress: u8) -> SealStatus {
        let seal = core.seal.as_ref().map(|(seal, _)| seal);
        SealStatus {
            initialized: seal.is_some(),
            sealed: self.is_sealed(),
            sealed_by_order: core.sealed.is_some(),
            kind: seal.map(|seal| seal.kind),
            mark: seal.map(SealRecord::mark),
            threshold: seal.map_or(0, |seal| seal.threshold),
            shares: seal.map_or(0, SealRecord::shares),
            progress,
        }
    }

    async fn core(&self) -> Result<Core, Error> {
        let keys = [layout::SEAL, layout::KEYRING, layout::SEALED].map(str::to_owned);
        let mut found = self.0.storage.get(&keys, self.now()).await?.into_iter();
        let mut next = || found.next().flatten();
        let (seal, keyring, sealed) = (next(), next(), next());
        let seal = seal.map(|entry| Ok::<_, Error>((SealRecord::parse(&entry.value)?, entry))).transpose()?;
        Ok(Core { seal, keyring, sealed: sealed.map(|entry| entry.version) })
    }
}

impl Core {
    fn initialised(&self) -> Result<(&SealRecord, &Entry), Error> {
        let (seal, entry) = self.seal.as_ref().ok_or(Error::Seal("is not initialised"))?;
        Ok((seal, entry))
    }
}

/// An entry that is not encrypted by the keyring, since it is what the keyring is opened with.
fn clear_entry(value: Vec<u8>) -> (Entry, Version) {
    let version = Version::random();
    (Entry { value, version, expires_at: None::<Timestamp> }, version)
}

fn put(key: &str, entry: Entry) -> (String, Write) {
    (key.to_owned(), Write::Put(entry))
}

fn absent(key: &str) -> (String, Expect) {
    (key.to_owned(), Expect::Absent)
}
