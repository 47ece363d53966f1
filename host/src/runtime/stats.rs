//! What is known of a mount's plugin: how often it was called, where the time went, how it failed
//! and what it said. Counting a call that ends well is a few additions; everything else waits for
//! a failure.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Failure, Fault, meter::Meter};
use crate::{
    clock::{Clock, Timestamp},
    limits,
    metrics::{Counter, Gauge, Histogram, Spread},
};

/// As of one moment, since this node knows the mount.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// That have ended, however.
    pub calls: u64,
    pub succeeded: u64,
    /// At this moment, those that wait for their turn among them.
    pub running: i64,
    pub time: Times,
    /// How long calls took, the queue included.
    pub spread: Spread,
    /// Bytes that the largest call had at its end.
    pub memory: usize,
    /// Calls that did not succeed, by how they ended: `refused`, `internal` where the plugin says that it cannot,
    /// `trap`, `limit`, `deadline`, `busy`, `resting`, `invalid`, `store`, and `abandoned` by who asked.
    pub ended: BTreeMap<&'static str, u64>,
    pub traps: BTreeMap<&'static str, u64>,
    /// Bounds that were hit, by name.
    pub limits: BTreeMap<&'static str, u64>,
    /// Instances cannot be made at present.
    pub resting: bool,
}

/// Sums over all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Before a call had its turn.
    pub queue: Duration,
    pub instantiate: Duration,
    /// On a processor, short work of the host included.
    pub guest: Duration,
    /// The rest: cryptography of the host, and waiting, for it or for a processor.
    pub host: Duration,
}

/// For the operator: what a client is told is another matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub at: Timestamp,
    pub request: String,
    /// Of the plugin.
    pub version: Arc<str>,
    /// What was asked: `engine.handle`.
    pub export: &'static str,
    pub why: String,
    /// Functions of the guest, innermost first.
    pub frames: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1, without a gap.
    pub number: u64,
    pub at: Timestamp,
    pub request: String,
    /// Of the plugin.
    pub version: Arc<str>,
    pub level: &'static str,
    pub text: String,
}

/// What `Stats` is read from. A mount keeps it over changes of its plugin and setting.
#[derive(Default)]
pub struct Tally {
    succeeded: Counter,
    running: Gauge,
    spread: Histogram,
    queue: AtomicU64,
    instantiate: AtomicU64,
    guest: AtomicU64,
    host: AtomicU64,
    memory: AtomicUsize,
    rare: Mutex<Rare>,
}

#[derive(Default)]
struct Rare {
    ended: BTreeMap<&'static str, u64>,
    traps: BTreeMap<&'static str, u64>,
    limits: BTreeMap<&'static str, u64>,
    failures: VecDeque<Failed>,
    log: VecDeque<Line>,
    log_bytes: usize,
    lines: u64,
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("succeeded", &self.succeeded).finish_non_exhaustive()
    }
}

/// What a trap was, beside its text.
#[derive(Clone, Debug)]
pub(super) struct Trapped {
    pub(super) kind: &'static str,
    pub(super) frames: Vec<String>,
}

impl Tally {
    pub(super) fn memory(&self, bytes: usize) {
        // Most calls take what the largest took.
        if bytes > self.memory.load(Relaxed) {
            self.memory.fetch_max(bytes, Relaxed);
        }
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.add();
    }

    /// Nobody waited for its end.
    fn abandoned(&self) {
        *self.rare().ended.entry("abandoned").or_default() += 1;
    }

    pub(super) fn failed(&self, failure: &Failure, of: Of<'_>) {
        let (mut rare, fault, trapped) = (self.rare(), &failure.fault, &failure.trapped);
        *rare.ended.entry(name(fault)).or_default() += 1;
        match fault {
            Fault::Limit(which) => *rare.limits.entry(which).or_default() += 1,
            Fault::Trap(_) => {
                let kind = trapped.as_ref().map_or("host", |trapped| trapped.kind);
                *rare.traps.entry(kind).or_default() += 1;
            }
            // That is an answer, and a crowd says nothing of the plugin.
            Fault::Refused(refusal) if refusal.is_ordinary() => return,
            Fault::Busy | Fault::Resting(_) => return,
            Fault::Refused(_) | Fault::Deadline | Fault::Invalid(_) | Fault::Store(_) => {}
        }
        let frames = trapped.as_ref().map(|trapped| trapped.frames.clone()).unwrap_or_default();
        let Of { at, request, version, export } = of;
        let (request, version) = (request.to_owned(), version.clone());
        let failed = Failed { at, request, version, export, why: fault.to_string(), frames };
        keep(&mut rare.failures, failed, limits::PLUGIN_FAILURES_KEPT);
    }

