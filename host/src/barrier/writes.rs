use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Error, envelope::Bound, keyring::Keyring};
use crate::{
    clock::Timestamp,
    storage::{Batch, Entry, Expect, Key, Version, Write},
};

/// Writes that somebody proposes and what they rest on, in the clear, not yet stored. Services
/// propose through their `View`s; a use case merges and commits once.
#[derive(Clone, Default)]
pub struct Writes {
    expects: BTreeMap<Key, Expect>,
    writes: BTreeMap<Key, Option<Plain>>,
}

#[derive(Clone)]
pub(super) struct Plain {
    pub(super) value: Zeroizing<Vec<u8>>,
    pub(super) version: Version,
    pub(super) expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for Writes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writes").field("expects", &self.expects).field("keys", &self.writes.keys()).finish()
    }
}

impl Writes {
    /// Adds what `other` proposes. Where both write a key, the later one stands; where they expect
    /// different things of a key, the earlier expectation stands (it was read first).
    pub fn merge(&mut self, other: Self) {
        for (key, expect) in other.expects {
            self.expects.entry(key).or_insert(expect);
        }
        self.writes.extend(other.writes);
    }

    /// Nothing is written. (An expectation alone is no reason to commit.)
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn expect(&mut self, key: Key, expect: Expect) {
        self.expects.entry(key).or_insert(expect);
    }

    pub(super) fn put(&mut self, key: Key, value: Zeroizing<Vec<u8>>, expires_at: Option<Timestamp>) -> Version {
        let version = Version::random();
        self.writes.insert(key, Some(Plain { value, version, expires_at }));
        version
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.writes.insert(key, None);
    }

    /// What these writes would make of `key`: not touched, deleted, or put.
    pub(super) fn pending(&self, key: &str) -> Option<Option<&Plain>> {
        self.writes.get(key).map(Option::as_ref)
    }

    pub(super) fn pending_below(&self, prefix: &str) -> impl Iterator<Item = (&Key, bool)> {
        let from = self.writes.range(prefix.to_owned()..);
        let prefix = prefix.to_owned();
        from.take_while(move |(key, _)| key.starts_with(&prefix)).map(|(key, plain)| (key, plain.is_some()))
    }

    /// A key and version by which it can be told afterwards whether these were stored.
    pub(super) fn witness(&self) -> Option<(Key, Version)> {
        self.writes.iter().find_map(|(key, plain)| plain.as_ref().map(|plain| (key.clone(), plain.version)))
    }

    pub(super) fn seal(self, keyring: &Keyring) -> Result<Batch, Error> {
        let seal = |(key, plain): (Key, Option<Plain>)| {
            let Some(Plain { value, version, expires_at }) = plain else { return Ok((key, Write::Delete)) };
            let value = keyring.seal(&Bound { key: &key, version, expires_at }, &value)?;
            Ok((key, Write::Put(Entry { value, version, expires_at })))
        };
        let writes = self.writes.into_iter().map(seal).collect::<Result<_, Error>>()?;
        Ok(Batch { expects: self.expects.into_iter().collect(), writes })
    }
}
