use super::{
    Client, Error, Login, Program,
    begin::{facts, refused},
    given::LoginEvidence,
};
use crate::{
    ids::{Scope, SessionId},
    mount::Attempts,
    runtime::{
        self,
        types::{Bytes, Identity, SessionLimits},
    },
    session::{AnyToken, EpochsOf, Error as SessionError, Narrower, RefreshToken, Renewal, Tokens, Told},
};

impl Login {
    /// The next pair of a session: if the token is the live one, and the plugin still vouches.
    pub async fn renew(
        &self,
        token: &RefreshToken,
        scope: Option<Scope>,
        program: Option<&Program>,
        client: &Client,
    ) -> Result<Tokens, Error> {
        self.fresh().await?;
        // Who has begun it goes on with it (RFC 6749 section 6).
        let program = self.program(program, client).await?.map(|proof| proof.user);
        let ask = Renewal { address: client.address, client: program.as_ref().map(|program| program.id.clone()) };
        let pending = self.sessions.begin_renewal(token, ask).await.map_err(no_longer_good)?;
        let session = pending.session.clone();
        let mount = self.mounts.by_id(&session.mount).ok_or_else(|| Error::Denied("the mount is gone".to_owned()))?;
        let live = mount.live()?.clone();
        let user = self.directory.user(&session.user).await?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::Denied("the user is gone or disabled".to_owned()))?;
        let of = EpochsOf {
            user: Some(user.id.clone()),
            mount: Some(mount.id.clone()),
            digest: Some(live.digest().to_string()),
            client: program.map(|program| program.id),
        };
        let epochs = self.sessions.epochs(&of).await?;
        self.check_takes_logins(&mount.id).await?;
        let mut attempts = self.mounts.call(&mount, facts(&mount, client, Some(&user)), user.id.as_str())?;
        let identity = match vouched(&mut attempts, &pending.internal).await {
            Ok(identity) => identity,
            // The plugin says no: the session ends. It cannot tell: nothing is spent.
            Err(error @ (Error::Denied(_) | Error::Invalid(_))) => {
                self.sessions.fail_renewal(pending).await?;
                return Err(Error::Denied(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        // Out of all groups that give something here is out.
        let evidence = LoginEvidence { groups: &identity.groups, by_device_flow: session.by_device_flow };
        if let Err(error @ Error::Denied(_)) = self.demand_role(&mount, Some(&user), evidence) {
            self.sessions.fail_renewal(pending).await?;
            return Err(error);
        }
        let told = Told {
            subject: identity.subject,
            groups: identity.groups,
            internal: identity.internal.to_vec(),
            narrower: narrower(identity.limits),
            plugin: live.digest().to_string(),
            epochs,
        };
        let scope = scope.map(|scope| scope.of(&user.id));
        self.sessions.finish_renewal(pending, told, scope).await.map_err(no_longer_good)
    }

    /// Whose session a token is of, live or spent, if it was given out. Nobody else can make anything of it, so nothing
    /// is recorded before this is known.
    pub async fn session_of(&self, token: &AnyToken) -> Result<Option<SessionId>, Error> {
        self.fresh().await?;
        Ok(self.sessions.knows(token).await?.then(|| token.session().clone()))
    }

    /// Ends the session of any token that verifies, live or spent.
    pub async fn end_by_token(&self, token: &str) -> Result<Option<SessionId>, Error> {
        Ok(self.sessions.end_by_token(token).await?)
    }
}

/// Has the plugin look at the identity again, until what it wrote meanwhile is stored: whatever then becomes of the
/// session, that was a success.
async fn vouched(attempts: &mut Attempts, internal: &[u8]) -> Result<Identity, Error> {
    loop {
        let outcome = attempts.run(runtime::Refresh { internal: Bytes::from(internal.to_vec()) }).await;
        let outcome = outcome.map_err(refused)?;
        if attempts.commit(outcome.writes, outcome.may_rerun).await? {
            return Ok(outcome.value);
        }
    }
}

/// What the plugin says now that the session may be at most: with what it said before, the tighter of the two holds.
fn narrower(limits: SessionLimits) -> Narrower {
    let SessionLimits { ttl, max_uses, addresses, renewable } = limits;
    Narrower { ttl, max_uses, addresses, renewable }
}

/// A refresh token that is not good is OAuth's `invalid_grant`, whatever was wrong with it.
fn no_longer_good(error: SessionError) -> Error {
    match error {
        SessionError::Unknown | SessionError::Ended => Error::Denied(error.to_string()),
        other => other.into(),
    }
}
