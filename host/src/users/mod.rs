//! Users: who there is.
//!
//! Owns the rules that hold between a user, the role and the credentials: who may give a role,
//! that the last admin stays, that a name which is gone takes its sessions along. Never proves
//! anybody. One more thing that a user has joins `create` and `delete` in their one batch.

mod common;
mod create;
mod delete;
mod error;

pub use create::NewUser;
pub use error::Error;

use crate::{
    barrier::{Barrier, Error as Store, Writes},
    directory::Directory,
    fence::{Counter, Fence},
    ids::{Action, MountName, RoleName, Username},
    mount::{Kind, Mount, Mounts},
    policy::{Caller, Policies, Resource},
    security::Security,
    session::Sessions,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Users {
    barrier: Barrier,
    directory: Directory,
    fence: Fence,
    mounts: Mounts,
    policies: Policies,
    security: Security,
    sessions: Sessions,
    dev: bool,
}

/// A user in policy: `sys/users/<name>`.
#[derive(Clone, Debug)]
pub struct UserPath(pub Username);

impl Resource for UserPath {
    fn path(&self) -> String {
        format!("sys/users/{}", self.0)
    }
}

/// A role in policy: `sys/roles/<name>`. Whoever gives or takes a role needs `manage` on it.
#[derive(Clone, Debug)]
pub struct RolePath(pub RoleName);

impl Resource for RolePath {
    fn path(&self) -> String {
        format!("sys/roles/{}", self.0)
    }
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub barrier: Barrier,
    pub directory: Directory,
    pub fence: Fence,
    pub mounts: Mounts,
    pub policies: Policies,
    pub security: Security,
    pub sessions: Sessions,
    /// A dev store: the root token outlives the first admin.
    pub dev: bool,
}

impl Users {
    pub fn new(parts: Parts) -> Self {
        let Parts { barrier, directory, fence, mounts, policies, security, sessions, dev } = parts;
        Self { barrier, directory, fence, mounts, policies, security, sessions, dev }
    }

    /// Giving, taking or touching whoever has a role needs `manage` on that role.
    fn may_manage(&self, caller: &Caller, role: &RoleName) -> Result<(), Error> {
        let path = RolePath(role.clone()).path();
        match self.policies.allows(caller, Action::Manage, &path) {
            true => Ok(()),
            false => Err(Error::Forbidden(path)),
        }
    }

    /// The mount that keeps passwords.
    fn passwords(&self) -> Result<std::sync::Arc<Mount>, Error> {
        let name = MountName::parse("password").expect("a constant");
        self.mounts.get(Kind::Auth, &name).ok_or(Error::Mount(crate::mount::Error::Disabled))
    }

    async fn commit(&self, writes: Writes, counters: &[Counter]) -> Result<bool, Error> {
        match self.barrier.commit(writes).await {
            Ok(()) => {
                self.fence.settle(counters).await;
                Ok(true)
            }
            Err(Store::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
