use coffer_plugin_sdk::prelude::*;

use crate::{
    algorithm::Work,
    record::Key,
    token::{Bytes, Token},
};

/// What a ciphertext is bound to besides its key. Both must be told again to open it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Encrypt {
    plaintext: Bytes,
    /// Whose text it is. Of a convergent key: only below one context do equal texts look equal.
    context: Option<Bytes>,
    associated_data: Option<Bytes>,
    /// The newest, if left out.
    key_version: Option<u32>,
}

#[derive(Serialize)]
pub struct Encrypted {
    ciphertext: Token,
    key_version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decrypt {
    ciphertext: Token,
    context: Option<Bytes>,
    associated_data: Option<Bytes>,
}

#[derive(Serialize)]
pub struct Decrypted {
    plaintext: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrap {
    ciphertext: Token,
    context: Option<Bytes>,
    associated_data: Option<Bytes>,
    key_version: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataKey {
    #[serde(default = "bits")]
    bits: u32,
    /// False: only the wrapped key is told, for who stores it and does not use it.
    #[serde(default = "yes")]
    plaintext: bool,
    context: Option<Bytes>,
    associated_data: Option<Bytes>,
}

/// As a data key, but for what tells its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedDataKey {
    #[serde(default = "bits")]
    bits: u32,
    context: Option<Bytes>,
    associated_data: Option<Bytes>,
}

impl From<WrappedDataKey> for DataKey {
    fn from(WrappedDataKey { bits, context, associated_data }: WrappedDataKey) -> Self {
        Self { bits, plaintext: false, context, associated_data }
    }
}

const fn bits() -> u32 {
    256
}

const fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct NewDataKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Bytes>,
    #[serde(flatten)]
    wrapped: Encrypted,
}

pub fn encrypt(key: &mut Key<'_>, asked: Encrypt) -> Result<Encrypted> {
    let aad = bound_to(key, asked.context, asked.associated_data)?;
    seal(key, &asked.plaintext.0, &aad, asked.key_version)
}

pub fn decrypt(key: &mut Key<'_>, asked: Decrypt) -> Result<Decrypted> {
    let aad = bound_to(key, asked.context, asked.associated_data)?;
    Ok(Decrypted { plaintext: Bytes(open(key, &asked.ciphertext, &aad)?) })
}

/// Under the newest version, without telling the text.
pub fn rewrap(key: &mut Key<'_>, asked: Rewrap) -> Result<Encrypted> {
    let aad = bound_to(key, asked.context, asked.associated_data)?;
    let plaintext = open(key, &asked.ciphertext, &aad)?;
    seal(key, &plaintext, &aad, asked.key_version)
}

/// A new key for somebody else's encryption, and the same wrapped by this one.
pub fn datakey(path: &str, asked: &DataKey) -> Result<Response> {
    if ![128, 256, 512].contains(&asked.bits) {
        return Err(Error::invalid("/bits", "out_of_range", "must be 128, 256 or 512"));
    }
    let mut key = Key::get(path)?;
    let aad = bound_to(&key, asked.context.clone(), asked.associated_data.clone())?;
    let plaintext = crypto::random(asked.bits / 8);
    let wrapped = seal(&mut key, &plaintext, &aad, None)?;
    Response::json(&NewDataKey { plaintext: asked.plaintext.then_some(Bytes(plaintext)), wrapped })
}

fn seal(key: &mut Key<'_>, plaintext: &[u8], aad: &[u8], asked: Option<u32>) -> Result<Encrypted> {
    let (version, handle) = key.maker(asked)?;
    let bytes = handle.encrypt(plaintext, aad)?;
    Ok(Encrypted { ciphertext: Token { version, bytes }, key_version: version })
}

fn open(key: &mut Key<'_>, ciphertext: &Token, aad: &[u8]) -> Result<Vec<u8>> {
    let opened = key.checker(ciphertext.version, "/ciphertext")?.decrypt(&ciphertext.bytes, aad);
    // What of it is wrong nobody can say: the text, the key, the context or the associated data.
    opened.map_err(|error| match error.code.as_str() {
        "invalid" => Error::invalid("/ciphertext", "does_not_open", "does not open with this key, context and data"),
        _ => error,
    })
}

/// The associated data of the cipher: which form this is, then context and data, kept apart by length.
fn bound_to(key: &Key<'_>, context: Option<Bytes>, data: Option<Bytes>) -> Result<Vec<u8>> {
    key.must_do(Work::Encrypt)?;
    let (context, data) = (context.unwrap_or_default().0, data.unwrap_or_default().0);
    if context.is_empty() && key.record.algorithm.is_convergent() {
        return Err(Error::invalid("/context", "missing", "is required by a convergent key"));
    }
    Ok([b"coffer transit 1".as_slice(), &(context.len() as u64).to_be_bytes(), &context, &data].concat())
}
