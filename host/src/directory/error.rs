use crate::barrier;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is taken, or the identity is somebody else's.
    #[error("exists already")]
    Exists,
    /// A name that nobody may have.
    #[error("is a reserved name")]
    Reserved,
    #[error("there is no such user")]
    UnknownUser,
    #[error("there is no such role")]
    UnknownRole,
    /// Nobody would be left who may administer.
    #[error("the last admin cannot be removed")]
    LastAdmin,
    /// The identity belonged to a user who was deleted, and is nobody's for ever.
    #[error("the identity has been retired")]
    Retired,
    #[error("there are too many {0}")]
    TooMany(&'static str),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
