use std::time::Duration;

use super::{
    Error, Leases,
    record::{Internal, Lease, Record},
};
use crate::{
    barrier::Stored,
    ids::{LeaseId, RequestId, UserId},
    limits,
    runtime::{Facts, RenewLease},
};

impl Leases {
    /// Has the plugin prolong it: for as long as it was first given, unless told otherwise, and
    /// never beyond its last moment.
    pub async fn renew(
        &self,
        id: &LeaseId,
        increment: Option<Duration>,
        (asker, request): (&UserId, &RequestId),
    ) -> Result<Lease, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let stored = self.renewable(id).await?;
            let record = &stored.value;
            let left = record.max_expires_at.since(self.clock.now());
            let wanted = increment.unwrap_or(Duration::from_secs(record.span)).min(left);
            let input = RenewLease { internal: record.internal.0.clone(), increment_seconds: wanted.as_secs().max(1) };
            let facts =
                Facts { request_id: request.to_string(), principal: Some(asker.to_string()), ..Facts::default() };
            let mut attempts = self.mounts.attend(&record.mount, facts, record.place()).await?;
            let outcome = attempts.run(input).await?;
            let (now, spec, mut writes) = (self.clock.now(), outcome.value, outcome.writes);
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

    async fn renewable(&self, id: &LeaseId) -> Result<Stored<Record>, Error> {
        let stored = self.store().get(id).await?.ok_or(Error::NotFound)?;
        let (record, now) = (&stored.value, self.clock.now());
        let Some(session) = &record.session else { return Err(Error::NotRenewable) };
        if record.ending || record.claimed || record.failures > 0 || record.expires_at <= now {
            return Err(Error::Over);
        }
        // The sweeper may not have seen it yet.
        if self.sessions.has_ended(session).await? {
            return Err(Error::Over);
        }
        if !record.renewable {
            return Err(Error::NotRenewable);
        }
        Ok(stored)
    }
}
