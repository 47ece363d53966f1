use crate::{barrier, directory, mount, problem::Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was sent cannot be taken: with places in the body.
    #[error("invalid")]
    Invalid(Vec<Problem>),
    /// `manage` on this resource is missing.
    #[error("needs manage on {0}")]
    Forbidden(String),
    /// There is nobody of that name.
    #[error("no such user")]
    NotFound,
    /// Nobody would be left who may do everything.
    #[error("the last admin stays")]
    LastAdmin,
    /// Others changed the same things all the while.
    #[error("too many changes at once")]
    Busy,
    #[error(transparent)]
    Directory(#[from] directory::Error),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl Error {
    pub(super) fn invalid(at: &str, code: &'static str, message: &'static str) -> Self {
        Self::Invalid(vec![Problem::new(at, code, message)])
    }
}
