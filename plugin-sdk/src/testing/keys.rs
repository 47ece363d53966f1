//! Keys of `crypto` that are worth nothing: they keep apart what real ones keep apart (key, version,
//! nonce, associated data, message), cost nothing, and are the same in every test run.

use serde::{Deserialize, Serialize};

use super::{call::Call, fingerprint};
use crate::{
    Error, Result,
    host::{Host as _, KeyHandle},
};

/// How public keys of this host begin: as DER does.
const OURS: &[u8] = b"0test-";
const NONCE: usize = 12;
const TAG: usize = 16;
/// What a real host keeps of one key at most.
const VERSIONS: usize = 1000;

const ALGORITHMS: [&str; 9] = [
    "aes256-gcm",
    "aes256-gcm-siv",
    "chacha20-poly1305",
    "hmac-sha256",
    "ed25519",
    "ecdsa-p256",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
];

/// As it is stored, beside what the plugin stores and out of its reach: all versions of one key.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    algorithm: String,
    /// What each version is made of, the first one first.
    versions: Vec<String>,
}

impl Record {
    pub(super) fn new(call: &Call, algorithm: &str) -> Result<Self> {
        if !ALGORITHMS.contains(&algorithm) {
            return Err(Error::new("unsupported", "no such algorithm"));
        }
        let mut record = Self { algorithm: algorithm.to_owned(), versions: Vec::new() };
        record.add(call)?;
        Ok(record)
    }

    /// Says which version is new.
    pub(super) fn add(&mut self, call: &Call) -> Result<u32> {
        if self.versions.len() == VERSIONS {
            return Err(Error::too_large("the key has too many versions"));
        }
        let drawn = call.random(16);
        self.versions.push(drawn.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(self.newest())
    }

    pub(super) fn newest(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn key(&self, call: &Call, version: Option<u32>) -> Result<Box<dyn KeyHandle>> {
        let version = version.unwrap_or(self.newest());
        let material = (version as usize).checked_sub(1).and_then(|at| self.versions.get(at));
        let material = material.ok_or_else(|| Error::new("not-found", "no such version of the key"))?.clone();
        Ok(Box::new(Key { call: call.clone(), version, algorithm: self.algorithm.clone(), material }))
    }
}

struct Key {
    call: Call,
    version: u32,
    algorithm: String,
    material: String,
}

impl Key {
    fn is_one_of(&self, algorithms: &[&str]) -> Result<()> {
        match algorithms.contains(&self.algorithm.as_str()) {
            true => Ok(()),
            false => Err(Error::new("unsupported", "not with a key of this algorithm")),
        }
    }

    fn encrypts(&self) -> Result<bool> {
        self.is_one_of(&["aes256-gcm", "aes256-gcm-siv", "chacha20-poly1305"])?;
        Ok(self.algorithm == "aes256-gcm-siv")
    }

    fn public(&self) -> Vec<u8> {
        [OURS, self.family().as_bytes(), b":", &stretch(&[b"public", self.material.as_bytes()], 32)].concat()
    }

    /// Of public keys that go by the same schemes.
    fn family(&self) -> &str {
        self.algorithm.split_once("rsa").map_or(&self.algorithm, |_| "rsa")
    }

    fn stream(&self, nonce: &[u8], text: &[u8]) -> Vec<u8> {
        let stream = stretch(&[b"stream", self.material.as_bytes(), nonce], text.len());
        text.iter().zip(stream).map(|(a, b)| a ^ b).collect()
    }

    fn tag(&self, nonce: &[u8], plain: &[u8], aad: &[u8]) -> Vec<u8> {
        stretch(&[b"tag", self.material.as_bytes(), nonce, plain, aad], TAG)
    }
}

impl KeyHandle for Key {
    fn version(&self) -> u32 {
        self.version
    }

    fn algorithm(&self) -> String {
        self.algorithm.clone()
    }

    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        let nonce = if self.encrypts()? { Vec::new() } else { self.call.random(12) };
        let text = self.stream(&nonce, plaintext);
        Ok([nonce.as_slice(), &text, &self.tag(&nonce, plaintext, aad)].concat())
    }

    fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::new("invalid", "it does not open with this key");
        let nonce = if self.encrypts()? { 0 } else { NONCE };
        let (nonce, sealed) = ciphertext.split_at_checked(nonce).ok_or_else(wrong)?;
        let end = sealed.len().checked_sub(TAG).ok_or_else(wrong)?;
        let plain = self.stream(nonce, &sealed[..end]);
        if self.tag(nonce, &plain, aad) == sealed[end..] { Ok(plain) } else { Err(wrong()) }
    }

    fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>> {
        self.is_one_of(signers(scheme))?;
        signature(&self.public(), message, scheme)
    }

    fn verify(&self, message: &[u8], signed: &[u8], scheme: &str) -> Result<bool> {
        self.is_one_of(signers(scheme))?;
        Ok(signature(&self.public(), message, scheme)? == signed)
    }

    fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.is_one_of(&["hmac-sha256"])?;
        Ok(stretch(&[b"hmac", self.material.as_bytes(), message], 32))
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.is_one_of(&["ed25519", "ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"])?;
        Ok(self.public())
    }
}

pub(super) fn verify_with(public_key: &[u8], message: &[u8], signed: &[u8], scheme: &str) -> Result<bool> {
    let family = match signers(scheme) {
        [] => return Err(Error::new("unsupported", "no such scheme")),
        [only] => only,
        _ => "rsa",
    };
    // Somebody else's is DER, of which nothing more is known here.
    let fits = match public_key.strip_prefix(OURS) {
        Some(ours) => ours.strip_prefix(family.as_bytes()).is_some_and(|rest| rest.starts_with(b":")),
        None => public_key.first() == Some(&0x30),
    };
    match fits {
        false => Err(Error::new("invalid", "not a public key of this scheme")),
        true => Ok(signature(public_key, message, scheme)? == signed),
    }
}

/// Of the length that the real one has.
pub(super) fn hash(algorithm: &str, data: &[u8]) -> Result<Vec<u8>> {
    let len = match algorithm {
        "sha256" => 32,
        "sha384" => 48,
        "sha512" => 64,
        _ => return Err(Error::new("unsupported", "no such hash")),
    };
    Ok(stretch(&[algorithm.as_bytes(), data], len))
}

/// The algorithms whose keys sign by this scheme.
fn signers(scheme: &str) -> &'static [&'static str] {
    match plain(scheme) {
        "ed25519" => &["ed25519"],
        "ecdsa-p256-sha256" => &["ecdsa-p256"],
        "rsa-pss-sha256" | "rsa-pkcs1v15-sha256" => &["rsa-2048", "rsa-3072", "rsa-4096"],
        _ => &[],
    }
}

/// What there is of a scheme whose message is the digest of a text.
fn plain(scheme: &str) -> &str {
    scheme.strip_suffix("-prehashed").filter(|plain| plain.ends_with("sha256")).unwrap_or(scheme)
}

fn signature(public: &[u8], message: &[u8], scheme: &str) -> Result<Vec<u8>> {
    let of_digest = plain(scheme) != scheme;
    let digest = match scheme {
        "ed25519" => message.to_vec(),
        _ if !of_digest => hash("sha256", message)?,
        _ if message.len() == 32 => message.to_vec(),
        _ => return Err(Error::new("invalid", "a SHA-256 has 32 bytes")),
    };
    let signed = stretch(&[b"signature", public, &digest, plain(scheme).as_bytes()], 64);
    Ok(if plain(scheme) == "ecdsa-p256-sha256" { der(&signed) } else { signed })
}

/// ECDSA's two numbers as X.509 has them.
fn der(numbers: &[u8]) -> Vec<u8> {
    let integers = numbers.chunks(32).flat_map(|number| {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(31);
        // A number whose first bit is set would be negative.
        let sign = if number[start] >= 128 { &[0][..] } else { &[] };
        let number = [sign, &number[start..]].concat();
        [&[2, u8::try_from(number.len()).unwrap_or_default()], number.as_slice()].concat()
    });
    let integers: Vec<u8> = integers.collect();
    [&[0x30, u8::try_from(integers.len()).unwrap_or_default()], integers.as_slice()].concat()
}

/// So many bytes that all of the parts have a say in.
fn stretch(parts: &[&[u8]], len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    let seed = fingerprint(&all);
    let block = |n: u64| fingerprint(&[seed.to_be_bytes(), n.to_be_bytes()].concat()).to_be_bytes();
    (0..).flat_map(block).take(len).collect()
}
