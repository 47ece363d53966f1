//! The store without Redis: families on the same storage as everything else. Every operation is
//! one conditional batch, together with the writes that come with it. For one node.

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Error, Listed, Record, Refill, Store, Touch, Verdict, Was, uses::stripe};
use crate::{
    barrier::{self, Barrier, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{SessionId, UserId},
    limits,
};

/// Families below `session/family/`, the index below `session/user/<user id>/`.
#[derive(Debug)]
pub struct Embedded {
    barrier: Barrier,
    families: View,
    users: View,
    /// Changes of a family are made one at a time, so that a crowd does not live on conflicts.
    turns: [Mutex<()>; 64],
}

impl Embedded {
    pub fn new(barrier: Barrier) -> Self {
        let view = barrier.view(Prefix::Session);
        let (families, users) = (view.within("family/"), view.within("user/"));
        Self { barrier, families, users, turns: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Reads, lets `change` decide, writes if it is `Done`.
    async fn change(
        &self,
        id: &SessionId,
        with: Writes,
        change: impl Fn(&mut Record) -> Verdict + Send + Sync,
    ) -> Result<Verdict, Error> {
        let _turn = self.turns[stripe(id, self.turns.len())].lock().await;
        for _ in 0..limits::SESSION_ATTEMPTS {
            let Some(mut stored) = self.read(id).await? else { return Ok(gone(&with)) };
            let before = stored.value.clone();
            match change(&mut stored.value) {
                Verdict::Done => {}
                other => return Ok(other),
            }
            if stored.value == before && with.is_empty() {
                return Ok(Verdict::Done);
            }
            let mut writes = with.clone();
            self.families.expect_as_read(&mut writes, id.as_str(), Some(&stored));
            self.families.put(&mut writes, id.as_str(), &stored.value, stored.expires_at);
            match self.barrier.commit(writes).await {
                Ok(()) => return Ok(Verdict::Done),
                // What came with it may be to blame, and is then for the caller to look at again.
                Err(barrier::Error::Conflict) if !with.is_empty() => return Ok(Verdict::Conflict),
                Err(barrier::Error::Conflict) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Away("a session that does not stand still".to_owned()))
    }

    async fn read(&self, id: &SessionId) -> Result<Option<Stored<Record>>, Error> {
        match self.families.get(id.as_str()).await {
            Err(barrier::Error::Corrupt(_)) => {
                tracing::warn!(session = %id, "the record of a session was altered outside of the server; it is refused");
                Ok(None)
            }
            other => Ok(other?),
        }
    }
}

/// In one batch nothing is stored unless all is, so a record that is another is a conflict.
fn gone(with: &Writes) -> Verdict {
    if with.is_empty() { Verdict::Moved } else { Verdict::Conflict }
}

#[async_trait]
impl Store for Embedded {
    fn namespace(&self) -> &str {
        "embedded"
    }

    async fn get(&self, id: &SessionId) -> Result<Option<Record>, Error> {
        Ok(self.read(id).await?.map(|stored| stored.value))
    }

    async fn insert(&self, listed: &Listed, record: Record, end: Timestamp, with: Writes) -> Result<Verdict, Error> {
        let mut writes = with;
        let (id, place) = (listed.id.as_str(), place(listed));
        self.families.expect(&mut writes, id, crate::storage::Expect::Absent);
        self.families.put(&mut writes, id, &record, Some(end));
        self.users.put(&mut writes, &place, &(), Some(end));
        match self.barrier.commit(writes).await {
            Ok(()) => Ok(Verdict::Done),
            Err(barrier::Error::Conflict) => Ok(Verdict::Conflict),
            Err(other) => Err(other.into()),
        }
    }

    async fn rewrite(&self, id: &SessionId, was: &Was, record: Record, with: Writes) -> Result<Verdict, Error> {
        let other = gone(&with);
        let rewrite = |stored: &mut Record| {
            if stored.rev != was.rev || was.unused && stored.used {
                return other;
            }
            let Record { rev, sealed, a, r, used, seen, .. } = record.clone();
            (stored.rev, stored.sealed) = (rev, sealed);
            if was.pair {
                (stored.a, stored.r, stored.used, stored.seen) = (a, r, used, seen);
            }
            Verdict::Done
        };
        self.change(id, with, rewrite).await
    }

    async fn touch(&self, id: &SessionId, touch: &Touch) -> Result<Verdict, Error> {
        let note = |stored: &mut Record| {
            if stored.rev != touch.rev || stored.a != touch.a {
                return Verdict::Moved;
            }
            let idle = Timestamp::from_millis(stored.seen.millis().saturating_add(touch.idle));
            if touch.now >= touch.until.min(idle) {
                return Verdict::Moved;
            }
            if let Some(size) = touch.take {
                // More than a block cannot have been released.
                if stored.left == 0 || stored.left > size {
                    return Verdict::Empty(stored.block);
                }
                stored.left -= 1;
            }
            stored.used = true;
            stored.seen = stored.seen.max(touch.now);
            Verdict::Done
        };
        self.change(id, Writes::default(), note).await
    }

    async fn refill(&self, id: &SessionId, refill: &Refill) -> Result<Verdict, Error> {
        let install = |stored: &mut Record| {
            if stored.rev != refill.rev || stored.block != refill.from {
                return Verdict::Moved;
            }
            (stored.block, stored.left) = (refill.block, refill.left);
            Verdict::Done
        };
        self.change(id, Writes::default(), install).await
    }

    async fn remove(&self, id: &SessionId) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.families.delete(&mut writes, id.as_str());
        Ok(self.barrier.commit(writes).await?)
    }

    async fn of_user(&self, user: &UserId) -> Result<Vec<Listed>, Error> {
        let folder = format!("{user}/");
        let page = self.users.list(&folder, None, None, limits::LIST_EXAMINED).await?;
        let listed = page.keys.iter().filter_map(|key| {
            let (created, id) = key.strip_prefix(&folder)?.split_once('.')?;
            let created_at = Timestamp::from_millis(i64::from_str_radix(created, 16).ok()?);
            Some(Listed { id: SessionId::parse(id).ok()?, user: user.clone(), created_at })
        });
        Ok(listed.collect())
    }

    async fn unlist(&self, listed: &Listed) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.users.delete(&mut writes, &place(listed));
        Ok(self.barrier.commit(writes).await?)
    }
}

/// Oldest first in byte order.
fn place(listed: &Listed) -> String {
    format!("{}/{:016x}.{}", listed.user, listed.created_at.millis(), listed.id)
}
