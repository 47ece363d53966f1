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
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
};

/// A mount's: one processor is left to others, unless there is only one, and a mount has no more than a guest for
/// each of the rest in the queue.
#[derive(Clone)]
pub(super) struct Turns {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
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
        Self { own: seats(), all: seats() }
    }

    /// Of another mount.
    pub(super) fn for_another_mount(&self) -> Self {
        Self { own: seats(), all: self.all.clone() }
    }

    pub(super) fn turn(&self) -> Turn {
        Turn(Arc::new(Taken { turns: self.clone(), held: Mutex::default(), is_long: AtomicBool::default() }))
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
            let poll = match may_move && self.0.is_long.load(Relaxed) {
                true => block_in_place(|| work.as_mut().poll(cx)),
                false => work.as_mut().poll(cx),
            };
            if poll.is_pending() {
                self.rest();
            }
            poll
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
