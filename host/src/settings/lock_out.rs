//! Nobody locks everybody out by accident: a change after which no login can give `admin` is to be forced.

use super::{Error, Settings};
use crate::{
    directory::ADMIN,
    ids::{MountId, MountName},
    mount::{self, Kind, Second, Spec, When},
    runtime::Facts,
    security::{Bind, Rules},
};

/// A mount by which one can log in.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) name: MountName,
    /// None: it is new.
    pub(super) mount: Option<MountId>,
    pub(super) second: Option<Second>,
    /// It knows the host's own users, and can be somebody's second factor.
    pub(super) proves_users: bool,
    /// Its mapping gives `admin` to a group.
    pub(super) maps_to_admin: bool,
}

impl Way {
    fn of(name: &MountName, mount: Option<MountId>, spec: &Spec, proves_users: bool) -> Self {
        let maps_to_admin = spec.given().any(|role| role.as_str() == ADMIN);
        Self { name: name.clone(), mount, second: spec.second.clone(), proves_users, maps_to_admin }
    }
}

/// What logins go by after a change.
pub(super) struct Logins<'a> {
    pub(super) rules: &'a Rules,
    /// The mount that changes, and what becomes of it. None: it lets nobody in.
    pub(super) changed: Option<(&'a MountName, Option<Way>)>,
}

impl Settings {
    /// The same for a change of an auth mount; None: it goes.
    pub(super) async fn check_way(
        &self,
        (name, spec): (&MountName, Option<&Spec>),
        change: &mount::Change,
        force: bool,
    ) -> Result<(), Error> {
        let spec = spec.filter(|spec| spec.enabled);
        let mount = self.mounts.get(Kind::Auth, name).map(|mount| mount.id.clone());
        let way = spec.map(|spec| Way::of(name, mount, spec, change.proves_users()));
        let (rules, stays) = (self.security.rules(), way.is_some());
        let after = Logins { rules: &rules, changed: Some((name, way)) };
        match stays {
            true => self.check_still_open(&after, force).await,
            false => self.check_lock_out(&after, force).await,
        }
    }

    /// After the change some mount must be able to give `admin`.
    pub(super) async fn check_lock_out(&self, after: &Logins<'_>, force: bool) -> Result<(), Error> {
        match force || self.lets_an_admin_in(after).await? {
            true => Ok(()),
            false => Err(Error::LockedOut),
        }
    }

    /// The same for a change that takes no login away: what was so before it is none of its doing.
    async fn check_still_open(&self, after: &Logins<'_>, force: bool) -> Result<(), Error> {
        let closed = self.check_lock_out(after, force).await;
        let before = Logins { rules: &self.security.rules(), changed: None };
        match closed.is_ok() || self.lets_an_admin_in(&before).await? {
            true => closed,
            false => Ok(()),
        }
    }

    /// Sessions are bound to addresses from here on: whoever says so must come from one that is known.
    pub(super) fn check_binding(&self, rules: &Rules, (seen, force): (bool, bool)) -> Result<(), Error> {
        let begins = rules.sessions.bind == Bind::Caller && self.security.rules().sessions.bind != Bind::Caller;
        match begins && !seen && !force {
            true => Err(Error::LockedOut),
            false => Ok(()),
        }
    }

    async fn lets_an_admin_in(&self, after: &Logins<'_>) -> Result<bool, Error> {
        // A limited session may change nothing of this kind: if all are, nobody can.
        if after.rules.sessions.default_max_uses.is_some() {
            return Ok(false);
        }
        let ways = self.ways(after);
        for way in ways.iter().filter(|way| after.rules.may_give(way.name.as_str(), ADMIN)) {
            if self.leads_to_admin(way).await? && self.lets_through(way, &ways).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ways(&self, after: &Logins<'_>) -> Vec<Way> {
        let changed = after.changed.as_ref().map(|(name, _)| *name);
        let stay = self.mounts.of_kind(Kind::Auth).into_iter().filter(|mount| Some(&mount.name) != changed);
        let open = stay.filter_map(|mount| {
            let proves_users = mount.live().ok()?.proves_users();
            Some(Way::of(&mount.name, Some(mount.id.clone()), &mount.spec, proves_users))
        });
        open.chain(after.changed.iter().filter_map(|(_, way)| way.clone())).collect()
    }

    /// Whom a mount proves that knows others than our own users is an admin by its mapping, or by a link.
    async fn leads_to_admin(&self, way: &Way) -> Result<bool, Error> {
        if way.proves_users || way.maps_to_admin {
            return Ok(true);
        }
        for admin in self.directory.holders().await? {
            let admin = self.directory.user(&admin).await?;
            if admin.is_some_and(|admin| admin.links.iter().any(|link| Some(&link.mount) == way.mount.as_ref())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A second factor that does not answer lets nobody in; one that is always asked for, only those who have it.
    async fn lets_through(&self, way: &Way, ways: &[Way]) -> Result<bool, Error> {
        let Some(Second { mount, when }) = &way.second else { return Ok(true) };
        let answers = ways.iter().any(|other| other.name == *mount && other.proves_users);
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
