use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{
    Error, Leases, Requester,
    error::{FIXED, OVER},
    record::{Internal, Lease, Record},
};
use crate::{
    barrier::Stored,
    ids::{Action, LeaseId, RequestId, Username},
    limits,
    runtime::{Facts, RenewLease},
};

/// Who asks, as the plugin may know it.
#[derive(Clone, Debug)]
pub struct Asker {
    pub request: RequestId,
    pub name: Option<Username>,
    pub address: Option<IpAddr>,
    /// What a plugin may be shown, if it is granted.
    pub headers: Arc<[(String, String)]>,
}

impl Leases {
    /// Has the plugin prolong it: for as long as it was first given, unless told otherwise, and
    /// never beyond its last moment. Whoever asks must be permitted, now, what it was lent for: also of somebody
    /// else's, so that nobody prolongs for others what they could not have themselves.
    pub async fn renew(
        &self,
        id: &LeaseId,
        increment: Option<Duration>,
        by: Requester<'_>,
        asker: &Asker,
    ) -> Result<Lease, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let stored = self.renewable(id, by).await?;
            let record = &stored.value;
            let left = record.max_expires_at.since(self.0.clock.now());
            let wanted = increment.unwrap_or(Duration::from_secs(record.span)).min(left);
            let input = RenewLease { internal: record.internal.0.clone(), increment_seconds: wanted.as_secs().max(1) };
            let facts = Facts {
                request_id: asker.request.to_string(),
                principal: Some(by.caller.user.to_string()),
                principal_name: asker.name.as_ref().map(Username::to_string),
                client_address: asker.address,
                headers: asker.headers.to_vec(),
                ..Facts::default()
            };
            let mut attempts = self.0.mounts.attend(&record.mount, facts, record.place()).await?;
            let outcome = attempts.run(input).await?;
            let (now, spec, mut writes) = (self.0.clock.now(), outcome.value, outcome.writes);
            let max_expires_at = now.after(spec.max_ttl).min(record.max_expires_at);
            let expires_at = now.after(spec.ttl).min(max_expires_at);
            let next = Record {
                renewed_at: Some(now),
                expires_at,
                max_expires_at,
                renewable: spec.renewable,
                internal: Internal(spec.internal),
                due: expires_at,
                ..record.clone()
            };
            let renewed = self.store().replace(&mut writes, id, &stored, next);
            if attempts.commit(writes, outcome.may_rerun).await? {
                return Ok(Lease::of(id, &renewed.value, now));
            }
        }
        Err(Error::Busy)
    }

    async fn renewable(&self, id: &LeaseId, by: Requester<'_>) -> Result<Stored<Record>, Error> {
        let stored = self.found(id, by, Action::Update).await?;
        let (record, now) = (&stored.value, self.0.clock.now());
        let Some(session) = &record.session else { return Err(Error::Unfit(FIXED)) };
        self.may_borrow(by.caller, record)?;
        if record.ending || record.claimed || record.failures > 0 || record.expires_at <= now {
            return Err(Error::Unfit(OVER));
        }
        // The sweeper may not have seen it yet.
        if self.0.sessions.has_ended(session).await? {
            return Err(Error::Unfit(OVER));
        }
        if !record.renewable {
            return Err(Error::Unfit(FIXED));
        }
        Ok(stored)
    }
}
