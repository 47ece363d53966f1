/// Why Redis did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, is too slow, or is no primary just now.
    #[error("Redis is away: {0}")]
    Away(String),
    /// It is there, and must not be used as it is set up.
    #[error("Redis cannot be used: {0}")]
    Unusable(String),
    /// A key holds something that is not of ours.
    #[error("a key in Redis holds something else")]
    Foreign,
}
