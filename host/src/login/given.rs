//! Which roles a login gives.

use std::collections::BTreeSet;

use super::{Error, Login};
use crate::{
    directory::{ADMIN, User},
    ids::RoleName,
    mount::Mount,
};

/// What of a login its roles go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoginEvidence<'a> {
    /// By the mount's plugin, the last time.
    pub(super) groups: &'a [String],
    /// It came by a provider's device flow: nobody could see who asked for it.
    pub(super) by_device_flow: bool,
}

impl Login {
    /// The user's own role, and those that the mount's present mapping gives to the groups; of these, what the rules let
    /// a login by this mount give.
    pub(super) fn roles_given(
        &self,
        mount: &Mount,
        own: Option<&RoleName>,
        evidence: LoginEvidence<'_>,
    ) -> Vec<RoleName> {
        let rules = self.security.rules();
        let mapped = evidence.groups.iter().filter_map(|group| mount.spec.roles.get(group));
        let mapped = mapped.flat_map(|mapping| &mapping.give);
        let may = |role: &&RoleName| {
            let too_much = evidence.by_device_flow && role.as_str() == ADMIN;
            !too_much && rules.may_give(mount.name.as_str(), role.as_str())
        };
        let roles: BTreeSet<&RoleName> = own.into_iter().chain(mapped).filter(may).collect();
        roles.into_iter().cloned().collect()
    }

    /// Who logs in by an identity of somewhere else is to be something here.
    pub(super) fn demand_role(
        &self,
        mount: &Mount,
        user: Option<&User>,
        evidence: LoginEvidence<'_>,
    ) -> Result<(), Error> {
        let own = user.and_then(|user| user.role.as_ref());
        match mount.live()?.proves_users() || !self.roles_given(mount, own, evidence).is_empty() {
            true => Ok(()),
            false => Err(Error::Denied("the login gives no role".to_owned())),
        }
    }
}
