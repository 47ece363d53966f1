use super::{
    Throttle,
    store::{Place, Receipt},
    turns::Pending,
};

/// A guess that is counted, until somebody says that it was none. Dropped without a word it was
/// wrong: whoever hangs up has guessed.
#[derive(Debug)]
#[must_use]
pub struct Guess {
    throttle: Throttle,
    block: Counted,
    name: Option<Named>,
}

#[derive(Debug)]
pub(super) struct Counted {
    pub(super) place: Place,
    pub(super) receipt: Receipt,
    pub(super) pending: Pending,
}

#[derive(Debug)]
pub(super) enum Named {
    Counted(Counted),
    Slowed,
}

impl Guess {
    pub(super) fn new(throttle: Throttle, block: Counted, name: Option<Named>) -> Self {
        Self { throttle, block, name }
    }

    /// The name has failed too often: the same work is to be done, and even the right credential
    /// refused as a wrong one is.
    pub fn is_slowed(&self) -> bool {
        matches!(self.name, Some(Named::Slowed))
    }

    /// It was right: it counts nowhere, and the name is known to log in from here. Of a slowed
    /// name nothing is ever right.
    pub async fn right(self) {
        if !self.is_slowed() {
            self.settle(true).await;
        }
    }

    /// No credential was looked at.
    pub async fn void(self) {
        self.settle(false).await;
    }

    async fn settle(self, login: bool) {
        let name = match self.name {
            Some(Named::Counted(counted)) => Some(counted),
            Some(Named::Slowed) | None => None,
        };
        for counted in name.into_iter().chain([self.block]) {
            let Counted { place, receipt, pending } = counted;
            let (inner, now) = (&self.throttle.0, self.throttle.0.clock.now());
            // It stays counted then, which at worst slows somebody.
            if let Err(error) = inner.store.settle(&place, receipt, login, now).await {
                tracing::warn!(%error, "a login that has not failed stays counted as one that has");
            }
            drop(pending);
        }
    }
}