    /// The line gets its number here.
    pub(super) fn logged(&self, mut line: Line) {
        let mut rare = self.rare();
        rare.lines += 1;
        line.number = rare.lines;
        rare.log_bytes += line.text.len();
        rare.log.push_back(line);
        while rare.log.len() > limits::PLUGIN_LINES_KEPT || rare.log_bytes > limits::PLUGIN_LINES_KEPT_BYTES {
            rare.log_bytes -= rare.log.pop_front().map_or(0, |line| line.text.len());
        }
    }

    pub fn read(&self) -> Stats {
        let nanos = |of: &AtomicU64| Duration::from_nanos(of.load(Relaxed));
        let rare = self.rare();
        let succeeded = self.succeeded.read();
        Stats {
            calls: rare.ended.values().fold(succeeded, |all, some| all + some),
            succeeded,
            running: self.running.read(),
            spread: self.spread.read(),
            time: Times {
                queue: nanos(&self.queue),
                instantiate: nanos(&self.instantiate),
                guest: nanos(&self.guest),
                host: nanos(&self.host),
            },
            memory: self.memory.load(Relaxed),
            ended: rare.ended.clone(),
            traps: rare.traps.clone(),
            limits: rare.limits.clone(),
            resting: false,
        }
    }

    /// The last ones, oldest first.
    pub fn failures(&self) -> Vec<Failed> {
        self.rare().failures.iter().cloned().collect()
    }

    /// The last lines that the plugin logged, oldest first; without the secrets of their calls.
    pub fn log(&self) -> Vec<Line> {
        self.rare().log.iter().cloned().collect()
    }

    fn rare(&self) -> std::sync::MutexGuard<'_, Rare> {
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(ring: &mut VecDeque<T>, one: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(one);
}

fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Refused(refusal) if refusal.is_ordinary() => "refused",
        Fault::Refused(_) => "internal",
        Fault::Trap(_) => "trap",
        Fault::Limit(_) => "limit",
        Fault::Deadline => "deadline",
        Fault::Busy => "busy",
        Fault::Resting(_) => "resting",
        Fault::Invalid(_) => "invalid",
        Fault::Store(_) => "store",
    }
}

/// Of which call.
pub(super) struct Of<'a> {
    pub(super) at: Timestamp,
    pub(super) request: &'a str,
    pub(super) version: &'a Arc<str>,
    pub(super) export: &'static str,
}

/// A call whose end has not been told. Dropped so, it was given up.
pub(super) struct Open<'a>(Option<&'a Tally>);

impl<'a> Open<'a> {
    pub(super) fn begin(tally: &'a Tally) -> Self {
        tally.running.more();
        Self(Some(tally))
    }

    pub(super) fn ended(mut self) {
        self.0.take().inspect(|tally| tally.running.less());
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(tally) = self.0 {
            tally.running.less();
            tally.abandoned();
        }
    }
}

/// Where a call is, and since when. Told when it is dropped, so that a call which is given up
/// counts like any other.
pub(super) struct Timing<'a> {
    tally: &'a Tally,
    meter: Arc<Meter>,
    began: u64,
    /// After the queue, and after the instance was made.
    marks: [Option<u64>; 2],
    /// Of the meter, when the instance was made.
    spent: Duration,
}

impl<'a> Timing<'a> {
    pub(super) fn begin(tally: &'a Tally, meter: Arc<Meter>) -> Self {
        Self { tally, meter, began: now(), marks: [None; 2], spent: Duration::ZERO }
    }

    pub(super) fn began(&self) -> Duration {
        Duration::from_nanos(self.began)
    }

    pub(super) fn has_turn(&mut self) {
        self.marks[0] = Some(now());
    }

    pub(super) fn has_instance(&mut self) {
        self.marks[1] = Some(now());
        self.spent = self.meter.spent();
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let (tally, ended) = (self.tally, now());
        let turn = self.marks[0].unwrap_or(ended);
        let instance = self.marks[1].unwrap_or(ended);
        tally.spread.observe(Duration::from_nanos(ended.saturating_sub(self.began)));
        tally.queue.fetch_add(turn.saturating_sub(self.began), Relaxed);
        tally.instantiate.fetch_add(instance.saturating_sub(turn), Relaxed);
        let called = ended.saturating_sub(instance);
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let work = nanos(self.meter.spent().saturating_sub(self.spent));
        let guest = work.saturating_sub(nanos(self.meter.computed())).min(called);
        tally.guest.fetch_add(guest, Relaxed);
        tally.host.fetch_add(called - guest, Relaxed);
    }
}

fn now() -> u64 {
    u64::try_from(Clock::system().monotonic().as_nanos()).unwrap_or(u64::MAX)
}
