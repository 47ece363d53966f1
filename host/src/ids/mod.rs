//! Typed names, parsed once. Whoever holds one of these types need not look at it again.
//!
//! Owns the grammar of every name that a client may send, and randomness. Never knows a
//! service. One more kind of name is one more newtype with a `parse` that answers `Error`.

mod name;
mod path;
mod publisher;
mod random;
mod scope;

pub use name::{Email, MountName, PluginName, PolicyName, RoleName, Username};
pub use path::{Folder, SecretPath};
pub use publisher::PublisherKey;
pub use random::{LeaseId, MountId, ROOT_MOUNT, RequestId, SessionId, UserId, random, random_base62};
pub use scope::{Action, Scope};

/// Why a name is refused, in words for the client. Never quotes the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub &'static str);
