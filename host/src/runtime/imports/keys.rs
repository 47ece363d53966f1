//! Keys that a plugin holds by handle. The material stays on this side: it is stored through
//! the call's view of keys, in the same batch as the plugin's writes, and rests on what was read.
//!
//! One record a name, all versions in it. Ciphertexts are `nonce(12) ciphertext tag(16)`: which
//! version made one is for the plugin to remember (`key.version`). `aes256-gcm-siv` is the convergent
//! one: RFC 8452 with a nonce of zeros that is not told, so `ciphertext tag(16)`, and equal texts
//! with equal associated data become equal ciphertexts. That they are equal is all this gives away.

use std::collections::BTreeMap;

use aws_lc_rs::{
    aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey},
};
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;
use zeroize::Zeroizing;

use super::{
    super::{
        Fault,
        sandbox::{Sandbox, Stop},
    },
    shelf::check_key,
    wit::crypto::HostKey,
};
use crate::{barrier, ids, limits};

/// Safe with AES-GCM-SIV alone, where the text itself has a say in what encrypts it.
const CONVERGENT_NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// One version of a key, as the guest holds it.
pub struct Key {
    version: u32,
    algorithm: Algorithm,
    material: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "aes256-gcm")]
    Aes256Gcm,
    #[serde(rename = "aes256-gcm-siv")]
    Aes256GcmSiv,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
}

/// As it stands below `key/<mount>/`.
#[derive(Serialize, Deserialize)]
struct Record {
    algorithm: Algorithm,
    newest: u32,
    versions: BTreeMap<u32, Material>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Material(#[serde(with = "in_base64")] Zeroizing<Vec<u8>>);

impl Algorithm {
    const ALL: [(&str, Self); 6] = [
        ("aes256-gcm", Self::Aes256Gcm),
        ("aes256-gcm-siv", Self::Aes256GcmSiv),
        ("chacha20-poly1305", Self::ChaCha20Poly1305),
        ("hmac-sha256", Self::HmacSha256),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256", Self::EcdsaP256),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    fn generate(self) -> Result<Zeroizing<Vec<u8>>, Stop> {
        if self == Self::EcdsaP256 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).and_then(|pair| pair.to_pkcs8v1());
            return Ok(Zeroizing::new(pair.map_err(|_| broken())?.as_ref().to_vec()));
        }
        Ok(Zeroizing::new(ids::random::<32>().to_vec()))
    }
}

impl Record {
    fn add(&mut self) -> Result<(), Stop> {
        if self.versions.len() >= limits::PLUGIN_KEY_VERSIONS {
            return Err(Stop::told("too-large", "the key has too many versions"));
        }
        self.newest = self.newest.checked_add(1).ok_or_else(broken)?;
        let material = self.algorithm.generate()?;
        self.versions.insert(self.newest, Material(material));
        Ok(())
    }

    fn key(&self, version: Option<u32>) -> Result<Key, Stop> {
        let version = version.unwrap_or(self.newest);
        let stored =
            self.versions.get(&version).ok_or_else(|| Stop::told("not-found", "no such version of the key"))?;
        Ok(Key { version, algorithm: self.algorithm, material: stored.0.clone() })
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
        record.add()?;
        self.put_key_record(name, &record)?;
        record.key(None)
    }

    pub(super) async fn find_key(&mut self, name: &str, version: Option<u32>) -> Result<Key, Stop> {
        self.known_record(name).await?.key(version)
    }

