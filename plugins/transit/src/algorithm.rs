use coffer_plugin_sdk::prelude::*;

use crate::batch::MOST;

/// What a key is for. One name here and in the manifest is one more algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "aes256-gcm")]
    Aes256Gcm,
    /// Convergent: without a nonce, so that equal texts become equal ciphertexts.
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

/// The work that a kind of key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    Encrypt,
    Sign,
    Mac,
}

impl Algorithm {
    /// As the host knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm",
            Self::Aes256GcmSiv => "aes256-gcm-siv",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    pub const fn work(self) -> Work {
        match self {
            Self::Aes256Gcm | Self::Aes256GcmSiv | Self::ChaCha20Poly1305 => Work::Encrypt,
            Self::HmacSha256 => Work::Mac,
            Self::Ed25519 | Self::EcdsaP256 | Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Work::Sign,
        }
    }

    pub fn is_convergent(self) -> bool {
        self == Self::Aes256GcmSiv
    }

    /// Signatures of one call. A call has half a second of a processor, unless the server's rules give it more, and one
    /// of RSA takes 0.3, 1.6 and 3.5 milliseconds on a fast one: these leave a slow one more than twice that.
    pub const fn signatures(self) -> usize {
        match self {
            Self::Rsa2048 => 250,
            Self::Rsa3072 => 100,
            Self::Rsa4096 => 50,
            _ => MOST,
        }
    }

    /// The schemes it signs by; the first is meant where none is named.
    pub const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Ed25519 => &["ed25519"],
            Self::EcdsaP256 => &["ecdsa-p256-sha256"],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &["rsa-pss-sha256", "rsa-pkcs1v15-sha256"],
            _ => &[],
        }
    }

    /// The same schemes, where what is signed is the SHA-256 of a text and not the text.
    pub fn prehashed(scheme: &str) -> Option<&'static str> {
        match scheme {
            "ecdsa-p256-sha256" => Some("ecdsa-p256-sha256-prehashed"),
            "rsa-pss-sha256" => Some("rsa-pss-sha256-prehashed"),
            "rsa-pkcs1v15-sha256" => Some("rsa-pkcs1v15-sha256-prehashed"),
            _ => None,
        }
    }
}
