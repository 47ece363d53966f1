use std::{fmt, path::PathBuf};

/// Why the server does not start with this configuration. Names keys and places, never values:
/// a value may be a password that was put in the wrong line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::ErrorKind },
    /// One place is wrong by itself.
    #[error("{at}: {what}")]
    Wrong { at: Origin, what: String },
    /// Keys that do not go together.
    #[error("{}: {what}", keys.join(", "))]
    Together { keys: Vec<&'static str>, what: &'static str },
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File { path: PathBuf, line: usize, column: usize },
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}
