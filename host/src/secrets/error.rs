use crate::{barrier, catalog::Method, lease, mount, runtime::types::GuestError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is mounted there.
    #[error("no such mount")]
    NoMount,
    /// The engine has no such verb.
    #[error("no such verb")]
    UnknownVerb,
    /// The verb goes by this method only.
    #[error("not by this method")]
    Method(Method),
    /// The engine's own refusal.
    #[error("the engine refuses: {}", .0.for_operator())]
    Refused(GuestError),
    /// Not a cursor of ours, or not of this listing.
    #[error("not a cursor of this listing")]
    Cursor,
    /// The engine answered what the contract forbids.
    #[error("the engine broke the contract: {0}")]
    Contract(&'static str),
    #[error(transparent)]
    Lease(#[from] lease::Error),
    #[error(transparent)]
    Mount(mount::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl From<mount::Error> for Error {
    fn from(error: mount::Error) -> Self {
        match error {
            mount::Error::Fault(crate::runtime::Fault::Refused(refusal)) => Self::Refused(refusal),
            other => Self::Mount(other),
        }
    }
}
