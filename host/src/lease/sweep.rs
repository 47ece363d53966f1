//! What is due is revoked, by whichever node claims it.

use std::{
    collections::{HashMap, HashSet},
    future::ready,
};

use futures_util::{StreamExt, stream};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::MissedTickBehavior,
};

use super::{Error, Leases, record::Record, revoke::told};
use crate::{
    audit::{self, Phase, Who},
    barrier::Stored,
    ids::{self, LeaseId, MountId, RequestId},
    limits, mount,
};

impl Leases {
    /// For as long as it is awaited, on every node: what is due is revoked, of each mount at its own pace. A mount
    /// whose plugin fails, or whose other side hangs, keeps nobody else's leases waiting.
    pub async fn revoke_due(&self) {
        let (mut work, mut under_way) = (JoinSet::new(), HashMap::<MountId, AbortHandle>::new());
        let mut ticks = tokio::time::interval(limits::LEASE_SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while work.try_join_next().is_some() {}
            under_way.retain(|_, sweep| !sweep.is_finished());
            match self.lending().await {
                Ok(mut mounts) => {
                    mounts.retain(|mount| !under_way.contains_key(mount));
                    for mount in mounts {
                        let (leases, id) = (self.clone(), mount.clone());
                        under_way.insert(mount, work.spawn(async move { leases.sweep_mount(&id).await }));
                    }
                }
                Err(error) => tracing::warn!(%error, "leases that are due are not revoked"),
            }
        }
    }

    async fn lending(&self) -> Result<HashSet<MountId>, Error> {
        if self.0.barrier.is_sealed() {
            return Ok(HashSet::new());
        }
        self.0.mounts.refresh().await?;
        let lenders = self.lenders().await?;
        self.0.mounts.attend_only(&lenders);
        Ok(lenders)
    }

    /// One look at every mount.
    #[cfg(test)]
    pub(super) async fn sweep_due(&self) -> Result<(), Error> {
        let sweeps = self.lending().await?.into_iter().map(|mount| async move { self.sweep_mount(&mount).await });
        futures_util::future::join_all(sweeps).await;
        Ok(())
    }

    /// What is due of one mount, until it is done or it is time to look again.
    async fn sweep_mount(&self, mount: &MountId) {
        let mut ids = match self.store().due(mount, self.0.clock.now()).await {
            Ok(ids) => ids,
            Err(error) => return tracing::warn!(%mount, %error, "what is due of a mount is not revoked"),
        };
        // Nodes that look at the same moment do not all begin with the same one.
        ids.sort_by_cached_key(|_| u32::from_be_bytes(ids::random()));
        let until = self.0.clock.monotonic() + limits::LEASE_SWEEP_WAIT;
        let in_time = stream::iter(ids).take_while(|_| ready(self.0.clock.monotonic() < until));
        in_time
            .for_each_concurrent(limits::LEASES_AT_ONCE, |id| async move {
                if let Err(error) = self.sweep_one(&id).await {
                    tracing::warn!(lease = %id, %error, "a lease that is due cannot be looked at");
                }
            })
            .await;
    }

    pub(super) async fn sweep_one(&self, id: &LeaseId) -> Result<(), Error> {
        let Some(stored) = self.store().get(id).await? else { return Ok(()) };
        if stored.value.due > self.0.clock.now() {
            return Ok(());
        }
        let span = self.claim_span(&stored.value).await;
        let Some(claimed) = self.claim(id, &stored, span).await? else { return Ok(()) };
        let request = RequestId::new();
        // No sink, no work.
        if let Err(error) = self.0.audit.record(trail(id, &claimed, &request)).await {
            self.postpone(id, &claimed, "the audit trail takes nothing").await;
            tracing::error!(%error, "the trail does not take that a lease is revoked");
            return Ok(());
        }
        let done = self.take_back(id, &claimed, &request).await;
        let mut record = trail(id, &claimed, &request);
        record.decision = Some(if done.is_ok() { "revoked" } else { "failing" }.to_owned());
        record.cause = done.as_ref().err().map(cause);
        if let Err(error) = self.0.audit.record(record).await {
            tracing::error!(%error, "the trail does not take what became of a lease");
        }
        Ok(())
    }
}

fn trail(id: &LeaseId, claimed: &Stored<Record>, request: &RequestId) -> audit::Record {
    let lease = &claimed.value;
    let mut record = audit::Record::new(Phase::Work, "leases.revoke");
    record.request = Some(request.clone());
    record.who = Who { user: lease.user.clone(), session: lease.session.clone(), ..Who::default() };
    record.resource = Some(lease.path.clone());
    record.values.insert("lease".to_owned(), id.to_string());
    // Of what request it came.
    let of = if lease.is_intent() { "announced_by" } else { "lent_by" };
    record.values.insert(of.to_owned(), lease.request.clone());
    record
}

fn cause(error: &mount::Error) -> String {
    let detail = error.to_string();
    let cause = format!("{}: {detail}", told(error));
    cause.chars().filter(|c| !c.is_control()).take(limits::AUDIT_CAUSE).collect()
}
