use crate::{barrier, directory, mount, problem::Problem, session, throttle};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was sent cannot be taken: with places in the body.
    #[error("invalid")]
    Invalid(Vec<Problem>),
    /// `manage` on this resource is missing.
    #[error("needs manage on {0}")]
    Forbidden(String),
    /// What the request names by this member is not there.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Throttle(#[from] throttle::Error),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

/// What is understood, permitted, and cannot be all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody would be left who may do everything.
    #[error("the last admin stays")]
    LastAdmin,
    #[error("is built in")]
    BuiltIn,
    #[error("is in use by {0}")]
    InUse(&'static str),
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// Others changed the same things all the while.
    #[error("too many changes at once")]
    Busy,
}

impl Error {
    pub(super) fn invalid(at: &str, code: &'static str, message: &'static str) -> Self {
        Self::Invalid(vec![Problem::new(at, code, message)])
    }
}

impl From<directory::Error> for Error {
    fn from(error: directory::Error) -> Self {
        use directory::Error as E;
        match error {
            E::Exists | E::Retired => Self::invalid("/username", "already_exists", "is taken"),
            E::Reserved => Self::invalid("/username", "reserved", "is a reserved name"),
            E::UnknownUser => Self::NotFound("username"),
            E::UnknownRole => Self::invalid("/role", "unknown_role", "is not a role"),
            E::LastAdmin => Refusal::LastAdmin.into(),
            E::TooMany(what) => Refusal::TooMany(what).into(),
            E::Store(error) => Self::Store(error),
        }
    }
}
