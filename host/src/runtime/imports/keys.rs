//! Keys that a plugin holds by handle. The material stays on this side: it is stored through
//! the call's view of keys, in the same batch as the plugin's writes, and rests on what was read.
//!
//! One record a name, all versions in it. Ciphertexts are `nonce(12) ciphertext tag(16)`: which
//! version made one is for the plugin to remember (`key.version`). `aes256-gcm-siv` is the convergent
//! one: RFC 8452 with a nonce of zeros that is not told, so `ciphertext tag(16)`, and equal texts
//! with equal associated data become equal ciphertexts. That they are equal is all this gives away.

use std::{collections::BTreeMap, sync::OnceLock};

use aws_lc_rs::{
    aead::{MAX_TAG_LEN, NONCE_LEN},
    encoding::{AsDer, Pkcs8V1Der},
    hmac,
    signature::RsaKeyPair,
};
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;
use zeroize::Zeroizing;

use super::{
    super::{
        Fault,
        sandbox::{Sandbox, Stop},
    },
    bounded,
    key::{Algorithm, Key, broken, not_with_this},
    read_tracker::check_key,
    wit::crypto::HostKey,
};
use crate::{barrier, limits};

/// As it stands below `key/<mount>/`.
#[derive(Serialize, Deserialize)]
struct Record {
    algorithm: Algorithm,
    newest: u32,
    versions: BTreeMap<u32, Material>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Material(#[serde(with = "in_base64")] Zeroizing<Vec<u8>>);

impl Record {
    fn check_room(&self) -> Result<(), Stop> {
        match self.versions.len() < limits::PLUGIN_KEY_VERSIONS {
            true => Ok(()),
            false => Err(too_many()),
        }
    }

    fn add(&mut self, material: Zeroizing<Vec<u8>>) -> Result<(), Stop> {
        self.newest = self.newest.checked_add(1).ok_or_else(broken)?;
        self.versions.insert(self.newest, Material(material));
        Ok(())
    }

    fn key(&self, version: Option<u32>) -> Result<Key, Stop> {
        let version = version.unwrap_or(self.newest);
        let stored =
            self.versions.get(&version).ok_or_else(|| Stop::told("not-found", "no such version of the key"))?;
        Ok(Key { version, algorithm: self.algorithm, material: stored.0.clone(), rsa: OnceLock::new() })
    }
}

impl Sandbox {
    pub(super) async fn make_key(&mut self, name: &str, algorithm: &str) -> Result<Key, Stop> {
        let known = Algorithm::ALL.iter().find(|(known, _)| *known == algorithm);
        let (_, algorithm) = *known.ok_or_else(|| Stop::told("unsupported", "no such algorithm"))?;
        if self.key_record(name).await?.is_some() {
            return Err(Stop::told("exists", "there is a key of this name"));
        }
        self.check_crypto(algorithm.name())?;
        let mut record = Record { algorithm, newest: 0, versions: BTreeMap::new() };
        record.add(self.generate(algorithm).await?)?;
        self.put_key_record(name, &record)?;
        record.key(None)
    }

    pub(super) async fn find_key(&mut self, name: &str, version: Option<u32>) -> Result<Key, Stop> {
        self.known_record(name).await?.key(version)
    }

    pub(super) async fn add_key_version(&mut self, name: &str) -> Result<u32, Stop> {
        let mut record = self.known_record(name).await?;
        record.check_room()?;
        record.add(self.generate(record.algorithm).await?)?;
        self.put_key_record(name, &record)?;
        Ok(record.newest)
    }

    /// Idempotent: what is gone already is success.
    pub(super) async fn forget_key(&mut self, name: &str) -> Result<(), Stop> {
        if self.key_record(name).await?.is_some() {
            self.spend_write(name.len())?;
            self.keys.view().delete(&mut self.writes, name);
        }
        Ok(())
    }

    /// An RSA key is made on a thread of its own, a few at once and a few a call; waiting for it
    /// goes on the call's deadline.
    async fn generate(&mut self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Stop> {
        let Some(size) = algorithm.rsa() else { return algorithm.generate() };
        self.slow_keys += 1;
        if self.slow_keys > limits::PLUGIN_SLOW_KEYS {
            return Err(Fault::Limit("slow keys").into());
        }
        let made = self.shared.makers.run(move || {
            let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(size)?.as_der()?;
            Ok::<_, aws_lc_rs::error::Unspecified>(Zeroizing::new(der.as_ref().to_vec()))
        });
        bounded(made).await??.map_err(|_| broken())
    }

    async fn known_record(&mut self, name: &str) -> Result<Record, Stop> {
        let record = self.key_record(name).await?.ok_or_else(|| Stop::told("not-found", "there is no such key"))?;
        self.check_crypto(record.algorithm.name())?;
        Ok(record)
    }

    async fn key_record(&mut self, name: &str) -> Result<Option<Record>, Stop> {
        check_key(name)?;
        self.spend_operations(1)?;
        let now = self.clock.now();
        let Some(entry) = self.keys.get(&self.writes, name, now).await? else { return Ok(None) };
        let corrupt = |_| Fault::Store(barrier::Error::Corrupt("a plugin's key".to_owned()));
        Ok(Some(serde_json::from_slice(&entry.value).map_err(corrupt)?))
    }

    fn put_key_record(&mut self, name: &str, record: &Record) -> Result<(), Stop> {
        let bytes = Zeroizing::new(serde_json::to_vec(record).map_err(|_| broken())?);
        // Of long ones there is room for fewer.
        if bytes.len() > limits::PLUGIN_VALUE_BYTES {
            return Err(too_many());
        }
        self.spend_write(name.len() + bytes.len())?;
        self.keys.view().put_bytes(&mut self.writes, name, bytes, None);
        Ok(())
    }

    fn key(&self, handle: &Resource<Key>) -> wasmtime::Result<&Key> {
        Ok(self.table.get(handle)?)
    }

    fn usable(&self, handle: &Resource<Key>) -> Result<&Key, Stop> {
        Ok(self.table.get(handle).map_err(|_| Fault::Invalid("it uses a key that it does not hold".to_owned()))?)
    }
}

impl HostKey for Sandbox {
    fn version(&mut self, key: Resource<Key>) -> wasmtime::Result<u32> {
        Ok(self.key(&key)?.version)
    }

    fn algorithm(&mut self, key: Resource<Key>) -> wasmtime::Result<String> {
        Ok(self.key(&key)?.algorithm.name().to_owned())
    }

    fn encrypt(&mut self, key: Resource<Key>, plaintext: Vec<u8>, aad: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let plaintext = Zeroizing::new(plaintext);
        let key = self.usable(&key)?;
        self.compute(plaintext.len() + aad.len(), || key.encrypt(&plaintext, &aad))
    }

    fn decrypt(&mut self, key: Resource<Key>, ciphertext: Vec<u8>, aad: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        // What was sealed at the bound is opened again.
        let given = (ciphertext.len() + aad.len()).saturating_sub(NONCE_LEN + MAX_TAG_LEN);
        self.compute(given, || key.decrypt(&ciphertext, &aad))
    }

    fn sign(&mut self, key: Resource<Key>, message: Vec<u8>, scheme: String) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        self.compute(message.len(), || key.sign(&message, &scheme))
    }

    fn verify(
        &mut self,
        key: Resource<Key>,
        message: Vec<u8>,
        signature: Vec<u8>,
        scheme: String,
    ) -> Result<bool, Stop> {
        let key = self.usable(&key)?;
        self.compute(message.len() + signature.len(), || key.verify(&message, &signature, &scheme))
    }

    fn hmac(&mut self, key: Resource<Key>, message: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        match key.algorithm {
            Algorithm::HmacSha256 => self.compute(message.len(), || {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key.material);
                Ok(hmac::sign(&key, &message).as_ref().to_vec())
            }),
            _ => Err(not_with_this()),
        }
    }

    fn public_key(&mut self, key: Resource<Key>) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        self.compute(0, || key.public())
    }

    fn drop(&mut self, key: Resource<Key>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

fn too_many() -> Stop {
    Stop::told("too-large", "the key has too many versions")
}

mod in_base64 {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(bytes: &Zeroizing<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        Zeroizing::new(BASE64_STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        BASE64_STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| D::Error::custom("a key"))
    }
}
