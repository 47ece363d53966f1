//! Who does something about leases, and to which of them they may.

use super::{Leases, Of};
use crate::{ids, policy::Caller};

/// Whoever asks about leases.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub(super) caller: &'a Caller,
    is_holder: bool,
}

impl<'a> By<'a> {
    /// About their own: nobody's permission is needed.
    pub const fn holder(caller: &'a Caller) -> Self {
        Self { caller, is_holder: true }
    }

    /// By permission.
    pub const fn other(caller: &'a Caller) -> Self {
        Self { caller, is_holder: false }
    }
}

impl Leases {
    /// Asked of each lease besides what was asked of all: a `forbid` on where it came from (`sys/leases/<path>`)
    /// counts, whatever led to it. Of a folder each needs to be permitted as well; a user's, a session's and one by
    /// its id are permitted by other names than that of where they came from.
    pub(super) fn lets(&self, by: By<'_>, action: ids::Action, of: Option<&Of>, path: &str) -> bool {
        let path = format!("sys/leases/{path}");
        match of {
            _ if by.is_holder => true,
            Some(Of::Below(_)) => self.0.policies.allows(by.caller, action, &path),
            Some(Of::User(_) | Of::Session(_)) | None => !self.0.policies.forbids(by.caller, action, &path),
        }
    }
}
