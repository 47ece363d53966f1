use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use wasmtime::{
    Engine, Store, UpdateDeadline,
    component::{Component, InstancePre, Linker},
};

use super::{
    Call, Error, Fault, Input, Outcome, engine,
    fault::stopped,
    gate::Gate,
    imports::{self, Passwords},
    invoke::{Guest, Indices},
    meter::Meter,
    sandbox::Sandbox,
    ticker::Ticker,
};
use crate::{barrier::Writes, clock::Clock, limits};

/// How many calls there may be at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In all.
    pub calls: usize,
    /// Of one plugin, or of one mount (see `Plugin::apart`).
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
pub struct Runtime(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<Sandbox>,
    ticker: Ticker,
    clock: Clock,
    options: Options,
    /// Never more calls than the pool has room for.
    calls: Semaphore,
    passwords: Arc<Passwords>,
    /// One compilation at a time: it takes all processors anyway.
    compiling: Semaphore,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Runtime {
    pub fn new(clock: Clock, options: Options) -> Result<Self, Error> {
        let engine = engine::start(&options)?;
        Ok(Self(Arc::new(Inner {
            linker: imports::link(&engine)?,
            ticker: Ticker::start(&engine)?,
            calls: Semaphore::new(options.calls),
            passwords: Arc::new(Passwords::new(options.passwords)),
            compiling: Semaphore::new(1),
            engine,
            clock,
            options,
        })))
    }

    /// Compiles on a blocking thread, one component at a time.
    pub async fn compile(&self, wasm: Arc<[u8]>) -> Result<Plugin, Error> {
        if wasm.len() > limits::UPLOAD_BYTES {
            return Err(Error::TooLarge);
        }
        let gone = |_| Error::Engine("compilation ended early".to_owned());
        let _permit = self.0.compiling.acquire().await.map_err(|_| Error::Engine("no compiler".to_owned()))?;
        let runtime = self.clone();
        tokio::task::spawn_blocking(move || Plugin::new(&runtime, &wasm)).await.map_err(gone)?
    }

    /// Calls that run now, and so take room in the pool.
    pub fn calls_running(&self) -> usize {
        self.0.options.calls.saturating_sub(self.0.calls.available_permits())
    }
}

/// Which interfaces a plugin exports, besides `plugin`, which all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    pub engine: bool,
    pub auth: bool,
    pub leases: bool,
    pub credentials: bool,
    pub maintenance: bool,
}

/// A compiled plugin. Cheap to clone; clones share the bound on calls.
#[derive(Clone)]
pub struct Plugin {
    code: Arc<Code>,
    gate: Gate,
}

struct Code {
    pre: InstancePre<Sandbox>,
    indices: Indices,
    exports: Exports,
    runtime: Arc<Inner>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("exports", &self.code.exports).finish_non_exhaustive()
    }
}

/// A call that did not succeed, and whether it may be run again.
#[derive(Debug)]
pub struct Failure {
    pub fault: Fault,
    /// What it had read is not so any more: the fault may come of that.
    pub stale: bool,
    /// False once the call has acted outside, or when nothing is known of it.
    pub may_rerun: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, stale: false, may_rerun: false }
    }
}

impl Plugin {
    fn new(runtime: &Runtime, wasm: &[u8]) -> Result<Self, Error> {
        let invalid = |cause: wasmtime::Error| Error::Invalid(super::fault::shortened(&format!("{cause:#}")));
        let inner = &runtime.0;
        // `from_binary` takes WebAssembly alone: nothing that was compiled elsewhere is run.
        let component = Component::from_binary(&inner.engine, wasm).map_err(invalid)?;
        let image = component.image_range();
        if (image.end as usize).saturating_sub(image.start as usize) > limits::PLUGIN_COMPILED_BYTES {
            return Err(Error::TooLarge);
        }
        check_imports(&inner.engine, &component)?;
        let exports = find_exports(&inner.engine, &component)?;
        let pre = inner.linker.instantiate_pre(&component).map_err(invalid)?;
        let indices = Indices::find(&pre, exports).map_err(invalid)?;
        let code = Code { pre, indices, exports, runtime: inner.clone() };
        Ok(Self { code: Arc::new(code), gate: Gate::new(inner.options.calls_each, inner.options.queue) })
    }

    pub fn exports(&self) -> Exports {
        self.code.exports
    }

    /// The same code with a bound on calls of its own: for another mount.
    pub fn apart(&self) -> Self {
        let options = &self.code.runtime.options;
        Self { code: self.code.clone(), gate: Gate::new(options.calls_each, options.queue) }
    }

