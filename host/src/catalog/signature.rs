//! A publisher's signature: the last section of the file, over everything before it.
//!
//! The section is a custom one, named `coffer:signature`, in one form only: a version (1), the
//! Ed25519 public key, the signature. What is signed is `CONTEXT` and the SHA-256 of the bytes
//! before the section. (The module-signature proposal of WebAssembly signs such a hash too; it
//! puts its section first, so that every reader has to skip it.)

use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

use super::Error;
use crate::ids::PublisherKey;

/// Name of the section.
pub(super) const SECTION: &str = "coffer:signature";

/// So that nothing else that was ever signed with the key can be taken for a plugin.
const CONTEXT: &[u8] = b"coffer plugin signature, version 1\n";

const VERSION: u8 = 1;
const KEY: usize = 32;
const SIGNATURE: usize = 64;
const PAYLOAD: usize = 1 + KEY + SIGNATURE;
/// Both lengths below fit in one byte each, as LEB128 has them.
const WHOLE: usize = 2 + 1 + SECTION.len() + PAYLOAD;

/// The file with a signature at its end, in place of one that is there.
pub fn sign(wasm: &[u8], key: &Ed25519KeyPair) -> Result<Vec<u8>, Error> {
    let content = content(wasm);
    let public: [u8; KEY] =
        key.public_key().as_ref().try_into().map_err(|_| Error::Component("the key is not an Ed25519 key"))?;
    let signature = key.sign(&message(content));
    let mut signed = content.to_vec();
    signed.extend(header());
    signed.push(VERSION);
    signed.extend(public);
    signed.extend(signature.as_ref());
    Ok(signed)
}

/// Who signed the file. `sections`: the contents of all its own sections of this name.
pub(super) fn signer(wasm: &[u8], sections: &[&[u8]]) -> Result<Option<PublisherKey>, Error> {
    let payload = match sections {
        [] => return Ok(None),
        [payload] => payload,
        _ => return Err(Error::Component("it is signed more than once")),
    };
    let content = content(wasm);
    if content.len() + WHOLE != wasm.len() || payload.len() != PAYLOAD || !wasm.ends_with(payload) {
        return Err(Error::Component("its signature is not the last section, or not of a form that is known"));
    }
    let (key, signature) = payload[1..].split_at(KEY);
    let wrong = Error::Component("its signature does not fit what it contains");
    match UnparsedPublicKey::new(&ED25519, key).verify(&message(content), signature) {
        Ok(()) => Ok(key.try_into().ok().map(PublisherKey::from_bytes)),
        Err(_) => Err(wrong),
    }
}

/// The file without the signature at its end.
fn content(wasm: &[u8]) -> &[u8] {
    let Some(at) = wasm.len().checked_sub(WHOLE) else { return wasm };
    let (content, end) = wasm.split_at(at);
    let header = header();
    match end.starts_with(&header) && end[header.len()] == VERSION {
        true => content,
        false => wasm,
    }
}

/// Section id, length, length of the name, the name.
fn header() -> Vec<u8> {
    let mut header = vec![0, (1 + SECTION.len() + PAYLOAD) as u8, SECTION.len() as u8];
    header.extend(SECTION.as_bytes());
    header
}

fn message(content: &[u8]) -> Vec<u8> {
    [CONTEXT, digest::digest(&digest::SHA256, content).as_ref()].concat()
}
