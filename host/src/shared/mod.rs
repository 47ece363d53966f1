//! The link to Redis: commands, scripts, news.
//!
//! Owns the connection and its renewal, deadlines and what Redis must be like to be trusted with
//! sessions. Never knows what a key means. Another kind of address is a `Kind` in `target.rs` and
//! another way to make a `Live` in `live.rs`.

mod connection;
mod error;
mod examine;
#[cfg(test)]
mod kinds;
mod live;
mod near;
mod news;
mod reached;
mod script;
mod sentinel;
mod target;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trial;

use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard, watch},
    time::{sleep, timeout},
};

use crate::limits;
pub use error::Error;
pub use examine::examine;
use live::Live;
pub use news::{Heard, News};
pub use reached::Reached;
pub use script::Script;
use target::Target;

/// How a Redis is to be used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Stands before every key; several servers may share a Redis under different ones.
    pub namespace: String,
    /// Take `redis://` to another machine.
    pub allow_plaintext: bool,
    /// Take a Redis that does not tell what it does when its memory is full.
    pub assume_noeviction: bool,
    /// PEM, in place of the system's certificates.
    pub root_certificates: Option<Vec<u8>>,
}

/// What Redis answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Nil,
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Self>),
}

/// One connection, shared by all and made anew when it breaks. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    target: Target,
    options: Options,
    state: watch::Sender<State>,
    /// Held by whoever makes a connection.
    opening: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    /// Why there is none.
    why: Option<Error>,
    /// The last attempt failed just now: the next is not made at once.
    pausing: bool,
}

impl Link {
    /// Connects once, so that what cannot be used is known at the start: `redis://` and `unix://`,
    /// `redis+sentinel://host,host/?service=name`, `redis+cluster://host,host`, and `rediss` for
    /// `redis` in each.
    pub async fn open(url: &str, options: Options) -> Result<Self, Error> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if !(1..=64).contains(&options.namespace.len()) || !options.namespace.bytes().all(fine) {
            return Err(Error::Unusable("a namespace is 1 to 64 letters, digits, - _ . or :".to_owned()));
        }
        let target = Target::parse(url, &options)?;
        let link = Self(Arc::new(Inner { target, options, state: watch::Sender::default(), opening: Arc::default() }));
        timeout(limits::REDIS_CONNECT, link.live()).await.map_err(|_| slow())??;
        tokio::spawn(watch_over(Arc::downgrade(&link.0)));
        Ok(link)
    }

    pub fn namespace(&self) -> &str {
        &self.0.options.namespace
    }

    /// Every address that it has been led to.
    pub fn reached(&self) -> Reached {
        self.0.target.resolver.reached.clone()
    }

    /// One command, within `limits::REDIS_WAIT`. An error leaves open whether it was carried out.
    pub async fn command(&self, parts: &[&[u8]]) -> Result<Answer, Error> {
        self.in_time(|live| async move { live.command(parts).await }).await
    }

    /// One script on the slot of one key, within `limits::REDIS_WAIT`; loaded where Redis does not
    /// know it. No argument may hold a token: `MONITOR` and `SLOWLOG` show them.
    pub async fn script(&self, script: &Script, key: &str, arguments: &[&[u8]]) -> Result<Answer, Error> {
        self.in_time(|live| async move { live.script(script, key, arguments).await }).await
    }

    /// Tells everybody who listens on a channel of this namespace. What is lost on the way is lost.
    pub async fn publish(&self, channel: &str, said: &[u8]) -> Result<(), Error> {
        let channel = self.channel(channel);
        self.command(&[b"PUBLISH", channel.as_bytes(), said]).await.map(drop)
    }

    /// Listens on a channel of this namespace from now on, through outages and failovers.
    pub fn subscribe(&self, channel: &str) -> News {
        news::subscribe(self.0.clone(), self.channel(channel))
    }

    fn channel(&self, channel: &str) -> String {
        format!("{}:{channel}", self.namespace())
    }

    async fn in_time<F>(&self, work: impl FnOnce(Arc<Live>) -> F) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Answer, Error>>,
    {
        let mut sent = None;
        let answer = timeout(limits::REDIS_WAIT, async {
            let live = self.live().await?;
            sent = Some(live.clone());
            work(live).await
        });
        match answer.await {
            Ok(answer) => answer,
            Err(_) => {
                // A peer that swallows what it is sent is not told apart from a slow one, at first.
                if let Some(live) = sent {
                    live.missed();
                }
                Err(slow())
            }
        }
    }

    /// The connection, made anew if need be. Making one may take longer than a caller waits; it
    /// goes on for the next.
    async fn live(&self) -> Result<Arc<Live>, Error> {
        let mut news = self.0.state.subscribe();
        {
            let state = news.borrow_and_update();
            if let Some(live) = whole(&state) {
                return Ok(live);
            }
            if state.pausing {
                return Err(state.why.clone().unwrap_or_else(slow));
            }
        }
        if let Ok(turn) = self.0.opening.clone().try_lock_owned() {
            tokio::spawn(connect(self.0.clone(), turn));
        }
        news.changed().await.map_err(|_| slow())?;
        let state = news.borrow();
        whole(&state).ok_or_else(|| state.why.clone().unwrap_or_else(slow))
    }
}

fn whole(state: &State) -> Option<Arc<Live>> {
    state.live.clone().filter(|live| !live.broken.load(Ordering::Acquire))
}

async fn connect(link: Arc<Inner>, turn: OwnedMutexGuard<()>) {
    let before = whole(&link.state.borrow());
    let made = match before {
        Some(live) => Ok(live),
        None => match timeout(limits::REDIS_CONNECT, Live::connect(&link.target, &link.options)).await {
            Ok(made) => made.map(Arc::new),
            Err(_) => Err(slow()),
        },
    };
    let why = made.as_ref().err().cloned();
    link.state.send_modify(|state| {
        told(&link.target, state.why.as_ref(), why.as_ref());
        let pausing = why.is_some();
        *state = State { live: made.ok(), why, pausing };
    });
    if link.state.borrow().pausing {
        sleep(limits::REDIS_PAUSE).await;
        link.state.send_if_modified(|state| {
            state.pausing = false;
            // Nobody waits for the end of a pause.
            false
        });
    }
    drop(turn);
}

/// Once for each trouble, not once for each caller.
fn told(target: &Target, before: Option<&Error>, now: Option<&Error>) {
    match (before.map(ToString::to_string), now.map(ToString::to_string)) {
        (before, Some(why)) if before.as_ref() != Some(&why) => {
            tracing::warn!(redis = %target, %why, "no connection to Redis");
        }
        (Some(_), None) => tracing::info!(redis = %target, "connected to Redis again"),
        _ => {}
    }
}

/// A Redis can become a replica or be told to evict while it is in use, and says so to nobody.
async fn watch_over(link: Weak<Inner>) {
    loop {
        sleep(limits::REDIS_LOOK).await;
        let Some(link) = link.upgrade() else { return };
        let live = whole(&link.state.borrow());
        if let Some(live) = live
            && let Err(why) = live.look(&link.target, &link.options).await
        {
            tracing::warn!(redis = %link.target, %why, "the connection to Redis is given up");
        }
    }
}

fn slow() -> Error {
    Error::Away("no answer in time".to_owned())
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} as {})", self.0.target, self.namespace())
    }
}
