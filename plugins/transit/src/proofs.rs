use coffer_plugin_sdk::prelude::*;

use crate::{
    algorithm::{Algorithm, Work},
    ecdsa,
    record::Key,
    token::{Bytes, Token},
};

const SHA256_BYTES: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    input: Bytes,
    /// Of an RSA key: `rsa-pss-sha256`, if left out, or `rsa-pkcs1v15-sha256`.
    scheme: Option<String>,
    /// `input` is the SHA-256 of what is signed.
    #[serde(default)]
    prehashed: bool,
    #[serde(default)]
    marshaling: Marshaling,
    key_version: Option<u32>,
}

/// How a signature of ECDSA is written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Marshaling {
    /// DER, as X.509 has it.
    #[default]
    Asn1,
    /// The two numbers side by side, as JSON Web Signatures have it.
    Jws,
}

#[derive(Serialize)]
pub struct Signed {
    signature: Token,
    key_version: u32,
}

/// Exactly one of `signature` and `hmac`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    input: Bytes,
    signature: Option<Token>,
    hmac: Option<Token>,
    scheme: Option<String>,
    #[serde(default)]
    prehashed: bool,
    #[serde(default)]
    marshaling: Marshaling,
}

#[derive(Serialize)]
pub struct Verified {
    valid: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mac {
    input: Bytes,
    key_version: Option<u32>,
}

#[derive(Serialize)]
pub struct Maced {
    hmac: Token,
    key_version: u32,
}

pub fn sign(key: &mut Key<'_>, asked: Sign) -> Result<Signed> {
    key.must_do(Work::Sign)?;
    let how = How::of(key.record.algorithm, asked.scheme.as_deref(), asked.prehashed, asked.marshaling)?;
    how.must_fit(&asked.input)?;
    let (version, handle) = key.maker(asked.key_version)?;
    let bytes = handle.sign(&asked.input.0, how.scheme)?;
    let bytes = match how.marshaling {
        Marshaling::Asn1 => bytes,
        Marshaling::Jws => ecdsa::to_numbers(&bytes).ok_or_else(|| Error::internal("the signature is no DER"))?,
    };
    Ok(Signed { signature: Token { version, bytes }, key_version: version })
}

pub fn hmac(key: &mut Key<'_>, asked: Mac) -> Result<Maced> {
    key.must_do(Work::Mac)?;
    let (version, handle) = key.maker(asked.key_version)?;
    let bytes = handle.hmac(&asked.input.0)?;
    Ok(Maced { hmac: Token { version, bytes }, key_version: version })
}

/// A version that may no longer be believed is a refusal and not a `false`: it says what to do about it.
pub fn verify(key: &mut Key<'_>, asked: Verify) -> Result<Verified> {
    let valid = match (asked.signature, asked.hmac) {
        (Some(signature), None) => {
            key.must_do(Work::Sign)?;
            let how = How::of(key.record.algorithm, asked.scheme.as_deref(), asked.prehashed, asked.marshaling)?;
            how.must_fit(&asked.input)?;
            let handle = key.checker(signature.version, "/signature")?;
            let bytes = match how.marshaling {
                Marshaling::Asn1 => Some(signature.bytes),
                Marshaling::Jws => ecdsa::to_der(&signature.bytes),
            };
            // What is not two numbers is nobody's signature.
            bytes.map(|bytes| handle.verify(&asked.input.0, &bytes, how.scheme)).transpose()?.unwrap_or(false)
        }
        (None, Some(hmac)) => {
            key.must_do(Work::Mac)?;
            How::of(key.record.algorithm, asked.scheme.as_deref(), asked.prehashed, asked.marshaling)?;
            let made = key.checker(hmac.version, "/hmac")?.hmac(&asked.input.0)?;
            crypto::constant_time_eq(&made, &hmac.bytes)
        }
        (Some(_), Some(_)) => return Err(Error::invalid("/hmac", "invalid_value", "does not go with signature")),
        (None, None) => return Err(Error::invalid("/signature", "missing", "is required, or hmac")),
    };
    Ok(Verified { valid })
}

/// How it is signed, and how the signature is written.
struct How {
    scheme: &'static str,
    prehashed: bool,
    marshaling: Marshaling,
}

impl How {
    fn of(algorithm: Algorithm, asked: Option<&str>, prehashed: bool, marshaling: Marshaling) -> Result<Self> {
        let mut scheme = scheme(algorithm, asked)?;
        if prehashed {
            let message = "goes with ecdsa-p256 and RSA: the others sign the text itself";
            scheme =
                Algorithm::prehashed(scheme).ok_or_else(|| Error::invalid("/prehashed", "invalid_value", message))?;
        }
        if marshaling == Marshaling::Jws && algorithm != Algorithm::EcdsaP256 {
            return Err(Error::invalid(
                "/marshaling",
                "invalid_value",
                "jws goes with ecdsa-p256: others have one form",
            ));
        }
        Ok(Self { scheme, prehashed, marshaling })
    }

    fn must_fit(&self, input: &Bytes) -> Result<()> {
        match self.prehashed && input.0.len() != SHA256_BYTES {
            true => Err(Error::invalid("/input", "out_of_range", "must be the 32 bytes of a SHA-256")),
            false => Ok(()),
        }
    }
}

/// Which is meant. A MAC has none, and takes none.
fn scheme(algorithm: Algorithm, asked: Option<&str>) -> Result<&'static str> {
    let known = algorithm.schemes();
    match asked {
        None => Ok(known.first().copied().unwrap_or_default()),
        Some(asked) => known
            .iter()
            .find(|known| **known == asked)
            .copied()
            .ok_or_else(|| Error::invalid("/scheme", "invalid_value", "is not a scheme of this key's algorithm")),
    }
}
