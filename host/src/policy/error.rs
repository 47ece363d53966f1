use super::Problem;
use crate::barrier;

/// Why a change of the policies is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with the text, and where.
    #[error("the text is not a policy that can be put in force")]
    Problems(Vec<Problem>),
    #[error("is built in")]
    BuiltIn,
    #[error("there is no such policy")]
    NotFound,
    #[error("the expected version is not the current one")]
    Conflict,
    #[error("there are too many policies")]
    TooMany,
    /// Nobody could change the policies back.
    #[error("would lock out whoever changes policies")]
    LockedOut,
    /// Others changed the policies all the while.
    #[error("too many changes at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
