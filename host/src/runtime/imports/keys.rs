//! Keys that a plugin holds by handle. The material stays on this side: it is stored through
//! the call's view of keys, in the same batch as the plugin's writes, and rests on what was read.
//!
//! One record a name, all versions in it. Ciphertexts are `nonce(12) ciphertext tag(16)`: which
//! version made one is for the plugin to remember (`key.version`).

use std::{collections::BTreeMap, sync::OnceLock};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
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
    shelf::check_key,
    wit::crypto::HostKey,
};
use crate::{barrier, ids, limits};

/// One version of a key, as the guest holds it.
pub struct Key {
    version: u32,
    algorithm: Algorithm,
    material: Zeroizing<Vec<u8>>,
    /// Checking one takes longer than signing with it.
    rsa: OnceLock<RsaKeyPair>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "aes256-gcm")]
    Aes256Gcm,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

/// Schemes of RSA.
const PSS: &str = "rsa-pss-sha256";
const PKCS1: &str = "rsa-pkcs1v15-sha256";

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
    const ALL: [(&str, Self); 8] = [
        ("aes256-gcm", Self::Aes256Gcm),
        ("chacha20-poly1305", Self::ChaCha20Poly1305),
        ("hmac-sha256", Self::HmacSha256),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256", Self::EcdsaP256),
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    fn rsa(self) -> Option<KeySize> {
        match self {
            Self::Rsa2048 => Some(KeySize::Rsa2048),
            Self::Rsa3072 => Some(KeySize::Rsa3072),
            Self::Rsa4096 => Some(KeySize::Rsa4096),
            _ => None,
        }
    }

    /// All but RSA, which takes its time.
    fn generate(self) -> Result<Zeroizing<Vec<u8>>, Stop> {
        if self == Self::EcdsaP256 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).and_then(|pair| pair.to_pkcs8v1());
            return Ok(Zeroizing::new(pair.map_err(|_| broken())?.as_ref().to_vec()));
        }
        Ok(Zeroizing::new(ids::random::<32>().to_vec()))
    }
}

impl Record {
    fn check_room(&self) -> Result<(), Stop> {
        match self.versions.len() < limits::PLUGIN_KEY_VERSIONS {
            true => Ok(()),
            false => Err(Stop::told("too-large", "the key has too many versions")),
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
    fn aead(&self) -> Result<LessSafeKey, Stop> {
        let algorithm = match self.algorithm {
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => return Err(not_with_this()),
        };
        Ok(LessSafeKey::new(UnboundKey::new(algorithm, &self.material).map_err(|_| broken())?))
    }

    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Stop> {
        let aead = self.aead()?;
        let nonce: [u8; NONCE_LEN] = ids::random();
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + aead.algorithm().tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = aead.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(tag.map_err(|_| broken())?.as_ref());
        Ok(sealed)
    }

    fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Stop> {
        let aead = self.aead()?;
        let wrong = || Stop::told("invalid", "it does not open with this key");
        let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut plain = sealed.to_vec();
        let len = aead.open_in_place(nonce, Aad::from(aad), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(len);
        Ok(plain)
    }

    fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>, Stop> {
        match (self.algorithm, scheme) {
            (Algorithm::Ed25519, "ed25519") => Ok(self.ed25519()?.sign(message).as_ref().to_vec()),
            (Algorithm::EcdsaP256, "ecdsa-p256-sha256") => {
                let signed = self.ecdsa()?.sign(&SystemRandom::new(), message);
                Ok(signed.map_err(|_| broken())?.as_ref().to_vec())
            }
            (_, PSS | PKCS1) if self.algorithm.rsa().is_some() => {
                let padding: &dyn RsaEncoding = if scheme == PSS { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let key = self.rsa()?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(|_| broken())?;
                Ok(signature)
            }
            _ => Err(not_with_this()),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool, Stop> {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
        };
        let key = match (self.algorithm, scheme) {
            (Algorithm::Ed25519, "ed25519") => ParsedPublicKey::new(&ED25519, self.ed25519()?.public_key()),
            (Algorithm::EcdsaP256, "ecdsa-p256-sha256") => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.ecdsa()?.public_key())
            }
            (_, PSS | PKCS1) if self.algorithm.rsa().is_some() => {
                let (pss, pkcs1) = (&RSA_PSS_2048_8192_SHA256, &RSA_PKCS1_2048_8192_SHA256);
                let padding: &'static RsaParameters = if scheme == PSS { pss } else { pkcs1 };
                ParsedPublicKey::new(padding, self.rsa()?.public_key())
            }
            _ => return Err(not_with_this()),
        };
        Ok(key.map_err(|_| broken())?.verify_sig(message, signature).is_ok())
    }

    fn public(&self) -> Result<Vec<u8>, Stop> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self.algorithm {
            Algorithm::Ed25519 => self.ed25519()?.public_key().as_der(),
            Algorithm::EcdsaP256 => self.ecdsa()?.public_key().as_der(),
            _ if self.algorithm.rsa().is_some() => self.rsa()?.public_key().as_der(),
            _ => return Err(not_with_this()),
        };
        Ok(der.map_err(|_| broken())?.as_ref().to_vec())
    }

    fn ed25519(&self) -> Result<Ed25519KeyPair, Stop> {
        Ed25519KeyPair::from_seed_unchecked(&self.material).map_err(|_| broken())
    }

    fn rsa(&self) -> Result<&RsaKeyPair, Stop> {
        if let Some(key) = self.rsa.get() {
            return Ok(key);
        }
        let key = RsaKeyPair::from_pkcs8(&self.material).map_err(|_| broken())?;
        Ok(self.rsa.get_or_init(|| key))
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
