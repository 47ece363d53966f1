use zeroize::Zeroizing;

use super::{Entry, Error, SealRecord, Version, layout};
use crate::{
    barrier::{
        Mac, envelope,
        envelope::{Bound, length_prefixed},
        keyring::{Document, Keyring},
        xaes::Xaes,
    },
    ids::random,
    sensitive::Secret,
};

/// The key that the keyring is encrypted under. It is kept nowhere.
#[derive(Clone)]
pub(in crate::barrier) struct Root(Zeroizing<[u8; 32]>);

/// The envelope names a term; the root key has none.
const TERM: u32 = 0;
/// More than a keyring is, so that it is not copied about while it grows.
const ROOM: usize = 16 * 1024;

impl Root {
    pub(in crate::barrier) fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(key.try_into().ok()?)))
    }

    /// Of a key that the machine gives. Two stores under one such key have roots of their own.
    pub(super) fn derive(key: &Secret<[u8; 32]>, store_id: &[u8; 16]) -> Self {
        Self(Zeroizing::new(Mac::new(0, key.reveal()).sign(&[b"coffer root key", store_id])))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn seal(&self, document: &Document, seal: &SealRecord, seal_bytes: &[u8]) -> Result<Entry, Error> {
        let mut plain = Zeroizing::new(Vec::with_capacity(ROOM));
        serde_json::to_writer(&mut *plain, document).map_err(|_| Error::TooLarge("the keyring"))?;
        let version = Version::random();
        let associated = associated(seal, seal_bytes, version);
        let value = envelope::seal(&Xaes::new(&self.0), TERM, &associated, &plain);
        Ok(Entry { value, version, expires_at: None })
    }

    pub(super) fn open(&self, entry: &Entry, seal: &SealRecord, seal_bytes: &[u8]) -> Result<Document, Error> {
        let corrupt = || Error::Corrupt(layout::KEYRING.to_owned());
        if envelope::term(&entry.value) != Some(TERM) || entry.expires_at.is_some() {
            return Err(corrupt());
        }
        let associated = associated(seal, seal_bytes, entry.version);
        let plain = envelope::open(&Xaes::new(&self.0), &associated, &entry.value).ok_or_else(corrupt)?;
        serde_json::from_slice(&plain).map_err(|_| corrupt())
    }

    pub(super) fn open_keyring(self, entry: &Entry, seal: &SealRecord, seal_bytes: &[u8]) -> Result<Keyring, Error> {
        Keyring::open(&self.open(entry, seal, seal_bytes)?, self)
    }
}

fn associated(seal: &SealRecord, seal_bytes: &[u8], version: Version) -> Vec<u8> {
    let bound = Bound { key: layout::KEYRING, version, expires_at: None };
    let mut bytes = bound.associated(&seal.store_id, TERM);
    length_prefixed(&mut bytes, seal_bytes);
    bytes
}
