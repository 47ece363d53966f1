//! One version of a key, and what can be done with it.

use std::sync::OnceLock;

use aws_lc_rs::{
    aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{Digest, SHA256},
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::sandbox::Stop;
use crate::ids;

/// Safe with AES-GCM-SIV alone, where the text itself has a say in what encrypts it.
const CONVERGENT_NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// One version of a key, as the guest holds it.
pub struct Key {
    pub(super) version: u32,
    pub(super) algorithm: Algorithm,
    pub(super) material: Zeroizing<Vec<u8>>,
    /// Checking one takes longer than signing with it.
    pub(super) rsa: OnceLock<RsaKeyPair>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Algorithm {
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

/// After a scheme that signs a SHA-256: the message is that digest, of a text that is too large to be sent.
const PREHASHED: &str = "-prehashed";

/// The scheme, and the digest where that is the message.
pub(super) fn prehashed<'a>(message: &[u8], scheme: &'a str) -> Result<(&'a str, Option<Digest>), Stop> {
    match scheme.strip_suffix(PREHASHED).filter(|plain| plain.ends_with("sha256")) {
        Some(plain) => {
            let digest = Digest::import_less_safe(message, &SHA256);
            Ok((plain, Some(digest.map_err(|_| Stop::told("invalid", "a SHA-256 has 32 bytes"))?)))
        }
        None => Ok((scheme, None)),
    }
}

/// Of the message, or of the text whose digest it is.
pub(super) fn is_signed(key: &ParsedPublicKey, message: &[u8], digest: Option<&Digest>, signature: &[u8]) -> bool {
    match digest {
        Some(digest) => key.verify_digest_sig(digest, signature).is_ok(),
        None => key.verify_sig(message, signature).is_ok(),
    }
}

impl Algorithm {
    pub(super) const ALL: [(&str, Self); 9] = [
        ("aes256-gcm", Self::Aes256Gcm),
        ("aes256-gcm-siv", Self::Aes256GcmSiv),
        ("chacha20-poly1305", Self::ChaCha20Poly1305),
        ("hmac-sha256", Self::HmacSha256),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256", Self::EcdsaP256),
        ("rsa-2048", Self::Rsa2048),
        ("rsa-3072", Self::Rsa3072),
        ("rsa-4096", Self::Rsa4096),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    pub(super) fn rsa(self) -> Option<KeySize> {
        match self {
            Self::Rsa2048 => Some(KeySize::Rsa2048),
            Self::Rsa3072 => Some(KeySize::Rsa3072),
            Self::Rsa4096 => Some(KeySize::Rsa4096),
            _ => None,
        }
    }

    /// All but RSA, which takes its time.
    pub(super) fn generate(self) -> Result<Zeroizing<Vec<u8>>, Stop> {
        if self == Self::EcdsaP256 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).and_then(|pair| pair.to_pkcs8v1());
            return Ok(Zeroizing::new(pair.map_err(|_| broken())?.as_ref().to_vec()));
        }
        Ok(Zeroizing::new(ids::random::<32>().to_vec()))
    }
}

impl Key {
    pub(super) fn is_convergent(&self) -> bool {
        self.algorithm == Algorithm::Aes256GcmSiv
    }

    pub(super) fn aead(&self) -> Result<LessSafeKey, Stop> {
        let algorithm = match self.algorithm {
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::Aes256GcmSiv => &AES_256_GCM_SIV,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => return Err(not_with_this()),
        };
        Ok(LessSafeKey::new(UnboundKey::new(algorithm, &self.material).map_err(|_| broken())?))
    }

    pub(super) fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Stop> {
        let aead = self.aead()?;
        let nonce: [u8; NONCE_LEN] = if self.is_convergent() { CONVERGENT_NONCE } else { ids::random() };
        let told = if self.is_convergent() { &[][..] } else { &nonce };
        let mut sealed = Vec::with_capacity(told.len() + plaintext.len() + aead.algorithm().tag_len());
        sealed.extend_from_slice(told);
        sealed.extend_from_slice(plaintext);
        let text = &mut sealed[told.len()..];
        let tag = aead.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text);
        sealed.extend_from_slice(tag.map_err(|_| broken())?.as_ref());
        Ok(sealed)
    }

    pub(super) fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Stop> {
        let aead = self.aead()?;
        let wrong = || Stop::told("invalid", "it does not open with this key");
        let (nonce, sealed) = match self.is_convergent() {
            true => (CONVERGENT_NONCE.as_slice(), ciphertext),
            false => ciphertext.split_at_checked(NONCE_LEN).ok_or_else(wrong)?,
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut plain = sealed.to_vec();
        let len = aead.open_in_place(nonce, Aad::from(aad), &mut plain).map_err(|_| wrong())?.len();
        plain.truncate(len);
        Ok(plain)
    }

    pub(super) fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>, Stop> {
        let (scheme, digest) = prehashed(message, scheme)?;
        match (self.algorithm, scheme) {
            (Algorithm::Ed25519, "ed25519") => Ok(self.ed25519()?.sign(message).as_ref().to_vec()),
            (Algorithm::EcdsaP256, "ecdsa-p256-sha256") => {
                let key = self.ecdsa()?;
                let signed = match &digest {
                    Some(digest) => key.sign_digest(digest),
                    None => key.sign(&SystemRandom::new(), message),
                };
                Ok(signed.map_err(|_| broken())?.as_ref().to_vec())
            }
            (_, PSS | PKCS1) if self.algorithm.rsa().is_some() => {
                let padding: &'static dyn RsaEncoding = if scheme == PSS { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let key = self.rsa()?;
                let mut signature = vec![0; key.public_modulus_len()];
                let signed = match &digest {
                    Some(digest) => key.sign_digest(padding, digest, &mut signature),
                    None => key.sign(padding, &SystemRandom::new(), message, &mut signature),
                };
                signed.map_err(|_| broken())?;
                Ok(signature)
            }
            _ => Err(not_with_this()),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool, Stop> {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
        };
        let (scheme, digest) = prehashed(message, scheme)?;
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
        Ok(is_signed(&key.map_err(|_| broken())?, message, digest.as_ref(), signature))
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, Stop> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self.algorithm {
            Algorithm::Ed25519 => self.ed25519()?.public_key().as_der(),
            Algorithm::EcdsaP256 => self.ecdsa()?.public_key().as_der(),
            _ if self.algorithm.rsa().is_some() => self.rsa()?.public_key().as_der(),
            _ => return Err(not_with_this()),
        };
        Ok(der.map_err(|_| broken())?.as_ref().to_vec())
    }

    pub(super) fn ed25519(&self) -> Result<Ed25519KeyPair, Stop> {
        Ed25519KeyPair::from_seed_unchecked(&self.material).map_err(|_| broken())
    }

    pub(super) fn rsa(&self) -> Result<&RsaKeyPair, Stop> {
        if let Some(key) = self.rsa.get() {
            return Ok(key);
        }
        let key = RsaKeyPair::from_pkcs8(&self.material).map_err(|_| broken())?;
        Ok(self.rsa.get_or_init(|| key))
    }

    pub(super) fn ecdsa(&self) -> Result<EcdsaKeyPair, Stop> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.material).map_err(|_| broken())
    }
}

pub(super) fn not_with_this() -> Stop {
    Stop::told("unsupported", "not with a key of this algorithm")
}

pub(super) fn broken() -> Stop {
    Stop::told("internal", "the key cannot be used")
}
