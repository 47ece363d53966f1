//! Nobody locks everybody out by accident: a change after which no login can give `admin` is to be forced.

use super::{Change, Error, Settings};
use crate::{
    directory::ADMIN,
    ids::MountName,
    mount::{self, Kind, Second, Spec, When},
    runtime::Facts,
    security::{Bind, Rules},
};

/// A mount by which one can log in.
#[derive(Clone, Debug)]
pub(super) struct LoginMount {
    pub(super) name: MountName,
    pub(super) second: Option<Second>,
    /// It knows the host's own users, and can be somebody's second factor.
    pub(super) proves_users: bool,
    /// Its mapping gives `admin` to a group.
    pub(super) maps_to_admin: bool,
}

/// What logins go by after a change.
pub(super) struct LoginsAfter<'a> {
    pub(super) rules: &'a Rules,
    /// The mount that changes, and what becomes of it. None: it lets nobody in.
    pub(super) changed: Option<(&'a MountName, Option<LoginMount>)>,
}

impl LoginMount {
    /// What a mount is once it has been changed so. None: it lets nobody in.
    pub(super) fn after(change: &mount::Change, name: &MountName, spec: &Spec) -> Option<Self> {
        spec.enabled.then(|| Self::of(name, spec, change.proves_users))
    }

    fn of(name: &MountName, spec: &Spec, proves_users: bool) -> Self {
        let maps_to_admin = spec.given().any(|role| role.as_str() == ADMIN);
        Self { name: name.clone(), second: spec.second.clone(), proves_users, maps_to_admin }
    }
}

impl Settings {
    /// The same for a change of an auth mount. None: it lets nobody in afterwards.
    pub(super) async fn check_login_mount(
        &self,
        name: &MountName,
        becomes: Option<LoginMount>,
        change: &Change,
    ) -> Result<(), Error> {
        let (rules, stays) = (self.security.rules(), becomes.is_some());
        let after = LoginsAfter { rules: &rules, changed: Some((name, becomes)) };
        match stays {
            true => self.check_still_open(&after, change).await,
            false => self.check_lock_out(&after, change).await,
        }
    }

    /// After the change some mount must be able to give `admin`.
    pub(super) async fn check_lock_out(&self, after: &LoginsAfter<'_>, change: &Change) -> Result<(), Error> {
        match change.force || self.lets_an_admin_in(after).await? {
            true => Ok(()),
            false => Err(Error::LockedOut),
        }
    }

    /// The same for a change that takes no login away: what was so before it is none of its doing.
    async fn check_still_open(&self, after: &LoginsAfter<'_>, change: &Change) -> Result<(), Error> {
        let closed = self.check_lock_out(after, change).await;
        let before = LoginsAfter { rules: &self.security.rules(), changed: None };
        match closed.is_ok() || self.lets_an_admin_in(&before).await? {
            true => closed,
            false => Ok(()),
        }
    }

    /// Sessions are bound to addresses from here on: whoever says so must come from one that is known.
    pub(super) fn check_binding(&self, rules: &Rules, change: &Change) -> Result<(), Error> {
        let begins = rules.sessions.bind == Bind::Caller && self.security.rules().sessions.bind != Bind::Caller;
        match begins && !change.from_known_address && !change.force {
            true => Err(Error::LockedOut),
            false => Ok(()),
        }
    }

    async fn lets_an_admin_in(&self, after: &LoginsAfter<'_>) -> Result<bool, Error> {
        // A limited session may change nothing of this kind: if all are, nobody can.
        if after.rules.sessions.default_max_uses.is_some() {
            return Ok(false);
        }
        let logins = self.login_mounts(after);
        for login in logins.iter().filter(|login| after.rules.may_give(login.name.as_str(), ADMIN)) {
            if self.leads_to_an_admin(login).await? && self.lets_through(login, &logins).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn login_mounts(&self, after: &LoginsAfter<'_>) -> Vec<LoginMount> {
        let changed = after.changed.as_ref().map(|(name, _)| *name);
        let stay = self.mounts.of_kind(Kind::Auth).into_iter().filter(|mount| Some(&mount.name) != changed);
        let open = stay.filter_map(|mount| {
            let proves_users = mount.live().ok()?.proves_users();
            Some(LoginMount::of(&mount.name, &mount.spec, proves_users))
        });
        open.chain(after.changed.iter().filter_map(|(_, becomes)| becomes.clone())).collect()
    }

    /// Whom a mount proves that knows others than our own users is an admin by its mapping, or by a link.
    async fn leads_to_an_admin(&self, login: &LoginMount) -> Result<bool, Error> {
        if login.proves_users || login.maps_to_admin {
            return Ok(true);
        }
        let Some(mount) = self.mounts.get(Kind::Auth, &login.name) else { return Ok(false) };
        for admin in self.directory.holders().await? {
            let admin = self.directory.user(&admin).await?;
            if admin.is_some_and(|admin| admin.links.iter().any(|link| link.mount == mount.id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A second factor that does not answer lets nobody in; one that is always asked for, only those who have it.
    async fn lets_through(&self, login: &LoginMount, logins: &[LoginMount]) -> Result<bool, Error> {
        let Some(Second { mount, when }) = &login.second else { return Ok(true) };
        let answers = logins.iter().any(|other| other.name == *mount && other.proves_users);
        match when {
            When::Enrolled => Ok(answers),
            When::Always => Ok(answers && self.an_admin_has(mount).await?),
        }
    }

    async fn an_admin_has(&self, second: &MountName) -> Result<bool, Error> {
        let Some(mount) = self.mounts.get(Kind::Auth, second) else { return Ok(false) };
        for admin in self.directory.holders().await? {
            let login_user = Some(admin.to_string());
            let facts = Facts { mount_path: second.to_string(), login_user, ..Facts::default() };
            // One that cannot say so lets nobody in.
            if self.mounts.is_enrolled(&mount, facts, &admin).await.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
