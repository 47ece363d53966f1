use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use super::Fault;
use crate::{clock::Clock, limits};

/// Keeps calls away from a plugin of which no instance can be made: nothing that a request says
/// has been looked at by then, so nobody outside can bring it about. What traps on what it is
/// sent does not count. While it is open, one call at a time tries whether it works again.
pub(super) struct Breaker {
    clock: Clock,
    /// Instances in a row that could not be made.
    failures: AtomicU32,
    is_open: AtomicBool,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    until: Duration,
    /// How long it was opened for the last time.
    wait: Duration,
    /// A call is finding out.
    trying: bool,
}

/// What a call that was let through has to tell: could its instance be made? If it tells nothing
/// (it was given up while it waited), nothing is learned.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, failures: AtomicU32::new(0), is_open: AtomicBool::new(false), open: Mutex::default() }
    }

    pub(super) fn admit(&self) -> Result<Pass<'_>, Fault> {
        if !self.is_open.load(Relaxed) {
            return Ok(Pass { breaker: self, trial: false });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.until.saturating_sub(self.clock.monotonic());
        match (left.is_zero(), open.trying) {
            (true, false) => {
                open.trying = true;
                Ok(Pass { breaker: self, trial: true })
            }
            (_, _) => Err(Fault::Resting(left.max(limits::PLUGIN_BREAK_FIRST))),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }
}

impl Pass<'_> {
    pub(super) fn succeeded(self) {
        let breaker = self.breaker;
        if breaker.failures.load(Relaxed) > 0 {
            breaker.failures.store(0, Relaxed);
        }
        if breaker.is_open.load(Relaxed) {
            let mut open = breaker.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.wait = Duration::ZERO;
            breaker.is_open.store(false, Relaxed);
        }
    }

    pub(super) fn failed(self) {
        let breaker = self.breaker;
        let failures = breaker.failures.fetch_add(1, Relaxed).saturating_add(1);
        let already = breaker.is_open.load(Relaxed);
        // Those that were on their way when it opened do not prolong it.
        if self.trial || (!already && failures >= limits::PLUGIN_BREAK_FAILURES) {
            let mut open = breaker.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.wait = (open.wait * 2).clamp(limits::PLUGIN_BREAK_FIRST, limits::PLUGIN_BREAK_LONGEST);
            open.until = breaker.clock.monotonic().saturating_add(open.wait);
            breaker.is_open.store(true, Relaxed);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.open.lock().unwrap_or_else(PoisonError::into_inner).trying = false;
        }
    }
}
