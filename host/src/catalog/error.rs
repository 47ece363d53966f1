use crate::{barrier, problem::Problem};

/// Why a file is not a plugin that can be used. In words for whoever sends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a WebAssembly component that runs here: {0}")]
    Component(&'static str),
    #[error("imports {0}, which {1}")]
    Import(String, &'static str),
    #[error("the manifest {0}")]
    Manifest(String),
    #[error("the manifest is not valid")]
    Invalid(Vec<Problem>),
    #[error("the shipped plugin {0} has another name in its manifest")]
    OtherName(String),
    #[error("there is no such plugin")]
    UnknownPlugin,
    #[error("there is no such version of the plugin")]
    UnknownVersion,
    #[error(transparent)]
    Store(#[from] barrier::Error),
}
