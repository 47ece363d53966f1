use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Mac, Purpose, envelope, envelope::Bound, xaes::Xaes};
use crate::ids::random;

/// The keys of a store: value keys by term, purpose keys by purpose and version.
pub(super) struct Keyring {
    store_id: [u8; 16],
    terms: BTreeMap<u32, Xaes>,
    purposes: BTreeMap<(Purpose, u32), Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("terms", &self.terms.keys()).finish_non_exhaustive()
    }
}

/// As it stands, encrypted under the root key, at `layout::KEYRING`.
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    store_id: String,
    terms: BTreeMap<u32, Key>,
    purposes: BTreeMap<Purpose, BTreeMap<u32, Key>>,
}

#[derive(Serialize, Deserialize)]
struct Key(#[serde(with = "hex_key")] Zeroizing<[u8; 32]>);

impl Keyring {
    pub(super) fn generate() -> Self {
        Self::open(&Document::generate()).expect("a new document is whole")
    }

    pub(super) fn open(document: &Document) -> Result<Self, Error> {
        let corrupt = || Error::Corrupt(super::layout::KEYRING.to_owned());
        let store_id = hex::decode(&document.store_id).ok().and_then(|id| id.try_into().ok()).ok_or_else(corrupt)?;
        let whole = Purpose::ALL.iter().all(|p| document.purposes.get(p).is_some_and(|keys| !keys.is_empty()));
        if document.terms.is_empty() || !whole {
            return Err(corrupt());
        }
        let purposes = document.purposes.iter();
        Ok(Self {
            store_id,
            terms: document.terms.iter().map(|(term, key)| (*term, Xaes::new(&key.0))).collect(),
            purposes: purposes
                .flat_map(|(p, keys)| keys.iter().map(|(version, key)| ((*p, *version), key.0.clone())))
                .collect(),
        })
    }

    pub(super) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    pub(super) fn mac(&self, purpose: Purpose, version: Option<u32>) -> Result<Mac, Error> {
        let version = version.unwrap_or_else(|| self.newest(purpose));
        let key = self.purposes.get(&(purpose, version)).ok_or_else(|| unknown(purpose, version))?;
        Ok(Mac::new(version, &key[..]))
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
        let (key, associated) = self.blob(purpose, version, bound)?;
        Ok(envelope::seal(&key, version, &associated, plain))
    }

    pub(super) fn open_blob(
        &self,
        purpose: Purpose,
        bound: &[&[u8]],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let corrupt = || Error::Corrupt(format!("{purpose:?} blob"));
        let version = envelope::term(sealed).ok_or_else(corrupt)?;
        let (key, associated) = self.blob(purpose, version, bound)?;
        envelope::open(&key, &associated, sealed).ok_or_else(corrupt)
    }

    /// The key for blobs is derived from the purpose's, so that it is never the one that MACs.
    fn blob(&self, purpose: Purpose, version: u32, bound: &[&[u8]]) -> Result<(Xaes, Vec<u8>), Error> {
        let key = Zeroizing::new(self.mac(purpose, Some(version))?.sign(&[b"coffer blob"]));
        let mut associated = self.store_id.to_vec();
        bound.iter().for_each(|part| envelope::length_prefixed(&mut associated, part));
        Ok((Xaes::new(&key), associated))
    }

    fn newest(&self, purpose: Purpose) -> u32 {
        let of_purpose = self.purposes.range((purpose, 0)..=(purpose, u32::MAX));
        of_purpose.last().map_or(0, |((_, version), _)| *version)
    }
}

impl Document {
    pub(super) fn generate() -> Self {
        let first = || BTreeMap::from([(1, Key(Zeroizing::new(random())))]);
        let purposes = Purpose::ALL.into_iter().map(|purpose| (purpose, first())).collect();
        Self { store_id: hex::encode(random::<16>()), terms: first(), purposes }
    }
}

fn unknown(purpose: Purpose, version: u32) -> Error {
    Error::Corrupt(format!("{purpose:?} key {version}"))
}

mod hex_key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(key: &Zeroizing<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
        Zeroizing::new(hex::encode(key.as_slice())).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<[u8; 32]>, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.as_bytes(), key.as_mut_slice()).map_err(|_| D::Error::custom("a key"))?;
        Ok(key)
    }
}
