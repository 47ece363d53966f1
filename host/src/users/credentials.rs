use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Counter, Error, Refusal, UserPath, Users, links, refused};
use crate::{
    barrier::{self, Writes},
    directory::{Kind as UserKind, User},
    ids::{MountName, RequestId, Username},
    limits,
    mount::{self, Kind, Mount},
    policy::{Delete, List, Permit, Put, Resource},
    runtime::{self, Fault},
    sensitive::Secret,
    session::{Kept, Session},
};

/// What somebody can log in with at one mount, in policy: `sys/users/<name>/credentials/<mount>`.
#[derive(Clone, Debug)]
pub struct CredentialsPath {
    pub user: Username,
    pub mount: MountName,
}

impl Resource for CredentialsPath {
    fn path(&self) -> String {
        format!("{}/credentials/{}", UserPath(self.user.clone()).path(), self.mount)
    }
}

/// A credential to be added, or put in the place of the one of that id. What it consists of is the
/// plugin's to say.
#[derive(Clone)]
pub struct NewCredential {
    pub id: Option<String>,
    pub body: Map<String, Value>,
}

impl fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[credential]")
    }
}

/// Which of the sessions of somebody who changes their own credentials end with that.
enum Ending {
    /// What is added takes nothing away.
    Nothing,
    All,
    /// All but the one that has asked for it.
    Others(Kept),
}

impl From<Option<Kept>> for Ending {
    fn from(kept: Option<Kept>) -> Self {
        kept.map_or(Self::All, Self::Others)
    }
}

/// Told once, and kept nowhere.
pub type Told = Map<String, Value>;

impl Users {
    /// What somebody has at a mount, as its plugin tells it: nothing secret.
    pub async fn credentials(
        &self,
        permit: &Permit<List, CredentialsPath>,
        request: &RequestId,
    ) -> Result<Vec<Value>, Error> {
        let CredentialsPath { user, mount } = permit.resource();
        let mount = self.keeper(mount)?;
        let user = self.named(user).await?;
        self.kept(&mount, &user, request).await
    }

    pub async fn own_credentials(
        &self,
        user: &User,
        mount: &MountName,
        request: &RequestId,
    ) -> Result<Vec<Value>, Error> {
        self.kept(&*self.keeper(mount)?, user, request).await
    }

