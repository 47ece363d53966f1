//! Logins that take more than one step. Between the steps one row waits, sealed, under a MAC of the challenge's id: who
//! reads the store cannot go on with anybody's login. It goes with the step that succeeds, in the same
//! batch as what the plugin wrote; an error other than "not yet" ends it. A plugin that got something meanwhile which
//! it cannot get again, and has to wait still, answers a challenge of kind `wait`: its state is kept in place of the one
//! before, and whoever asks is told "not yet".

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Attempt, Client, Error, Login, Refusal, Wish,
    begin::{AuthMethod, Basis, Proven, SessionRequest, StepOutcome, facts, fault, proven, refused, slowed, wiped},
    browser::Browser,
};
use crate::{
    barrier::{self, Purpose, Stored, Writes, layout::Prefix},
    clock::Timestamp,
    directory::User,
    ids::{MountId, UserId, random_base62},
    limits,
    mount::{self, Mount},
    runtime::{
        self, Callback, Facts, Fault,
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
    /// What a browser has to do meanwhile.
    #[serde(default)]
    pub(super) browser: Option<Browser>,
    /// As of the session.
    #[serde(default, rename = "unseen")]
    by_device_flow: bool,
    /// The least time between two looks whether it can go on, and when the last one was.
    #[serde(default)]
    interval: Option<Duration>,
    #[serde(default)]
    pub(super) polled_at: Option<Timestamp>,
    /// What it takes of the room for challenges.
    #[serde(default)]
    pub(super) seats: Vec<String>,
    /// When it began, or a browser last did its part.
    #[serde(default)]
    pub(super) moved_at: Option<Timestamp>,
    wish: Wish,
    /// Of the client that began it, to be shown to whoever goes on with it in a browser.
    #[serde(default)]
    pub(super) address: Option<IpAddr>,
    #[serde(default)]
    pub(super) device: String,
    /// It goes on from where it began.
    pub(super) block: String,
    /// However often it is asked again.
    until: Timestamp,
}

/// As it is stored. `W` is a `Waiting`, or a reference to one.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<W> {
    pub(super) waiting: W,
    /// The plugin's, in base64.
    #[serde(with = "wiped")]
    pub(super) state: Zeroizing<String>,
}

/// A provider's device flow: whoever shows the code to somebody else cannot be seen there.
const DEVICE: &str = "device";

/// Nobody is asked for anything: the plugin has got on, and waits.
const WAIT: &str = "wait";

/// 95 random bits.
const ID: usize = 16;

impl Waiting {
    pub(super) fn new(mount: &Mount, about: Option<&User>, attempt: &Attempt, now: Timestamp) -> Self {
        Self::of(mount, about, SessionRequest { wish: attempt.wish.clone(), client: &attempt.client }, now)
    }

    pub(super) fn of(mount: &Mount, about: Option<&User>, asked: SessionRequest<'_>, now: Timestamp) -> Self {
        let SessionRequest { wish, client } = asked;
        Self {
            mount: mount.id.clone(),
            about: about.map(|user| user.id.clone()),
            first: None,
            epochs: Epochs::default(),
            program: None,
            browser: None,
            by_device_flow: false,
            interval: None,
            polled_at: None,
            seats: Vec::new(),
            moved_at: Some(now),
            wish,
            address: client.address,
            device: client.device.clone(),
            block: block(client.address),
            until: now.after(limits::PLUGIN_CHALLENGE_WAIT),
        }
    }

    /// From where it began, and not too often.
    fn check_goes_on(&self, client: &Client, now: Timestamp) -> Result<(), Error> {
        if self.block != block(client.address) {
            return Err(Error::Denied("another address than the one that began it".to_owned()));
        }
        let last = self.polled_at.zip(self.interval);
        match last.is_some_and(|(at, interval)| now.since(at) < interval) {
            true => Err(Refusal::SlowDown.into()),
            false => Ok(()),
        }
    }
}

