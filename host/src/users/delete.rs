use super::{Counter, Error, UserPath, Users};
use crate::{
    barrier::Writes,
    directory,
    ids::{RequestId, Username},
    limits,
    mount::{self, Kind},
    policy::{Delete, Permit},
    runtime::{self, Facts, Fault},
    session::EpochOf,
};

impl Users {
    /// The user, the credentials and every session, in one batch; then the fence, then the answer.
    pub async fn delete(&self, permit: Permit<Delete, UserPath>, request: RequestId) -> Result<Username, Error> {
        let UserPath(name) = permit.resource();
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let user = self.directory.by_name(name).await.map_err(store)?.ok_or(Error::NotFound)?;
            self.may_manage(permit.caller(), &user.role)?;
            let mut writes = Writes::default();
            self.directory.delete(&mut writes, &user.id).await.map_err(store)?;
            for mount in self.mounts.of_kind(Kind::Auth) {
                // A mount that is disabled or broken keeps what it has: no id is ever used twice.
                let Ok(live) = mount.live() else { continue };
                if !live.plugin.exports().credentials {
                    continue;
                }
                let facts =
                    Facts { mount_path: mount.name.to_string(), request_id: request.to_string(), ..Facts::default() };
                let mut attempt = self.mounts.call(&mount, facts, user.id.as_str())?;
                let remove = runtime::Remove { subject: user.id.to_string(), id: None };
                match attempt.run(remove).await {
                    Ok(outcome) => writes.merge(outcome.writes),
                    Err(mount::Error::Fault(Fault::Store(error))) => return Err(error.into()),
                    // A plugin that fails keeps nobody from being deleted.
                    Err(error) => tracing::error!(mount = %mount.name, %error, "credentials of a deleted user stay"),
                }
            }
            self.sessions.end_all(&mut writes, EpochOf::User(user.id.clone()));
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(user.username);
            }
        }
        Err(Error::Busy)
    }
}

fn store(error: directory::Error) -> Error {
    match error {
        directory::Error::LastAdmin => Error::LastAdmin,
        directory::Error::Store(error) => Error::Store(error),
        other => Error::Directory(other),
    }
}
