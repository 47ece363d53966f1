use std::net::IpAddr;

use crate::{
    clock::Timestamp,
    directory::ADMIN,
    ids::{MountName, RoleName, Scope, SessionId, UserId},
};

/// Who asks, in as much as decisions go by it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub session: SessionId,
    pub user: UserId,
    /// The user's own, and those that the mount's present mapping gives to the groups.
    pub roles: Vec<RoleName>,
    /// Those last told at the login, each after its mount: `github/team:42`.
    pub groups: Vec<String>,
    /// What the session is narrowed to; None is everything the policies allow.
    pub scope: Option<Scope>,
    /// The auth mount of the login.
    pub method: MountName,
    pub login_at: Timestamp,
    /// None where no trustworthy address is known.
    pub address: Option<IpAddr>,
    /// By a token that shares of the root key have made: the way back in, so no stored policy keeps
    /// it from mending the policies.
    pub root: bool,
}

impl Caller {
    /// Some other admin, in the place and at the time of this caller.
    pub(super) fn as_admin(&self) -> Self {
        let admin = RoleName::parse(ADMIN).expect("a constant");
        let groups = Vec::new();
        Self { user: UserId::new(), roles: vec![admin], groups, scope: None, root: false, ..self.clone() }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role.as_str() == ADMIN)
    }
}