impl Login {
    /// Adds the row to a batch: a new one, or the next state of the one of that id.
    pub(super) async fn ask(
        &self,
        to: &mut Writes,
        id: Option<&str>,
        waiting: &mut Waiting,
        challenge: Challenge,
        callback: Option<&Callback>,
    ) -> Result<Asked, Error> {
        let mut details = match challenge.details.is_empty() {
            true => Map::new(),
            false => serde_json::from_slice(&challenge.details).map_err(|_| fault("details that are no object"))?,
        };
        let is_new = id.is_none();
        let id = id.map_or_else(|| random_base62(ID), str::to_owned);
        let (key, now) = (self.challenge_key(&id)?, self.clock.now());
        let end = now.after(challenge.expires_in).min(waiting.until);
        let view = self.barrier.view(Prefix::Challenge);
        if is_new {
            waiting.seats = self.seats(to, waiting).await?;
        }
        for seat in &waiting.seats {
            view.put(to, seat, &key, Some(end));
        }
        self.forget_browser(to, waiting);
        let mut interval = challenge.poll_interval;
        if let Some(browser) = callback.and_then(|callback| Browser::sent(callback, &details)) {
            interval.get_or_insert(limits::BROWSER_POLL);
            details = self.send_browser(to, waiting, browser, (&key, now, end))?;
        }
        (waiting.interval, waiting.polled_at) = (interval, None);
        waiting.by_device_flow |= challenge.kind == DEVICE;
        let row = Row { waiting: &*waiting, state: Zeroizing::new(BASE64.encode(&*challenge.state)) };
        view.put(to, &key, &row, Some(end));
        let kind = challenge.kind;
        Ok(Asked { id: Secret::new(id), kind, details, expires_in: end.since(now), interval })
    }

    /// Adds the row of a challenge that has got on and waits still: as it is, but for the plugin's state.
    fn stay(&self, to: &mut Writes, key: &str, mut waiting: Waiting, challenge: Challenge) {
        let now = self.clock.now();
        let end = now.after(challenge.expires_in).min(waiting.until);
        (waiting.interval, waiting.polled_at) = (challenge.poll_interval.or(waiting.interval), Some(now));
        let view = self.barrier.view(Prefix::Challenge);
        for seat in &waiting.seats {
            view.put(to, seat, &key, Some(end));
        }
        let row = Row { waiting: &waiting, state: Zeroizing::new(BASE64.encode(&*challenge.state)) };
        view.put(to, key, &row, Some(end));
    }

    /// Is there such a challenge, begun from there, and may it be asked for just now? Changes nothing.
    pub async fn check_waiting(&self, id: &str, client: &Client) -> Result<(), Error> {
        self.fresh().await?;
        let key = self.challenge_key(id)?;
        let stored = self.barrier.view(Prefix::Challenge).get::<Row<Waiting>>(&key).await?.ok_or(Refusal::Expired)?;
        stored.value.waiting.check_goes_on(client, self.clock.now())
    }

    /// The next step of a login: `answer` is what the client says to what it was asked.
    pub async fn resume(&self, id: &str, answer: Map<String, Value>, client: &Client) -> Result<Begun, Error> {
        self.fresh().await?;
        let key = self.challenge_key(id)?;
        let stored = self.barrier.view(Prefix::Challenge).get::<Row<Waiting>>(&key).await?;
        let mut stored = stored.ok_or(Refusal::Expired)?;
        stored.value.waiting.check_goes_on(client, self.clock.now())?;
        self.poll(&key, &mut stored).await?;
        let waiting = stored.value.waiting;
        let mount = self.mount_by_id(&waiting.mount)?;
        self.check_takes_logins(&mount.id).await?;
        let name = waiting.about.as_ref().map(UserId::as_str);
        let of = Try { realm: mount.id.as_str(), name, address: client.address };
        let guess = self.throttle.begin(of).await?;
        if guess.is_slowed() {
            return Err(slowed());
        }
        match self.step(&mount, (id, &key), answer, client).await {
            Ok((StepOutcome::Proven(proven), wish, is_second)) => {
                guess.right().await;
                let asked = SessionRequest { wish, client };
                match is_second {
                    true => self.open(asked, proven).await.map(|tokens| Begun::Session(Box::new(tokens))),
                    false => self.go_on(asked, proven).await,
                }
            }
            // Asked again is as good as wrong: it counts.
            Ok((StepOutcome::Asked(asked), ..)) => Ok(Begun::Challenge(asked)),
            Err(error @ Error::Denied(_)) => Err(error),
            Err(error) => {
                guess.void().await;
                Err(error)
            }
        }
    }

