use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{clock::Clock, limits};

/// How long a call has had a processor. Waiting is not work: only the time inside of `poll`
/// counts, so storage, the blocking pool and yielding cost the guest nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {
    spent: AtomicU64,
    /// When the present stretch began, plus one; 0 between stretches.
    since: AtomicU64,
    /// What the host has computed for the guest; in `spent` as well.
    computed: AtomicU64,
}

impl Meter {
    pub(super) async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.since.store(now().saturating_add(1), Relaxed);
            let poll = work.as_mut().poll(cx);
            self.spent.fetch_add(self.stretch(), Relaxed);
            self.since.store(0, Relaxed);
            poll
        })
        .await
    }

    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Relaxed).saturating_add(self.stretch()))
    }

    pub(super) fn computed(&self) -> Duration {
        Duration::from_nanos(self.computed.load(Relaxed))
    }

    /// Work of the host's that no tick interrupts, counted in full however long it takes: by what
    /// this thread had of a processor, so that a busy machine is nobody's fault.
    pub(super) fn compute<T>(&self, work: impl FnOnce() -> T) -> T {
        let is_running = self.since.load(Relaxed) != 0;
        self.spent.fetch_add(self.stretch(), Relaxed);
        let begun = of_thread();
        let done = work();
        let took = of_thread().saturating_sub(begun);
        self.spent.fetch_add(took, Relaxed);
        self.computed.fetch_add(took, Relaxed);
        if is_running {
            self.since.store(now().saturating_add(1), Relaxed);
        }
        done
    }

    /// A guest yields at every tick, so a stretch that is much longer means that the machine
    /// was busy with something else, which is not the guest's fault.
    fn stretch(&self) -> u64 {
        let most = u64::try_from(limits::PLUGIN_TICK.as_nanos() * 4).unwrap_or(u64::MAX);
        match self.since.load(Relaxed) {
            0 => 0,
            since => now().saturating_add(1).saturating_sub(since).min(most),
        }
    }
}

/// Real time whatever the server's clock says: a guest spins on a real processor.
pub(super) fn now() -> u64 {
    u64::try_from(Clock::system().monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of processor time of this thread.
pub(super) fn of_thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(span: Duration) {
        let begun = of_thread();
        while Duration::from_nanos(of_thread() - begun) < span {}
    }

    #[tokio::test]
    async fn what_the_host_computes_counts_in_full_and_a_guests_stretch_only_so_far() {
        let meter = Meter::default();
        meter.measure(async { spin(Duration::from_millis(30)) }).await;
        assert!(meter.spent() <= limits::PLUGIN_TICK * 4);
        meter.measure(async { meter.compute(|| spin(Duration::from_millis(30))) }).await;
        assert!(meter.spent() >= Duration::from_millis(30) && meter.computed() >= Duration::from_millis(30));
        assert!(meter.spent() < Duration::from_millis(70), "{:?}", meter.spent());
    }
}
