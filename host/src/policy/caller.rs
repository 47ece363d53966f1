use std::net::IpAddr;

use crate::{
    clock::Timestamp,
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
}