    async fn step(
        &self,
        mount: &Mount,
        (id, key): (&str, &str),
        answer: Map<String, Value>,
        client: &Client,
    ) -> Result<(StepOutcome, Wish, bool), Error> {
        let view = self.barrier.view(Prefix::Challenge);
        let method = AuthMethod { mount, live: mount.live()? };
        let answer = Zeroizing::new(serde_json::to_vec(&answer).expect("JSON serialises"));
        loop {
            let stored = view.get::<Row<Waiting>>(key).await?.ok_or(Refusal::Expired)?;
            let mut writes = Writes::default();
            view.expect_as_read(&mut writes, key, Some(&stored));
            let Row { mut waiting, state } = stored.value;
            // What a browser has brought is what counts: whoever only asks cannot say it.
            let answer = match &waiting.browser {
                Some(browser) => browser.answer()?,
                None => answer.clone(),
            };
            let about = match &waiting.about {
                Some(id) => self.directory.user(id).await?.filter(|user| !user.disabled),
                None => None,
            };
            let place = about.as_ref().map_or("", |user| user.id.as_str());
            let callback = self.callback(method);
            let facts = Facts { callback: callback.clone(), ..facts(mount, client, about.as_ref()) };
            let mut attempts = self.mounts.call(mount, facts, place)?;
            let state = BASE64.decode(state.as_bytes()).unwrap_or_default();
            let resume = runtime::Resume { state: state.into(), answer: answer.into() };
            let outcome = match attempts.run(resume).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let is_answer = matches!(error, mount::Error::Fault(Fault::Refused(_)));
                    let error = refused(error);
                    if is_answer && !matches!(error, Error::Refused(_)) {
                        self.forget(&mut writes, key, &mut waiting);
                        // Somebody was faster: then it has ended or gone on already.
                        let _ = self.barrier.commit(writes).await;
                    }
                    return Err(error);
                }
            };
            let (wish, is_second) = (waiting.wish.clone(), waiting.first.is_some());
            let mut is_new = false;
            let ended = match outcome.value {
                Step::Challenge(challenge) if challenge.kind == WAIT => {
                    self.stay(&mut writes, key, waiting, challenge);
                    None
                }
                Step::Challenge(challenge) => {
                    let asked = self.ask(&mut writes, Some(id), &mut waiting, challenge, callback.as_ref()).await?;
                    Some(StepOutcome::Asked(asked))
                }
                Step::Identity(identity) => {
                    self.forget(&mut writes, key, &mut waiting);
                    let by_device_flow = waiting.by_device_flow;
                    let found = self.user_of(&mut writes, method, &identity, by_device_flow, about.as_ref()).await;
                    let user;
                    (user, is_new) = match found {
                        Ok(found) => found,
                        // Proven to be nobody here: it is not asked for again.
                        Err(error) => {
                            let _ = self.barrier.commit(writes).await;
                            return Err(error);
                        }
                    };
                    Some(StepOutcome::Proven(match waiting.first {
                        Some(first) => first,
                        None => {
                            let basis = Basis { epochs: waiting.epochs, program: waiting.program };
                            Proven { by_device_flow, ..proven(method, user, &identity, basis) }
                        }
                    }))
                }
            };
            writes.merge(outcome.writes);
            if attempts.commit(writes, outcome.may_rerun).await? {
                self.announce(is_new).await;
                return ended.map(|ended| (ended, wish, is_second)).ok_or(Refusal::SlowDown.into());
            }
        }
    }

    /// One that waits for something elsewhere is not looked at too often, and not at all while it is known to wait.
    /// Who has a browser's answer has one look at once (`browser_back`), and the same pace after it: it may be that the
    /// provider cannot be asked just now.
    async fn poll(&self, key: &str, stored: &mut Stored<Row<Waiting>>) -> Result<(), Error> {
        let waiting = &mut stored.value.waiting;
        if waiting.interval.is_none() {
            return Ok(());
        }
        let waits = waiting.browser.as_ref().map(|browser| !browser.is_back());
        waiting.polled_at = Some(self.clock.now());
        let view = self.barrier.view(Prefix::Challenge);
        let mut writes = Writes::default();
        view.expect_as_read(&mut writes, key, Some(stored));
        view.put(&mut writes, key, &stored.value, stored.expires_at);
        match self.barrier.commit(writes).await {
            // Somebody else has just looked, or a browser has just gone on: the next look will tell.
            Err(barrier::Error::Conflict) => Err(Refusal::Pending.into()),
            Err(error) => Err(error.into()),
            Ok(()) if waits == Some(true) => Err(Refusal::Pending.into()),
            Ok(()) => Ok(()),
        }
    }

    /// All that a challenge has left in the store goes with it.
    fn forget(&self, to: &mut Writes, key: &str, waiting: &mut Waiting) {
        let view = self.barrier.view(Prefix::Challenge);
        view.delete(to, key);
        self.forget_browser(to, waiting);
        waiting.seats.iter().for_each(|seat| view.delete(to, seat));
    }

    /// Where the row of a challenge is: the id itself stands nowhere.
    fn challenge_key(&self, id: &str) -> Result<String, Error> {
        Ok(hex::encode(self.barrier.mac(Purpose::Token)?.sign(&[b"challenge", id.as_bytes()])))
    }
}
