//! Logins that take more than one step. Between the steps one row waits, sealed, under a MAC of the challenge's id: who
//! reads the store cannot go on with anybody's login. It goes with the step that succeeds, in the same
//! batch as what the plugin wrote; an error other than "not yet" ends it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Attempt, Client, Error, Login, Refusal, Wish,
    begin::{Proven, Turn, facts, fault, proven, refused, slowed, wiped},
};
use crate::{
    barrier::{Purpose, Writes, layout::Prefix},
    clock::Timestamp,
    directory::User,
    ids::{MountId, UserId, random_base62},
    limits,
    mount::{self, Mount},
    runtime::{
        self, Fault,
        types::{Challenge, Step},
    },
    sensitive::Secret,
    session::{Epochs, Tokens},
    throttle::{Try, block},
};

/// How a login begins, or goes on.
#[derive(Debug)]
pub enum Begun {
    Session(Box<Tokens>),
    Challenge(Asked),
}

/// What the client is to do next.
#[derive(Debug)]
pub struct Asked {
    /// Who has it may go on with the login, from the same address block.
    pub id: Secret<String>,
    pub kind: String,
    pub details: Map<String, Value>,
    pub expires_in: Duration,
    pub interval: Option<Duration>,
}

/// A login that waits for its next step.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Whose plugin goes on.
    pub(super) mount: MountId,
    /// Whom the credentials name, or who is asked for a second factor.
    pub(super) about: Option<UserId>,
    /// The login by another mount that this is the second factor of.
    pub(super) first: Option<Proven>,
    pub(super) epochs: Epochs,
    pub(super) program: Option<UserId>,
    wish: Wish,
    /// It goes on from where it began.
    block: String,
    /// However often it is asked again.
    until: Timestamp,
}

/// As it is stored. `W` is a `Waiting`, or a reference to one.
#[derive(Serialize, Deserialize)]
struct Row<W> {
    waiting: W,
    /// The plugin's, in base64.
    #[serde(with = "wiped")]
    state: Zeroizing<String>,
}

/// 95 random bits.
const ID: usize = 16;

impl Waiting {
    pub(super) fn new(mount: &Mount, about: Option<&User>, attempt: &Attempt, now: Timestamp) -> Self {
        Self::of(mount, about, (attempt.wish.clone(), &attempt.client), now)
    }

    pub(super) fn of(mount: &Mount, about: Option<&User>, (wish, client): (Wish, &Client), now: Timestamp) -> Self {
        Self {
            mount: mount.id.clone(),
            about: about.map(|user| user.id.clone()),
            first: None,
            epochs: Epochs::default(),
            program: None,
            wish,
            block: block(client.address),
            until: now.after(limits::PLUGIN_CHALLENGE_WAIT),
        }
    }
}

impl Login {
    /// Adds the row to a batch: a new one, or the next state of the one of that id.
    pub(super) fn ask(
        &self,
        to: &mut Writes,
        id: Option<&str>,
        waiting: &Waiting,
        challenge: Challenge,
    ) -> Result<Asked, Error> {
        let id = id.map_or_else(|| random_base62(ID), str::to_owned);
        let now = self.clock.now();
        let end = now.after(challenge.expires_in).min(waiting.until);
        let state = Zeroizing::new(BASE64.encode(&*challenge.state));
        let row = Row { waiting, state };
        self.barrier.view(Prefix::Challenge).put(to, &self.challenge_key(&id)?, &row, Some(end));
        let details = match challenge.details.is_empty() {
            true => Map::new(),
            false => serde_json::from_slice(&challenge.details).map_err(|_| fault("details that are no object"))?,
        };
        let (kind, interval) = (challenge.kind, challenge.poll_interval);
        Ok(Asked { id: Secret::new(id), kind, details, expires_in: end.since(now), interval })
    }

