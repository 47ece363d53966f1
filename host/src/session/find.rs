use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{AccessToken, Error, Session, Sessions, copies::Moment, standing::Standing};

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

/// No list says nothing; an empty one allows nobody, and nobody is an address that is not known.
pub(super) fn is_allowed(addresses: Option<&[IpNet]>, address: Option<IpAddr>) -> bool {
    let Some(addresses) = addresses else { return true };
    // `::ffff:10.0.0.1` is 10.0.0.1.
    let address = address.map(|address| address.to_canonical());
    address.is_some_and(|address| addresses.iter().any(|net| net.contains(&address)))
}
