use super::common::is_common;
use super::{Counter, Error, Refusal, RolePath, UserPath, Users, credential, refused};
use crate::{
    barrier::{Writes, layout::Prefix},
    directory::{self, Kind, User},
    ids::{Email, RequestId, RoleName, UserId, Username},
    limits,
    policy::{Create, Permit, Resource},
    problem::Problem,
    runtime,
    sensitive::Secret,
    session::EpochOf,
};

/// Somebody who is to be.
#[derive(Debug)]
pub struct NewUser {
    pub username: Username,
    pub email: Option<Email>,
    pub role: RoleName,
    /// None: a machine, whose secrets are credentials of another mount.
    pub password: Option<Secret<String>>,
    pub request: RequestId,
}

impl Users {
    /// A user and, for a person, a password for the mount `password`, in one batch.
    pub async fn create(&self, permit: Permit<Create, UserPath>, new: NewUser) -> Result<User, Error> {
        self.check_may_manage(permit.caller(), &new.role)?;
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
        let mount = match &new.password {
            Some(password) => {
                self.check_password("/password", password, &new.username)?;
                Some(self.passwords()?)
            }
            None => None,
        };
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let about = directory::NewUser {
                username: new.username.clone(),
                email: new.email.clone(),
                role: Some(new.role.clone()),
                kind: if new.password.is_some() { Kind::Person } else { Kind::Machine },
            };
            let user = self.directory.create_shipped(&mut writes, about).await?;
            if let (Some(mount), Some(password)) = (&mount, &new.password) {
                let mut attempt = self.about(mount, &user, &new.request)?;
                let subject = user.id.to_string();
                let enroll = runtime::Enroll { subject, id: None, credential: credential(password) };
                let outcome = attempt.run(enroll).await.map_err(|error| refused(error, "/password"))?;
                writes.merge(outcome.writes);
            }
            self.retire_root(&mut writes, &user).await?;
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(user);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// The root token ends with the first admin, if `user` is to be that; in dev it lives its day.
    pub(super) async fn retire_root(&self, to: &mut Writes, user: &User) -> Result<(), Error> {
        if !user.holds_the_keys() {
            return Ok(());
        }
        let boot = self.barrier.view(Prefix::Boot);
        let Some(root) = boot.get::<UserId>("root").await? else { return Ok(()) };
        if !self.dev && self.directory.admins_left().await? == 0 {
            self.sessions.end_all(to, EpochOf::User(root.value));
        }
        Ok(())
    }

    /// The rules of `sys/security` on passwords, which hold whatever plugin keeps them.
    pub(super) fn check_password(&self, at: &str, password: &Secret<String>, username: &Username) -> Result<(), Error> {
        let rules = self.security.rules();
        let (least, most) = (rules.passwords.min_length as usize, rules.passwords.max_length as usize);
        let length = password.reveal().chars().count();
        let told = |code, message: String| Err(Error::Invalid(vec![Problem::new(at, code, message)]));
        if length < least {
            return told("too_short", format!("must have at least {least} characters"));
        }
        if password.reveal().len() > most {
            return told("too_long", format!("must have at most {most} bytes"));
        }
        if rules.passwords.refuse_common && is_common(password.reveal()) {
            return Err(Error::invalid(at, "too_common", "is one that everybody tries"));
        }
        if password.reveal().to_lowercase() == username.as_str() {
            return Err(Error::invalid(at, "too_simple", "must not be the name"));
        }
        Ok(())
    }
}
