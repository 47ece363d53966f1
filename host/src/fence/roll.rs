//! Which nodes there are, and what each has confirmed.
//!
//! A node stays on the roll by its beats. Another one strikes it off when it has seen no new beat
//! for `NODE_GONE` of its own time; a node that has not beaten for `NODE_HELD` is not fresh, and the
//! difference of the two is longer than anything that it remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Counter, Fence, Peers, ask::Found, ask::Seen, micros};
use crate::{
    barrier::{Error, Writes},
    limits,
    storage::Version,
};

/// The entry `fence/nodes`.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Roll {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
struct Node {
    beat: u64,
    /// It wants to be the only one.
    #[serde(default)]
    sole: bool,
    /// The version of the counter of mounts as of which it has brought them up, and which of them do not answer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mounts: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    silent: BTreeSet<String>,
}

/// How far this node has brought up what is mounted.
#[derive(Clone, Default, Debug)]
pub(super) struct Raised {
    /// Of the counter of mounts; None: nothing is mounted here.
    generation: Option<u64>,
    silent: BTreeSet<String>,
}

/// What is known of the other nodes, for whoever may not wait: as of the last ask.
#[derive(Clone, Default, Debug)]
pub(super) struct Known {
    roll: Roll,
    mounts: Option<i64>,
}

/// The entry `fence/seen/<node>`.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Confirmed {
    /// How often it has confirmed anything. Each time rests on the entry of the time before, so
    /// what is confirmed twice after a moment was looked at after that moment.
    pub(super) count: u64,
    /// The versions of the counters, by key.
    versions: BTreeMap<String, i64>,
}

/// What this node has seen of another one's beats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    beat: u64,
    /// When the last new beat was seen, or the first of all.
    at: u64,
    /// A second beat was seen: it lives.
    moved: bool,
}

/// A node that keeps this one from working on the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rival {
    /// It was seen to live.
    Alive,
    /// It stands on the roll, and nothing new was heard of it.
    PerhapsDead,
}

impl Roll {
    pub(super) fn has(&self, node: &str) -> bool {
        self.nodes.contains_key(node)
    }

    pub(super) fn others<'a>(&'a self, than: &'a str) -> impl Iterator<Item = &'a String> {
        self.nodes.keys().filter(move |node| *node != than)
    }
}

impl Confirmed {
    pub(super) fn of(count: u64, versions: &[Option<Version>]) -> Self {
        let told = Counter::ALL.iter().zip(versions);
        let told = told.filter_map(|(counter, version)| Some((counter.key().to_owned(), version.as_ref()?.raw())));
        Self { count, versions: told.collect() }
    }

    pub(super) fn has(&self, counter: Counter, version: Option<Version>) -> bool {
        self.versions.get(counter.key()).copied() == version.map(Version::raw)
    }
}

impl Fence {
    /// Another node that wants to be alone, or is not wanted here.
    pub(super) fn rival(&self, seen: &Seen, roll: &Roll) -> Option<Rival> {
        let gone = self.gone(seen);
        let mut others = roll.nodes.iter().filter(|(id, _)| **id != self.0.node && !gone.contains(*id));
        let found = match self.0.peers {
            Peers::Impossible => None,
            Peers::Forbidden => others.next(),
            Peers::Allowed => others.find(|(_, node)| node.sole),
        };
        found.map(|(id, _)| match seen.heartbeats.get(id) {
            Some(Heartbeat { moved: true, .. }) => Rival::Alive,
            _ => Rival::PerhapsDead,
        })
    }

    /// Notes the beats that an answer tells of. `now` is when it had come: a beat was made before.
    pub(super) fn observe(&self, seen: &mut Seen, roll: &Roll, now: u64) {
        seen.heartbeats.retain(|id, _| roll.has(id));
        for (id, Node { beat, .. }) in roll.nodes.iter().filter(|(id, _)| **id != self.0.node) {
            let new = Heartbeat { beat: *beat, at: now, moved: false };
            let heartbeat = seen.heartbeats.entry(id.clone()).or_insert(new);
            if heartbeat.beat != *beat {
                *heartbeat = Heartbeat { moved: true, ..new };
            }
        }
    }

    fn gone(&self, seen: &Seen) -> BTreeSet<String> {
        let now = self.micros();
        let silent = |heartbeat: &Heartbeat| now.saturating_sub(heartbeat.at) > micros(limits::NODE_GONE);
        seen.heartbeats.iter().filter(|(_, heartbeat)| silent(heartbeat)).map(|(id, _)| id.clone()).collect()
    }

