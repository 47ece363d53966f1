use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Error, Kind, Live, Mount};
use crate::{
    barrier::{self, Barrier, Writes, layout::Prefix},
    clock::Clock,
    limits,
    runtime::{Bounds, Call, Facts, Fault, Input, Origin, Outcome, PasswordCosts},
};

/// Fair queues for what conflicts in a mount: a call that has lost once waits for its turn, so that a hot
/// key costs runs and not failures. A mount whose calls stay in theirs for long holds up nobody else's.
#[derive(Debug)]
pub(super) struct Queues {
    queues: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

impl Default for Queues {
    fn default() -> Self {
        let queues = (0..limits::CONFLICT_QUEUES).map(|_| Arc::default()).collect();
        Self { queues, hasher: RandomState::new() }
    }
}

impl Queues {
    pub(super) fn of(&self, place: &str) -> Arc<Mutex<()>> {
        let at = self.hasher.hash_one(place) as usize % self.queues.len();
        self.queues[at].clone()
    }
}

/// What a login is about names a user, and stands in no path.
fn origin(mount: &Mount, place: &str) -> Origin {
    let path = match mount.kind {
        Kind::Secrets if !place.is_empty() => format!("secrets/{}/{place}", mount.name),
        kind => format!("{}/{}", kind.as_str(), mount.name),
    };
    Origin { mount: mount.id.clone(), path }
}

/// A plugin call that goes on until its writes are stored: run it, add what belongs with them,
/// commit; on a conflict run it again in a fresh sandbox, until the deadline.
pub struct Attempts {
    live: Arc<Live>,
    barrier: Barrier,
    clock: Clock,
    call: Call,
    began: Duration,
    queue: Arc<Mutex<()>>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Attempts {
    pub(super) fn new(
        (barrier, clock): (&Barrier, &Clock),
        mount: &Mount,
        live: &Arc<Live>,
        (facts, place): (Facts, &str),
        (bounds, passwords): (Bounds, PasswordCosts),
    ) -> Self {
        let queue = live.queues.of(place);
        let call = Call {
            facts,
            storage: barrier.view(Prefix::Data(mount.id.clone())),
            keys: barrier.view(Prefix::Key(mount.id.clone())),
            config: live.config.clone(),
            grant: live.grant.clone(),
            credentials: live.credentials.clone(),
            bounds,
            passwords,
            read_only: false,
            origin: Some(origin(mount, place)),
        };
        let (barrier, clock, live) = (barrier.clone(), clock.clone(), live.clone());
        Self { live, began: clock.monotonic(), barrier, clock, call, queue, turn: None }
    }

    /// How long the call may take, however often it runs.
    pub fn wall(&self) -> Duration {
        self.call.bounds.wall
    }

    /// The call came by GET: it may write nothing.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.call.read_only = read_only;
        self
    }

    /// Runs in a fresh sandbox; again, if it failed over what is no longer so.
    pub async fn run<I: Input + Clone>(&mut self, input: I) -> Result<Outcome<I::Answer>, Error> {
        loop {
            // The deadline is the whole call's, however often it runs.
            let mut call = self.call.clone();
            call.bounds.wall = self.left()?;
            match self.live.plugin.attempt(input.clone(), &call).await {
                Ok(outcome) => {
                    self.live.watch.as_ref().inspect(|watch| watch.answered(&self.call.facts));
                    return Ok(outcome);
                }
                Err(failure) if failure.stale && failure.may_rerun => self.line_up().await?,
                Err(failure) => {
                    self.live.watch.as_ref().inspect(|watch| watch.faulted(&failure.fault, &self.call.facts));
                    return Err(Error::Fault(failure.fault));
                }
            }
        }
    }

    /// Stores the writes. False: they rest on what is no longer so, and the call is to run again.
    pub async fn commit(&mut self, writes: Writes, may_rerun: bool) -> Result<bool, Error> {
        match self.barrier.commit(writes).await {
            Ok(()) => Ok(true),
            Err(barrier::Error::Conflict) if may_rerun => self.line_up().await.map(|()| false),
            Err(barrier::Error::Conflict) => Err(Error::Fault(Fault::Busy)),
            Err(error) => Err(error.into()),
        }
    }

    fn left(&self) -> Result<Duration, Error> {
        let spent = self.clock.monotonic().saturating_sub(self.began);
        match self.call.bounds.wall.saturating_sub(spent) {
            Duration::ZERO => Err(Error::Fault(Fault::Busy)),
            left => Ok(left),
        }
    }

    /// From the second run on, one at a time for each place.
    async fn line_up(&mut self) -> Result<(), Error> {
        let left = self.left()?;
        if self.turn.is_none() {
            let turn = tokio::time::timeout(left, self.queue.clone().lock_owned()).await;
            self.turn = Some(turn.map_err(|_| Error::Fault(Fault::Busy))?);
        }
        Ok(())
    }
}
