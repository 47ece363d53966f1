use std::sync::Arc;

use super::{Authenticated, CLIENTS, Client, Error, Login, Program, Refusal};
use crate::{
    directory::User,
    ids::{Action, MountName, SessionId},
    policy::{Caller, Resource},
    session::{AnyToken, Session},
};

/// What a token stands for (RFC 7662), if the asker may know.
pub type Introspected = Option<(Arc<Session>, User)>;

impl Login {
    /// It may, of its own tokens, and of all if it may read sessions.
    pub async fn introspect(&self, token: &str, asker: &Authenticated) -> Result<Introspected, Error> {
        self.told(token, &asker.caller).await
    }

    /// The same for a machine that has shown its secret (`proven`) and has no session. The sessions that it began
    /// for others are its own: it was given their tokens.
    pub async fn introspect_for(&self, token: &str, machine: &User, client: &Client) -> Result<Introspected, Error> {
        let method = MountName::parse(CLIENTS).expect("a constant");
        let rules = self.security.rules();
        let roles = machine.role.iter().filter(|role| rules.may_give(CLIENTS, role.as_str())).cloned();
        let caller = Caller {
            // Of none: nothing is listed or ended by it.
            session: SessionId::new(),
            user: machine.id.clone(),
            roles: roles.collect(),
            groups: Vec::new(),
            scope: None,
            method,
            login_at: self.clock.now(),
            address: client.address,
            root: false,
        };
        self.told(token, &caller).await
    }

    /// The machine that shows its secret.
    pub async fn proven(&self, program: &Program, client: &Client) -> Result<User, Error> {
        self.fresh().await?;
        let user = self.program(Some(program), client).await?;
        user.map(|proof| proof.user).ok_or_else(|| Refusal::Client("nobody").into())
    }

    async fn told(&self, token: &str, asker: &Caller) -> Result<Introspected, Error> {
        let Ok(token) = AnyToken::parse(token) else { return Ok(None) };
        let Some(session) = self.sessions.introspect(&token).await? else { return Ok(None) };
        let own = session.user == asker.user || session.client.as_ref() == Some(&asker.user);
        if !own && !self.policies.allows(asker, Action::Read, &Resource::path(&session.id)) {
            return Ok(None);
        }
        let user = self.directory.user(&session.user).await?.filter(|user| !user.disabled);
        Ok(user.map(|user| (session, user)))
    }
}
