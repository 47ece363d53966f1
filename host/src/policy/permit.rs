use super::{Caller, Reason};
use crate::ids::{self, Folder, SecretPath, SessionId};

/// What somebody wants to do: all of its actions must be allowed.
pub trait Action: Send + Sync + 'static {
    fn actions(&self) -> &[ids::Action];

    /// The verb of the call, for policies on `context.verb`.
    fn verb(&self) -> &str {
        ""
    }
}

/// What it is to be done to. The decision needs the path alone: never look anything up for it.
pub trait Resource: Send + Sync + 'static {
    /// Canonical, without a slash at its ends: `secrets/kv/apps/web/db`.
    fn path(&self) -> String;
}

/// Proof that the caller may do this to that. Whoever holds one need not ask again, and acts on
/// the resource in it: so what was checked is what is used. Made only by `Policies::permit`.
#[derive(Debug)]
pub struct Permit<A: Action, R: Resource> {
    action: A,
    resource: R,
    caller: Caller,
    reason: Reason,
}

impl<A: Action, R: Resource> Permit<A, R> {
    /// For `Policies::permit` alone.
    pub(super) fn new(action: A, resource: R, caller: Caller, reason: Reason) -> Self {
        Self { action, resource, caller, reason }
    }

    pub fn action(&self) -> &A {
        &self.action
    }

    pub fn resource(&self) -> &R {
        &self.resource
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Which policies allow it, for the audit trail.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    pub fn into_resource(self) -> R {
        self.resource
    }
}

/// Not allowed. The reason is for the audit trail and `explain`, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    pub reason: Reason,
}

impl Refusal {
    /// The session's own scope does not cover it: no policy was asked.
    pub fn by_scope(&self) -> bool {
        self.reason == Reason::Scope
    }
}

macro_rules! actions {
    ($($name:ident)*) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Action for $name {
            fn actions(&self) -> &[ids::Action] {
                &[ids::Action::$name]
            }
        }
    )*};
}

actions! { Read List Create Update Delete Use Manage }

/// A write that makes a thing or replaces it. `Either` where it is not known which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Create,
    Update,
    Either,
}

impl Action for Put {
    fn actions(&self) -> &[ids::Action] {
        match self {
            Self::Create => &[ids::Action::Create],
            Self::Update => &[ids::Action::Update],
            Self::Either => &[ids::Action::Create, ids::Action::Update],
        }
    }
}

/// A verb of an engine, under the action that its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verb {
    pub action: ids::Action,
    pub name: String,
}

impl Action for Verb {
    fn actions(&self) -> &[ids::Action] {
        std::slice::from_ref(&self.action)
    }

    fn verb(&self) -> &str {
        &self.name
    }
}

impl Resource for SecretPath {
    fn path(&self) -> String {
        format!("secrets/{self}")
    }
}

impl Resource for Folder {
    fn path(&self) -> String {
        let path = format!("secrets/{self}");
        path.strip_suffix('/').map(str::to_owned).unwrap_or(path)
    }
}

/// One session, whosever it is: `sys/sessions/<id>`.
impl Resource for SessionId {
    fn path(&self) -> String {
        format!("sys/sessions/{self}")
    }
}
