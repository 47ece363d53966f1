use super::{Counter, Error, UserPath, Users};
use crate::{
    barrier::Writes,
    directory::User,
    ids::{SessionId, Username},
    policy::{Delete, List, Permit, Resource},
    session::{Session, Summary},
};

/// Somebody's sessions in policy: `sys/users/<name>/sessions`.
#[derive(Clone, Debug)]
pub struct SessionsPath(pub Username);

impl Resource for SessionsPath {
    fn path(&self) -> String {
        format!("{}/sessions", UserPath(self.0.clone()).path())
    }
}

impl Users {
    /// Somebody else's sessions, oldest first.
    pub async fn sessions_of(&self, permit: &Permit<List, SessionsPath>) -> Result<Vec<Summary>, Error> {
        let user = self.holder(permit.resource()).await?;
        Ok(self.sessions.list(&user.id).await?)
    }

    /// Ends one session, whosever it is.
    pub async fn end_session(&self, permit: &Permit<Delete, SessionId>) -> Result<(), Error> {
        let id = permit.resource();
        self.sessions.get(id).await?.ok_or(Error::NotFound("session_id"))?;
        Ok(self.sessions.end(id).await?)
    }

    /// Ends all that somebody has, by the epoch: also those that no list names. Says how many were
    /// listed.
    pub async fn end_sessions(&self, permit: &Permit<Delete, SessionsPath>) -> Result<usize, Error> {
        let user = self.holder(permit.resource()).await?;
        let listed = self.sessions.list(&user.id).await?.len();
        self.end_every_session(&user).await?;
        Ok(listed)
    }

    /// The caller's own but this one, and those that it is a child of: it would end with them.
    pub async fn end_other_sessions(&self, session: &Session) -> Result<usize, Error> {
        let listed = self.sessions.list(&session.user).await?;
        let kept = self.sessions.end_others(session).await?;
        Ok(listed.iter().filter(|other| !kept.contains(&other.id)).count())
    }

    /// The caller's own, this one among them.
    pub async fn end_own_sessions(&self, user: &User) -> Result<usize, Error> {
        let listed = self.sessions.list(&user.id).await?.len();
        self.end_every_session(user).await?;
        Ok(listed)
    }

    async fn end_every_session(&self, user: &User) -> Result<(), Error> {
        let mut writes = Writes::default();
        self.end_all_of(&mut writes, user);
        // Nothing is rested on: two at once are two endings.
        self.barrier.commit(writes).await?;
        self.fence.settle(&[Counter::Epochs]).await;
        Ok(())
    }

    /// Also whom the root token stands for: that one can be ended.
    async fn holder(&self, path: &SessionsPath) -> Result<User, Error> {
        self.directory.by_name(&path.0).await?.ok_or(Error::NotFound("username"))
    }
}
