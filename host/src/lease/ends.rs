//! Why leases end before their time: their session has ended, their mount is gone, or somebody says
//! so. All of it only moves them to the front of what is due. Sessions are looked at, not listened
//! to: however one ended, and whoever died meanwhile, its leases are found.

use futures_util::{StreamExt, stream};

use super::{Error, Leases, Requester, Selection, record::Record};
use crate::{
    barrier::{self, Writes},
    ids::{Action, LeaseId, SessionId},
    limits,
};

/// Sessions and leases that are looked at side by side.
const AT_ONCE: usize = 16;

impl Leases {
    /// Looks for what has ended. To be asked for again and again, on every node; one at a time looks.
    pub async fn sweep_ended(&self) -> Result<(), Error> {
        if self.0.barrier.is_sealed() {
            return Ok(());
        }
        let until = self.0.clock.now().after(limits::LEASE_SESSIONS_EVERY);
        // Where nothing is lent nothing is written.
        if self.store().is_empty().await? || !self.store().turn("ended", until).await? {
            return Ok(());
        }
        self.move_older().await?;
        self.end_of_sessions().await?;
        let lenders = self.store().lenders().await?;
        for mount in self.0.mounts.departed().await? {
            if lenders.contains(&mount) {
                let ids = self.store().all_ids(&self.store().mounts, &format!("{mount}/")).await?;
                one_of_many(self.end(ids, None).await)?;
            }
        }
        Ok(())
    }

    async fn end_of_sessions(&self) -> Result<(), Error> {
        let mut after = None::<String>;
        loop {
            let (sessions, more) = self.store().borrowing(after.as_deref()).await?;
            after = sessions.last().map(|(key, _)| key.clone());
            let looks = sessions.into_iter().map(|(key, session)| async move {
                if self.has_surely_ended(&session).await? {
                    let ids = self.store().all_ids(&self.store().sessions, &key).await?;
                    one_of_many(self.end(ids, None).await)?;
                }
                Ok::<_, Error>(())
            });
            let looked: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
            looked.into_iter().collect::<Result<(), _>>()?;
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// A session that is carried over an ending of the user's others has ended for a moment: so it is looked twice.
    async fn has_surely_ended(&self, session: &SessionId) -> Result<bool, Error> {
        if !self.0.sessions.has_ended(session).await? {
            return Ok(false);
        }
        tokio::time::sleep(limits::LEASE_SECOND_LOOK).await;
        Ok(self.0.sessions.has_ended(session).await?)
    }

    /// Has everything revoked soon that this speaks of and that whoever asks may end, by the sweeper. Says how much.
    pub async fn revoke_all(&self, of: &Selection, by: Requester<'_>) -> Result<usize, Error> {
        let ids = match of {
            Selection::Session(session) => self.lent_to(session).await?,
            Selection::User(_) | Selection::Below(_) => {
                let (index, prefix) = self.index(of);
                self.store().all_ids(index, &prefix).await?
            }
        };
        self.end(ids, Some((of, by))).await
    }

    /// What a session has borrowed. Its own index leads no longer to what is to go anyway, and may be failing: that of
    /// its user does, or, where nobody knows any more whose it was, that of everything.
    async fn lent_to(&self, session: &SessionId) -> Result<Vec<LeaseId>, Error> {
        let (index, prefix) = match self.0.sessions.user_of(session).await? {
            Some(user) => self.index(&Selection::User(user)),
            None => self.index(&Selection::Below(None)),
        };
        let mut lent = Vec::new();
        for some in self.store().all_ids(index, &prefix).await?.chunks(limits::LIST_MOST) {
            let found = self.store().get_many(some).await?;
            let its = found.into_iter().filter(|(_, record)| record.session.as_ref() == Some(session));
            lent.extend(its.map(|(id, _)| id));
        }
        Ok(lent)
    }

    /// Where somebody asks, what is failing is tried at once as well.
    async fn end(&self, ids: Vec<LeaseId>, asked: Option<(&Selection, Requester<'_>)>) -> Result<usize, Error> {
        let ends = ids.into_iter().map(|id| async move { self.end_one(&id, asked).await });
        let ended: Vec<_> = stream::iter(ends).buffer_unordered(AT_ONCE).collect().await;
        ended.into_iter().try_fold(0, |count, ended| Ok(count + usize::from(ended?)))
    }

    async fn end_one(&self, id: &LeaseId, asked: Option<(&Selection, Requester<'_>)>) -> Result<bool, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let Some(stored) = self.store().get(id).await? else { return Ok(false) };
            let (record, now) = (&stored.value, self.0.clock.now());
            if asked.is_some_and(|(of, by)| !self.allows(by, Action::Delete, Some(of), &record.path)) {
                return Ok(false);
            }
            let has_ended = record.ending && asked.is_none();
            // An intent's call may still be under way: its own time is the right one.
            if has_ended || record.is_claimed(now) || (record.is_intent() && record.failures == 0) {
                return Ok(record.is_claimed(now));
            }
            let next = Record { ending: true, claimed: false, due: record.due.min(now), ..record.clone() };
            let mut writes = Writes::default();
            self.store().replace(&mut writes, id, &stored, next);
            match self.0.barrier.commit(writes).await {
                Ok(()) => return Ok(true),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy)
    }
}

/// One that cannot be looked at keeps no other waiting; a store that does not answer does.
pub(super) fn one_of_many<T>(looked: Result<T, Error>) -> Result<(), Error> {
    match looked {
        Err(error @ (Error::Busy | Error::Store(barrier::Error::Corrupt(_)))) => {
            tracing::error!(%error, "a lease cannot be looked at");
            Ok(())
        }
        other => other.map(drop),
    }
}
