use std::{fmt::Display, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::App;
use crate::limits;

impl App {
    /// What goes on beside the requests, for as long as this is awaited: keeping up with what
    /// other nodes have changed, the head of the trail, and what has expired.
    pub async fn upkeep(&self) {
        let leases = &self.leases;
        tokio::join!(
            again(limits::FENCE_ASK, "cannot keep up with the store", || self.operate.keep_up()),
            self.news(),
            again(limits::AUDIT_HEAD_EVERY, "the head of the audit trail is not sealed", || self.audit.seal_head()),
            self.sweep(),
            // Beside the other sweeps: it may take a plugin as long as there is data.
            again(limits::SWEEP_EVERY, "what upgraded mounts hold is not moved on", || self.operate.migrate()),
            again(limits::TICK_EVERY, "plugins are not called by the clock", || self.operate.tick()),
            again(limits::LEASE_SWEEP_EVERY, "leases of what has ended are not looked for", || leases.sweep_ended()),
            leases.revoke_due()
        );
    }

    async fn sweep(&self) {
        let mut ticks = every(limits::SWEEP_EVERY);
        loop {
            ticks.tick().await;
            // What has expired is absent already: this only gives the space back.
            match self.storage.sweep(self.clock.now(), limits::SWEEP_ENTRIES).await {
                Ok(0) => {}
                Ok(swept) => tracing::debug!(swept, "expired entries are gone"),
                Err(error) => tracing::warn!(%error, "expired entries are not swept"),
            }
            if let Err(error) = self.operate.sweep_removed().await {
                tracing::warn!(%error, "what removed mounts have left is not swept");
            }
            if let Err(error) = self.plugins.sweep_staged().await {
                tracing::warn!(%error, "parts of plugins that have not become one are not swept");
            }
            if let Err(error) = self.users.sweep_leavings().await {
                tracing::warn!(%error, "what deleted users have left is not swept");
            }
        }
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

/// Does it without end, so often, and says what is amiss where it fails.
async fn again<T, E: Display>(span: Duration, amiss: &str, work: impl AsyncFn() -> Result<T, E>) {
    let mut ticks = every(span);
    loop {
        ticks.tick().await;
        if let Err(error) = work().await {
            tracing::warn!(%error, "{amiss}");
        }
    }
}

fn every(span: Duration) -> tokio::time::Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
