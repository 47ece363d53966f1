use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Attempt, Client, Error, Login, bounds::tightest};
use crate::{
    directory::User,
    ids::{UserId, Username},
    mount::{Kind, Live, Mount},
    problem::Problem,
    runtime::{
        self, Facts, Fault,
        types::{Identity, Step},
    },
    session::{self, EpochsOf, NewSession, Tokens},
};

impl Login {
    /// A login with the credentials of an auth mount.
    pub async fn begin(&self, attempt: Attempt) -> Result<Tokens, Error> {
        self.fresh().await?;
        let mount = self.mounts.get(Kind::Auth, &attempt.mount).ok_or(Error::UnknownGrant)?;
        let live = mount.live()?.clone();
        let named = self.named(&live, &attempt).await?;
        // Before the credential is looked at: an ending that overlaps makes this session void.
        let of = EpochsOf {
            user: named.as_ref().map(|user| user.id.clone()),
            mount: Some(mount.id.clone()),
            digest: Some(live.digest().to_string()),
            client: None,
        };
        let epochs = self.sessions.epochs(&of).await?;
        let (identity, user) = self.prove(&mount, &live, &attempt, named.as_ref()).await?;
        // Whom an identity leads to is only known now: that user's epoch is read before the user is.
        let of = EpochsOf { user: Some(user.clone()), ..EpochsOf::default() };
        let epochs = epochs.and(self.sessions.epochs(&of).await?);
        let user = self.directory.user(&user).await?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::Denied("gone or disabled".to_owned()))?;
        let bounds = tightest(&self.security.rules(), &identity.limits, &attempt.wish, &attempt.client)?;
        let now = self.clock.now();
        let scope = attempt.wish.scope.map(|scope| scope.of(&user.id));
        let new = NewSession {
            user: user.id,
            mount: mount.id.clone(),
            method: mount.name.clone(),
            subject: identity.subject,
            groups: identity.groups,
            plugin: live.digest().to_string(),
            client: None,
            scope,
            addresses: bounds.addresses,
            max_uses: bounds.max_uses,
            lifetimes: bounds.lifetimes,
            renewable: bounds.renewable,
            internal: identity.internal.to_vec(),
            epochs,
            parent: None,
            address: attempt.client.address,
            device: attempt.client.device,
            login_at: now,
            per_user: Some(self.per_user()),
        };
        match self.sessions.create(new).await {
            // Overtaken by an ending: the credential is no longer what it was.
            Err(session::Error::Ended) => Err(Error::Denied("ended while it was being made".to_owned())),
            made => Ok(made?),
        }
    }

    /// The user whom the credentials name, where the plugin says which field does. A user who is
    /// disabled is as good as none: the plugin does the same work and refuses.
    async fn named(&self, live: &Live, attempt: &Attempt) -> Result<Option<User>, Error> {
        let Some(field) = live.manifest().auth.identifier.as_deref() else { return Ok(None) };
        let name = match attempt.credentials.0.get(field) {
            Some(Value::String(name)) => name,
            Some(_) => return Err(invalid(field, "wrong_type", "must be a string")),
            None => return Err(invalid(field, "missing", "is required")),
        };
        let Ok(name) = Username::parse(name) else { return Ok(None) };
        let found = self.directory.by_name(&name).await?;
        if found.is_none() {
            // As many reads as for a name that is known.
            self.directory.user(&UserId::new()).await?;
        }
        Ok(found.filter(|user| !user.disabled))
    }

    /// Has the plugin look at the credentials, and stores what it wrote meanwhile.
    async fn prove(
        &self,
        mount: &Arc<Mount>,
        live: &Live,
        attempt: &Attempt,
        named: Option<&User>,
    ) -> Result<(Identity, UserId), Error> {
        let place = named.map_or("", |user| user.id.as_str());
        let mut attempts = self.mounts.call(mount, facts(mount, &attempt.client, named), place)?;
        let credentials = Zeroizing::new(serde_json::to_vec(&attempt.credentials.0).expect("JSON serialises"));
        loop {
            let login = runtime::Login { credentials: credentials.clone().into() };
            let outcome = attempts.run(login).await.map_err(refused)?;
            let identity = match outcome.value {
                Step::Identity(identity) => identity,
                Step::Challenge(_) => return Err(fault("a challenge from a mount that may not ask one")),
            };
            let user = self.user_of(mount, live, &identity, named).await?;
            if attempts.commit(outcome.writes, outcome.may_rerun).await? {
                return Ok((identity, user));
            }
        }
    }

    /// An identity is (mount id, subject), never a name. A method that proves the host's own users
    /// may answer the one who was named, and nobody else.
    async fn user_of(
        &self,
        mount: &Mount,
        live: &Live,
        identity: &Identity,
        named: Option<&User>,
    ) -> Result<UserId, Error> {
        if live.proves_users() {
            let user = named.filter(|user| user.id.as_str() == identity.subject);
            return user.map(|user| user.id.clone()).ok_or_else(|| fault("an identity that was not asked for"));
        }
        let linked = self.directory.by_link(&mount.id, &identity.subject).await?;
        linked.map(|user| user.id).ok_or_else(|| Error::Denied("nobody is linked to this identity".to_owned()))
    }
}

pub(super) fn facts(mount: &Mount, client: &Client, named: Option<&User>) -> Facts {
    Facts {
        mount_path: mount.name.to_string(),
        request_id: client.request.to_string(),
        login_user: named.map(|user| user.id.to_string()),
        client_address: client.address,
        ..Facts::default()
    }
}

/// What a plugin's own error means in a login: its words never reach the client, but the places
/// of what is missing or of the wrong type do.
pub(super) fn refused(error: crate::mount::Error) -> Error {
    match error {
        crate::mount::Error::Fault(Fault::Refused(refusal)) => match refusal.code.as_str() {
            "invalid" => Error::Invalid(refusal.problems),
            "rate-limited" | "unavailable" | "internal" => {
                Error::Mount(crate::mount::Error::Fault(Fault::Refused(refusal)))
            }
            _ => Error::Denied(refusal.code),
        },
        other => Error::Mount(other),
    }
}

fn fault(why: &str) -> Error {
    Error::Mount(crate::mount::Error::Fault(Fault::Invalid(why.to_owned())))
}

fn invalid(field: &str, code: &'static str, message: &'static str) -> Error {
    Error::Invalid(vec![Problem::new(crate::problem::pointer("", field), code, message)])
}
