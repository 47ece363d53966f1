use super::{AnyToken, EpochOf, Error, Raised, Session, Sessions, Verdict, Was, epochs, record::Facts};
use crate::{
    barrier::{self, Writes, layout::Prefix},
    fence::Counter,
    ids::SessionId,
    limits,
};

impl Sessions {
    /// Ends one family, durably: in storage, in Redis, on every node, then the answer. If one of
    /// them fails the others are tried all the same. A family that nobody knows has ended.
    pub async fn end(&self, id: &SessionId) -> Result<(), Error> {
        let stored = self.end_in_storage(id).await;
        let removed = self.store.remove(id).await;
        self.copies.forget(id);
        self.fence.settle(&[Counter::Endings]).await;
        stored.and(removed)
    }

    /// Ends the family of any token that verifies, be it live or spent; says which it was.
    pub async fn end_by_token(&self, any: &str) -> Result<Option<SessionId>, Error> {
        let Ok(token) = AnyToken::parse(any) else { return Ok(None) };
        let id = token.session();
        let Some((_, facts)) = self.open(id).await? else { return Ok(None) };
        if !self.was_given(&token, &facts)? {
            return Ok(None);
        }
        self.end(id).await?;
        Ok(Some(id.clone()))
    }

    /// Ends all of something in the caller's batch, from its commit on. Before the answer the
    /// caller awaits `settled`. Of the session that does so, `keep` makes an exception.
    pub fn end_all(&self, to: &mut Writes, of: EpochOf) -> Raised {
        self.fence.raise(to, Counter::Epochs);
        epochs::raise(&epochs::view(&self.barrier), to, &of)
    }

    /// To be awaited after the commit of `end_all` and before the answer.
    pub async fn settled(&self) {
        self.fence.settle(&[Counter::Epochs]).await;
    }

    /// Carries one session over an epoch that it raised itself, after the commit and before the
    /// answer. If this fails, it has ended with the others. So has a child: its parent has.
    /// `internal` is what the plugin wants back from now on, where it was asked anew.
    pub async fn keep(&self, session: &Session, raised: &Raised, internal: Option<Vec<u8>>) -> Result<(), Error> {
        let id = &session.id;
        let Some((record, mut facts)) = self.open(id).await? else { return Err(Error::Unknown) };
        if record.rev != session.hold.rev || !facts.parents.is_empty() {
            return Err(Error::Unknown);
        }
        facts.epochs = facts.epochs.raised(raised);
        if let Some(internal) = internal {
            facts.internal = internal;
        }
        let again = facts.seal(&self.barrier, self.store.namespace(), id)?;
        let was = Was { rev: record.rev, unused: false, pair: false };
        let verdict = self.store.rewrite(id, &was, again, Writes::default()).await?;
        self.copies.forget(id);
        if verdict == Verdict::Done { Ok(()) } else { Err(Error::Unknown) }
    }

    /// Ends all other sessions of the same user.
    pub async fn end_others(&self, session: &Session) -> Result<(), Error> {
        let mut writes = Writes::default();
        let raised = self.end_all(&mut writes, EpochOf::User(session.user.clone()));
        self.barrier.commit(writes).await?;
        let kept = self.keep(session, &raised, None).await;
        self.settled().await;
        kept
    }

    async fn end_in_storage(&self, id: &SessionId) -> Result<(), Error> {
        let (rows, ended) = (self.rows(), self.barrier.view(Prefix::Ended));
        for _ in 0..limits::SESSION_ATTEMPTS {
            // Without a row it has ended already, or never was: then there is nothing to remember.
            let Some(row) = self.row(id).await? else { return Ok(()) };
            let mut writes = Writes::default();
            rows.expect_as_read(&mut writes, id.as_str(), Some(&row));
            rows.delete(&mut writes, id.as_str());
            ended.put(&mut writes, id.as_str(), &self.clock.now(), Some(row.value.end.after(limits::ENDED_KEPT)));
            self.fence.raise(&mut writes, Counter::Endings);
            match self.barrier.commit(writes).await {
                // It is being renewed; what it is now ends.
                Err(barrier::Error::Conflict) => {}
                other => return Ok(other?),
            }
        }
        Err(Error::Away("a session that does not stand still".to_owned()))
    }

    fn was_given(&self, token: &AnyToken, facts: &Facts) -> Result<bool, Error> {
        match token {
            AnyToken::Access(token) => facts.is_access(token, &self.barrier),
            AnyToken::Refresh(token) => {
                for digest in facts.r.iter().chain(&facts.last).chain(&facts.spent) {
                    if token.is(digest, &self.barrier)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}