    pub(super) async fn add_key_version(&mut self, name: &str) -> Result<u32, Stop> {
        let mut record = self.known_record(name).await?;
        record.add()?;
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

impl Key {
    fn is_convergent(&self) -> bool {
        self.algorithm == Algorithm::Aes256GcmSiv
    }

    fn aead(&self) -> Result<LessSafeKey, Stop> {
        let algorithm = match self.algorithm {
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::Aes256GcmSiv => &AES_256_GCM_SIV,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => return Err(not_with_this()),
        };
        Ok(LessSafeKey::new(UnboundKey::new(algorithm, &self.material).map_err(|_| broken())?))
    }

    fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>, Stop> {
        match (self.algorithm, scheme) {
            (Algorithm::Ed25519, "ed25519") => Ok(self.ed25519()?.sign(message).as_ref().to_vec()),
            (Algorithm::EcdsaP256, "ecdsa-p256-sha256") => {
                let signed = self.ecdsa()?.sign(&SystemRandom::new(), message);
                Ok(signed.map_err(|_| broken())?.as_ref().to_vec())
            }
            _ => Err(not_with_this()),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool, Stop> {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519};
        let key = match (self.algorithm, scheme) {
            (Algorithm::Ed25519, "ed25519") => ParsedPublicKey::new(&ED25519, self.ed25519()?.public_key()),
            (Algorithm::EcdsaP256, "ecdsa-p256-sha256") => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.ecdsa()?.public_key())
            }
            _ => return Err(not_with_this()),
        };
        Ok(key.map_err(|_| broken())?.verify_sig(message, signature).is_ok())
    }

    fn public(&self) -> Result<Vec<u8>, Stop> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self.algorithm {
            Algorithm::Ed25519 => self.ed25519()?.public_key().as_der(),
            Algorithm::EcdsaP256 => self.ecdsa()?.public_key().as_der(),
            _ => return Err(not_with_this()),
        };
        Ok(der.map_err(|_| broken())?.as_ref().to_vec())
    }

    fn ed25519(&self) -> Result<Ed25519KeyPair, Stop> {
        Ed25519KeyPair::from_seed_unchecked(&self.material).map_err(|_| broken())
    }

    fn ecdsa(&self) -> Result<EcdsaKeyPair, Stop> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.material).map_err(|_| broken())
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
        let aead = key.aead()?;
        let nonce: [u8; NONCE_LEN] = if key.is_convergent() { CONVERGENT_NONCE } else { ids::random() };
        let told = if key.is_convergent() { &[][..] } else { &nonce };
        let mut sealed = Vec::with_capacity(told.len() + plaintext.len() + aead.algorithm().tag_len());
        sealed.extend_from_slice(told);
        sealed.extend_from_slice(&plaintext);
        let text = &mut sealed[told.len()..];
        let tag = aead.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), text);
        sealed.extend_from_slice(tag.map_err(|_| broken())?.as_ref());
        Ok(sealed)
    }

    fn decrypt(&mut self, key: Resource<Key>, ciphertext: Vec<u8>, aad: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        let aead = key.aead()?;
        let wrong = || Stop::told("invalid", "it does not open with this key");
        let (nonce, sealed) = match key.is_convergent() {
            true => (CONVERGENT_NONCE.as_slice(), ciphertext.as_slice()),
            false => ciphertext.split_at_checked(NONCE_LEN).ok_or_else(wrong)?,
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut plain = sealed.to_vec();
        let len = aead.open_in_place(nonce, Aad::from(&aad), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(len);
        Ok(plain)
    }

    fn sign(&mut self, key: Resource<Key>, message: Vec<u8>, scheme: String) -> Result<Vec<u8>, Stop> {
        self.usable(&key)?.sign(&message, &scheme)
    }

    fn verify(
        &mut self,
        key: Resource<Key>,
        message: Vec<u8>,
        signature: Vec<u8>,
        scheme: String,
    ) -> Result<bool, Stop> {
        self.usable(&key)?.verify(&message, &signature, &scheme)
    }

    fn hmac(&mut self, key: Resource<Key>, message: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let key = self.usable(&key)?;
        match key.algorithm {
            Algorithm::HmacSha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key.material);
                Ok(hmac::sign(&key, &message).as_ref().to_vec())
            }
            _ => Err(not_with_this()),
        }
    }

    fn public_key(&mut self, key: Resource<Key>) -> Result<Vec<u8>, Stop> {
        self.usable(&key)?.public()
    }

    fn drop(&mut self, key: Resource<Key>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

fn not_with_this() -> Stop {
    Stop::told("unsupported", "not with a key of this algorithm")
}

fn broken() -> Stop {
    Stop::told("internal", "the key cannot be used")
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
