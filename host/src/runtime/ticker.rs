use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
};

use wasmtime::{Engine, EngineWeak};

use super::Error;
use crate::limits;

/// Moves the engine's epoch while calls run, and rests when none has for a while. Its thread
/// ends with the runtime, and holds no engine alive.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    resting: AtomicBool,
    closed: AtomicBool,
}

/// As long as it lives, the epoch moves.
pub(super) struct Ticking(Arc<Shared>);

/// How many ticks without a call before the thread rests.
const IDLE_TICKS: u32 = 500;

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Result<Self, Error> {
        let (shared, weak) = (Arc::new(Shared::default()), engine.weak());
        let its = shared.clone();
        let spawned = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(move || tick(&its, &weak));
        let thread = spawned.map_err(|cause| Error::Engine(cause.to_string()))?.thread().clone();
        Ok(Self { shared, thread })
    }

    pub(super) fn run(&self) -> Ticking {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.resting.load(SeqCst) {
            self.thread.unpark();
        }
        Ticking(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.closed.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

fn tick(shared: &Shared, engine: &EngineWeak) {
    let mut idle = 0;
    while !shared.closed.load(SeqCst) {
        thread::park_timeout(limits::PLUGIN_TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
        idle = if shared.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            // Announced first, looked at second: a call that starts in between sees it and wakes us.
            shared.resting.store(true, SeqCst);
            if shared.running.load(SeqCst) == 0 && !shared.closed.load(SeqCst) {
                thread::park();
            }
            shared.resting.store(false, SeqCst);
            idle = 0;
        }
    }
}
