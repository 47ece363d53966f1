//! Users: who there is.
//!
//! Owns the rules that hold between a user, the role and the credentials: who may give a role,
//! that the last admin stays, that a name which is gone takes its sessions along. Never proves
//! anybody. One more thing that a user has joins `create` and `delete` in their one batch.

mod common;
mod create;
mod credentials;
mod delete;
mod error;
mod explain;
mod leaving;
mod links;
mod password;
mod roles;
mod sessions;
mod update;

use std::{collections::BTreeSet, sync::Arc};

use zeroize::Zeroizing;

pub use create::NewUser;
pub use credentials::{CredentialsPath, NewCredential, Told};
pub use error::{Error, Refusal};
pub use explain::{ExplainPath, Explanation, Question, Who};
pub use password::OwnPassword;
pub use roles::AllRoles;
pub use sessions::SessionsPath;

use crate::{
    audit::Audit,
    barrier::{Barrier, Error as Store, Writes},
    clock::Clock,
    directory::{Directory, User},
    document::Documents,
    fence::{Counter, Fence},
    ids::{Action, MountName, RequestId, RoleName, Username},
    mount::{self, Attempts, Kind, Mount, Mounts, PASSWORD},
    policy::{Caller, List, Permit, Policies, Read, Resource},
    runtime::{Facts, Fault, types::Bytes},
    security::Security,
    sensitive::Secret,
    session::Sessions,
    throttle::Throttle,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Users {
    audit: Audit,
    barrier: Barrier,
    clock: Clock,
    directory: Directory,
    documents: Documents,
    fence: Fence,
    mounts: Mounts,
    policies: Policies,
    security: Security,
    sessions: Sessions,
    throttle: Throttle,
    dev: bool,
}

/// A user in policy: `sys/users/<name>`.
#[derive(Clone, Debug)]
pub struct UserPath(pub Username);

impl Resource for UserPath {
    fn path(&self) -> String {
        format!("sys/users/{}", self.0)
    }
}

/// All users in policy: `sys/users`.
#[derive(Clone, Copy, Debug)]
pub struct AllUsers;

impl Resource for AllUsers {
    fn path(&self) -> String {
        "sys/users".to_owned()
    }
}

/// Somebody's password in policy: `sys/users/<name>/password`.
#[derive(Clone, Debug)]
pub struct PasswordPath(pub Username);

impl Resource for PasswordPath {
    fn path(&self) -> String {
        format!("{}/password", UserPath(self.0.clone()).path())
    }
}

/// A role in policy: `sys/roles/<name>`. Whoever gives or takes a role needs `manage` on it.
#[derive(Clone, Debug)]
pub struct RolePath(pub RoleName);

impl Resource for RolePath {
    fn path(&self) -> String {
        format!("sys/roles/{}", self.0)
    }
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub audit: Audit,
    pub barrier: Barrier,
    pub clock: Clock,
    pub directory: Directory,
    pub documents: Documents,
    pub fence: Fence,
    pub mounts: Mounts,
    pub policies: Policies,
    pub security: Security,
    pub sessions: Sessions,
    pub throttle: Throttle,
    /// A dev store: the root token outlives the first admin.
    pub dev: bool,
}

impl Users {
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, barrier, clock, directory, documents, fence, mounts, .. } = parts;
        let Parts { policies, security, sessions, throttle, dev, .. } = parts;
        Self { audit, barrier, clock, directory, documents, fence, mounts, policies, security, sessions, throttle, dev }
    }

    /// Those whom the caller may list one by one, in byte order of their names, and where to go on.
    pub async fn list(
        &self,
        permit: &Permit<List, AllUsers>,
        after: Option<&Username>,
        limit: usize,
    ) -> Result<(Vec<User>, Option<Username>), Error> {
        let may = |name: &Username| self.policies.allows(permit.caller(), Action::List, &UserPath(name.clone()).path());
        let shown = |user: &User| user.username.as_str() != ROOT && may(&user.username);
        let generation = self.fence.generation(Counter::Users);
        Ok(self.directory.page(generation, after, limit, shown).await?)
    }

    pub async fn get(&self, permit: &Permit<Read, UserPath>) -> Result<User, Error> {
        self.named(&permit.resource().0).await
    }

    /// The user of that name. Whom the root token stands for is not one of them: nobody changes,
    /// names or removes it.
    async fn named(&self, name: &Username) -> Result<User, Error> {
        let found = self.directory.by_name(name).await?;
        found.filter(|user| user.username.as_str() != ROOT).ok_or(Error::NotFound("username"))
    }

    /// The same as it is in the batch: what is then decided about it, `to` rests on.
    async fn hold(&self, to: &mut Writes, name: &Username) -> Result<User, Error> {
        let id = self.named(name).await?.id;
        Ok(self.directory.hold(to, &id).await?)
    }

    /// Giving, taking or touching whoever has a role needs `manage` on that role.
    fn check_may_manage(&self, caller: &Caller, role: &RoleName) -> Result<(), Error> {
        let path = RolePath(role.clone()).path();
        match self.policies.allows(caller, Action::Manage, &path) {
            true => Ok(()),
            false => Err(Error::Forbidden(path)),
        }
    }

    /// The same for every role that the user has, or can come to by a login that leads to them.
    fn check_may_manage_user(&self, caller: &Caller, user: &User) -> Result<(), Error> {
        let mounts = user.links.iter().filter_map(|link| self.mounts.by_id(&link.mount));
        let given = mounts.flat_map(|mount| mount.spec.given().cloned().collect::<Vec<_>>());
        let roles: BTreeSet<RoleName> = user.role.iter().cloned().chain(given).collect();
        roles.iter().try_for_each(|role| self.check_may_manage(caller, role))
    }

    /// The mount that keeps passwords.
    fn passwords(&self) -> Result<Arc<Mount>, Error> {
        let name = MountName::parse(PASSWORD).expect("a constant");
        self.mounts.get(Kind::Auth, &name).ok_or(Error::Mount(mount::Error::Disabled))
    }

    /// A call of an auth mount about somebody's credentials, on that user's behalf.
    fn about(&self, mount: &Mount, user: &User, request: &RequestId) -> Result<Attempts, Error> {
        let facts = Facts {
            mount_path: mount.name.to_string(),
            request_id: request.to_string(),
            principal: Some(user.id.to_string()),
            principal_name: Some(user.username.to_string()),
            ..Facts::default()
        };
        Ok(self.mounts.call(mount, facts, user.id.as_str())?)
    }

    async fn commit(&self, writes: Writes, counters: &[Counter]) -> Result<bool, Error> {
        match self.barrier.commit(writes).await {
            Ok(()) => {
                self.fence.settle(counters).await;
                Ok(true)
            }
            Err(Store::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whom the root token stands for.
const ROOT: &str = "root";

/// As the mount `password` takes one.
fn credential(password: &Secret<String>) -> Bytes {
    let body = serde_json::json!({"password": password.reveal()});
    Zeroizing::new(serde_json::to_vec(&body).expect("JSON serialises")).into()
}

/// The plugin's own refusal is told with its places; `password` stands where the client said so.
fn refused(error: mount::Error, password: &str) -> Error {
    match error {
        mount::Error::Fault(Fault::Refused(refusal)) if refusal.code == "invalid" => {
            let mut problems = refusal.problems;
            for problem in &mut problems {
                if let Some(rest) = problem.at.strip_prefix("/password") {
                    problem.at = format!("{password}{rest}");
                }
            }
            Error::Invalid(problems)
        }
        other => Error::Mount(other),
    }
}
