//! Where deeds outside are noted before they are done.

use std::fmt;

use async_trait::async_trait;

use super::{Origin, types::Bytes};
use crate::{
    barrier::{self, Writes},
    clock::Timestamp,
};

/// What a plugin says that it is about to do.
#[derive(Clone, Debug)]
pub struct Intent {
    pub origin: Origin,
    /// Id of the user on whose behalf.
    pub principal: Option<String>,
    pub request: String,
    /// What `leases.revoke` is told if the call does not commit.
    pub undo: Bytes,
    /// By then the call has ended, one way or the other.
    pub until: Timestamp,
}

/// Keeps intents until they are dropped or undone.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug + 'static {
    /// Durable when it answers. The answer drops the intent: it belongs into the batch of the call.
    async fn note(&self, intent: Intent) -> Result<Writes, Unnoted>;
}

/// Why an intent is not noted: then the deed must not be done.
#[derive(Debug, thiserror::Error)]
pub enum Unnoted {
    #[error("too much is to be undone already")]
    TooMany,
    #[error("the mount is gone")]
    Gone,
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
