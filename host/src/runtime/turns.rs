//! Who has a processor, among guests that work for long. Each has a turn of a tick, and not all processors are theirs: so
//! a call that wants little never waits behind them. The mounts take turns, however many calls each of them has.
//!
//! A tick is long where a request is handed on some times before it is answered, so a turn keeps no thread from whoever
//! else has work on it: the system, which can interrupt, shares out the processors then.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
};

use super::meter::{now, of_thread};
use crate::limits;

/// A mount's: one processor is left to others, unless there is only one, and a mount has no more than a guest for
/// each of the rest in the queue.
#[derive(Clone)]
pub(super) struct Turns {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
    stretches: Arc<Stretches>,
}

/// What no tick interrupts, such as a large answer that is copied and looked at, keeps its thread however long it takes.
/// A mount's calls are known by those before them: where one had a thread for long, the next begin where the system can
/// interrupt.
#[derive(Default)]
struct Stretches {
    /// So many more are measured by the processor's time: the clock alone tells of a busy machine as well.
    measured: AtomicU32,
    /// So many more calls are taken to be long.
    long: AtomicU32,
}

impl Stretches {
    fn takes_one(of: &AtomicU32) -> bool {
        of.load(Relaxed) > 0 && of.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn measure<T>(&self, poll: impl FnOnce() -> T) -> T {
        let most = u64::try_from(limits::PLUGIN_STRETCH.as_nanos()).unwrap_or(u64::MAX);
        if Self::takes_one(&self.measured) {
            let begun = of_thread();
            let polled = poll();
            if of_thread().saturating_sub(begun) > most {
                self.measured.store(limits::PLUGIN_STRETCHES, Relaxed);
                self.long.store(limits::PLUGIN_STRETCHES, Relaxed);
            }
            return polled;
        }
        let begun = now();
        let polled = poll();
        if now().saturating_sub(begun) > most {
            self.measured.store(limits::PLUGIN_STRETCHES, Relaxed);
        }
        polled
    }
}

/// A call's. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turn(Arc<Taken>);

struct Taken {
    turns: Turns,
    held: Mutex<Option<Held>>,
    /// It has worked for long enough to need turns.
    is_long: AtomicBool,
}

type Held = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Turns {
    pub(super) fn new() -> Self {
        Self { own: seats(), all: seats(), stretches: Arc::default() }
    }

    /// Of another mount.
    pub(super) fn for_another_mount(&self) -> Self {
        Self { own: seats(), all: self.all.clone(), stretches: Arc::default() }
    }

    pub(super) fn turn(&self) -> Turn {
        let is_long = Stretches::takes_one(&self.stretches.long).into();
        Turn(Arc::new(Taken { turns: self.clone(), held: Mutex::default(), is_long }))
    }
}

fn seats() -> Arc<Semaphore> {
    let processors = available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors.saturating_sub(1).max(1)))
}

impl Turn {
    /// Lets others run, and waits for its next turn.
    pub(super) async fn next(self) {
        self.rest();
        self.0.is_long.store(true, Relaxed);
        tokio::task::yield_now().await;
        // They are never closed.
        let Ok(own) = self.0.turns.own.clone().acquire_owned().await else { return };
        let Ok(all) = self.0.turns.all.clone().acquire_owned().await else { return };
        *self.held() = Some((all, own));
    }

    /// Whatever the work waits for, its turn is somebody else's meanwhile.
    pub(super) async fn given_up_by<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        // Where there is one thread for all, there is no other for them.
        let may_move = Handle::try_current().is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread);
        poll_fn(|cx| {
            let mut poll = || self.0.turns.stretches.measure(|| work.as_mut().poll(cx));
            let polled = match may_move && self.0.is_long.load(Relaxed) {
                true => block_in_place(&mut poll),
                false => poll(),
            };
            if polled.is_pending() {
                self.rest();
            }
            polled
        })
        .await
    }

    fn rest(&self) {
        let held = self.held().take();
        drop(held);
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spin(span: Duration) {
        let begun = of_thread();
        while u128::from(of_thread() - begun) < span.as_nanos() {}
    }

    async fn call(turns: &Turns, span: Duration) -> bool {
        let turn = turns.turn();
        turn.given_up_by(async { spin(span) }).await;
        turn.0.is_long.load(Relaxed)
    }

    #[tokio::test]
    async fn whose_calls_keep_a_thread_for_long_is_known_by_those_before() {
        let (turns, quick, long) = (Turns::new(), Duration::ZERO, limits::PLUGIN_STRETCH * 2);
        assert!(!call(&turns, quick).await && !call(&turns, quick).await);
        // By the clock first, and then by what it had of a processor.
        assert!(!call(&turns, long).await && !call(&turns, long).await);
        assert!(call(&turns, long).await && call(&turns, quick).await);
        assert!(!call(&turns.for_another_mount(), long).await, "every mount for itself");
        for _ in 0..limits::PLUGIN_STRETCHES {
            call(&turns, quick).await;
        }
        assert!(!call(&turns, quick).await, "and it is forgotten");
    }
}
