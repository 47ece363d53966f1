//! Identities of elsewhere, at mounts whose plugins prove others than the host's own users: what a user can log in with
//! there is what the directory links to them. Only somebody else links one, for it is proof of nothing by itself.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Counter, Error, NewCredential, Refusal, Told, Users};
use crate::{
    barrier::Writes,
    directory::{self, ADMIN, Kind as UserKind, Link, User},
    ids::{RoleName, Username},
    limits,
    mount::{Kind, Mount},
    policy::Caller,
    problem, runtime,
};

/// A user's identities at one mount.
pub(super) fn listed(mount: &Mount, user: &User) -> Vec<Value> {
    let links = user.links.iter().filter(|link| link.mount == mount.id);
    links.map(|link| json!({"id": link.id(), "subject": link.subject})).collect()
}

impl Users {
    /// Makes an identity lead to a user from now on.
    pub(super) async fn link(
        &self,
        caller: &Caller,
        name: &Username,
        mount: &Mount,
        new: &NewCredential,
    ) -> Result<Told, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(caller, &user)?;
            // By this login the user comes to what the mount gives to groups.
            let given: BTreeSet<&RoleName> = mount.spec.given().collect();
            given.into_iter().try_for_each(|role| self.check_may_manage(caller, role))?;
            if user.kind == UserKind::Machine {
                return Err(Error::invalid("", "invalid_value", "a machine has no identity elsewhere"));
            }
            let link = Link { mount: mount.id.clone(), subject: subject(new)? };
            if user.links.contains(&link) {
                return Err(taken());
            }
            self.mounts.rest_on(&mut writes, mount).await?;
            match self.directory.link(&mut writes, &link.mount, &link.subject, &user.id).await {
                Err(directory::Error::Exists | directory::Error::Retired) => return Err(taken()),
                linked => linked?,
            }
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users]).await? {
                return Ok(Map::from_iter([("id".to_owned(), link.id().into())]));
            }
        }
        Err(Refusal::Busy.into())
    }

    /// The identity is nobody's from now on, and whoever came in by it is out.
    pub(super) async fn unlink(&self, caller: &Caller, name: &Username, mount: &Mount, id: &str) -> Result<(), Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(caller, &user)?;
            let found = user.links.iter().find(|link| link.mount == mount.id && link.id() == id);
            let link = found.ok_or(Error::NotFound("id"))?;
            self.directory.unlink(&mut writes, link, &user.id).await?;
            self.check_admins_get_in(&mut writes, &user, link).await?;
            self.end_all_of(&mut writes, &user);
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(());
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Without this link of an admin's some login must give `admin` still: by a mount that knows our own users, or that
    /// maps groups to it, or by another link.
    async fn check_admins_get_in(&self, to: &mut Writes, user: &User, without: &Link) -> Result<(), Error> {
        let rules = self.security.rules();
        let mut ways = self.mounts.of_kind(Kind::Auth);
        ways.retain(|mount| mount.live().is_ok() && rules.may_give(mount.name.as_str(), ADMIN));
        let is_way = |link: &Link| link != without && ways.iter().any(|mount| mount.id == link.mount);
        if !user.holds_the_keys() || !ways.iter().any(|mount| mount.id == without.mount) {
            return Ok(());
        }
        for mount in &ways {
            if mount.live()?.proves_users() || mount.spec.given().any(|role| role.as_str() == ADMIN) {
                return Ok(());
            }
        }
        for holder in self.directory.holders().await? {
            let Some(holder) = self.directory.user(&holder).await? else { continue };
            if holder.links.iter().any(is_way) {
                // Nor must that one be let go at the same time.
                self.directory.hold(to, &holder.id).await?;
                return Ok(());
            }
        }
        Err(Refusal::InUse("is how the last admin logs in").into())
    }
}

/// What is sent to link an identity.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    subject: Subject,
}

/// As a plugin could say it, and as people can read it.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Subject(String);

impl TryFrom<String> for Subject {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match runtime::is_subject(&text) && !text.contains(char::is_control) {
            true => Ok(Self(text)),
            false => Err("must be 1 to 1024 bytes of text"),
        }
    }
}

fn subject(new: &NewCredential) -> Result<String, Error> {
    if new.id.is_some() {
        return Err(Error::invalid("/id", "invalid_value", "an identity is not replaced: remove it, and link another"));
    }
    let sent: Sent = problem::decode(&Value::Object(new.body.clone())).map_err(Error::Invalid)?;
    Ok(sent.subject.0)
}

/// Whether it is somebody's, or was somebody's who is gone, and whose, is not told.
fn taken() -> Error {
    Error::invalid("/subject", "already_exists", "cannot be linked: it is, or has been, somebody's")
}
