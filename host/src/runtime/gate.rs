use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Fault;

/// So many at once, so many waiting in order; whoever comes then is told that it is busy.
#[derive(Clone)]
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Gate {
    pub(super) fn new(at_once: usize, queue: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once.max(1))), waiting: Arc::default(), queue }
    }

    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let before = self.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.queue {
            return Err(Fault::Busy);
        }
        self.turns.clone().acquire_owned().await.map_err(|_| Fault::Busy)
    }
}
