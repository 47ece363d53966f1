use std::{fmt::Display, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::App;
use crate::{limits, storage};

impl App {
    /// What goes on beside the requests, for as long as this is awaited: keeping up with what
    /// other nodes have changed, the head of the trail, and what has expired.
    pub async fn upkeep(&self) {
        let (leases, period) = (&self.leases, limits::SWEEP_EVERY);
        tokio::join!(
            repeat_every(limits::FENCE_ASK, "cannot keep up with the store", || self.operate.keep_up()),
            self.news(),
            repeat_every(limits::AUDIT_HEAD_EVERY, "the head of the audit trail is not sealed", || self
                .audit
                .seal_head()),
            repeat_every(period, "expired entries are not swept", || self.sweep()),
            repeat_every(period, "what removed mounts have left is not swept", || self.operate.sweep_removed()),
            repeat_every(period, "parts of plugins that have not become one are not swept", || self
                .plugins
                .sweep_staged()),
            repeat_every(period, "what deleted users have left is not swept", || self.users.sweep_leavings()),
            repeat_every(period, "what upgraded mounts hold is not moved on", || self.operate.migrate()),
            repeat_every(limits::TICK_EVERY, "plugins are not called by the clock", || self.operate.tick()),
            repeat_every(limits::LEASE_SWEEP_EVERY, "leases of what has ended are not looked for", || leases
                .sweep_ended()),
            leases.revoke_due()
        );
    }

    /// What has expired is absent already: this only gives the space back.
    async fn sweep(&self) -> Result<(), storage::Error> {
        let swept = self.storage.sweep(self.clock.now(), limits::SWEEP_ENTRIES).await?;
        if swept > 0 {
            tracing::debug!(swept, "expired entries are gone");
        }
        Ok(())
    }

    /// Finishes what was begun: the last head is sealed, the store is let go.
    pub async fn stop(self) {
        if let Err(error) = self.audit.seal_head().await {
            tracing::warn!(%error, "the last head of the audit trail is not sealed");
        }
        self.fence.leave().await;
        self.storage.close().await;
    }
}

/// Does it without end, and logs each failure in these words.
async fn repeat_every<T, E: Display>(period: Duration, failure: &str, work: impl AsyncFn() -> Result<T, E>) {
    let mut ticks = every(period);
    loop {
        ticks.tick().await;
        if let Err(error) = work().await {
            tracing::warn!(%error, "{failure}");
        }
    }
}

fn every(span: Duration) -> tokio::time::Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
