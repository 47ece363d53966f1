//! What is due is revoked, by whichever node claims it.

use std::{collections::BTreeMap, future::ready};

use futures_util::{StreamExt, stream};

use super::{Error, Leases, record::Record, revoke::told};
use crate::{
    audit::{self, Phase, Who},
    barrier::Stored,
    ids::{self, LeaseId, MountId, RequestId},
    limits, mount,
};

impl Leases {
    /// One look at what is due, and at what has ended. To be asked for again and again, on every node.
    pub async fn sweep(&self) -> Result<(), Error> {
        if self.barrier.is_sealed() {
            return Ok(());
        }
        self.mounts.refresh().await?;
        let (revoked, ended) = tokio::join!(self.sweep_due(), self.sweep_ended());
        revoked.and(ended)
    }

    pub(super) async fn sweep_due(&self) -> Result<(), Error> {
        let mut by_mount = BTreeMap::<MountId, Vec<LeaseId>>::new();
        for (mount, id) in self.store().due(self.clock.now()).await? {
            by_mount.entry(mount).or_default().push(id);
        }
        let sweep = |ids| self.sweep_some(ids);
        stream::iter(by_mount.into_values()).for_each_concurrent(limits::LEASE_MOUNTS_AT_ONCE, sweep).await;
        Ok(())
    }

    /// Those of one mount, until they are done or have had their share of time: a mount whose other
    /// side is slow keeps nobody else's leases waiting for long.
    async fn sweep_some(&self, mut ids: Vec<LeaseId>) {
        // Nodes that look at the same moment do not all begin with the same one.
        ids.sort_by_cached_key(|_| u32::from_be_bytes(ids::random()));
        let until = self.clock.monotonic() + limits::LEASE_SWEEP_WAIT;
        let in_time = stream::iter(ids).take_while(|_| ready(self.clock.monotonic() < until));
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
        if stored.value.due > self.clock.now() {
            return Ok(());
        }
        let span = self.claim_span(&stored.value).await;
        let Some(claimed) = self.claim(id, &stored, span).await? else { return Ok(()) };
        let request = RequestId::new();
        // No sink, no work.
        if let Err(error) = self.audit.record(trail(id, &claimed, &request)).await {
            self.postpone(id, &claimed, "the audit trail takes nothing").await;
            tracing::error!(%error, "the trail does not take that a lease is revoked");
            return Ok(());
        }
        let done = self.take_back(id, &claimed, &request).await;
        let mut record = trail(id, &claimed, &request);
        record.decision = Some(if done.is_ok() { "revoked" } else { "failing" }.to_owned());
        record.cause = done.as_ref().err().map(cause);
        if let Err(error) = self.audit.record(record).await {
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