    /// Runs one call in a fresh sandbox.
    pub async fn call<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Fault> {
        self.attempt(input, call).await.map_err(|failure| failure.fault)
    }

    /// The same, and tells of a failure whether what it rests on has changed meanwhile.
    pub async fn attempt<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Failure> {
        let work = async {
            let _turn = self.gate.enter().await?;
            let _room = self.code.runtime.calls.acquire().await.map_err(|_| Fault::Busy)?;
            self.code.run(input, call).await
        };
        let begun = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(call.bounds.wall, begun).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_panic)) => Err(Fault::Trap("a function of the host panicked".to_owned()).into()),
            Err(_elapsed) => Err(Fault::Deadline.into()),
        }
    }
}

impl Code {
    async fn run<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Failure> {
        let meter = Arc::new(Meter::default());
        let mut store = self.store(call, input.secrets(), &meter);
        let _ticking = self.runtime.ticker.run();
        let answer = meter.measure(self.invoke(input, call, &mut store)).await;
        let mut sandbox = store.into_data();
        match answer {
            Ok(value) => {
                if !I::WRITES {
                    return Ok(Outcome { value, writes: Writes::default(), may_rerun: !sandbox.acted });
                }
                let mut writes = std::mem::take(&mut sandbox.writes);
                sandbox.storage.expect_reads(&mut writes);
                sandbox.keys.expect_reads(&mut writes);
                Ok(Outcome { value, writes, may_rerun: !sandbox.acted })
            }
            Err(fault) => {
                let stale =
                    async { Ok::<_, Fault>(sandbox.storage.is_stale().await? || sandbox.keys.is_stale().await?) };
                Err(Failure { fault, stale: stale.await.unwrap_or(false), may_rerun: !sandbox.acted })
            }
        }
    }

    async fn invoke<I: Input>(&self, input: I, call: &Call, store: &mut Store<Sandbox>) -> Result<I::Answer, Fault> {
        let instance = match self.pre.instantiate_async(&mut *store).await {
            Ok(instance) => instance,
            Err(error) => return Err(stopped(store, error)),
        };
        input.invoke(Guest { indices: &self.indices, instance, store, most: call.bounds.answer }).await
    }

    fn store(&self, call: &Call, secrets: Vec<super::types::Bytes>, meter: &Arc<Meter>) -> Store<Sandbox> {
        let (clock, passwords) = (self.runtime.clock.clone(), self.runtime.passwords.clone());
        let sandbox = Sandbox::new(call, secrets, clock, passwords);
        let mut store = Store::new(&self.runtime.engine, sandbox);
        store.limiter(|sandbox| &mut sandbox.usage);
        store.set_hostcall_fuel(limits::PLUGIN_HOSTCALL_BYTES);
        store.set_max_component_handles(limits::PLUGIN_HANDLES);
        store.set_epoch_deadline(1);
        let (meter, budget) = (meter.clone(), call.bounds.cpu);
        store.epoch_deadline_callback(move |_| look(&meter, budget));
        store
    }
}

/// At every tick: has the guest had its share? If not, it lets others run and goes on.
fn look(meter: &Meter, budget: Duration) -> wasmtime::Result<UpdateDeadline> {
    match meter.spent() > budget {
        true => Err(Fault::Limit("cpu").into()),
        false => Ok(UpdateDeadline::Yield(1)),
    }
}

/// An import that is not offered is refused by its name, before anything is linked.
fn check_imports(engine: &Engine, component: &Component) -> Result<(), Error> {
    for (name, _) in component.component_type().imports(engine) {
        if !imports::is_offered(name) {
            return Err(Error::ForbiddenImport(super::fault::shortened(name)));
        }
    }
    Ok(())
}

fn find_exports(engine: &Engine, component: &Component) -> Result<Exports, Error> {
    let of_component = component.component_type();
    let names: Vec<&str> = of_component.exports(engine).map(|(name, _)| name).collect();
    let exports = |interface: &str| {
        let versions = |name: &&&str| name.strip_prefix(interface).is_some_and(|rest| rest.starts_with("@1."));
        names.iter().find(versions).is_some()
    };
    if !exports("coffer:plugin/plugin") {
        return Err(Error::MissingExport("plugin"));
    }
    let found = Exports {
        engine: exports("coffer:plugin/engine"),
        auth: exports("coffer:plugin/auth"),
        leases: exports("coffer:plugin/leases"),
        credentials: exports("coffer:plugin/credentials"),
        maintenance: exports("coffer:plugin/maintenance"),
    };
    match found.engine || found.auth {
        true => Ok(found),
        false => Err(Error::MissingExport("engine or auth")),
    }
}