    /// Enters this node on the roll or beats, and strikes off who is gone. `Conflict`: another node
    /// did the same just now.
    pub(super) async fn beat(&self, seen: &mut Seen, found: &Found) -> Result<(), Error> {
        let began = self.micros();
        let (node, mut roll, mut writes) = (&self.0.node, found.roll.clone(), Writes::default());
        for id in self.gone(seen) {
            tracing::warn!(node = id, "a node has not been heard of and is struck off the roll");
            roll.nodes.remove(&id);
            self.0.view.delete(&mut writes, &place(&id));
        }
        let beat = roll.nodes.get(node).map_or(0, |own| own.beat + 1);
        let (mounts, silent) = self.own_mounts(seen, found);
        roll.nodes.insert(node.clone(), Node { beat, sole: self.0.peers == Peers::Forbidden, mounts, silent });
        self.0.view.expect(&mut writes, ROLL, found.expect_roll());
        self.0.view.put(&mut writes, ROLL, &roll, None);
        self.0.barrier.commit(writes).await?;
        seen.beaten = Some(began);
        Ok(())
    }

    /// As of which version of their counter this node has brought up its mounts. None where that is not sure.
    fn own_mounts(&self, seen: &Seen, found: &Found) -> (Option<i64>, BTreeSet<String>) {
        let at = Counter::Mounts as usize;
        let version = found.versions[at];
        let learnt = seen.found.as_ref().is_some_and(|known| known.versions[at] == version);
        let raised = self.0.raised_mounts.lock().unwrap_or_else(PoisonError::into_inner);
        match version {
            Some(version) if learnt && raised.generation == Some(self.generation(Counter::Mounts)) => {
                (Some(version.raw()), raised.silent.clone())
            }
            _ => (None, BTreeSet::new()),
        }
    }

    /// Says of this node that it has brought up the mounts of this generation, but for those that do not answer. The
    /// other nodes hear of it with a beat.
    pub fn brought_up(&self, generation: Option<u64>, silent: impl IntoIterator<Item = String>) {
        let silent = silent.into_iter().take(limits::NODE_SILENT).collect();
        *self.0.raised_mounts.lock().unwrap_or_else(PoisonError::into_inner) = Raised { generation, silent };
    }

    /// How many other nodes there are, and how many of them have brought up a mount as it is now.
    pub fn others_with(&self, mount: &str) -> (usize, usize) {
        let known = self.0.known.load();
        let others: Vec<_> = known.roll.nodes.iter().filter(|(id, _)| **id != self.0.node).collect();
        let has = |node: &Node| node.mounts.is_some() && node.mounts == known.mounts && !node.silent.contains(mount);
        (others.iter().filter(|(_, node)| has(node)).count(), others.len())
    }

    pub(super) fn know(&self, found: &Found) {
        let mounts = found.versions[Counter::Mounts as usize].map(Version::raw);
        self.0.known.store(Arc::new(Known { roll: found.roll.clone(), mounts }));
    }

    pub(super) fn is_beat_due(&self, seen: &Seen) -> bool {
        seen.beaten.is_none_or(|began| self.micros().saturating_sub(began) >= micros(limits::NODE_BEAT))
    }

    /// Tells whoever waits for it what this node has seen.
    pub(super) async fn confirm(&self, found: &Found) -> Result<(), Error> {
        let (node, own) = (&self.0.node, found.confirmed.get(&self.0.node));
        let before = own.and_then(Option::as_ref);
        let same = |(at, counter): (usize, &Counter)| {
            before.is_some_and(|stored| stored.value.has(*counter, found.versions[at]))
        };
        // Of whom this node knows only now, the next ask reads what it has confirmed.
        let nobody_waits = found.roll.others(node).next().is_none();
        if nobody_waits || own.is_none() || Counter::ALL.iter().enumerate().all(same) {
            return Ok(());
        }
        let mut writes = Writes::default();
        let count = before.map_or(0, |stored| stored.value.count) + 1;
        self.0.view.expect_as_read(&mut writes, &place(node), before);
        self.0.view.put(&mut writes, &place(node), &Confirmed::of(count, &found.versions), None);
        self.0.barrier.commit(writes).await
    }

    /// Uses nothing remembered from now on, and is waited for by nobody.
    pub async fn leave(&self) {
        if self.0.peers == Peers::Impossible || self.0.barrier.is_sealed() {
            return;
        }
        let mut seen = self.0.seen.lock().await;
        self.forget(&mut seen);
        let left = tokio::time::timeout(limits::FENCE_STALE, async {
            loop {
                let stored = self.0.view.get::<Roll>(ROLL).await?;
                let Some(mut roll) = stored.clone().map(|stored| stored.value) else { return Ok(()) };
                if roll.nodes.remove(&self.0.node).is_none() {
                    return Ok(());
                }
                let mut writes = Writes::default();
                self.0.view.expect_as_read(&mut writes, ROLL, stored.as_ref());
                self.0.view.put(&mut writes, ROLL, &roll, None);
                self.0.view.delete(&mut writes, &place(&self.0.node));
                match self.0.barrier.commit(writes).await {
                    Err(Error::Conflict) => {}
                    other => return other,
                }
            }
        });
        if !matches!(left.await, Ok(Ok(()))) {
            tracing::debug!("this node stays on the roll until others miss it");
        }
    }
}

pub(super) const ROLL: &str = "nodes";

pub(super) fn place(node: &str) -> String {
    format!("seen/{node}")
}
