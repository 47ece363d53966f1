use super::{
    Fault,
    places::{Places, Share},
};

/// Slow work of the host on the blocking pool, so much of it at once, and the mounts in turn.
pub(super) struct Workers(Places);

impl Workers {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Places::new(at_once.max(1), Share::All))
    }

    /// Of another mount.
    pub(super) fn for_another_mount(&self) -> Self {
        Self(self.0.for_another_mount())
    }

    /// Waits for its turn, and then for the work.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        // It goes with the work: a call that is given up does not let another one in while its own
        // work is still being done.
        let place = self.0.enter().await?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|_| Fault::Trap("work of the host failed".to_owned()))
    }
}
