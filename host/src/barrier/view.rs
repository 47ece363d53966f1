use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Barrier, Error, Writes, envelope::Bound};
use crate::{
    clock::Timestamp,
    limits,
    storage::{Expect, Key, Page, Range, Version},
};

/// The entries below one prefix, decrypted. Cannot reach outside of it: every key is appended.
#[derive(Clone, Debug)]
pub struct View {
    barrier: Barrier,
    prefix: String,
}

/// A value as it is stored.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    pub value: T,
    pub version: Version,
    pub expires_at: Option<Timestamp>,
}

/// What there is of a key, or why it cannot be read.
type Bytes = Result<Option<Stored<Zeroizing<Vec<u8>>>>, Error>;

impl View {
    pub(super) fn new(barrier: Barrier, prefix: String) -> Self {
        Self { barrier, prefix }
    }

    /// A view of what lies below `folder` in this one. `folder` must end in `/`.
    pub fn within(&self, folder: &str) -> Self {
        debug_assert!(folder.ends_with('/'));
        Self { barrier: self.barrier.clone(), prefix: self.full(folder) }
    }

    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Stored<T>>, Error> {
        Ok(self.get_many(std::slice::from_ref(&key)).await?.pop().flatten())
    }

    pub async fn get_bytes(&self, key: &str) -> Result<Option<Stored<Zeroizing<Vec<u8>>>>, Error> {
        Ok(self.get_many_bytes(std::slice::from_ref(&key)).await?.pop().flatten())
    }

    /// In the order asked for, from one snapshot.
    pub async fn get_many<T: DeserializeOwned>(
        &self,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<Option<Stored<T>>>, Error> {
        self.get_each(keys).await?.into_iter().collect()
    }

    /// The same where one that cannot be read takes nothing else with it.
    pub async fn get_each<T: DeserializeOwned>(
        &self,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<Result<Option<Stored<T>>, Error>>, Error> {
        let found = self.get_each_bytes(keys).await?;
        let read = keys.iter().zip(found).map(|(key, stored)| {
            let Some(Stored { value, version, expires_at }) = stored? else { return Ok(None) };
            let corrupt = |_| Error::Corrupt(self.full(key.as_ref()));
            Ok(Some(Stored { value: serde_json::from_slice(&value).map_err(corrupt)?, version, expires_at }))
        });
        Ok(read.collect())
    }

    /// `get_many` of bytes.
    pub async fn get_many_bytes(
        &self,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<Option<Stored<Zeroizing<Vec<u8>>>>>, Error> {
        self.get_each_bytes(keys).await?.into_iter().collect()
    }

    /// `get_each` of bytes.
    pub async fn get_each_bytes(&self, keys: &[impl AsRef<str>]) -> Result<Vec<Bytes>, Error> {
        let mut keyring = self.barrier.keyring()?;
        let keys: Vec<Key> = keys.iter().map(|key| self.full(key.as_ref())).collect();
        let found = self.barrier.0.storage.get(&keys, self.barrier.now()).await?;
        if !found.iter().flatten().all(|entry| keyring.knows_term_of(entry)) {
            keyring = match self.barrier.reload(keyring.clone()).await {
                Ok(new) => new,
                Err(error @ (Error::Away(_) | Error::Sealed)) => return Err(error),
                // Then it is the value that is wrong, and says so below.
                Err(_) => keyring,
            };
        }
        let open = |(key, entry): (&Key, Option<crate::storage::Entry>)| {
            let Some(entry) = entry else { return Ok(None) };
            let (version, expires_at) = (entry.version, entry.expires_at);
            let value = keyring.unseal(&Bound { key, version, expires_at }, &entry.value)?;
            Ok(Some(Stored { value, version, expires_at }))
        };
        Ok(keys.iter().zip(found).map(open).collect())
    }

    /// Keys relative to this view, in byte order. See `storage::Range`.
    pub async fn list(
        &self,
        prefix: &str,
        delimiter: Option<char>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.barrier.keyring()?;
        let after = after.map(|after| self.full(after));
        let range = Range { prefix: self.full(prefix), delimiter, after, limit };
        let mut page = self.barrier.0.storage.list(range, self.barrier.now()).await?;
        for key in &mut page.keys {
            key.drain(..self.prefix.len());
        }
        Ok(page)
    }

    /// Every key of a stretch, however many there are; with a delimiter, every folder.
    pub async fn keys(&self, prefix: &str, delimiter: Option<char>) -> Result<Vec<String>, Error> {
        let (mut keys, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list(prefix, delimiter, after.as_deref(), limits::LIST_MOST).await?;
            keys.extend(page.keys);
            match page.more {
                true => after = keys.last().cloned(),
                false => return Ok(keys),
            }
        }
    }

    /// Proposes a value; says which version it will have.
    pub fn put<T: Serialize + ?Sized>(&self, to: &mut Writes, key: &str, value: &T, end: Option<Timestamp>) -> Version {
        let bytes = serde_json::to_vec(value).expect("our own records serialise");
        self.put_bytes(to, key, Zeroizing::new(bytes), end)
    }

    pub fn put_bytes(&self, to: &mut Writes, key: &str, value: Zeroizing<Vec<u8>>, end: Option<Timestamp>) -> Version {
        to.put(self.full(key), value, end)
    }

    pub fn delete(&self, to: &mut Writes, key: &str) {
        to.delete(self.full(key));
    }

    /// Makes `to` rest on the key being so.
    pub fn expect(&self, to: &mut Writes, key: &str, expect: Expect) {
        to.expect(self.full(key), expect);
    }

    /// Makes `to` rest on what was read: that entry, or none.
    pub fn expect_as_read<T>(&self, to: &mut Writes, key: &str, read: Option<&Stored<T>>) {
        self.expect(to, key, read.map_or(Expect::Absent, |stored| Expect::Version(stored.version)));
    }

    /// What `writes` would make of `key`: not touched, deleted, or put with this value.
    pub fn pending(&self, writes: &Writes, key: &str) -> Option<Option<Stored<Zeroizing<Vec<u8>>>>> {
        let plain = writes.pending(&self.full(key))?;
        Some(plain.map(|p| Stored { value: p.value.clone(), version: p.version, expires_at: p.expires_at }))
    }

    /// Keys below `prefix` that `writes` touches, relative to this view; true where it is put.
    pub fn pending_below(&self, writes: &Writes, prefix: &str) -> Vec<(String, bool)> {
        let full = self.full(prefix);
        writes.pending_below(&full).map(|(key, put)| (key[self.prefix.len()..].to_owned(), put)).collect()
    }

    pub async fn commit(&self, writes: Writes) -> Result<(), Error> {
        self.barrier.commit(writes).await
    }

    fn full(&self, key: &str) -> Key {
        format!("{}{key}", self.prefix)
    }
}
