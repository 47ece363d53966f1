//! One lease is taken back: by whoever claims it first.

use std::time::Duration;

use super::{Error, Lease, Leases, Requester, error::NOT_FAILING, record::Record};
use crate::{
    barrier::{self, Stored, Writes},
    ids::{self, Action, LeaseId, RequestId},
    limits, mount,
    runtime::{Facts, Fault, RevokeLease},
};

impl Leases {
    /// Somebody wants it gone. If its plugin cannot take it back now, it is tried again until it can.
    pub async fn revoke(&self, id: &LeaseId, by: Requester<'_>, request: &RequestId) -> Result<(), Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let stored = self.found(id, by, Action::Delete).await?;
            let (record, now) = (&stored.value, self.0.clock.now());
            // An intent's call may still be under way.
            if record.is_claimed(now) || (record.is_intent() && record.failures == 0 && record.due > now) {
                return Err(Error::Busy);
            }
            if let Some(claimed) = self.claim(id, &stored, self.claim_span(record).await).await? {
                return Ok(self.take_back(id, &claimed, request).await?);
            }
        }
        Err(Error::Busy)
    }

    /// Strikes off what its plugin cannot take back, for whoever has seen to it another way: nobody tries any longer.
    pub async fn forget(&self, id: &LeaseId, by: Requester<'_>) -> Result<Lease, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let stored = self.found(id, by, Action::Manage).await?;
            let (record, now) = (&stored.value, self.0.clock.now());
            if record.is_claimed(now) {
                return Err(Error::Busy);
            }
            if record.failures == 0 {
                return Err(Error::Unfit(NOT_FAILING));
            }
            let mut writes = Writes::default();
            self.store().remove(&mut writes, id, &stored);
            match self.0.barrier.commit(writes).await {
                Ok(()) => return Ok(Lease::of(id, record, now)),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy)
    }

    /// How long it may take at most.
    pub(super) async fn claim_span(&self, record: &Record) -> Duration {
        let attempts = self.0.mounts.attend(&record.mount, Facts::default(), record.place()).await;
        attempts.map_or(Duration::ZERO, |attempts| attempts.wall()) + limits::LEASE_CLAIM_MARGIN
    }

    /// From now on it is this node's, for a while. None: it has changed meanwhile.
    pub(super) async fn claim(
        &self,
        id: &LeaseId,
        stored: &Stored<Record>,
        span: Duration,
    ) -> Result<Option<Stored<Record>>, barrier::Error> {
        let due = self.0.clock.now().after(span);
        let claimed = Record { claimed: true, ending: true, due, ..stored.value.clone() };
        let mut writes = Writes::default();
        let claimed = self.store().replace(&mut writes, id, stored, claimed);
        match self.0.barrier.commit(writes).await {
            Ok(()) => Ok(Some(claimed)),
            Err(barrier::Error::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is claimed is gone afterwards, or due again.
    pub(super) async fn take_back(
        &self,
        id: &LeaseId,
        claimed: &Stored<Record>,
        request: &RequestId,
    ) -> Result<(), mount::Error> {
        let done = self.ask(id, claimed, request).await;
        if let Err(error) = &done {
            self.postpone(id, claimed, &told(error)).await;
        }
        done
    }

    async fn ask(&self, id: &LeaseId, claimed: &Stored<Record>, request: &RequestId) -> Result<(), mount::Error> {
        let record = &claimed.value;
        let facts = Facts { request_id: request.to_string(), ..Facts::default() };
        let mut attempts = self.0.mounts.attend(&record.mount, facts, record.place()).await?;
        let input = RevokeLease { internal: record.internal.0.clone() };
        loop {
            let outcome = attempts.run(input.clone()).await?;
            let mut writes = outcome.writes;
            self.store().remove(&mut writes, id, claimed);
            if attempts.commit(writes, outcome.may_rerun).await? {
                return Ok(());
            }
            // If the claim ran out and another node has it, that one goes on.
            let now = self.store().get(id).await?;
            if now.is_none_or(|now| now.version != claimed.version) {
                return Err(Fault::Busy.into());
            }
        }
    }

    /// It is tried again, ever less often. If not even this can be stored, the claim runs out.
    pub(super) async fn postpone(&self, id: &LeaseId, claimed: &Stored<Record>, reason: &str) {
        let record = &claimed.value;
        let failures = record.failures.saturating_add(1);
        let again_at = self.0.clock.now().after(backoff(failures));
        let path = &record.path;
        tracing::warn!(lease = %id, path, failures, reason, %again_at, "a lease is not revoked yet");
        let next =
            Record { claimed: false, failures, reason: Some(reason.to_owned()), due: again_at, ..record.clone() };
        let mut writes = Writes::default();
        self.store().replace(&mut writes, id, claimed, next);
        match self.0.barrier.commit(writes).await {
            Ok(()) | Err(barrier::Error::Conflict) => {}
            Err(error) => tracing::warn!(lease = %id, %error, "nor is it noted that it failed"),
        }
    }
}

/// Doubled with each failure, somewhere between the half of it and all: what failed together does
/// not come back together.
pub(super) fn backoff(failures: u32) -> Duration {
    let most = limits::LEASE_RETRY_FIRST * 2u32.pow(failures.saturating_sub(1).min(16));
    let most = most.min(limits::LEASE_RETRY_LONGEST);
    most / 2 + most.mul_f64(f64::from(u16::from_be_bytes(ids::random())) / f64::from(u16::MAX)) / 2
}

/// Words of ours for whoever sees the lease: nothing that the plugin says.
pub(super) fn told(error: &mount::Error) -> String {
    match error {
        mount::Error::Disabled => "the mount is disabled".to_owned(),
        mount::Error::Compiling(_) => "the plugin is being compiled".to_owned(),
        mount::Error::Broken(_) => "the mount is broken".to_owned(),
        mount::Error::Passing(_) => "the mount cannot come up just now".to_owned(),
        mount::Error::Store(_) => "the store is not available".to_owned(),
        mount::Error::Fault(fault) => match fault {
            Fault::Refused(refusal) if refusal.is_ordinary() => format!("the plugin refuses: {}", refusal.code),
            Fault::Refused(_) | Fault::Invalid(_) => "the plugin failed".to_owned(),
            Fault::Trap(_) => "the plugin trapped".to_owned(),
            Fault::Limit(what) => format!("the plugin used more than its bound: {what}"),
            Fault::Deadline => "the plugin did not answer in time".to_owned(),
            Fault::Busy | Fault::Resting(_) => "the plugin is too busy".to_owned(),
            Fault::Store(_) => "the store is not available".to_owned(),
        },
    }
}
