use zeroize::Zeroizing;

use super::{Admitted, Attempt, Client, Error, Login, bounds::tightest};
use crate::{
    directory::User,
    ids::{UserId, Username},
    mount::{Live, Mount},
    runtime::{
        self, Facts, Fault,
        types::{Identity, Step},
    },
    session::{self, Epochs, EpochsOf, NewSession, Tokens},
};

/// A login whose credentials were right.
struct Proven {
    identity: Identity,
    user: User,
    epochs: Epochs,
}

impl Login {
    /// A login with the credentials of an auth mount.
    pub async fn begin(&self, attempt: Attempt, admitted: Admitted) -> Result<Tokens, Error> {
        match self.identify(&attempt, &admitted).await {
            Ok(proven) => {
                let Admitted { mount, live, guess, .. } = admitted;
                guess.right().await;
                self.open(attempt, (&mount, &live), proven).await
            }
            Err(Error::Denied(_)) if admitted.guess.is_slowed() => Err(slowed()),
            Err(error @ Error::Denied(_)) => Err(error),
            // Nobody has looked whether it was right.
            Err(error) => {
                admitted.guess.void().await;
                Err(error)
            }
        }
    }

    /// Who it is, if the credentials are right.
    async fn identify(&self, attempt: &Attempt, admitted: &Admitted) -> Result<Proven, Error> {
        let Admitted { mount, live, .. } = admitted;
        let named = self.named(admitted).await?;
        // Before the credential is looked at: an ending that overlaps makes this session void.
        let of = EpochsOf {
            user: named.as_ref().map(|user| user.id.clone()),
            mount: Some(mount.id.clone()),
            digest: Some(live.digest().to_string()),
            client: None,
        };
        let epochs = self.sessions.epochs(&of).await?;
        self.takes_logins(&mount.id).await?;
        let (identity, user) = self.prove(admitted, attempt, named.as_ref()).await?;
        // Whom an identity leads to is only known now: that user's epoch is read before the user is.
        let of = EpochsOf { user: Some(user.clone()), ..EpochsOf::default() };
        let epochs = epochs.and(self.sessions.epochs(&of).await?);
        let user = self.directory.user(&user).await?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::Denied("gone or disabled".to_owned()))?;
        Ok(Proven { identity, user, epochs })
    }

    /// The session, as narrow as the tightest of all who have a say would have it.
    async fn open(&self, attempt: Attempt, (mount, live): (&Mount, &Live), proven: Proven) -> Result<Tokens, Error> {
        let Proven { identity, user, epochs } = proven;
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
            Err(session::Error::Ended) => {
                self.takes_logins(&mount.id).await?;
                Err(Error::Denied("ended while it was being made".to_owned()))
            }
            made => Ok(made?),
        }
    }

    /// The user whom the credentials name. One who is disabled, or whose name is slowed, is as good
    /// as none: the plugin does the same work and refuses.
    async fn named(&self, admitted: &Admitted) -> Result<Option<User>, Error> {
        let Some(name) = &admitted.name else { return Ok(None) };
        let Ok(name) = Username::parse(name) else { return Ok(None) };
        let found = self.directory.by_name(&name).await?;
        if found.is_none() {
            // As many reads as for a name that is known.
            self.directory.user(&UserId::new()).await?;
        }
        Ok(found.filter(|user| !user.disabled && !admitted.guess.is_slowed()))
    }

    /// Has the plugin look at the credentials, and stores what it wrote meanwhile.
    async fn prove(
        &self,
        admitted: &Admitted,
        attempt: &Attempt,
        named: Option<&User>,
    ) -> Result<(Identity, UserId), Error> {
        let Admitted { mount, live, guess, .. } = admitted;
        let place = named.map_or("", |user| user.id.as_str());
        let mut attempts = self.mounts.call(mount, facts(mount, &attempt.client, named), place)?;
        let credentials = Zeroizing::new(serde_json::to_vec(&attempt.credentials.0).expect("JSON serialises"));
        loop {
            let login = runtime::Login { credentials: credentials.clone().into() };
            let outcome = attempts.run(login).await.map_err(refused)?;
            let identity = match outcome.value {
                // Whatever the plugin says: it may know subjects of its own by that name.
                _ if guess.is_slowed() => return Err(slowed()),
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

/// For the trail: to the client it is a wrong password.
fn slowed() -> Error {
    Error::Denied("slowed: the name has failed too often".to_owned())
}

fn fault(why: &str) -> Error {
    Error::Mount(crate::mount::Error::Fault(Fault::Invalid(why.to_owned())))
}
