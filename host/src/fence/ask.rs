//! What this node knows, and how it comes to know it.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use serde::de::DeserializeOwned;

use super::{
    Counter, Fence, Peers, corrupt,
    roll::{Confirmed, Heartbeat, ROLL, Rival, Roll, place},
    stale,
};
use crate::{
    barrier::{Error, Stored},
    limits,
    storage::{Expect, Version},
};

/// What one ask found: all of it from one snapshot.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Of the counters' entries.
    pub(super) versions: [Option<Version>; Counter::ALL.len()],
    pub(super) roll: Roll,
    /// None: never written.
    rolled: Option<Version>,
    /// Of the nodes that were known when the ask began.
    pub(super) confirmed: BTreeMap<String, Option<Stored<Confirmed>>>,
}

impl Found {
    pub(super) fn expect_roll(&self) -> Expect {
        self.rolled.map_or(Expect::Absent, Expect::Version)
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What the last ask found; None before the first.
    pub(super) found: Option<Arc<Found>>,
    /// Which ask that was.
    ask: u64,
    /// When this node's last successful beat began.
    pub(super) beaten: Option<u64>,
    pub(super) heartbeats: BTreeMap<String, Heartbeat>,
}

/// Why there is nothing that this node may go by.
pub(super) enum Refusal {
    Store(Error),
    /// Another node works on the store.
    Held(Rival),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(error) => error,
            Refusal::Held(_) => Self::Away(HELD.to_owned()),
        }
    }
}

const HELD: &str = "another node works on this database, and one of the two keeps its sessions there \
                    (sessions.url = \"embedded\"), which is for one node: give all of them the same Redis";

impl Fence {
    /// Reads all counters and moves the generations of those that were raised. Whoever waits while
    /// another asks is served by the next ask, all at once.
    pub async fn ask(&self) -> Result<(), Error> {
        Ok(self.look().await.map(drop)?)
    }

    /// The first ask of a node: as `ask`, and waits for the claim of a node that has died to lapse.
    pub async fn join(&self) -> Result<(), Error> {
        loop {
            match self.look().await {
                Err(Refusal::Held(Rival::PerhapsDead)) => tokio::time::sleep(limits::FENCE_ASK).await,
                other => return Ok(other.map(drop)?),
            }
        }
    }

    pub(super) async fn look(&self) -> Result<Arc<Found>, Refusal> {
        let called = self.0.begun.load(Ordering::SeqCst);
        let mut seen = self.0.seen.lock().await;
        if let Some(found) = &seen.found
            && seen.ask > called
        {
            return Ok(found.clone());
        }
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let ask = self.0.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let began = self.micros();
            let found = self.read(&seen).await?;
            let mut held = u64::MAX;
            if self.0.peers != Peers::Impossible {
                self.observe(&mut seen, &found.roll, self.micros());
                if let Some(rival) = self.rival(&seen, &found.roll) {
                    self.forget(&mut seen);
                    return Err(Refusal::Held(rival));
                }
                held = seen.beaten.map_or(0, |began| began + super::micros(limits::NODE_HELD));
                if !found.roll.has(&self.0.node) || held <= began {
                    // Only an ask that begins when it is on the roll counts.
                    self.forget(&mut seen);
                    match self.beat(&mut seen, &found).await {
                        Ok(()) | Err(Error::Conflict) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let found = Arc::new(found);
            self.learn(&mut seen, &found);
            seen.ask = ask;
            self.0.fresh_until.store(held.min(began + stale()), Ordering::Release);
            if self.0.peers != Peers::Impossible {
                self.write(&mut seen, &found).await;
            }
            return Ok(found);
        }
        Err(Error::Conflict.into())
    }

    async fn read(&self, seen: &Seen) -> Result<Found, Error> {
        let mut keys: Vec<String> = Counter::ALL.iter().map(|counter| counter.key().to_owned()).collect();
        let mut nodes = Vec::new();
        if self.0.peers != Peers::Impossible {
            let others = seen.found.iter().flat_map(|found| found.roll.others(&self.0.node));
            nodes = others.chain([&self.0.node]).cloned().collect();
            keys.push(ROLL.to_owned());
            keys.extend(nodes.iter().map(|node| place(node)));
        }
        let asked = async {
            // An order to seal the store is part of what every node is to know.
            let obeyed = async {
                match self.0.peers {
                    Peers::Impossible => Ok(()),
                    _ => self.0.barrier.obey().await,
                }
            };
            tokio::try_join!(self.0.view.get_many_bytes(&keys), obeyed)
        };
        // What took longer is of no use any more.
        let late = |_| Error::Away("no answer in time".to_owned());
        let (found, ()) = tokio::time::timeout(limits::FENCE_STALE, asked).await.map_err(late)??;
        if self.0.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        let mut found = found.into_iter();
        let versions = Counter::ALL.map(|_| found.next().flatten().map(|entry| entry.version));
        let roll = found.next().flatten().map(parsed::<Roll>).transpose()?;
        let mut confirmed = BTreeMap::new();
        for (node, entry) in nodes.into_iter().zip(found) {
            confirmed.insert(node, entry.map(parsed).transpose()?);
        }
        let (roll, rolled) = roll.map_or_else(Default::default, |roll| (roll.value, Some(roll.version)));
        Ok(Found { versions, roll, rolled, confirmed })
    }

    /// What was raised has another generation from here on.
    fn learn(&self, seen: &mut Seen, found: &Arc<Found>) {
        for counter in Counter::ALL {
            let at = counter as usize;
            // What was remembered before the first ask is compared with nothing: it goes.
            if seen.found.as_ref().is_none_or(|old| old.versions[at] != found.versions[at]) {
                self.step(counter);
            }
        }
        self.know(found);
        seen.found = Some(found.clone());
    }

    /// What other nodes wait for. If it fails, they wait longer, or this node asks in vain.
    async fn write(&self, seen: &mut Seen, found: &Found) {
        let written = tokio::time::timeout(limits::FENCE_WRITE, async {
            self.confirm(found).await?;
            match self.is_beat_due(seen) {
                true => self.beat(seen, found).await,
                false => Ok(()),
            }
        });
        match written.await {
            Ok(Ok(()) | Err(Error::Conflict)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "nothing is confirmed"),
            Err(_) => tracing::debug!("nothing is confirmed in time"),
        }
    }

    /// Nothing that was remembered is used again before another ask.
    pub(super) fn forget(&self, seen: &mut Seen) {
        self.0.fresh_until.store(0, Ordering::Release);
        (seen.found, seen.beaten) = (None, None);
    }
}

fn parsed<T: DeserializeOwned>(stored: Stored<zeroize::Zeroizing<Vec<u8>>>) -> Result<Stored<T>, Error> {
    let Stored { value, version, expires_at } = stored;
    let value = serde_json::from_slice(&value).map_err(|_| corrupt())?;
    Ok(Stored { value, version, expires_at })
}
