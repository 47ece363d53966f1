use crate::{barrier, directory, mount, problem::Problem, session, throttle};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// OAuth, or this server, has a word of its own for it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Name, password, token or whatever it was: wrong. Why is for the trail.
    #[error("refused: {0}")]
    Denied(String),
    /// What was sent cannot be taken: with places in the body.
    #[error("invalid")]
    Invalid(Vec<Problem>),
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

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No mount of that name, or not one that takes logins.
    UnknownGrant,
    /// The program that asks is not who it says it is. Why is for the trail.
    Client(&'static str),
    /// A limited session may make no other.
    Limited,
    /// The challenge waits for its user still.
    Pending,
    /// The same, and it was asked too often.
    SlowDown,
    /// There is no such challenge, or no longer.
    Expired,
    /// The mount has no call of that name, or there is no such mount.
    NoCall,
    /// It goes by this method only.
    OnlyBy(&'static str),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<directory::Error> for Error {
    fn from(error: directory::Error) -> Self {
        match error {
            directory::Error::Store(error) => Self::Store(error),
            other => Self::Denied(other.to_string()),
        }
    }
}
