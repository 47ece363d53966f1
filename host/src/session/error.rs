use std::sync::Arc;

use super::Session;
use crate::barrier;

/// Why a session is not made, found or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is no longer good, or never was; which of the two is nobody's business.
    #[error("no session stands behind this token")]
    Unknown,
    /// The session is alive, and may not be used from there.
    #[error("not from this address")]
    Address,
    /// A refresh token came a second time: somebody else holds a copy. The family has ended.
    #[error("refresh_reuse: a spent refresh token came back")]
    Reuse(Arc<Session>),
    /// Everything that the login rests on was ended while it was under way.
    #[error("ended while it was being made")]
    Ended,
    /// More than the parent, or the session itself, may do.
    #[error("wider than the session it comes from: {0}")]
    Wider(&'static str),
    /// The user has as many sessions as are allowed.
    #[error("too many sessions")]
    TooMany,
    #[error("sealed")]
    Sealed,
    /// A store did not answer, or cannot be believed. Nothing was decided.
    #[error("the session store is away: {0}")]
    Away(String),
}

impl From<barrier::Error> for Error {
    fn from(error: barrier::Error) -> Self {
        match error {
            barrier::Error::Sealed => Self::Sealed,
            other => Self::Away(other.to_string()),
        }
    }
}

impl From<crate::shared::Error> for Error {
    fn from(error: crate::shared::Error) -> Self {
        Self::Away(error.to_string())
    }
}
