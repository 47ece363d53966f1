use crate::barrier;

/// Why something is not in the trail. Whoever gets one stops what they were about to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the audit sink takes no records: {0}")]
    Sink(String),
    #[error("the audit sink is too slow")]
    Slow,
    #[error("the audit record is too large")]
    TooLarge,
    /// The writer is gone, and with it the chain.
    #[error("the audit trail has ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Sink(error.to_string())
    }
}
