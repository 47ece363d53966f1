//! Who does something about leases, and to which of them they may.

use super::{Leases, Selection};
use crate::{ids, policy::Caller};

/// Whoever asks about leases.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    pub(super) caller: &'a Caller,
    is_holder: bool,
}

impl<'a> Requester<'a> {
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
    pub(super) fn allows(&self, by: Requester<'_>, action: ids::Action, of: Option<&Selection>, path: &str) -> bool {
        let path = format!("sys/leases/{path}");
        match of {
            _ if by.is_holder => true,
            Some(Selection::Below(_)) => self.0.policies.allows(by.caller, action, &path),
            Some(Selection::User(_) | Selection::Session(_)) | None => {
                !self.0.policies.forbids(by.caller, action, &path)
            }
        }
    }
}
