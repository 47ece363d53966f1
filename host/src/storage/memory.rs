use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{Backend, Batch, Entry, Error, Expect, Key, Page, Range, Write, bounds};
use crate::{clock::Timestamp, limits};

/// The reference for what a backend does: a map behind a lock. Unit tests of the modules
/// above run on it, and the randomised conformance story compares the real stores with it.
#[derive(Debug, Default)]
pub struct Memory {
    entries: Mutex<BTreeMap<Key, Entry>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is stored, expired or not: what a thief of the disk would see.
    pub fn dump(&self) -> Vec<(Key, Entry)> {
        self.lock().iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Puts a row in place behind everybody's back, as whoever writes to the disk could.
    pub fn tamper(&self, key: &str, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.lock().insert(key.to_owned(), entry),
            None => self.lock().remove(key),
        };
    }
}

fn live(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|end| end > now)
}

#[async_trait]
impl Backend for Memory {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error> {
        bounds::keys(keys)?;
        let entries = self.lock();
        Ok(keys.iter().map(|key| entries.get(key).filter(|entry| live(entry, now)).cloned()).collect())
    }

    async fn list(&self, mut range: Range, now: Timestamp) -> Result<Page, Error> {
        bounds::range(&range)?;
        range.limit = range.limit.min(limits::LIST_EXAMINED);
        let entries = self.lock();
        let start = match &range.after {
            Some(after) if *after >= range.prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(range.prefix.clone()),
        };
        let mut page = Page::default();
        let within = entries.range((start, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&range.prefix));
        for (key, _) in within.filter(|(_, entry)| live(entry, now)) {
            let cut = range.delimiter.and_then(|d| key[range.prefix.len()..].find(d).map(|at| at + d.len_utf8()));
            let name = &key[..cut.map_or(key.len(), |at| range.prefix.len() + at)];
            if page.keys.last().is_some_and(|last| last == name) || range.after.as_deref() == Some(name) {
                continue;
            }
            if page.keys.len() == range.limit {
                page.more = true;
                break;
            }
            page.keys.push(name.to_owned());
        }
        Ok(page)
    }

    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        bounds::batch(&batch)?;
        let mut entries = self.lock();
        for (key, expect) in &batch.expects {
            let found = entries.get(key).filter(|entry| live(entry, now)).map(|entry| entry.version);
            let wanted = match expect {
                Expect::Absent => None,
                Expect::Version(version) => Some(*version),
            };
            if found != wanted {
                return Err(Error::Conflict);
            }
        }
        for (key, write) in batch.writes {
            match write {
                Write::Put(entry) => entries.insert(key, entry),
                Write::Delete => entries.remove(&key),
            };
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error> {
        let mut entries = self.lock();
        let gone: Vec<Key> =
            entries.iter().filter(|(_, entry)| !live(entry, now)).map(|(key, _)| key.clone()).take(most).collect();
        for key in &gone {
            entries.remove(key);
        }
        Ok(gone.len())
    }

    async fn close(&self) {}
}
