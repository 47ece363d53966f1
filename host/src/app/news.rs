//! What nodes tell each other over Redis, so that nobody waits for the next poll. Only hints: what
//! is lost costs a quarter of a second, and what is made up costs an ask.

use super::App;
use crate::{limits, shared::Link};

const CHANNEL: &str = "fence";

impl App {
    /// Tells the other nodes when something was raised here, and asks at once when one of them does.
    pub(super) async fn news(&self) {
        if let Some(link) = &self.link {
            tokio::join!(self.tell(link), self.hear(link));
        }
    }

    async fn tell(&self, link: &Link) {
        let mut raised = self.fence.raised();
        while raised.changed().await.is_ok() {
            if let Err(error) = link.publish(CHANNEL, b"").await {
                tracing::debug!(%error, "other nodes are not told, and will ask");
            }
        }
    }

    async fn hear(&self, link: &Link) {
        let mut news = link.subscribe(CHANNEL);
        loop {
            news.next().await;
            if let Err(error) = self.fence.ask().await {
                tracing::debug!(%error, "an ask in vain");
            }
            // Whoever can write to Redis can say anything, as often as they like.
            tokio::time::sleep(limits::FENCE_LOOK).await;
        }
    }
}
