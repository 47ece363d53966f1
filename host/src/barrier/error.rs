use crate::storage;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("sealed")]
    Sealed,
    /// What the writes rest on has changed; nothing was stored.
    #[error("the store has changed meanwhile")]
    Conflict,
    #[error("the store is away: {0}")]
    Away(String),
    /// It cannot be told whether the writes were stored.
    #[error("it is not known whether the writes were stored: {0}")]
    Unknown(String),
    /// A stored value does not open: it was altered, moved, prolonged or belongs to another store.
    #[error("the value at {0} does not open")]
    Corrupt(String),
    #[error("too large for the store: {0}")]
    TooLarge(&'static str),
    /// A share or key is not the one. Nothing has changed.
    #[error("the share or key {0}")]
    Key(&'static str),
    /// The store is not in the state, or not of the kind, for what was asked.
    #[error("the store {0}")]
    Seal(&'static str),
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Conflict => Self::Conflict,
            storage::Error::Away(cause) | storage::Error::Unusable(cause) => Self::Away(cause),
            storage::Error::Unknown(cause) => Self::Unknown(cause),
            storage::Error::TooLarge(what) => Self::TooLarge(what),
        }
    }
}
