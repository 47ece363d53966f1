use crate::{barrier, directory, mount, problem::Problem, session, throttle};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No mount of that name, or not one that takes logins.
    #[error("unknown grant type")]
    UnknownGrant,
    /// Name, password, token or whatever it was: wrong. Why is for the trail.
    #[error("refused: {0}")]
    Denied(String),
    /// What was sent cannot be taken: with places in the body.
    #[error("invalid")]
    Invalid(Vec<Problem>),
    /// A limited session may make no other.
    #[error("limited session")]
    Limited,
    /// Too many failures.
    #[error(transparent)]
    Throttle(#[from] throttle::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl From<directory::Error> for Error {
    fn from(error: directory::Error) -> Self {
        match error {
            directory::Error::Store(error) => Self::Store(error),
            other => Self::Denied(other.to_string()),
        }
    }
}