    /// A credential for somebody else.
    pub async fn enroll(
        &self,
        permit: &Permit<Put, CredentialsPath>,
        new: &NewCredential,
        request: &RequestId,
    ) -> Result<Told, Error> {
        let CredentialsPath { user: name, mount } = permit.resource();
        let mount = self.keeper(mount)?;
        if mount.live()?.takes_links() {
            return self.link(permit.caller(), name, &mount, new).await;
        }
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(permit.caller(), &user)?;
            check_fits(&mount, &user)?;
            if mount.keeps_passwords() {
                self.check_new_password(&user, new)?;
            }
            let (told, may_rerun) = self.add(&mut writes, (&mount, &user), new, request).await?;
            // What is replaced may be why it is replaced.
            if mount.keeps_passwords() || new.id.is_some() {
                self.end_all_of(&mut writes, &user);
            }
            match self.commit(writes, &[Counter::Epochs]).await? {
                true => return Ok(told),
                false if may_rerun => {}
                false => break,
            }
        }
        Err(Refusal::Busy.into())
    }

    /// A credential of one's own. A password is not one of them: changing that takes the current one.
    pub async fn enroll_own(
        &self,
        session: &Session,
        mount: &MountName,
        new: &NewCredential,
        request: &RequestId,
    ) -> Result<Told, Error> {
        let mount = self.keeper(mount)?;
        check_not_own_password(&mount)?;
        check_not_own_identity(&mount)?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.directory.hold(&mut writes, &session.user).await?;
            check_fits(&mount, &user)?;
            let (told, may_rerun) = self.add(&mut writes, (&mount, &user), new, request).await?;
            let ending = match new.id.is_some() {
                true => self.end_others_of(&mut writes, session, &user).await?.into(),
                false => Ending::Nothing,
            };
            match self.commit_own(writes, ending).await? {
                true => return Ok(told),
                false if may_rerun => {}
                false => break,
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Takes a credential of somebody else away, and the sessions that may have been begun by it.
    pub async fn remove(
        &self,
        permit: &Permit<Delete, CredentialsPath>,
        id: &str,
        request: &RequestId,
    ) -> Result<(), Error> {
        let CredentialsPath { user: name, mount } = permit.resource();
        let mount = self.keeper(mount)?;
        if mount.live()?.takes_links() {
            return self.unlink(permit.caller(), name, &mount, id).await;
        }
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(permit.caller(), &user)?;
            if mount.keeps_passwords() && user.holds_the_keys() {
                return Err(Refusal::InUse("is how an admin logs in").into());
            }
            self.take(&mut writes, (&mount, &user), id, request).await?;
            self.end_all_of(&mut writes, &user);
            if self.commit(writes, &[Counter::Epochs]).await? {
                return Ok(());
            }
        }
        Err(Refusal::Busy.into())
    }

    /// The same of one's own. The session that does it lives on.
    pub async fn remove_own(
        &self,
        session: &Session,
        mount: &MountName,
        id: &str,
        request: &RequestId,
    ) -> Result<(), Error> {
        let mount = self.keeper(mount)?;
        check_not_own_password(&mount)?;
        check_not_own_identity(&mount)?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.directory.hold(&mut writes, &session.user).await?;
            self.take(&mut writes, (&mount, &user), id, request).await?;
            let kept = self.end_others_of(&mut writes, session, &user).await?;
            if self.commit_own(writes, kept.into()).await? {
                return Ok(());
            }
        }
        Err(Refusal::Busy.into())
    }

    /// The mount, if its plugin keeps credentials, or has the host keep who is who.
    fn keeper(&self, name: &MountName) -> Result<Arc<Mount>, Error> {
        let mount = self.mounts.get(Kind::Auth, name).ok_or(Error::NotFound("mount"))?;
        let live = mount.live()?;
        let keeps = live.plugin.exports().credentials || live.takes_links();
        Some(mount).filter(|_| keeps).ok_or(Error::NotFound("mount"))
    }

    async fn kept(&self, mount: &Mount, user: &User, request: &RequestId) -> Result<Vec<Value>, Error> {
        if mount.live()?.takes_links() {
            return Ok(links::listed(mount, user));
        }
        let mut attempt = self.about(mount, user, request)?.read_only(true);
        let outcome = attempt.run(runtime::Credentials { subject: user.id.to_string() }).await?;
        if outcome.value.is_empty() {
            return Ok(Vec::new());
        }
        let kept: Vec<Value> = serde_json::from_slice(&outcome.value).map_err(|_| broken())?;
        match kept.iter().all(|one| one.get("id").is_some_and(Value::is_string)) {
            true => Ok(kept),
            false => Err(broken()),
        }
    }

    async fn add(
        &self,
        to: &mut Writes,
        (mount, user): (&Mount, &User),
        new: &NewCredential,
        request: &RequestId,
    ) -> Result<(Told, bool), Error> {
        let body = Zeroizing::new(serde_json::to_vec(&new.body).expect("JSON serialises"));
        let enroll = runtime::Enroll { subject: user.id.to_string(), id: new.id.clone(), credential: body.into() };
        let mut attempt = self.about(mount, user, request)?;
        let outcome = attempt.run(enroll).await.map_err(|error| refused(error, "/password"))?;
        to.merge(outcome.writes);
        let told = match outcome.value.is_empty() {
            true => Map::new(),
            false => serde_json::from_slice(&outcome.value).map_err(|_| broken())?,
        };
        Ok((told, outcome.may_rerun))
    }

    /// One that the user has: what is not there is not taken away.
    async fn take(
        &self,
        to: &mut Writes,
        (mount, user): (&Mount, &User),
        id: &str,
        request: &RequestId,
    ) -> Result<(), Error> {
        let kept = self.kept(mount, user, request).await?;
        if !kept.iter().any(|one| one["id"] == id) {
            return Err(Error::NotFound("id"));
        }
        let remove = runtime::Remove { subject: user.id.to_string(), id: Some(id.to_owned()) };
        let outcome = self.about(mount, user, request)?.run(remove).await?;
        to.merge(outcome.writes);
        Ok(())
    }

    /// Stores it, and takes the session that is to stay over the epoch that it raised itself.
    async fn commit_own(&self, writes: Writes, ending: Ending) -> Result<bool, Error> {
        match self.barrier.commit(writes).await {
            Ok(()) => {}
            Err(barrier::Error::Conflict) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        match ending {
            Ending::Nothing => return Ok(true),
            Ending::All => {}
            Ending::Others(kept) => {
                if let Err(error) = self.sessions.keep(kept, None).await {
                    tracing::info!(%error, "a session ends with the credential that it changed");
                }
            }
        }
        self.fence.settle(&[Counter::Epochs]).await;
        Ok(true)
    }

    fn check_new_password(&self, user: &User, new: &NewCredential) -> Result<(), Error> {
        if user.kind == UserKind::Machine {
            return Err(Error::invalid("", "invalid_value", "a machine has no password"));
        }
        match new.body.get("password") {
            Some(Value::String(password)) => {
                self.check_password("/password", &Secret::new(password.clone()), &user.username)
            }
            Some(_) => Err(Error::invalid("/password", "wrong_type", "has the wrong type")),
            None => Err(Error::invalid("/password", "missing", "is required")),
        }
    }
}

/// What machines log in with asks for no second factor and outlives a new password: a person has none.
fn check_fits(mount: &Mount, user: &User) -> Result<(), Error> {
    match mount.live()?.takes_machines_only() && user.kind != UserKind::Machine {
        true => Err(Error::invalid("", "invalid_value", "only a machine has secrets of a client")),
        false => Ok(()),
    }
}

fn check_not_own_password(mount: &Mount) -> Result<(), Error> {
    match mount.keeps_passwords() {
        true => Err(Error::invalid("", "invalid_value", "one's own password is changed by its own call")),
        false => Ok(()),
    }
}

/// Nobody can be asked whether an identity is theirs: who could link one to themselves could take somebody else's.
fn check_not_own_identity(mount: &Mount) -> Result<(), Error> {
    match mount.live()?.takes_links() {
        true => {
            Err(Error::invalid("", "invalid_value", "one's own identities are for somebody else to link, and to end"))
        }
        false => Ok(()),
    }
}

fn broken() -> Error {
    Error::Mount(mount::Error::Fault(Fault::Invalid("credentials that are none".to_owned())))
}
