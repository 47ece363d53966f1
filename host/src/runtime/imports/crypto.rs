use aws_lc_rs::{constant_time, digest, signature};
use wasmtime::component::Resource;
use zeroize::Zeroizing;

use super::{
    super::{
        Fault,
        sandbox::{Sandbox, Stop},
    },
    bounded,
    key::{Key, is_signed, prehashed},
    passwords,
    wit::crypto::Host,
};
use crate::{ids, limits};

impl Host for Sandbox {
    async fn create_key(&mut self, name: String, algorithm: String) -> Result<Resource<Key>, Stop> {
        let key = self.make_key(&name, &algorithm).await?;
        self.hand_out(key)
    }

    async fn open_key(&mut self, name: String, version: Option<u32>) -> Result<Resource<Key>, Stop> {
        let key = self.find_key(&name, version).await?;
        self.hand_out(key)
    }

    async fn rotate_key(&mut self, name: String) -> Result<u32, Stop> {
        self.add_key_version(&name).await
    }

    async fn destroy_key(&mut self, name: String) -> Result<(), Stop> {
        self.forget_key(&name).await
    }

    fn verify_with(
        &mut self,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
        scheme: String,
    ) -> Result<bool, Stop> {
        let (scheme, digest) = prehashed(&message, &scheme)?;
        let algorithm: &dyn signature::VerificationAlgorithm = match scheme {
            "ed25519" => &signature::ED25519,
            "ecdsa-p256-sha256" => &signature::ECDSA_P256_SHA256_ASN1,
            "rsa-pss-sha256" => &signature::RSA_PSS_2048_8192_SHA256,
            "rsa-pkcs1v15-sha256" => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(Stop::told("unsupported", "no such scheme")),
        };
        self.compute(public_key.len() + message.len() + signature.len(), || {
            let key = signature::ParsedPublicKey::new(algorithm, &public_key);
            let key = key.map_err(|_| Stop::told("invalid", "not a public key of this scheme"))?;
            Ok(is_signed(&key, &message, digest.as_ref(), &signature))
        })
    }

    fn hash(&mut self, algorithm: String, data: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let algorithm = match algorithm.as_str() {
            "sha256" => &digest::SHA256,
            "sha384" => &digest::SHA384,
            "sha512" => &digest::SHA512,
            _ => return Err(Stop::told("unsupported", "no such hash")),
        };
        self.compute(data.len(), || Ok(digest::digest(algorithm, &data).as_ref().to_vec()))
    }

    async fn password_hash(&mut self, password: String) -> Result<String, Stop> {
        let password = Zeroizing::new(password);
        self.check_crypto("password-hash")?;
        bounded(self.shared.passwords.hash(password, self.call.passwords.present)).await?
    }

    async fn password_verify(&mut self, password: String, phc: Option<String>) -> Result<bool, Stop> {
        let password = Zeroizing::new(password);
        self.check_crypto("password-hash")?;
        bounded(self.shared.passwords.verify(password, phc.as_deref(), &self.call.passwords)).await?
    }

    fn password_outdated(&mut self, phc: String) -> wasmtime::Result<bool> {
        Ok(passwords::is_outdated(&phc, &self.call.passwords))
    }

    fn constant_time_eq(&mut self, a: Vec<u8>, b: Vec<u8>) -> wasmtime::Result<bool> {
        match a.len() <= limits::PLUGIN_CRYPTO_BYTES {
            true => Ok(constant_time::verify_slices_are_equal(&a, &b).is_ok()),
            false => Err(Fault::Limit("crypto input").into()),
        }
    }

    fn random(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        match usize::try_from(len) {
            Ok(len) if len <= limits::PLUGIN_RANDOM_BYTES => Ok(random_bytes(len)),
            _ => Err(Fault::Limit("random bytes").into()),
        }
    }
}

impl Sandbox {
    /// What the manifest did not ask for, or nobody granted, is not there.
    pub(super) fn check_crypto(&self, name: &str) -> Result<(), Stop> {
        match self.call.grant.crypto.contains(name) {
            true => Ok(()),
            false => Err(Stop::told("denied", "the grant does not name this part of crypto")),
        }
    }

    fn hand_out(&mut self, key: Key) -> Result<Resource<Key>, Stop> {
        Ok(self.table.push(key).map_err(|_| Fault::Limit("handles"))?)
    }
}

pub(super) fn random_bytes(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let some: [u8; 256] = ids::random();
        bytes.extend_from_slice(&some[..some.len().min(len - bytes.len())]);
    }
    bytes
}
