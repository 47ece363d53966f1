use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Fault;

/// Slow work of the host on the blocking pool, so much of it at once.
pub(super) struct Workers(Arc<Semaphore>);

impl Workers {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Waits for its turn, and then for the work.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        // The semaphore is never closed, and the permit goes with the work: a call that is given
        // up does not let another one in while its own work is still being done.
        let permit = self.0.clone().acquire_owned().await.map_err(|_| Fault::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(|_| Fault::Trap("work of the host failed".to_owned()))
    }
}
