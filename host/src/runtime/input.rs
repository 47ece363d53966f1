use zeroize::Zeroizing;

use super::{
    invoke::Invoke,
    types::{Bytes, Request},
};

/// What a plugin can be asked, and what it then answers (`Answer`). Each function of its exports
/// is one type here; how it is asked stands in `invoke.rs`.
pub trait Input: Invoke {}

impl<T: Invoke> Input for T {}

/// Before a version or a configuration goes live. Answers notes; what it writes is dropped.
#[derive(Clone, Debug)]
pub struct Check;

/// One operation of a secrets engine. Answers a `Response`.
#[derive(Clone, Debug)]
pub struct Handle(pub Request);

/// Answers a `Step`.
#[derive(Clone, Debug)]
pub struct Login {
    pub credentials: Bytes,
}

/// Answers a `Step`.
#[derive(Clone, Debug)]
pub struct Resume {
    pub state: Bytes,
    pub answer: Bytes,
}

/// At a renewal: is this identity still good? Answers an `Identity`.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub internal: Bytes,
}

/// Answers what is shown once: a JSON object, or empty.
#[derive(Clone, Debug)]
pub struct Enroll {
    pub subject: String,
    pub id: Option<String>,
    pub credential: Bytes,
}

#[derive(Clone, Debug)]
pub struct Verify {
    pub subject: String,
    pub credential: Bytes,
}

/// What a subject has. Answers a JSON array, or empty.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub subject: String,
}

/// One credential, or all of them.
#[derive(Clone, Debug)]
pub struct Remove {
    pub subject: String,
    pub id: Option<String>,
}

/// Answers the lease as it holds from now on.
#[derive(Clone, Debug)]
pub struct RenewLease {
    pub internal: Bytes,
    pub increment_seconds: u64,
}

#[derive(Clone, Debug)]
pub struct RevokeLease {
    pub internal: Bytes,
}

/// Answers in how many seconds it wants to be called again, or none.
#[derive(Clone, Debug)]
pub struct Tick;

/// Answers true when there is nothing left to move.
#[derive(Clone, Debug)]
pub struct Migrate {
    pub from: String,
}

impl From<Zeroizing<Vec<u8>>> for Bytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}
