//! Keys that never enter the plugin's memory, and work that is too slow or too delicate for it.

use std::fmt;

use crate::{
    Result,
    host::{self, KeyHandle},
};

/// A named key of this mount, in one version. It stays with the host.
pub struct Key(Box<dyn KeyHandle>);

impl Key {
    /// A new one; the algorithm is one of the manifest's `crypto`.
    pub fn create(name: &str, algorithm: &str) -> Result<Self> {
        host::current().create_key(name, algorithm).map(Self)
    }

    /// The newest version, or that one.
    pub fn open(name: &str, version: Option<u32>) -> Result<Self> {
        host::current().open_key(name, version).map(Self)
    }

    /// Adds a version and says which.
    pub fn rotate(name: &str) -> Result<u32> {
        host::current().rotate_key(name)
    }

    /// All of its versions.
    pub fn destroy(name: &str) -> Result<()> {
        host::current().destroy_key(name)
    }

    pub fn version(&self) -> u32 {
        self.0.version()
    }

    pub fn algorithm(&self) -> String {
        self.0.algorithm()
    }

    pub fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        self.0.encrypt(plaintext, aad)
    }

    pub fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        self.0.decrypt(ciphertext, aad)
    }

    pub fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>> {
        self.0.sign(message, scheme)
    }

    pub fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool> {
        self.0.verify(message, signature, scheme)
    }

    pub fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.hmac(message)
    }

    pub fn public_key(&self) -> Result<Vec<u8>> {
        self.0.public_key()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// With a public key that is not ours: DER SubjectPublicKeyInfo.
pub fn verify_with(public_key: &[u8], message: &[u8], signature: &[u8], scheme: &str) -> Result<bool> {
    host::current().verify_with(public_key, message, signature, scheme)
}

pub fn hash(algorithm: &str, data: &[u8]) -> Result<Vec<u8>> {
    host::current().hash(algorithm, data)
}

/// Argon2id with the host's parameters; answers a PHC string.
pub fn password_hash(password: &str) -> Result<String> {
    host::current().password_hash(password)
}

/// With no hash to compare (unknown user) it does the same work and answers false.
pub fn password_verify(password: &str, phc: Option<&str>) -> Result<bool> {
    host::current().password_verify(password, phc)
}

/// Was it made with other parameters than the host's present ones? Then hash again.
pub fn password_outdated(phc: &str) -> bool {
    host::current().password_outdated(phc)
}

pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    host::current().constant_time_eq(a, b)
}

/// Random bytes from the host.
pub fn random(len: u32) -> Vec<u8> {
    host::current().random(len)
}

/// Random bytes in hexadecimal: an id that nobody can guess and that never comes twice.
pub fn random_id() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    random(16).iter().flat_map(|b| [b >> 4, b & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
