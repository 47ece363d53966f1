use crate::{barrier, mount, session};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such lease")]
    NotFound,
    #[error("the lease cannot be renewed")]
    NotRenewable,
    /// Its time is over, its session has ended, or somebody has revoked it.
    #[error("the lease has ended, or is about to")]
    Over,
    /// Somebody else is at it just now.
    #[error("the lease is being worked on")]
    Busy,
    #[error("the user holds too many leases")]
    TooMany,
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
