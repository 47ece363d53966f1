use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{Error, Login, given::LoginEvidence};
use crate::{
    directory::{ADMIN, User},
    ids::{ROOT_MOUNT, RoleName},
    policy::Caller,
    session::{AccessToken, Error as SessionError, Session},
};

/// Who makes a request: proven by a token that was good a moment ago.
#[derive(Clone, Debug)]
pub struct Authenticated {
    pub caller: Caller,
    pub session: Arc<Session>,
    pub user: User,
}

impl Login {
    /// Whom a token stands for. Spends nothing.
    pub async fn authenticate(&self, token: &AccessToken, address: Option<IpAddr>) -> Result<Authenticated, Error> {
        self.fresh().await?;
        let session = self.sessions.find(token, address).await?;
        let user = self.directory.user(&session.user).await?.filter(|user| !user.disabled);
        // A user's sessions end with the user; one that is still found belongs to nobody.
        let user = user.ok_or(SessionError::Unknown)?;
        let caller = Caller {
            user: user.id.clone(),
            roles: self.roles(&session, &user),
            groups: session.groups.iter().map(|group| format!("{}/{group}", session.method)).collect(),
            scope: session.scope.clone(),
            method: session.method.clone(),
            login_at: session.login_at,
            address,
            session: session.id.clone(),
            root: is_root(&session),
        };
        Ok(Authenticated { caller, session, user })
    }

    /// Takes one use of a limited session: when all that can be refused without it has been.
    pub async fn spend(&self, session: &Session) -> Result<(), Error> {
        Ok(self.sessions.spend(session).await?)
    }

    /// Operations that the rules add to those which always need a recent login.
    pub fn asks_step_up(&self, operation: &str) -> bool {
        self.security.rules().step_up.operations.iter().any(|asked| asked == operation)
    }

    /// Was the login recent enough for what rules others? Otherwise: how recent it must be.
    pub fn check_recent(&self, authenticated: &Authenticated) -> Result<(), Duration> {
        let max_age = self.security.rules().step_up.max_age.duration();
        let age = self.clock.now().since(authenticated.caller.login_at);
        let mount = self.mounts.by_id(&authenticated.session.mount);
        let proven = mount.is_some_and(|mount| mount.keeps_passwords()) && age <= max_age;
        if is_root(&authenticated.session) || proven { Ok(()) } else { Err(max_age) }
    }

    /// The roles of a request, by the mapping and the rules of this moment.
    fn roles(&self, session: &Session, user: &User) -> Vec<RoleName> {
        if is_root(session) {
            return vec![RoleName::parse(ADMIN).expect("a constant")];
        }
        let Some(mount) = self.mounts.by_id(&session.mount) else { return Vec::new() };
        let evidence = LoginEvidence { groups: &session.groups, by_device_flow: session.by_device_flow };
        self.roles_given(&mount, user.role.as_ref(), evidence)
    }
}

/// The root token came in by no mount.
fn is_root(session: &Session) -> bool {
    session.mount.as_str() == ROOT_MOUNT
}
