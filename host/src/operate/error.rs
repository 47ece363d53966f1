use crate::{barrier, directory, mount, session};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The code that the server wrote into its data folder was not given.
    #[error("wrong init code")]
    Code,
    #[error("initialised already")]
    Initialised,
    #[error("ended early")]
    Ended,
    #[error("shares: {0}")]
    Shares(&'static str),
    /// The key file or the key in the environment.
    #[error("the key of the seal cannot be read: {0}")]
    Key(String),
    /// A plugin that is shipped does not come up.
    #[error("a shipped plugin: {0}")]
    Shipped(mount::Refusal),
    #[error(transparent)]
    Audit(#[from] crate::audit::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Directory(#[from] directory::Error),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
