//! The second factor of another mount: whom one mount has proven, another one is asked about. Both must
//! mean the same user.

use std::sync::Arc;

use super::{
    Begun, Client, Error, Login,
    begin::{AuthMethod, Proven, SessionRequest, facts, fault, refused},
    challenge::Waiting,
};
use crate::{
    barrier::Writes,
    directory::User,
    mount::{self, Kind, Mount, When},
    runtime::{self, types::Step},
};

impl Login {
    /// A login whose credentials were right goes on: to the second factor if there is to be one, to the
    /// session if not.
    pub(super) async fn go_on(&self, asked: SessionRequest<'_>, proven: Proven) -> Result<Begun, Error> {
        let mount = self.mount_by_id(&proven.mount)?;
        // However long the second factor takes: what ends all of this user's from here on ends this too.
        let proven = self.rests_on_user(proven).await?;
        let user = self.directory.user(&proven.user).await?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::Denied("gone or disabled".to_owned()))?;
        match self.second_of(&mount, &user, asked.client).await? {
            Some(second) => self.ask_second(&second, &user, asked, proven).await,
            None => Ok(Begun::Session(Box::new(self.open(asked, proven).await?))),
        }
    }

    /// The mount that is to be asked about this user. One that is not there or does not answer lets nobody in.
    async fn second_of(&self, mount: &Mount, user: &User, client: &Client) -> Result<Option<Arc<Mount>>, Error> {
        let Some(second) = &mount.spec.second else { return Ok(None) };
        let other = self.mounts.get(Kind::Auth, &second.mount).ok_or(Error::Mount(mount::Error::Disabled))?;
        if !other.live()?.proves_users() {
            return Err(fault("a second factor that proves others than the server's own users"));
        }
        if second.when == When::Always {
            return Ok(Some(other));
        }
        let facts = facts(&other, client, Some(user));
        Ok(self.mounts.is_enrolled(&other, facts, &user.id).await.map_err(refused)?.then_some(other))
    }

    async fn ask_second(
        &self,
        second: &Mount,
        user: &User,
        asked: SessionRequest<'_>,
        first: Proven,
    ) -> Result<Begun, Error> {
        self.check_takes_logins(&second.id).await?;
        let mut first = Some(first);
        let mut attempts = self.mounts.call(second, facts(second, asked.client, Some(user)), user.id.as_str())?;
        loop {
            let login = runtime::Login { credentials: b"{}".to_vec().into() };
            let outcome = attempts.run(login).await.map_err(refused)?;
            match outcome.value {
                Step::Identity(identity) => {
                    let mut writes = Writes::default();
                    let method = AuthMethod { mount: second, live: second.live()? };
                    self.user_of(&mut writes, method, &identity, false, Some(user)).await?;
                    writes.merge(outcome.writes);
                    if attempts.commit(writes, outcome.may_rerun).await? {
                        let Some(first) = first.take() else { return Err(fault("a login that went on twice")) };
                        return Ok(Begun::Session(Box::new(self.open(asked, first).await?)));
                    }
                }
                Step::Challenge(challenge) => {
                    let mut writes = Writes::default();
                    let mut waiting = Waiting::of(second, Some(user), asked.clone(), self.clock.now());
                    waiting.first = first.take();
                    let next = self.ask(&mut writes, None, &mut waiting, challenge, None).await?;
                    first = waiting.first.take();
                    writes.merge(outcome.writes);
                    if attempts.commit(writes, outcome.may_rerun).await? {
                        return Ok(Begun::Challenge(next));
                    }
                }
            }
        }
    }
}
