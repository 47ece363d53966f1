use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

use super::{
    Admitted, Asked, Attempt, Begun, Client, Error, Login, Refusal, Wish, bounds::tightest, challenge::Waiting,
    given::LoginEvidence,
};
use crate::{
    barrier::Writes,
    directory::{self, User},
    fence::Counter,
    ids::{MountId, UserId, Username},
    mount::{Live, Mount},
    runtime::{
        self, Facts, Fault,
        types::{Identity, SessionLimits, Step},
    },
    session::{self, EpochOf, Epochs, EpochsOf, NewSession, Tokens},
};

/// A login whose credentials were right. It may have to wait for a second factor, sealed, in the store.
#[derive(Serialize, Deserialize)]
pub(super) struct Proven {
    pub(super) mount: MountId,
    /// The digest of what vouched.
    pub(super) plugin: String,
    pub(super) user: UserId,
    pub(super) vouched: Vouched,
    /// As they were before the credential was looked at.
    pub(super) epochs: Epochs,
    /// The program that asked.
    pub(super) program: Option<UserId>,
    /// As of the session.
    #[serde(default, rename = "unseen")]
    pub(super) by_device_flow: bool,
}

/// What of an identity becomes part of the session.
#[derive(Serialize, Deserialize)]
pub(super) struct Vouched {
    subject: String,
    groups: Vec<String>,
    ttl: Option<Duration>,
    max_uses: Option<u32>,
    addresses: Option<Vec<IpNet>>,
    renewable: bool,
    /// Base64.
    #[serde(with = "wiped")]
    internal: Zeroizing<String>,
}

/// The auth mount that a step is done by, and what answers there.
#[derive(Clone, Copy)]
pub(super) struct AuthMethod<'a> {
    pub(super) mount: &'a Mount,
    pub(super) live: &'a Live,
}

/// What a login rests on that stood before any credential was looked at.
#[derive(Clone)]
pub(super) struct Basis {
    pub(super) epochs: Epochs,
    /// The program that asks.
    pub(super) program: Option<UserId>,
}

/// The session that is asked for, and from where.
#[derive(Clone)]
pub(super) struct SessionRequest<'a> {
    pub(super) wish: Wish,
    pub(super) client: &'a Client,
}

/// How a step ended.
pub(super) enum StepOutcome {
    Proven(Proven),
    Asked(Asked),
}

