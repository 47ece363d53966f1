use std::time::Duration;

use crate::{barrier, shared};

/// Why nobody may guess just now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address block has failed too often; how long that lasts.
    #[error("too many failed logins from this address block")]
    TooMany(Duration),
    #[error(transparent)]
    Store(#[from] barrier::Error),
    /// The counts cannot be reached; nothing was decided.
    #[error(transparent)]
    Away(#[from] shared::Error),
}
