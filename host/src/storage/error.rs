/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something the batch expected is not so; nothing was written.
    #[error("the store has changed meanwhile")]
    Conflict,
    /// The store cannot be reached, or is too slow; nothing was written.
    #[error("the store is away: {0}")]
    Away(String),
    /// The connection broke while a batch was being committed: it is in the store, or it is not.
    #[error("it is not known whether the batch was stored: {0}")]
    Unknown(String),
    /// A key, value or batch beyond the limits.
    #[error("too large for the store: {0}")]
    TooLarge(&'static str),
    /// The store is not one that Coffer can use (another process holds it, wrong schema, unsafe settings).
    #[error("the store cannot be used: {0}")]
    Unusable(String),
}
