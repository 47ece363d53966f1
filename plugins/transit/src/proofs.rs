use coffer_plugin_sdk::prelude::*;

use crate::{
    algorithm::{Algorithm, Work},
    record::Key,
    token::{Bytes, Token},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    input: Bytes,
    /// Of an RSA key: `rsa-pss-sha256`, if left out, or `rsa-pkcs1v15-sha256`.
    scheme: Option<String>,
    key_version: Option<u32>,
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
    let scheme = scheme(key.record.algorithm, asked.scheme.as_deref())?;
    let (version, handle) = key.maker(asked.key_version)?;
    let bytes = handle.sign(&asked.input.0, scheme)?;
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
            let scheme = scheme(key.record.algorithm, asked.scheme.as_deref())?;
            let handle = key.checker(signature.version, "/signature")?;
            handle.verify(&asked.input.0, &signature.bytes, scheme)?
        }
        (None, Some(hmac)) => {
            key.must_do(Work::Mac)?;
            scheme(key.record.algorithm, asked.scheme.as_deref())?;
            let made = key.checker(hmac.version, "/hmac")?.hmac(&asked.input.0)?;
            crypto::constant_time_eq(&made, &hmac.bytes)
        }
        (Some(_), Some(_)) => return Err(Error::invalid("/hmac", "invalid_value", "does not go with signature")),
        (None, None) => return Err(Error::invalid("/signature", "missing", "is required, or hmac")),
    };
    Ok(Verified { valid })
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
