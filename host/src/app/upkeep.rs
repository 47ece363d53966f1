use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::App;
use crate::limits;

impl App {
    /// What goes on beside the requests, for as long as this is awaited: keeping up with what
    /// other nodes have changed, the head of the trail, and what has expired.
    pub async fn upkeep(&self) {
        tokio::join!(
            self.keep_up(),
            self.news(),
            self.seal_heads(),
            self.sweep(),
            self.migrate(),
            self.tick(),
            self.end_leases(),
            self.leases.revoke_due()
        );
    }

    async fn keep_up(&self) {
        let mut ticks = every(limits::FENCE_ASK);
        loop {
            ticks.tick().await;
            if let Err(error) = self.operate.keep_up().await {
                tracing::warn!(%error, "cannot keep up with the store");
            }
        }
    }

    async fn seal_heads(&self) {
        let mut ticks = every(limits::AUDIT_HEAD_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.audit.seal_head().await {
                tracing::warn!(%error, "the head of the audit trail is not sealed");
            }
        }
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
            if let Err(error) = self.users.sweep_leavings().await {
                tracing::warn!(%error, "what deleted users have left is not swept");
            }
        }
    }

    /// Beside the other sweeps: it may take a plugin as long as there is data.
    async fn migrate(&self) {
        let mut ticks = every(limits::SWEEP_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.operate.migrate().await {
                tracing::warn!(%error, "what upgraded mounts hold is not moved on");
            }
        }
    }

    async fn tick(&self) {
        let mut ticks = every(limits::TICK_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.operate.tick().await {
                tracing::warn!(%error, "plugins are not called by the clock");
            }
        }
    }

    async fn end_leases(&self) {
        let mut ticks = every(limits::LEASE_SWEEP_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.leases.sweep_ended().await {
                tracing::warn!(%error, "leases of what has ended are not looked for");
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

fn every(span: Duration) -> tokio::time::Interval {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
