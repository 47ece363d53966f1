//! The document `security`: what sessions, passwords, logins and plugins may be at most.
//!
//! Owns its shape, defaults and bounds, and the live copy that everybody asks. Never applies a
//! rule itself. One more rule is one more field, with its default and its line in `check`.

mod rules;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    barrier,
    document::Documents,
    fence::{Counter, Fence},
};

pub use rules::{
    Argon2, Bind, Logins, Mounts, OverLimit, Passwords, Plugins, Problem, Rules, Sessions, StepUp, bytes, schema,
};

/// The key of the document.
pub const KEY: &str = "security";

/// The rules in force: a cheap handle.
#[derive(Clone, Debug)]
pub struct Security {
    documents: Documents,
    fence: Fence,
    live: Arc<ArcSwap<(u64, Arc<Rules>)>>,
    /// One at a time reads it anew: an older reading must not replace a newer one.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

impl Security {
    pub fn new(documents: Documents, fence: Fence) -> Self {
        let live = Arc::new(ArcSwap::from_pointee((u64::MAX, Arc::new(Rules::default()))));
        Self { documents, fence, live, refreshing: Arc::default() }
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.live.load().1.clone()
    }

    /// Reads the document anew if any setting has changed since the last time.
    pub async fn refresh(&self) -> Result<(), barrier::Error> {
        if self.live.load().0 == self.fence.generation(Counter::Settings) {
            return Ok(());
        }
        let _one = self.refreshing.lock().await;
        let generation = self.fence.generation(Counter::Settings);
        if self.live.load().0 == generation {
            return Ok(());
        }
        let current = self.documents.read(KEY).await?;
        let rules = match current.document() {
            None => Rules::default(),
            Some(document) => Rules::parse(&document.value).map_err(|_| barrier::Error::Corrupt(KEY.to_owned()))?,
        };
        self.live.store(Arc::new((generation, Arc::new(rules))));
        Ok(())
    }
}
