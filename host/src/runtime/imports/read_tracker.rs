use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{
    super::{Fault, sandbox::Stop},
    bounded,
};
use crate::{
    barrier::{Stored, View, Writes},
    clock::Timestamp,
    limits,
};

/// One of the two views of a call (its storage, its keys) with all that was read from it: what
/// is read twice is told the same twice, and every read is something the writes rest on.
pub(in crate::runtime) struct ReadTracker {
    view: View,
    reads: BTreeMap<String, Option<Entry>>,
    /// Bytes held in `reads`.
    held: usize,
    /// Moments at which it was read.
    snapshots: usize,
}

pub(in crate::runtime) type Entry = Stored<Zeroizing<Vec<u8>>>;

impl ReadTracker {
    pub(in crate::runtime) fn new(view: View) -> Self {
        Self { view, reads: BTreeMap::new(), held: 0, snapshots: 0 }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// As it is, with the call's own writes on top.
    pub(super) async fn get(&mut self, writes: &Writes, key: &str, now: Timestamp) -> Result<Option<Entry>, Fault> {
        Ok(self.get_many(writes, std::slice::from_ref(&key), now).await?.pop().flatten())
    }

    /// The keys not read before come from one snapshot.
    pub(super) async fn get_many(
        &mut self,
        writes: &Writes,
        keys: &[impl AsRef<str>],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, Fault> {
        let unknown = |key: &&str| !self.reads.contains_key(*key) && self.view.pending(writes, key).is_none();
        let mut missing: Vec<&str> = keys.iter().map(AsRef::as_ref).filter(unknown).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            self.snapshots += 1;
            let found = bounded(self.view.get_many_bytes(&missing)).await?.map_err(Fault::Store)?;
            for (key, entry) in missing.into_iter().zip(found) {
                self.held += key.len() + entry.as_ref().map_or(0, |entry| entry.value.len());
                self.reads.insert(key.to_owned(), entry);
            }
            if self.held > limits::PLUGIN_READ_BYTES {
                return Err(Fault::Limit("storage reads"));
            }
        }
        let tell = |key: &str| match self.view.pending(writes, key) {
            Some(pending) => pending.filter(|entry| entry.expires_at.is_none_or(|end| end > now)),
            None => self.reads.get(key).cloned().flatten(),
        };
        let (mut told, mut bytes) = (Vec::with_capacity(keys.len()), 0_usize);
        for key in keys {
            let entry = tell(key.as_ref());
            // Each time: who asks for one key often is given as many copies.
            bytes += entry.as_ref().map_or(0, |entry| entry.value.len());
            if bytes > limits::PLUGIN_READ_BYTES {
                return Err(Fault::Limit("storage reads"));
            }
            told.push(entry);
        }
        Ok(told)
    }

    pub(in crate::runtime) fn snapshots(&self) -> usize {
        self.snapshots
    }

    /// Makes `writes` rest on everything that was read, found or not.
    pub(in crate::runtime) fn expect_reads(&self, writes: &mut Writes) {
        for (key, read) in &self.reads {
            self.view.expect_as_read(writes, key, read.as_ref());
        }
    }

    /// Would the same reads be told the same now?
    pub(in crate::runtime) async fn is_stale(&self) -> Result<bool, Fault> {
        if self.reads.is_empty() {
            return Ok(false);
        }
        let keys: Vec<&String> = self.reads.keys().collect();
        let found = bounded(self.view.get_many_bytes(&keys)).await?.map_err(Fault::Store)?;
        let version = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.version);
        Ok(self.reads.values().zip(&found).any(|(then, now)| version(then) != version(now)))
    }
}

/// A key is a name and has no path meaning: any UTF-8 without NUL.
pub(super) fn check_key(key: &str) -> Result<(), Stop> {
    if key.is_empty() || key.len() > limits::PLUGIN_KEY_BYTES || key.contains('\0') {
        return Err(Stop::told("invalid", "a key must be 1 to 1200 bytes without NUL"));
    }
    Ok(())
}
