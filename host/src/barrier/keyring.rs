use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Mac, Purpose, envelope, envelope::Bound, hex_text, seal::Root, xaes::Xaes};
use crate::{ids::random, storage::Entry};

/// The keys of a store: value keys by term, purpose keys by purpose and version.
pub(super) struct Keyring {
    store_id: [u8; 16],
    /// What the keyring itself is encrypted under.
    root: Root,
    terms: BTreeMap<u32, Xaes>,
    purposes: BTreeMap<(Purpose, u32), PurposeKey>,
}

/// The key for blobs is derived from the one that MACs, so that it is never the same.
struct PurposeKey {
    mac: Mac,
    blob: Xaes,
}

impl PurposeKey {
    fn new(version: u32, key: &Key) -> Self {
        let mac = Mac::new(version, &key.0[..]);
        let blob = Xaes::new(&Zeroizing::new(mac.sign(&[b"coffer blob"])));
        Self { mac, blob }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("terms", &self.terms.keys()).finish_non_exhaustive()
    }
}

/// As it stands, encrypted under the root key, at `layout::KEYRING`.
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(with = "hex_text")]
    store_id: [u8; 16],
    terms: BTreeMap<u32, Key>,
    purposes: BTreeMap<Purpose, BTreeMap<u32, Key>>,
}

#[derive(Serialize, Deserialize)]
struct Key(#[serde(with = "hex_text")] Zeroizing<[u8; 32]>);

impl Keyring {
    pub(super) fn open(document: &Document, root: Root) -> Result<Self, Error> {
        let corrupt = || Error::Corrupt(super::layout::KEYRING.to_owned());
        let whole = Purpose::ALL.iter().all(|p| document.purposes.get(p).is_some_and(|keys| !keys.is_empty()));
        if document.terms.is_empty() || !whole {
            return Err(corrupt());
        }
        let purposes = document.purposes.iter();
        Ok(Self {
            store_id: document.store_id,
            root,
            terms: document.terms.iter().map(|(term, key)| (*term, Xaes::new(&key.0))).collect(),
            purposes: purposes
                .flat_map(|(p, keys)| {
                    keys.iter().map(|(version, key)| ((*p, *version), PurposeKey::new(*version, key)))
                })
                .collect(),
        })
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// False for a value under a term that was made since this was read.
    pub(super) fn knows_term_of(&self, entry: &Entry) -> bool {
        envelope::term(&entry.value).is_none_or(|term| self.terms.contains_key(&term))
    }

    pub(super) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    pub(super) fn mac(&self, purpose: Purpose, version: Option<u32>) -> Result<Mac, Error> {
        let version = version.unwrap_or_else(|| self.newest(purpose));
        Ok(self.purpose(purpose, version)?.mac.clone())
    }

    /// `format(1) term(4) nonce(24) ciphertext tag(16)`.
    pub(super) fn seal(&self, entry: &Bound<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let (term, key) = self.terms.last_key_value().ok_or(Error::Sealed)?;
        Ok(envelope::seal(key, *term, &entry.associated(&self.store_id, *term), plain))
    }

    pub(super) fn unseal(&self, entry: &Bound<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let corrupt = || Error::Corrupt(entry.key.to_owned());
        let term = envelope::term(sealed).ok_or_else(corrupt)?;
        let key = self.terms.get(&term).ok_or_else(corrupt)?;
        envelope::open(key, &entry.associated(&self.store_id, term), sealed).ok_or_else(corrupt)
    }

    pub(super) fn seal_blob(&self, purpose: Purpose, bound: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let version = self.newest(purpose);
        let key = &self.purpose(purpose, version)?.blob;
        Ok(envelope::seal(key, version, &self.associated(bound), plain))
    }

    pub(super) fn open_blob(
        &self,
        purpose: Purpose,
        bound: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let corrupt = || Error::Corrupt(format!("{purpose:?} blob"));
        let version = envelope::term(sealed).ok_or_else(corrupt)?;
        let key = &self.purpose(purpose, version)?.blob;
        envelope::open(key, &self.associated(bound), sealed).ok_or_else(corrupt)
    }

    fn associated(&self, bound: &[&[u8]]) -> Vec<u8> {
        let mut associated = self.store_id.to_vec();
        bound.iter().for_each(|part| envelope::length_prefixed(&mut associated, part));
        associated
    }

    fn purpose(&self, purpose: Purpose, version: u32) -> Result<&PurposeKey, Error> {
        self.purposes.get(&(purpose, version)).ok_or_else(|| unknown(purpose, version))
    }

    fn newest(&self, purpose: Purpose) -> u32 {
        let of_purpose = self.purposes.range((purpose, 0)..=(purpose, u32::MAX));
        of_purpose.last().map_or(0, |((_, version), _)| *version)
    }
}

impl Document {
    pub(super) fn generate(store_id: &[u8; 16]) -> Self {
        let first = || BTreeMap::from([(1, Key(Zeroizing::new(random())))]);
        let purposes = Purpose::ALL.into_iter().map(|purpose| (purpose, first())).collect();
        Self { store_id: *store_id, terms: first(), purposes }
    }

    /// A new key for all values to come; says its number.
    pub(super) fn add_term(&mut self) -> Result<u32, Error> {
        let newest = self.terms.last_key_value().map_or(0, |(term, _)| *term);
        let term = newest.checked_add(1).ok_or(Error::TooLarge("terms"))?;
        self.terms.insert(term, Key(Zeroizing::new(random())));
        Ok(term)
    }
}

fn unknown(purpose: Purpose, version: u32) -> Error {
    Error::Corrupt(format!("{purpose:?} key {version}"))
}
