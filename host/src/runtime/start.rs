use std::{fmt, sync::Arc};

use wasmtime::{Engine, component::Linker};

use super::{
    Error, Exports, Plugin,
    cache::Cache,
    compiler::Compiler,
    egress::Egress,
    engine,
    imports::{self, Passwords},
    journal::Journal,
    places::{Places, Share},
    sandbox::Sandbox,
    ticker::Ticker,
    turns::Turns,
    workers::Workers,
};
use crate::{clock::Clock, limits};

/// How many calls there may be at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In all.
    pub calls: usize,
    /// Of one plugin, or of one mount (see `Plugin::for_another_mount`).
    pub calls_each: usize,
    /// That wait for one of them.
    pub queue: usize,
    /// Password hashes at once.
    pub passwords: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            calls: limits::PLUGIN_CALLS,
            calls_each: limits::PLUGIN_CALLS / 2,
            queue: limits::PLUGIN_QUEUE,
            passwords: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) linker: Linker<Sandbox>,
    pub(super) ticker: Ticker,
    pub(super) clock: Clock,
    pub(super) options: Options,
    /// Never more calls than the pool has room for.
    pub(super) calls: Places,
    pub(super) passwords: Passwords,
    /// Makes keys that take long to make.
    pub(super) makers: Workers,
    /// Where compiled code is kept, if anywhere.
    pub(super) cache: Option<Cache>,
    /// How requests of plugins leave, if at all.
    pub(super) egress: Option<Egress>,
    /// Where intents are noted, if at all.
    pub(super) journal: Option<Arc<dyn Journal>>,
    /// One compilation at a time: it takes all processors anyway.
    pub(super) compiling: Workers,
    pub(super) compiler: Compiler,
    /// Of guests that work for long.
    pub(super) turns: Turns,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Keeps no compiled code, and lets no request out.
    pub fn new(clock: Clock, options: Options) -> Result<Self, Error> {
        Self::with(clock, options, None, None)
    }

    pub fn with(clock: Clock, options: Options, cache: Option<Cache>, egress: Option<Egress>) -> Result<Self, Error> {
        let engine = engine::start(&options)?;
        Ok(Self(Arc::new(Inner {
            linker: imports::link(&engine)?,
            ticker: Ticker::start(&engine)?,
            calls: Places::new(options.calls, Share::Half),
            passwords: Passwords::new(options.passwords),
            makers: Workers::new(options.passwords / 2),
            compiling: Workers::new(1),
            compiler: Compiler::start()?,
            turns: Turns::new(),
            cache,
            egress,
            journal: None,
            engine,
            clock,
            options,
        })))
    }

    /// The same, with somewhere to note intents. To be said before anything is compiled.
    #[must_use]
    pub fn noting(mut self, journal: Arc<dyn Journal>) -> Self {
        match Arc::get_mut(&mut self.0) {
            Some(inner) => inner.journal = Some(journal),
            None => tracing::error!("intents cannot be noted: the runtime is in use already"),
        }
        self
    }

    /// Compiles on a blocking thread, one component at a time; or finds it compiled already.
    pub async fn compile(&self, wasm: Arc<[u8]>) -> Result<Plugin, Error> {
        if wasm.len() > limits::UPLOAD_BYTES {
            return Err(Error::TooLarge);
        }
        let runtime = self.clone();
        let compiled = self.0.compiling.run(move || Plugin::new(&runtime, &wasm)).await;
        compiled.map_err(|_| Error::Engine("compilation ended early".to_owned()))?
    }

    /// For components that are known to compile and to export this: their first call compiles them, so that a
    /// server with many of them is there at once.
    pub fn later(&self, wasm: Arc<[u8]>, exports: Exports) -> Plugin {
        Plugin::later(self, wasm, exports)
    }

    /// Calls that run now, and so take room in the pool.
    pub fn calls_running(&self) -> usize {
        self.0.options.calls.saturating_sub(self.0.calls.free())
    }
}
