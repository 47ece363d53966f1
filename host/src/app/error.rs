use crate::{audit, barrier, catalog, operate, runtime, session, shared, storage, users};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data folder cannot be used: {0}")]
    DataDir(std::io::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Barrier(#[from] barrier::Error),
    #[error(transparent)]
    Audit(#[from] audit::Error),
    #[error("plugins: {0}")]
    Plugins(String),
    #[error("sessions.ca cannot be read: {0}")]
    Ca(std::io::Error),
    #[error(transparent)]
    Redis(#[from] shared::Error),
    #[error(transparent)]
    Sessions(#[from] session::Error),
    #[error(transparent)]
    Operate(#[from] operate::Error),
    #[error("the dev admin: {0}")]
    Dev(#[from] users::Error),
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        Self::Plugins(error.to_string())
    }
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        Self::Plugins(error.to_string())
    }
}
