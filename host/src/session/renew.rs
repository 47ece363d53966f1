use std::{sync::Arc, time::Duration};

use super::{
    AccessToken, EpochOf, Error, Narrower, RefreshToken, Renewal, Session, Sessions, Tokens, Told, Verdict, Was,
    create::{narrowed, tokens},
    find::is_allowed,
    record::Shown,
    standing::{Family, Row, Standing},
};
use crate::{barrier::Writes, ids::Scope, limits};

/// Between two looks at a family that another request is renewing.
pub(super) const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });

/// A renewal that has begun. Dropping it spends nothing.
#[derive(Debug)]
pub struct Pending {
    /// Whom the plugin is asked about.
    pub session: Arc<Session>,
    /// What the plugin wanted back.
    pub internal: Vec<u8>,
    token: RefreshToken,
    ask: Renewal,
}

impl Sessions {
    /// Digest, deadlines, binding and client. Then the caller asks the plugin: it vouches again
    /// (`finish_renewal`), it does not (`fail_renewal`), or it cannot tell (drop it, 503).
    pub async fn begin_renewal(&self, token: &RefreshToken, ask: Renewal) -> Result<Pending, Error> {
        let (family, _) = self.renewable(token, &ask).await?;
        let session = Arc::new(family.facts.session(token.session(), &family.record, None));
        Ok(Pending { session, internal: family.facts.internal, token: token.clone(), ask })
    }

    /// Raises the generation in storage, stores the new pair and gives it out. Everything is
    /// looked at again: the plugin took its time. Another subject ends the family.
    pub async fn finish_renewal(&self, pending: Pending, told: Told, scope: Option<Scope>) -> Result<Tokens, Error> {
        if told.subject != pending.session.subject {
            self.fail_renewal(pending).await?;
            return Err(Error::Unknown);
        }
        if !told.epochs.has(&EpochOf::Digest(told.plugin.clone())) {
            tracing::error!("a renewal has not read the epoch of the plugin that it asked");
            return Err(Error::Ended);
        }
        for _ in 0..limits::SESSION_ATTEMPTS {
            let family = self.renewable(&pending.token, &pending.ask).await?;
            if let Some(tokens) = self.next_pair(&pending, family, &told, scope.clone()).await? {
                self.counts.renewed.add();
                return Ok(tokens);
            }
            if !told.epochs.hold(&super::epochs::view(&self.barrier)).await? {
                return Err(Error::Ended);
            }
            // Somebody else has renewed it, ended it or raised an epoch: it is looked at again.
        }
        Err(Error::Away("a session that does not stand still".to_owned()))
    }

    /// The plugin no longer vouches: the family ends.
    pub async fn fail_renewal(&self, pending: Pending) -> Result<(), Error> {
        self.end(&pending.session.id).await
    }

    /// Both steps at once, where no plugin need be asked.
    pub async fn renew(&self, token: &RefreshToken, ask: Renewal, scope: Option<Scope>) -> Result<Tokens, Error> {
        let pending = self.begin_renewal(token, ask).await?;
        let session = &pending.session;
        let told = Told {
            subject: session.subject.clone(),
            groups: session.groups.clone(),
            internal: pending.internal.clone(),
            narrower: Narrower::default(),
            plugin: session.plugin.clone(),
            epochs: session.hold.epochs.clone(),
        };
        self.finish_renewal(pending, told, scope).await
    }

    /// The family, if this token may buy its next pair. One that was spent ends it.
    async fn renewable(&self, token: &RefreshToken, ask: &Renewal) -> Result<(Family, Shown), Error> {
        let id = token.session();
        for _ in 0..limits::SESSION_ATTEMPTS {
            let family = self.family(id).await?.ok_or(Error::Unknown)?;
            let shown = family.facts.shown(token, family.record.used, self.clock.now(), &self.barrier)?;
            match (family.standing, shown) {
                (Standing::Dead, _) | (_, Shown::Never) => return Err(Error::Unknown),
                // Storage is ahead of Redis: a renewal is between the two, for no longer than Redis
                // may take to answer. If it stays so, Redis was put back or that node died.
                (Standing::Torn, _) => tokio::time::sleep(PAUSE).await,
                (Standing::Alive, Shown::Spent) => return Err(self.reused(&family, token).await?),
                (Standing::Alive, Shown::Live | Shown::Again) => {
                    if family.facts.client != ask.client {
                        return Err(Error::Unknown);
                    }
                    if !is_allowed(family.facts.addresses.as_deref(), ask.address) {
                        return Err(Error::Address);
                    }
                    return Ok((family, shown));
                }
            }
        }
        Err(Error::Unknown)
    }

    /// None if what it rests on has changed meanwhile; then nothing was spent.
    async fn next_pair(
        &self,
        pending: &Pending,
        (family, shown): (Family, Shown),
        told: &Told,
        scope: Option<Scope>,
    ) -> Result<Option<Tokens>, Error> {
        let (id, now) = (&pending.session.id, self.clock.now());
        let Family { record, mut facts, .. } = family;
        let mut writes = Writes::default();

        facts.scope = narrowed(scope, facts.scope.as_ref())?;
        facts.groups = told.groups.clone();
        facts.internal = told.internal.clone();
        if facts.plugin != told.plugin {
            facts.epochs = facts.epochs.without(&EpochOf::Digest(facts.plugin));
            facts.plugin = told.plugin.clone();
        }
        // What the family has known for longer stands: an epoch that has moved since then is a conflict.
        facts.epochs = facts.epochs.and(told.epochs.clone());
        self.expect_alive(&mut writes, id, &facts);
        facts.epochs = facts.epochs.lasting();
        let lasts = facts.narrow(&told.narrower, now);
        facts.given_at = now;
        facts.until = now.after(facts.absolute).min(facts.end);
        if !lasts {
            // As with a login that is not renewable: it is over when its one access token is.
            facts.end = facts.until;
        }
        facts.generation = self.rows().put(&mut writes, id.as_str(), &Row { end: facts.end }, Some(facts.end)).raw();

        let (access, refresh) = (AccessToken::generate(id), lasts.then(|| RefreshToken::generate(id)));
        facts.a = access.digest(&self.barrier)?;
        let next = refresh.as_ref().map(|token| token.digest(&self.barrier)).transpose()?;
        let replaced = std::mem::replace(&mut facts.r, next);
        let spent = if shown == Shown::Live { std::mem::replace(&mut facts.last, replaced) } else { replaced };
        facts.forget(spent);
        facts.again = if shown == Shown::Live { 0 } else { facts.again + 1 };

        let next = facts.seal(&self.barrier, self.store.namespace(), id)?;
        let was = Was { rev: record.rev, unused: shown == Shown::Again, pair: true };
        let verdict = self.store.rewrite(id, &was, next.clone(), writes).await?;
        self.copies.forget(id);
        match verdict {
            Verdict::Done => Ok(Some(tokens(id, &next, &facts, access, refresh))),
            Verdict::Conflict => Ok(None),
            // Storage has gone on and the record has not: the family is over. If its pair was
            // accepted just now, the token that was shown again is in two hands.
            Verdict::Moved | Verdict::Empty(_) => {
                self.end(id).await?;
                if shown != Shown::Again {
                    return Err(Error::Unknown);
                }
                self.counts.reused.add();
                Err(Error::Reuse(pending.session.clone()))
            }
        }
    }

    async fn reused(&self, family: &Family, token: &RefreshToken) -> Result<Error, Error> {
        let id = token.session();
        self.end(id).await?;
        self.counts.reused.add();
        Ok(Error::Reuse(Arc::new(family.facts.session(id, &family.record, None))))
    }
}
