//! The mount's own keys, encrypted by the host. Values are JSON of any type that serialises.
//!
//! Reads see what is committed and this call's own writes. Nothing is stored until the call has
//! returned success; if a key that it got has changed by then, the call runs again.

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::coffer::plugin::storage::Page;
use crate::{Error, Result, Timestamp, bindings::coffer::plugin::storage as raw, host};

/// A value as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<T> {
    pub value: T,
    /// Another one after every write; only good for comparing.
    pub revision: u64,
    /// From then on the entry does not exist.
    pub expires_at: Option<Timestamp>,
}

pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<Entry<T>>> {
    host::current().get(key)?.map(|entry| typed(key, entry)).transpose()
}

/// In the order asked for, from one snapshot.
pub fn get_many<T: DeserializeOwned>(keys: &[impl AsRef<str>]) -> Result<Vec<Option<Entry<T>>>> {
    let keys: Vec<String> = keys.iter().map(|key| key.as_ref().to_owned()).collect();
    let found = host::current().get_many(&keys)?;
    keys.iter().zip(found).map(|(key, entry)| entry.map(|entry| typed(key, entry)).transpose()).collect()
}

/// Puts a value, and says when it ends, if at all.
pub fn put<T: Serialize + ?Sized>(key: &str, value: &T, expires_at: Option<Timestamp>) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|_| Error::internal("a value to be stored does not serialise"))?;
    put_bytes(key, &bytes, expires_at)
}

/// Puts bytes as they are; `get` reads them if they are JSON.
pub fn put_bytes(key: &str, bytes: &[u8], expires_at: Option<Timestamp>) -> Result<()> {
    host::current().put(key, bytes, expires_at.map(Timestamp::millis))
}

pub fn delete(key: &str) -> Result<()> {
    host::current().delete(key)
}

/// Moves an entry's end without sending its value again.
pub fn expire(key: &str, expires_at: Option<Timestamp>) -> Result<()> {
    host::current().expire(key, expires_at.map(Timestamp::millis))
}

/// Keys in byte order. With a delimiter, keys are cut after it and told once. `next` is what
/// `after` is to be for the next page.
pub fn list(prefix: &str, delimiter: Option<&str>, after: Option<&str>, limit: u32) -> Result<Page> {
    host::current().list(prefix, delimiter, after, limit)
}

fn typed<T: DeserializeOwned>(key: &str, entry: raw::Entry) -> Result<Entry<T>> {
    let value = serde_json::from_slice(&entry.value)
        .map_err(|_| Error::internal(format!("the entry at {key} is not as this version of the plugin writes it")))?;
    Ok(Entry { value, revision: entry.revision, expires_at: entry.expires_at_ms.map(Timestamp::from_millis) })
}
