use crate::{barrier, directory, mount, problem::Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not set, and without a default.
    #[error("no such setting")]
    NotFound,
    /// There is no such key.
    #[error("not a setting")]
    Unknown,
    /// What is wrong with the value, with places in it.
    #[error("invalid")]
    Invalid(Vec<Problem>),
    /// `expected_version` is not the current one.
    #[error("the setting has changed meanwhile")]
    Conflict,
    /// No enabled login would be able to give `admin`.
    #[error("locked out")]
    LockedOut,
    /// It would give what a mount holds to another plugin, and the caller may not.
    #[error("may not give away what the mount holds")]
    Forbidden,
    /// The plugin could not be tried.
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl From<directory::Error> for Error {
    fn from(error: directory::Error) -> Self {
        match error {
            directory::Error::Store(error) => Self::Store(error),
            // Of users and roles a setting only asks whether they are there.
            _ => Self::NotFound,
        }
    }
}

impl From<mount::Refusal> for Error {
    fn from(refusal: mount::Refusal) -> Self {
        match refusal {
            mount::Refusal::Invalid(problems) => Self::Invalid(problems),
            mount::Refusal::Failed(error) => Self::Mount(error),
        }
    }
}
