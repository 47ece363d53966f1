//! Sessions that this node read less than a second ago. A copy is good only inside the fence: no
//! ending and no epoch has moved since before it was read. A limited session is never copied.

use std::{sync::Arc, time::Duration};

use super::Session;
use crate::{
    clock::Clock,
    fence::{Counter, Fence},
    ids::SessionId,
    limits,
};

/// What a node knew when it began to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    fresh: bool,
    at: Duration,
    endings: u64,
    epochs: u64,
}

impl Moment {
    pub(super) fn now(fence: &Fence, clock: &Clock) -> Self {
        let (endings, epochs) = (fence.generation(Counter::Endings), fence.generation(Counter::Epochs));
        Self { at: clock.monotonic(), endings, epochs, fresh: fence.is_fresh() }
    }
}

#[derive(Debug)]
pub(super) struct Copies(moka::sync::Cache<SessionId, (Arc<Session>, Moment)>);

impl Copies {
    pub(super) fn new() -> Self {
        // Whether a copy is good is ours to say; the cache only sees to it that none lies about.
        let cache = moka::sync::Cache::builder().max_capacity(limits::SESSION_COPIES);
        Self(cache.time_to_live(limits::FENCE_STALE).build())
    }

    pub(super) fn get(&self, id: &SessionId, now: Moment) -> Option<Arc<Session>> {
        let (session, read) = self.0.get(id)?;
        let young = now.at.saturating_sub(read.at) < limits::FENCE_STALE;
        let same = (now.endings, now.epochs) == (read.endings, read.epochs);
        (now.fresh && young && same).then_some(session)
    }

    pub(super) fn keep(&self, session: &Arc<Session>, read: Moment) {
        if session.max_uses.is_none() {
            self.0.insert(session.id.clone(), (session.clone(), read));
        }
    }

    pub(super) fn forget(&self, id: &SessionId) {
        self.0.invalidate(id);
    }
}
