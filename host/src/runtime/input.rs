use zeroize::Zeroizing;

use super::types::{Bytes, Identity, LeaseSpec, Request, Response, Step};

/// What a plugin can be asked. Each function of its exports is one type here.
pub trait Input: Send + 'static {
    type Answer: Send + 'static;
}

macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident $body:tt => $answer:ty),+ $(,)?) => {$(
        inputs!(@define $(#[$doc])* $name $body);

        impl Input for $name {
            type Answer = $answer;
        }
    )+};
    (@define $(#[$doc:meta])* $name:ident ()) => {
        $(#[$doc])* #[derive(Clone, Debug)] pub struct $name;
    };
    (@define $(#[$doc:meta])* $name:ident ($inner:ty)) => {
        $(#[$doc])* #[derive(Clone, Debug)] pub struct $name(pub $inner);
    };
    (@define $(#[$doc:meta])* $name:ident {$($field:ident: $type:ty),+}) => {
        $(#[$doc])* #[derive(Clone, Debug)] pub struct $name { $(pub $field: $type),+ }
    };
}

inputs! {
    /// Before a version or a configuration goes live. Answers notes; what it writes is dropped.
    Check () => Vec<String>,
    /// One operation of a secrets engine.
    Handle (Request) => Response,
    Login { credentials: Bytes } => Step,
    Resume { state: Bytes, answer: Bytes } => Step,
    /// At a renewal: is this identity still good?
    Refresh { internal: Bytes } => Identity,
    /// Answers what is shown once: a JSON object, or empty.
    Enroll { subject: String, id: Option<String>, credential: Bytes } => Bytes,
    Verify { subject: String, credential: Bytes } => bool,
    /// What a subject has: a JSON array of objects.
    Credentials { subject: String } => Bytes,
    /// One credential, or all of them.
    Remove { subject: String, id: Option<String> } => (),
    RenewLease { internal: Bytes, increment_seconds: u64 } => LeaseSpec,
    RevokeLease { internal: Bytes } => (),
    /// Answers in how many seconds it wants to be called again, or none.
    Tick () => Option<u32>,
    /// Answers true when there is nothing left to move.
    Migrate { from: String } => bool,
}

impl From<Zeroizing<Vec<u8>>> for Bytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}
