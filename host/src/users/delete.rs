use super::{Counter, Error, UserPath, Users};
use crate::{
    barrier::Writes,
    ids::{RequestId, Username},
    limits,
    mount::{self, Kind},
    policy::{Delete, Permit},
    runtime::{self, Fault},
};

impl Users {
    /// The user, the credentials and every session, in one batch; then the fence, then the answer.
    pub async fn delete(&self, permit: Permit<Delete, UserPath>, request: RequestId) -> Result<Username, Error> {
        let UserPath(name) = permit.resource();
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.may_manage(permit.caller(), &user.role)?;
            self.directory.delete(&mut writes, &user.id).await?;
            for mount in self.mounts.of_kind(Kind::Auth) {
                // A mount that is disabled or broken keeps what it has: no id is ever used twice.
                let Ok(live) = mount.live() else { continue };
                if !live.plugin.exports().credentials {
                    continue;
                }
                let mut attempt = self.about(&mount, &user, &request)?;
                let remove = runtime::Remove { subject: user.id.to_string(), id: None };
                match attempt.run(remove).await {
                    Ok(outcome) => writes.merge(outcome.writes),
                    Err(mount::Error::Fault(Fault::Store(error))) => return Err(error.into()),
                    // A plugin that fails keeps nobody from being deleted.
                    Err(error) => tracing::error!(mount = %mount.name, %error, "credentials of a deleted user stay"),
                }
            }
            self.end_all_of(&mut writes, &user);
            self.fence.raise(&mut writes, Counter::Users);
            if self.commit(writes, &[Counter::Users, Counter::Epochs]).await? {
                return Ok(user.username);
            }
        }
        Err(Error::Busy)
    }
}
