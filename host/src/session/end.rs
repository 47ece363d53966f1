use super::{
    AnyToken, EpochOf, Error, Session, Sessions, Verdict, Was,
    epochs::{self, Raised},
    record::Facts,
    renew::PAUSE,
    standing::{Family, Standing},
};
use crate::{
    barrier::{self, Writes, layout::Prefix},
    fence::Counter,
    ids::SessionId,
    limits,
};

/// Sessions that are to outlive an ending which one of them asked for, as they were before it.
#[derive(Debug)]
pub struct Kept {
    /// Parents before their children.
    families: Vec<(SessionId, Family)>,
    raised: Raised,
}

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
        if !self.knows(&token).await? {
            return Ok(None);
        }
        let id = token.session();
        self.end(id).await?;
        Ok(Some(id.clone()))
    }

    /// Was this token given out, and does its family stand? Live or spent; spends nothing.
    pub async fn knows(&self, token: &AnyToken) -> Result<bool, Error> {
        match self.open(token.session()).await? {
            Some((_, facts)) => self.was_given(token, &facts),
            None => Ok(false),
        }
    }

    /// Ends all of something in the caller's batch, from its commit on. Before the answer the
    /// caller awaits `settled`.
    pub fn end_all(&self, to: &mut Writes, of: EpochOf) {
        self.raise(to, &of);
    }

    fn raise(&self, to: &mut Writes, of: &EpochOf) -> Raised {
        self.fence.raise(to, Counter::Epochs);
        epochs::raise(&epochs::view(&self.barrier), to, of)
    }

    /// To be awaited after the commit of `end_all` and before the answer.
    pub async fn settled(&self) {
        self.counts.ended_all.add();
        self.fence.settle(&[Counter::Epochs]).await;
    }

    /// The same of all of a user but the session that asks for it and those that it is a child of:
    /// it would end with them. From the commit on only `keep` saves these, before the answer.
    pub async fn end_all_but(&self, to: &mut Writes, session: &Session) -> Result<Kept, Error> {
        let own = self.standing_family(&session.id).await?;
        if own.record.rev != session.hold.rev {
            return Err(Error::Unknown);
        }
        let mut families = Vec::new();
        for id in own.facts.parents.iter().rev() {
            families.push((id.clone(), self.standing_family(id).await?));
        }
        families.push((session.id.clone(), own));
        // The batch rests on all of them being alive: an ending that came between is not undone.
        families.iter().for_each(|(id, family)| self.expect_alive(to, id, &family.facts));
        let raised = self.raise(to, &EpochOf::User(session.user.clone()));
        Ok(Kept { families, raised })
    }

    /// Carries them over the epoch that was raised with `end_all_but`, after the commit and before
    /// the answer. If this fails, they have ended with the others. `internal` is what the plugin
    /// wants back from the session that asked, where it was asked anew.
    pub async fn keep(&self, kept: Kept, internal: Option<Vec<u8>>) -> Result<(), Error> {
        let Kept { mut families, raised } = kept;
        if let (Some((_, own)), Some(internal)) = (families.last_mut(), internal) {
            own.facts.internal = internal;
        }
        // From the top: a child that is kept without its parent would outlive it.
        for (id, Family { record, mut facts, .. }) in families {
            facts.epochs = facts.epochs.raised(&raised);
            let again = facts.seal(&self.barrier, self.store.namespace(), &id)?;
            let was = Was { rev: record.rev, unused: false, pair: false };
            let verdict = self.store.rewrite(&id, &was, again, Writes::default()).await?;
            self.copies.forget(&id);
            if verdict != Verdict::Done {
                return Err(Error::Unknown);
            }
        }
        Ok(())
    }

    /// Ends all other sessions of the same user; says which were kept, this one last.
    pub async fn end_others(&self, session: &Session) -> Result<Vec<SessionId>, Error> {
        for _ in 0..limits::SESSION_ATTEMPTS {
            let mut writes = Writes::default();
            let kept = self.end_all_but(&mut writes, session).await?;
            let ids = kept.families.iter().map(|(id, _)| id.clone()).collect();
            match self.barrier.commit(writes).await {
                // One of them was renewed or ended meanwhile: they are looked at again.
                Err(barrier::Error::Conflict) => continue,
                other => other?,
            }
            let kept = self.keep(kept, None).await;
            self.settled().await;
            return kept.map(|()| ids);
        }
        Err(Error::Away("a session that does not stand still".to_owned()))
    }

    /// A family that is alive; one whose renewal is on its way is waited for. Of one that is not, no copy is used.
    async fn standing_family(&self, id: &SessionId) -> Result<Family, Error> {
        for _ in 0..limits::SESSION_ATTEMPTS {
            match self.family(id).await? {
                Some(family) if family.standing == Standing::Alive => return Ok(family),
                Some(family) if family.standing == Standing::Torn => tokio::time::sleep(PAUSE).await,
                _ => break,
            }
        }
        self.copies.forget(id);
        Err(Error::Unknown)
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
                other => {
                    other?;
                    self.counts.ended.add();
                    return Ok(());
                }
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
