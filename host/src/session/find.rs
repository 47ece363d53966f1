use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{AccessToken, AnyToken, Error, Session, Sessions, copies::Moment, record::Shown, standing::Standing};
use crate::{
    ids::{SessionId, UserId},
    limits,
};

impl Sessions {
    /// Whom a token stands for. Spends nothing. Whether the session has ended (`Unknown`) is
    /// asked before from where it may be used (`Address`).
    pub async fn find(&self, token: &AccessToken, address: Option<IpAddr>) -> Result<Arc<Session>, Error> {
        let session = self.alive_by_access(token).await?;
        match is_allowed(session.addresses.as_deref(), address) {
            true => Ok(session),
            false => Err(Error::Address),
        }
    }

    /// A family by its id, if it is alive: whose it is must be known before somebody may end it.
    pub async fn get(&self, id: &SessionId) -> Result<Option<Arc<Session>>, Error> {
        let Some(family) = self.alive(id).await? else { return Ok(None) };
        let left = self.uses_left(id, &family.facts, &family.record).await?;
        Ok(Some(Arc::new(family.facts.session(id, &family.record, left))))
    }

    /// Whose it is, or was, as long as anything is known of it.
    pub async fn user_of(&self, id: &SessionId) -> Result<Option<UserId>, Error> {
        Ok(self.open(id).await?.map(|(_, facts)| facts.user))
    }

    /// Is there no way to go on with it? A renewal that is on its way leaves it as it is. Uses that are spent end
    /// nothing: what they were spent on may be there until the session's time is over.
    pub async fn has_ended(&self, id: &SessionId) -> Result<bool, Error> {
        let Some(family) = self.family(id).await? else { return Ok(true) };
        let idle = family.facts.r.is_none() && family.facts.is_over(family.record.seen, self.clock.now());
        Ok(family.standing == Standing::Dead || idle)
    }

    /// Whom any token stands for, if it is good just now, wherever it is used. Costs it nothing.
    pub async fn introspect(&self, token: &AnyToken) -> Result<Option<Arc<Session>>, Error> {
        match token {
            AnyToken::Access(token) => match self.alive_by_access(token).await {
                Err(Error::Unknown) => Ok(None),
                other => other.map(Some),
            },
            AnyToken::Refresh(token) => {
                let (id, now) = (token.session(), self.clock.now());
                let Some(family) = self.alive(id).await? else { return Ok(None) };
                let shown = family.facts.shown(token, family.record.used, now, &self.barrier)?;
                Ok((shown == Shown::Live).then(|| Arc::new(family.facts.session(id, &family.record, None))))
            }
        }
    }

    async fn alive_by_access(&self, token: &AccessToken) -> Result<Arc<Session>, Error> {
        let id = token.session();
        let moment = Moment::now(&self.fence, &self.clock);
        if let Some(copy) = self.copies.get(id, moment)
            && token.is(&copy.hold.a, &self.barrier)?
            && self.clock.now() < copy.ends_at()
        {
            return Ok(copy);
        }
        let (record, facts) = self.open(id).await?.ok_or(Error::Unknown)?;
        if !facts.is_access(token, &self.barrier)? || facts.is_over(record.seen, self.clock.now()) {
            return Err(Error::Unknown);
        }
        if self.standing(id, &facts).await? != Standing::Alive {
            return Err(Error::Unknown);
        }
        let left = self.uses_left(id, &facts, &record).await?;
        if left == Some(0) {
            return Err(Error::Unknown);
        }
        let session = Arc::new(facts.session(id, &record, left));
        self.copies.keep(&session, moment);
        Ok(session)
    }
}

/// What is in both lists.
pub fn intersect(one: &[IpNet], other: &[IpNet]) -> Vec<IpNet> {
    let narrower = |a: &IpNet, b: &IpNet| match (a.contains(b), b.contains(a)) {
        (true, _) => Some(b.trunc()),
        (_, true) => Some(a.trunc()),
        _ => None,
    };
    let mut both: Vec<IpNet> = one.iter().flat_map(|a| other.iter().filter_map(move |b| narrower(a, b))).collect();
    both.sort_unstable();
    both.dedup();
    // Fewer networks only take away.
    both.truncate(limits::SESSION_ADDRESSES);
    both
}

/// No list says nothing; an empty one allows nobody, and nobody is an address that is not known.
pub(super) fn is_allowed(addresses: Option<&[IpNet]>, address: Option<IpAddr>) -> bool {
    let Some(addresses) = addresses else { return true };
    // `::ffff:10.0.0.1` is 10.0.0.1.
    let address = address.map(|address| address.to_canonical());
    address.is_some_and(|address| addresses.iter().any(|net| net.contains(&address)))
}
