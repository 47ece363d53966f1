//! What a change of a setting needs besides the permit for it and a value of the right shape.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Edit, Error, Key, Settings, wishes::Wishes};
use crate::{
    directory::USER,
    document::Current,
    ids::{Action, MountName, RoleName},
    mount::{self, Kind, Spec},
    policy::Caller,
    problem::{self, Problem},
    security::{OPERATIONS, Rules},
};

impl Settings {
    /// Who gives what a mount holds to another plugin gives away the data, not only the setting.
    pub(super) fn check_may_adopt(&self, caller: &Caller, key: &Key) -> Result<(), Error> {
        let Key::Mount(_, name) = key else { return Ok(()) };
        let path = format!("sys/mount/{name}/data");
        match self.policies.allows(caller, Action::Manage, &path) {
            true => Ok(()),
            false => Err(Error::Forbidden),
        }
    }

    /// Whoever rules an auth mount gives the roles of its mapping to whomever they like, by naming another group or another
    /// server to ask: that takes `manage` on each of them. Whoever has it say anew who comes in can be any of its users, with
    /// the role of that user: that takes `manage` on all that it may give. And no mapping gives more than `sys/security` lets the mount.
    pub(super) async fn check_roles_it_gives(
        &self,
        caller: &Caller,
        key: &Key,
        current: &Current,
        value: Option<&Value>,
    ) -> Result<(), Error> {
        let Key::Mount(Kind::Auth, name) = key else { return Ok(()) };
        // What cannot be read is refused elsewhere, with its place.
        let spec = |value: &Value| Spec::parse(value).ok();
        let (old, new) = (current.document().and_then(|old| spec(&old.value)), value.and_then(spec));
        let mut given: BTreeSet<RoleName> = old.iter().chain(&new).flat_map(Spec::given).cloned().collect();
        if self.vouches_anew(current, old.as_ref(), new.as_ref()) {
            given.extend(self.within_reach(name).await?);
        }
        if given.iter().any(|role| !self.policies.allows(caller, Action::Manage, &format!("sys/roles/{role}"))) {
            return Err(Error::Forbidden);
        }
        let rules = self.security.rules();
        let mut problems = Vec::new();
        for (group, mapping) in new.iter().flat_map(|spec| &spec.roles) {
            for (at, role) in mapping.give.iter().enumerate() {
                let place = problem::pointer("/roles", group) + &format!("/give/{at}");
                if !self.directory.role_exists(role).await? {
                    problems.push(Problem::new(place, "unknown_role", "is not a role"));
                } else if !rules.may_give(name.as_str(), role.as_str()) {
                    let why = "is not a role that logins.roles of sys/security lets this mount give";
                    problems.push(Problem::new(place, "invalid_value", why));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    /// Names in `sys/security` must be of something: a slip would protect nothing, unnoticed. What stands there already
    /// may stay, though what it names be gone.
    pub(super) async fn check_names(&self, key: &Key, current: &Current, value: Option<&Value>) -> Result<(), Error> {
        let rules = |value: &Value| Rules::parse(value).ok();
        // What cannot be read is refused elsewhere, with its place.
        let (Key::Security, Some(new)) = (key, value.and_then(rules)) else { return Ok(()) };
        let old = current.document().and_then(|old| rules(&old.value)).unwrap_or_default();
        let mut problems = Vec::new();
        for (at, name) in new.step_up.operations.iter().enumerate() {
            if !OPERATIONS.contains(&name.as_str()) && !old.step_up.operations.contains(name) {
                let place = format!("/step_up/operations/{at}");
                problems.push(Problem::new(place, "unknown_operation", "is not the name of an operation"));
            }
        }
        for (mount, roles) in &new.logins.roles {
            let (place, before) = (problem::pointer("/logins/roles", mount), old.logins.roles.get(mount));
            if before.is_none() && MountName::parse(mount).is_err() {
                problems.push(Problem::new(&place, "invalid_value", "cannot be the name of a mount"));
            }
            for (at, role) in roles.iter().enumerate() {
                let stands = role == "*" || before.is_some_and(|before| before.contains(role));
                if !stands && !self.is_role(role).await? {
                    problems.push(Problem::new(format!("{place}/{at}"), "unknown_role", "is not a role, nor *"));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    async fn is_role(&self, name: &str) -> Result<bool, Error> {
        match RoleName::parse(name) {
            Ok(name) => Ok(self.directory.role_exists(&name).await?),
            Err(_) => Ok(false),
        }
    }

    /// Secrets that a merge would keep, while it lets them go to a host where they did not go
    /// before, or shows them, are demanded anew: else whoever may write the setting could have them sent to a
    /// host of their own, or read them.
    pub(super) fn check_exposure(
        &self,
        key: &Key,
        current: &Current,
        value: Option<&Value>,
        edit: &Edit,
    ) -> Result<(), Error> {
        let (Key::Mount(..), Some(old), Some(new)) = (key, current.document(), value) else { return Ok(()) };
        let Edit::Merge(patch) = edit else { return Ok(()) };
        // A part of it that is said anew keeps the rest.
        let kept = |place: &String| new.pointer(place) != patch.pointer(place);
        let exposed = self.mounts.exposed(&old.value, new).into_iter().map(|place| format!("/config{place}"));
        let why = "is demanded anew, for it would go to another host or be shown";
        let problems: Vec<Problem> = exposed.filter(kept).map(|place| Problem::new(place, "missing", why)).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    /// Whom a login leads to goes by what the server of its configuration calls them: another server may call somebody
    /// else so. Whoever moves a mount there says that the accounts are the same.
    pub(super) fn check_server(
        &self,
        key: &Key,
        current: &Current,
        value: Option<&Value>,
        wishes: &Wishes,
    ) -> Result<(), Error> {
        let (Key::Mount(Kind::Auth, _), Some(old), Some(new), false) = (key, current.document(), value, wishes.adopt)
        else {
            return Ok(());
        };
        let why = "names another server, where other people may have the ids of those who are known here; \
                   remove the mount first or, if all accounts are the same there, say adopt: true";
        let problem = |place: String| Problem::new(format!("/config{place}"), "mount_holds_data", why);
        let problems: Vec<Problem> = self.mounts.moved(&old.value, new).into_iter().map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    /// What another plugin has lent nobody else can take back, nor a version that takes nothing back.
    pub(super) async fn check_no_leases_out(&self, change: &mount::Change) -> Result<(), Error> {
        let (mount, place) = match (change.given_away(), change.forgets_leases()) {
            (Some(mount), _) => (mount, "/plugin"),
            (None, Some(mount)) => (mount, "/version"),
            (None, None) => return Ok(()),
        };
        match self.leases.lenders().await?.contains(mount) {
            true => {
                let why = "cannot be another one while leases are out that only the present one can take back; revoke them first";
                Err(Error::Invalid(vec![Problem::new(place, "leases_out", why)]))
            }
            false => Ok(()),
        }
    }

    /// Would the change have other code, or another server, say who comes in by this mount? A plugin that proves the
    /// host's own users says so of everybody, whatever is changed.
    fn vouches_anew(&self, current: &Current, old: Option<&Spec>, new: Option<&Spec>) -> bool {
        let is_unknown = current.document().is_some() && old.is_none();
        if is_unknown || old.into_iter().chain(new).any(|spec| self.mounts.would_prove_users(spec)) {
            return true;
        }
        let (Some(old), Some(new)) = (old, new) else { return false };
        let code = |spec: &Spec| (spec.plugin.clone(), spec.version.clone());
        let terms = |spec: &Spec| (spec.config.clone(), spec.grant.clone(), spec.deny.clone(), spec.second.clone());
        code(old) != code(new) || terms(old) != terms(new)
    }

    /// The roles that a login by this mount may give, and at least that of everybody.
    async fn within_reach(&self, mount: &MountName) -> Result<BTreeSet<RoleName>, Error> {
        let rules = self.security.rules();
        let given = rules.logins.roles.get(mount.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut roles: BTreeSet<RoleName> = given.iter().filter_map(|role| RoleName::parse(role).ok()).collect();
        roles.extend(RoleName::parse(USER));
        if given.iter().any(|role| role == "*") {
            roles.extend(self.directory.roles().await?.into_iter().map(|role| role.name));
        }
        Ok(roles)
    }
}
