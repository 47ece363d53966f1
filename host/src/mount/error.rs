use crate::{
    barrier,
    catalog::{self, Digest},
    problem::Problem,
    runtime::Fault,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Switched off by its setting: it has not lost anything.
    #[error("the mount is disabled")]
    Disabled,
    /// It answers soon: its plugin, of this digest, is being compiled on this node.
    #[error("the plugin is being compiled")]
    Compiling(Digest),
    /// It should answer and cannot; why is for the operator.
    #[error("the mount is broken: {0}")]
    Broken(String),
    /// It should answer, and is about to be tried again: what was amiss was not it.
    #[error("the mount cannot come up just now: {0}")]
    Passing(String),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Store(#[from] barrier::Error),
}

impl Error {
    /// Why a plugin was not brought up, if the same may go well the next time.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, barrier::Error::Corrupt(_)),
            error => matches!(error, Self::Passing(_)),
        }
    }
}

/// Why a change of a mount's setting is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What is wrong with the value, with places in it.
    #[error("the setting is not valid")]
    Invalid(Vec<Problem>),
    /// The plugin could not be tried.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

impl From<catalog::Error> for Error {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::Store(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<barrier::Error> for Refusal {
    fn from(error: barrier::Error) -> Self {
        Self::Failed(error.into())
    }
}
