use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    clock::Timestamp,
    storage::{Batch, Entry, Error, Expect, Key, Version, Write},
};

/// Decides the batches of one transaction, in order and in memory: each sees what those before
/// it have changed, and one that conflicts changes nothing.
#[derive(Default)]
pub(super) struct Ledger {
    /// Of keys that somebody expects something of: what stands there.
    found: HashMap<Key, (Version, Option<Timestamp>)>,
    /// What is to be written in the end, in key order.
    changes: BTreeMap<Key, Write>,
}

impl Ledger {
    /// The keys that must be looked up before anything is decided.
    pub(super) fn wanted<'a>(batches: impl Iterator<Item = &'a Batch>) -> Vec<&'a Key> {
        let keys: HashSet<&Key> = batches.flat_map(|batch| batch.expects.iter().map(|(key, _)| key)).collect();
        keys.into_iter().collect()
    }

    pub(super) fn new(found: Vec<(Key, (Version, Option<Timestamp>))>) -> Self {
        Self { found: found.into_iter().collect(), changes: BTreeMap::new() }
    }

    pub(super) fn decide(&mut self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        if batch.expects.iter().any(|(key, expect)| self.live(key, now) != wanted(*expect)) {
            return Err(Error::Conflict);
        }
        for (key, write) in batch.writes {
            match &write {
                Write::Put(entry) => self.found.insert(key.clone(), (entry.version, entry.expires_at)),
                Write::Delete => self.found.remove(&key),
            };
            self.changes.insert(key, write);
        }
        Ok(())
    }

    pub(super) fn puts(&self) -> Vec<(&Key, &Entry)> {
        let puts = self.changes.iter().map(|(key, write)| match write {
            Write::Put(entry) => Some((key, entry)),
            Write::Delete => None,
        });
        puts.flatten().collect()
    }

    pub(super) fn deletes(&self) -> Vec<&Key> {
        self.changes.iter().filter(|(_, write)| matches!(write, Write::Delete)).map(|(key, _)| key).collect()
    }

    fn live(&self, key: &Key, now: Timestamp) -> Option<Version> {
        self.found.get(key).filter(|(_, end)| end.is_none_or(|end| end > now)).map(|(version, _)| *version)
    }
}

const fn wanted(expect: Expect) -> Option<Version> {
    match expect {
        Expect::Absent => None,
        Expect::Version(version) => Some(version),
    }
}