impl Login {
    /// A login with the credentials of an auth mount.
    pub async fn begin(&self, attempt: Attempt, admitted: Admitted) -> Result<Begun, Error> {
        match self.identify(&attempt, &admitted).await {
            Ok(StepOutcome::Proven(proven)) => {
                admitted.guess.right().await;
                self.go_on(SessionRequest { wish: attempt.wish, client: &attempt.client }, proven).await
            }
            // Nobody has looked whether it was right: it is asked for still.
            Ok(StepOutcome::Asked(asked)) => {
                admitted.guess.void().await;
                Ok(Begun::Challenge(asked))
            }
            Err(Error::Denied(_)) if admitted.live.takes_machines_only() => {
                Err(Refusal::Client("unknown, wrong or slowed").into())
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
    async fn identify(&self, attempt: &Attempt, admitted: &Admitted) -> Result<StepOutcome, Error> {
        let Admitted { mount, live, program, .. } = admitted;
        let named = self.named(admitted).await?;
        // Before the credential is looked at: an ending that overlaps makes this session void.
        // Nobody's is read as well, and means nothing.
        let nobody = UserId::new();
        let of = EpochsOf {
            user: Some(named.as_ref().map_or_else(|| nobody.clone(), |user| user.id.clone())),
            mount: Some(mount.id.clone()),
            digest: Some(live.digest().to_string()),
            client: None,
        };
        let epochs = self.sessions.epochs(&of).await?.without(&EpochOf::User(nobody));
        let basis = match program {
            Some(proof) => Basis { epochs: proof.epochs.clone().and(epochs), program: Some(proof.user.id.clone()) },
            None => Basis { epochs, program: None },
        };
        self.check_takes_logins(&mount.id).await?;
        self.prove(admitted, attempt, named.as_ref(), basis).await
    }

    /// The session, as narrow as the tightest of all who have a say would have it.
    pub(super) async fn open(&self, asked: SessionRequest<'_>, proven: Proven) -> Result<Tokens, Error> {
        let SessionRequest { wish, client } = asked;
        let Proven { mount, plugin, user, vouched, epochs, program, by_device_flow } =
            self.rests_on_user(proven).await?;
        let mount = self.mount_by_id(&mount)?;
        let user = self.directory.user(&user).await?.filter(|user| !user.disabled);
        let user = user.ok_or_else(|| Error::Denied("gone or disabled".to_owned()))?;
        self.demand_role(&mount, Some(&user), LoginEvidence { groups: &vouched.groups, by_device_flow })?;
        check_link(&mount, &user, &vouched.subject)?;
        let bounds = tightest(&self.security.rules(), &vouched.limits(), &wish, client)?;
        let now = self.clock.now();
        let scope = wish.scope.map(|scope| scope.of(&user.id));
        let new = NewSession {
            user: user.id,
            mount: mount.id.clone(),
            method: mount.name.clone(),
            internal: BASE64.decode(vouched.internal.as_bytes()).unwrap_or_default(),
            subject: vouched.subject,
            groups: vouched.groups,
            plugin,
            client: program,
            scope,
            addresses: bounds.addresses,
            max_uses: bounds.max_uses,
            lifetimes: bounds.lifetimes,
            renewable: bounds.renewable,
            epochs,
            parent: None,
            address: client.address,
            device: client.device.clone(),
            login_at: now,
            by_device_flow,
            per_user: Some(self.per_user()),
        };
        match self.sessions.create(new).await {
            // Overtaken by an ending: the credential is no longer what it was.
            Err(session::Error::Ended) => {
                self.check_takes_logins(&mount.id).await?;
                Err(Error::Denied("ended while it was being made".to_owned()))
            }
            made => Ok(made?),
        }
    }

    /// Whom an identity leads to is only known once it is proven: that user's epoch is read then, before the user is.
    /// One that is known already stands, for it is the older.
    pub(super) async fn rests_on_user(&self, mut proven: Proven) -> Result<Proven, Error> {
        if !proven.epochs.has(&EpochOf::User(proven.user.clone())) {
            let of = EpochsOf { user: Some(proven.user.clone()), ..EpochsOf::default() };
            proven.epochs = proven.epochs.and(self.sessions.epochs(&of).await?);
        }
        Ok(proven)
    }

    /// The user whom the credentials name. One who is disabled, or whose name is slowed, is as good
    /// as none: the plugin does the same work and refuses.
    async fn named(&self, admitted: &Admitted) -> Result<Option<User>, Error> {
        let Some(name) = &admitted.name else { return Ok(None) };
        let Ok(name) = Username::parse(name) else { return Ok(None) };
        let found = self.directory.by_name(&name).await?;
        // What machines log in with asks for no second factor and outlives a new password: a person's is as good as none.
        let fits = |user: &User| user.kind == directory::Kind::Machine || !admitted.live.takes_machines_only();
        Ok(found.filter(|user| fits(user) && !user.disabled && !admitted.guess.is_slowed()))
    }

    /// Has the plugin look at the credentials, and stores what it wrote meanwhile, together with
    /// the challenge that it may have asked.
    async fn prove(
        &self,
        admitted: &Admitted,
        attempt: &Attempt,
        named: Option<&User>,
        basis: Basis,
    ) -> Result<StepOutcome, Error> {
        let Admitted { mount, live, guess, .. } = admitted;
        let method = AuthMethod { mount, live };
        let place = named.map_or("", |user| user.id.as_str());
        let callback = self.callback(method);
        let facts = Facts { callback: callback.clone(), ..facts(mount, &attempt.client, named) };
        let mut attempts = self.mounts.call(mount, facts, place)?;
        let credentials = Zeroizing::new(serde_json::to_vec(&attempt.credentials.0).expect("JSON serialises"));
        loop {
            let login = runtime::Login { credentials: credentials.clone().into() };
            let outcome = attempts.run(login).await.map_err(refused)?;
            let (mut writes, mut is_new) = (Writes::default(), false);
            let ended = match outcome.value {
                // Whatever the plugin says: it may know subjects of its own by that name.
                _ if guess.is_slowed() => return Err(slowed()),
                Step::Identity(identity) => {
                    let user;
                    (user, is_new) = self.user_of(&mut writes, method, &identity, false, named).await?;
                    StepOutcome::Proven(proven(method, user, &identity, basis.clone()))
                }
                Step::Challenge(challenge) => {
                    let mut waiting = Waiting::new(mount, named, attempt, self.clock.now());
                    Basis { epochs: waiting.epochs, program: waiting.program } = basis.clone();
                    if let Some(program) = &attempt.program {
                        waiting.device = format!("{} ({})", program.id, waiting.device);
                    }
                    StepOutcome::Asked(self.ask(&mut writes, None, &mut waiting, challenge, callback.as_ref()).await?)
                }
            };
            writes.merge(outcome.writes);
            if attempts.commit(writes, outcome.may_rerun).await? {
                self.announce(is_new).await;
                return Ok(ended);
            }
        }
    }

    /// An identity is (mount id, subject), never a name. A method that proves the host's own users
    /// may answer the one who was named, and nobody else. Another may make a new user: true.
    pub(super) async fn user_of(
        &self,
        to: &mut Writes,
        AuthMethod { mount, live }: AuthMethod<'_>,
        identity: &Identity,
        by_device_flow: bool,
        named: Option<&User>,
    ) -> Result<(UserId, bool), Error> {
        if live.proves_users() {
            let user = named.filter(|user| user.id.as_str() == identity.subject);
            let user = user.map(|user| user.id.clone()).ok_or_else(|| fault("an identity that was not asked for"))?;
            return Ok((user, false));
        }
        match self.directory.by_link(&mount.id, &identity.subject).await? {
            Some(user) => Ok((user.id, false)),
            None => Ok((self.provision(to, mount, identity, by_device_flow).await?, true)),
        }
    }

    /// Other nodes hear of a new user before it is used.
    pub(super) async fn announce(&self, is_new: bool) {
        if is_new {
            self.fence.settle(&[Counter::Users]).await;
        }
    }
}

pub(super) fn proven(method: AuthMethod<'_>, user: UserId, identity: &Identity, basis: Basis) -> Proven {
    let (AuthMethod { mount, live }, Basis { epochs, program }) = (method, basis);
    let SessionLimits { ttl, max_uses, addresses, renewable } = identity.limits.clone();
    let vouched = Vouched {
        subject: identity.subject.clone(),
        groups: identity.groups.clone(),
        ttl,
        max_uses,
        addresses,
        renewable,
        internal: Zeroizing::new(BASE64.encode(&*identity.internal)),
    };
    Proven {
        mount: mount.id.clone(),
        plugin: live.digest().to_string(),
        user,
        vouched,
        epochs,
        program,
        by_device_flow: false,
    }
}

/// An identity has led to a user when it was proven. Whoever has taken it from them since then has ended what they had
/// before the epochs were read, and this login with it.
fn check_link(mount: &Mount, user: &User, subject: &str) -> Result<(), Error> {
    match mount.live()?.proves_users() || user.is_linked(&mount.id, subject) {
        true => Ok(()),
        false => Err(Error::Denied("the identity leads to this user no more".to_owned())),
    }
}

impl Vouched {
    fn limits(&self) -> SessionLimits {
        let Self { ttl, max_uses, renewable, .. } = *self;
        SessionLimits { ttl, max_uses, addresses: self.addresses.clone(), renewable }
    }
}

pub(super) fn facts(mount: &Mount, client: &Client, named: Option<&User>) -> Facts {
    Facts {
        mount_path: mount.name.to_string(),
        request_id: client.request.to_string(),
        login_user: named.map(|user| user.id.to_string()),
        client_address: client.address,
        headers: mount.shown(&client.headers),
        ..Facts::default()
    }
}

/// What a plugin's own error means in a login: its words never reach the client, but the places
/// of what is missing or of the wrong type do.
pub(super) fn refused(error: crate::mount::Error) -> Error {
    match error {
        crate::mount::Error::Fault(Fault::Refused(refusal)) => match refusal.code.as_str() {
            "invalid" => Error::Invalid(refusal.problems),
            "pending" => Refusal::Pending.into(),
            "slow-down" => Refusal::SlowDown.into(),
            "rate-limited" | "unavailable" | "internal" => {
                Error::Mount(crate::mount::Error::Fault(Fault::Refused(refusal)))
            }
            _ => Error::Denied(refusal.code),
        },
        other => Error::Mount(other),
    }
}

/// For the trail: to the client it is a wrong password.
pub(super) fn slowed() -> Error {
    Error::Denied("slowed: the name has failed too often".to_owned())
}

pub(super) fn fault(why: &str) -> Error {
    Error::Mount(crate::mount::Error::Fault(Fault::Invalid(why.to_owned())))
}

/// A text that is wiped when it is dropped, as a plain one.
pub(super) mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(in crate::login) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(in crate::login) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}
