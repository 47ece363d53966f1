use serde_json::json;
use zeroize::Zeroizing;

use super::common::is_common;
use super::{Counter, Error, RolePath, UserPath, Users};
use crate::{
    barrier::{Writes, layout::Prefix},
    directory::{self, User},
    ids::{Email, RequestId, RoleName, UserId, Username},
    limits, mount,
    policy::{Create, Permit, Resource},
    runtime::{self, Facts, Fault},
    sensitive::Secret,
    session::EpochOf,
};

/// Somebody who is to be.
#[derive(Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Option<Email>,
    pub role: RoleName,
    pub password: Secret<String>,
    pub request: RequestId,
}

impl Users {
    /// A user and a password for the mount `password`, in one batch.
    pub async fn create(&self, permit: Permit<Create, UserPath>, new: NewUser) -> Result<User, Error> {
        self.may_manage(permit.caller(), &new.role)?;
        if permit.resource().path() != UserPath(new.username.clone()).path() {
            return Err(Error::Forbidden(RolePath(new.role).path()));
        }
        if new.username.is_reserved() {
            return Err(Error::invalid("/username", "reserved", "is a reserved name"));
        }
        self.enroll_new(new).await
    }

    /// The admin of a dev store, whom nobody can permit: the server itself makes it, unless it is
    /// there.
    pub async fn create_first(&self, new: NewUser) -> Result<User, Error> {
        match self.directory.by_name(&new.username).await? {
            Some(user) => Ok(user),
            None => self.enroll_new(new).await,
        }
    }

    async fn enroll_new(&self, new: NewUser) -> Result<User, Error> {
        if !self.directory.role_exists(&new.role).await? {
            return Err(Error::invalid("/role", "unknown_role", "is not a role"));
        }
        self.check_password(&new.password, &new.username)?;
        let mount = self.passwords()?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let about = directory::NewUser {
                username: new.username.clone(),
                email: new.email.clone(),
                role: new.role.clone(),
                kind: directory::Kind::Person,
            };
            let user = self.directory.create_shipped(&mut writes, about).await.map_err(taken)?;
            let facts =
                Facts { mount_path: mount.name.to_string(), request_id: new.request.to_string(), ..Facts::default() };
            let mut attempt = self.mounts.call(&mount, facts, user.id.as_str())?;
            let credential = Zeroizing::new(
                serde_json::to_vec(&json!({"password": new.password.reveal()})).expect("JSON serialises"),
            );
            let enroll = runtime::Enroll { subject: user.id.to_string(), id: None, credential: credential.into() };
            let outcome = attempt.run(enroll).await.map_err(refused)?;
            writes.merge(outcome.writes);
            if new.role.as_str() == directory::ADMIN {
                self.retire_root(&mut writes).await?;
            }
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(user);
            }
        }
        Err(Error::Busy)
    }

    /// The root token ends with the first admin; in dev it lives its day.
    async fn retire_root(&self, to: &mut Writes) -> Result<(), Error> {
        let boot = self.barrier.view(Prefix::Boot);
        let Some(root) = boot.get::<UserId>("root").await? else { return Ok(()) };
        if !self.dev && self.directory.admins_left().await? == 0 {
            self.sessions.end_all(to, EpochOf::User(root.value));
        }
        Ok(())
    }

    /// The rules of `sys/security` on passwords, which hold whatever plugin keeps them.
    pub(super) fn check_password(&self, password: &Secret<String>, username: &Username) -> Result<(), Error> {
        let rules = self.security.rules();
        let (least, most) = (rules.passwords.min_length as usize, rules.passwords.max_length as usize);
        let length = password.reveal().chars().count();
        if length < least {
            return Err(Error::Invalid(vec![crate::problem::Problem::new(
                "/password",
                "too_short",
                format!("must have at least {least} characters"),
            )]));
        }
        if password.reveal().len() > most {
            return Err(Error::Invalid(vec![crate::problem::Problem::new(
                "/password",
                "too_long",
                format!("must have at most {most} bytes"),
            )]));
        }
        if rules.passwords.refuse_common && is_common(password.reveal()) {
            return Err(Error::invalid("/password", "too_common", "is one that everybody tries"));
        }
        if password.reveal().to_lowercase() == username.as_str() {
            return Err(Error::invalid("/password", "too_simple", "must not be the name"));
        }
        Ok(())
    }
}

fn taken(error: directory::Error) -> Error {
    match error {
        directory::Error::Exists => Error::invalid("/username", "already_exists", "is taken"),
        directory::Error::Store(error) => Error::Store(error),
        other => Error::Directory(other),
    }
}

/// The plugin's own refusal of a password is told with its places.
fn refused(error: mount::Error) -> Error {
    match error {
        mount::Error::Fault(Fault::Refused(refusal)) if refusal.code == "invalid" => Error::Invalid(refusal.problems),
        other => Error::Mount(other),
    }
}
