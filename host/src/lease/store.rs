//! Where leases are kept, and the indexes that lead to them: written in one batch with the record,
//! so that they never disagree.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::record::Record;
use crate::{
    barrier::{Barrier, Error, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{LeaseId, MountId, SessionId, UserId},
    limits,
    storage::Expect,
};

/// Records that are read at a time.
const AT_ONCE: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Store {
    leases: View,
    pub(super) due: View,
    pub(super) paths: View,
    pub(super) mounts: View,
    pub(super) users: View,
    pub(super) sessions: View,
    turns: View,
}

/// Who holds what a mount has lent. No user: what nobody has asked for is the mount's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    pub(super) mount: &'a MountId,
    pub(super) user: Option<&'a UserId>,
}

impl Holder<'_> {
    fn name(&self) -> &str {
        self.user.map_or(self.mount.as_str(), UserId::as_str)
    }

    /// Below it is what they hold of this mount.
    pub(super) fn folder(&self) -> String {
        format!("{}/{}/", self.mount, self.name())
    }
}

impl Store {
    pub(super) fn new(barrier: &Barrier) -> Self {
        Self {
            leases: barrier.view(Prefix::Lease),
            due: barrier.view(Prefix::LeaseDue),
            paths: barrier.view(Prefix::LeasePath),
            mounts: barrier.view(Prefix::LeaseMount),
            users: barrier.view(Prefix::LeaseUser),
            sessions: barrier.view(Prefix::LeaseSession),
            turns: barrier.view(Prefix::LeaseSweep),
        }
    }

    /// Answers the record as it will be stored.
    pub(super) fn insert(&self, to: &mut Writes, id: &LeaseId, record: Record) -> Stored<Record> {
        self.leases.expect(to, id.as_str(), Expect::Absent);
        for (index, key) in self.places(id, &record) {
            index.put_bytes(to, &key, Zeroizing::default(), None);
        }
        self.put(to, id, record)
    }

    /// In the place of what was read; its mount, path, user and session stay.
    pub(super) fn replace(
        &self,
        to: &mut Writes,
        id: &LeaseId,
        was: &Stored<Record>,
        record: Record,
    ) -> Stored<Record> {
        self.leases.expect_as_read(to, id.as_str(), Some(was));
        let (before, after) = (self.places(id, &was.value), self.places(id, &record));
        let keys = |places: &[(&View, String)]| places.iter().map(|(_, key)| key.clone()).collect::<HashSet<_>>();
        let (old, new) = (keys(&before), keys(&after));
        before.iter().filter(|(_, key)| !new.contains(key)).for_each(|(index, key)| index.delete(to, key));
        for (index, key) in after.iter().filter(|(_, key)| !old.contains(key)) {
            index.put_bytes(to, key, Zeroizing::default(), None);
        }
        self.put(to, id, record)
    }

    /// Has every index lead to it as it is.
    pub(super) fn settle(&self, to: &mut Writes, id: &LeaseId, was: &Stored<Record>) {
        self.leases.expect_as_read(to, id.as_str(), Some(was));
        for (index, key) in self.places(id, &was.value) {
            index.put_bytes(to, &key, Zeroizing::default(), None);
        }
    }

    pub(super) fn remove(&self, to: &mut Writes, id: &LeaseId, was: &Stored<Record>) {
        self.leases.expect_as_read(to, id.as_str(), Some(was));
        self.leases.delete(to, id.as_str());
        self.places(id, &was.value).iter().for_each(|(index, key)| index.delete(to, key));
    }

    pub(super) async fn get(&self, id: &LeaseId) -> Result<Option<Stored<Record>>, Error> {
        self.leases.get(id.as_str()).await
    }

