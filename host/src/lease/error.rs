use crate::{barrier, mount, policy, session};

pub(super) const FIXED: &str = "cannot be renewed";
/// Its time is over, its session has ended, or somebody has revoked it.
pub(super) const OVER: &str = "has ended, or is about to";
pub(super) const NOT_FAILING: &str = "has not failed: revoke it, and forget it if its plugin cannot";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such lease")]
    NotFound,
    /// For what is asked, in words of ours.
    #[error("the lease {0}")]
    Unfit(&'static str),
    /// Not by where it came from; or what it was lent for is not permitted any longer.
    #[error("not permitted where it came from: {0}")]
    Forbidden(policy::Refusal),
    /// Somebody else is at it just now.
    #[error("the lease is being worked on")]
    Busy,
    #[error("the user holds {0} leases of the mount already")]
    TooMany(usize),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