    /// The next step of a login: `answer` is what the client says to what it was asked.
    pub async fn resume(&self, id: &str, answer: Map<String, Value>, client: &Client) -> Result<Begun, Error> {
        self.fresh().await?;
        let key = self.challenge_key(id)?;
        let waiting = self.barrier.view(Prefix::Challenge).get::<Row<Waiting>>(&key).await?;
        let waiting = waiting.ok_or(Refusal::Expired)?.value.waiting;
        if waiting.block != block(client.address) {
            return Err(Error::Denied("another address than the one that began it".to_owned()));
        }
        let mount = self.mounts.by_id(&waiting.mount).ok_or(Error::Mount(mount::Error::Disabled))?;
        self.takes_logins(&mount.id).await?;
        let name = waiting.about.as_ref().map(UserId::as_str);
        let of = Try { realm: mount.id.as_str(), name, address: client.address };
        let guess = self.throttle.begin(of).await?;
        if guess.is_slowed() {
            return Err(slowed());
        }
        match self.turn(&mount, (id, &key), answer, client).await {
            Ok((Turn::Proven(proven), wish, is_second)) => {
                guess.right().await;
                match is_second {
                    true => self.open(wish, client, proven).await.map(|tokens| Begun::Session(Box::new(tokens))),
                    false => self.go_on(wish, client, proven).await,
                }
            }
            // Asked again is as good as wrong: it counts.
            Ok((Turn::Asked(asked), ..)) => Ok(Begun::Challenge(asked)),
            Err(error @ Error::Denied(_)) => Err(error),
            Err(error) => {
                guess.void().await;
                Err(error)
            }
        }
    }

    async fn turn(
        &self,
        mount: &Mount,
        (id, key): (&str, &str),
        answer: Map<String, Value>,
        client: &Client,
    ) -> Result<(Turn, Wish, bool), Error> {
        let view = self.barrier.view(Prefix::Challenge);
        let live = mount.live()?.clone();
        let answer = Zeroizing::new(serde_json::to_vec(&answer).expect("JSON serialises"));
        loop {
            let stored = view.get::<Row<Waiting>>(key).await?.ok_or(Refusal::Expired)?;
            let mut writes = Writes::default();
            view.expect_as_read(&mut writes, key, Some(&stored));
            let Row { waiting, state } = stored.value;
            let about = match &waiting.about {
                Some(id) => self.directory.user(id).await?.filter(|user| !user.disabled),
                None => None,
            };
            let place = about.as_ref().map_or("", |user| user.id.as_str());
            let mut attempts = self.mounts.call(mount, facts(mount, client, about.as_ref()), place)?;
            let state = BASE64.decode(state.as_bytes()).unwrap_or_default();
            let resume = runtime::Resume { state: state.into(), answer: answer.clone().into() };
            let outcome = match attempts.run(resume).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let is_answer = matches!(error, mount::Error::Fault(Fault::Refused(_)));
                    let error = refused(error);
                    if is_answer && !matches!(error, Error::Refused(_)) {
                        view.delete(&mut writes, key);
                        // Somebody was faster: then it has ended or gone on already.
                        let _ = self.barrier.commit(writes).await;
                    }
                    return Err(error);
                }
            };
            let (wish, is_second) = (waiting.wish.clone(), waiting.first.is_some());
            let turn = match outcome.value {
                Step::Challenge(challenge) => Turn::Asked(self.ask(&mut writes, Some(id), &waiting, challenge)?),
                Step::Identity(identity) => {
                    view.delete(&mut writes, key);
                    let user = self.user_of(mount, &live, &identity, about.as_ref()).await?;
                    Turn::Proven(match waiting.first {
                        Some(first) => first,
                        None => proven((mount, &live), user, &identity, (waiting.epochs, waiting.program)),
                    })
                }
            };
            writes.merge(outcome.writes);
            if attempts.commit(writes, outcome.may_rerun).await? {
                return Ok((turn, wish, is_second));
            }
        }
    }

    /// Where the row of a challenge is: the id itself stands nowhere.
    fn challenge_key(&self, id: &str) -> Result<String, Error> {
        Ok(hex::encode(self.barrier.mac(Purpose::Token)?.sign(&[b"challenge", id.as_bytes()])))
    }
}