    /// Those that are there, in the order asked for.
    pub(super) async fn get_many(&self, ids: &[LeaseId]) -> Result<Vec<(LeaseId, Record)>, Error> {
        let mut found = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let keys: Vec<&str> = some.iter().map(LeaseId::as_str).collect();
            let records = some.iter().zip(self.leases.get_many(&keys).await?);
            found.extend(records.filter_map(|(id, stored)| Some((id.clone(), stored?.value))));
        }
        Ok(found)
    }

    /// What of one mount there is something to do about, the longest due first: so much at a time.
    pub(super) async fn due(&self, mount: &MountId, now: Timestamp) -> Result<Vec<LeaseId>, Error> {
        let page = self.due.list(&format!("{mount}/"), None, None, limits::LEASES_DUE).await?;
        let due = page.keys.iter().filter_map(|key| Some((due_in(key)?, id_in(key)?)));
        Ok(due.take_while(|(at, _)| *at <= now).map(|(_, id)| id).collect())
    }

    /// Ids below a stretch of an index, at most `most`, after a key; and the last key that was looked at.
    pub(super) async fn ids(
        &self,
        (index, prefix): (&View, &str),
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<(String, LeaseId)>, bool), Error> {
        let page = index.list(prefix, None, after, most).await?;
        let id = |key: String| id_in(&key).map(|id| (key, id));
        Ok((page.keys.into_iter().filter_map(id).collect(), page.more))
    }

    /// All of them.
    pub(super) async fn all_ids(&self, index: &View, prefix: &str) -> Result<Vec<LeaseId>, Error> {
        Ok(index.keys(prefix, None).await?.iter().filter_map(|key| id_in(key)).collect())
    }

    /// Are there so many below it already? Looks at no more than it must.
    pub(super) async fn has_at_least(&self, index: &View, prefix: &str, wanted: usize) -> Result<bool, Error> {
        let (mut count, mut after) = (0, None::<String>);
        loop {
            let page = index.list(prefix, None, after.as_deref(), limits::LIST_MOST.min(wanted - count)).await?;
            count += page.keys.len();
            if count >= wanted || !page.more {
                return Ok(count >= wanted);
            }
            after = page.keys.last().cloned();
        }
    }

    pub(super) async fn borrowing(&self, after: Option<&str>) -> Result<(Vec<(String, SessionId)>, bool), Error> {
        let page = self.sessions.list("", Some('/'), after, limits::LIST_MOST).await?;
        let id = |key: String| {
            let id = SessionId::parse(key.trim_end_matches('/')).ok()?;
            Some((key, id))
        };
        Ok((page.keys.into_iter().filter_map(id).collect(), page.more))
    }

    pub(super) async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.mounts.list("", None, None, 1).await?.keys.is_empty())
    }

    pub(super) async fn lenders(&self) -> Result<HashSet<MountId>, Error> {
        let mounts = self.mounts.keys("", Some('/')).await?;
        Ok(mounts.iter().filter_map(|key| MountId::parse(key.trim_end_matches('/')).ok()).collect())
    }

    /// Is it this node's turn to do something that one does at a time? A dead one's turn ends by itself.
    pub(super) async fn turn(&self, what: &str, until: Timestamp) -> Result<bool, Error> {
        if self.turns.get_bytes(what).await?.is_some() {
            return Ok(false);
        }
        let mut writes = Writes::default();
        self.turns.expect(&mut writes, what, Expect::Absent);
        self.turns.put_bytes(&mut writes, what, Zeroizing::default(), Some(until));
        match self.turns.commit(writes).await {
            Ok(()) => Ok(true),
            Err(Error::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put(&self, to: &mut Writes, id: &LeaseId, record: Record) -> Stored<Record> {
        let version = self.leases.put(to, id.as_str(), &record, None);
        Stored { value: record, version, expires_at: None }
    }

    /// Where the indexes have it.
    fn places(&self, id: &LeaseId, record: &Record) -> Vec<(&View, String)> {
        let Record { mount, path, user, .. } = record;
        let holder = Holder { mount, user: user.as_ref() };
        let mut places = vec![
            (&self.due, format!("{mount}/{:016}/{id}", record.due.millis().max(0))),
            (&self.paths, format!("{path}/{id}")),
            (&self.mounts, format!("{}{id}", holder.folder())),
            (&self.users, format!("{}/{id}", holder.name())),
        ];
        // What is to go anyway need not be asked about again.
        if let Some(session) = record.session.as_ref().filter(|_| !record.ending) {
            places.push((&self.sessions, format!("{session}/{id}")));
        }
        places
    }
}

/// Every index ends in it.
pub(super) fn id_in(key: &str) -> Option<LeaseId> {
    LeaseId::parse(key.rsplit('/').next().unwrap_or_default()).ok()
}

fn due_in(key: &str) -> Option<Timestamp> {
    Some(Timestamp::from_millis(key.split('/').nth(1)?.parse().ok()?))
}
