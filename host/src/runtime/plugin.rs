use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::{
    Store,
    component::{Component, Instance, InstancePre},
};

use super::{
    Call, Error, Fault, Input, Outcome, Stats,
    breaker::{Breaker, Pass},
    component::{check_imports, find_exports},
    fault::{shortened, stopped},
    gate::Gate,
    invoke::Indices,
    meter::Meter,
    places::Places,
    sandbox::{Sandbox, Shared},
    shares::Shares,
    start::{Inner, Runtime},
    stats::{Of, Open, Tally, Timing, Trapped},
    turns::Turns,
};
use crate::limits;

/// Which interfaces a plugin exports, besides `plugin`, which all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    pub engine: bool,
    pub auth: bool,
    pub leases: bool,
    pub credentials: bool,
    pub maintenance: bool,
}

/// A plugin that can be called. Cheap to clone; clones share the bound on calls.
#[derive(Clone)]
pub struct Plugin {
    pub(super) code: Arc<Code>,
    pub(super) state: Arc<MountState>,
}

pub(super) struct Code {
    exports: Exports,
    pub(super) runtime: Arc<Inner>,
    source: Source,
}

enum Source {
    Compiled(Instantiable),
    /// Compiled by the first call.
    Wasm {
        wasm: Arc<[u8]>,
        compiled: OnceCell<Instantiable>,
    },
}

/// What a call takes its instance from.
pub(super) struct Instantiable {
    pre: InstancePre<Sandbox>,
    pub(super) indices: Indices,
}

/// A call that was let in: what it is made from, and how it is watched.
pub(super) struct Admission<'a> {
    pub(super) instantiable: &'a Instantiable,
    pub(super) pass: Pass<'a>,
    pub(super) timing: Timing<'a>,
    pub(super) meter: Arc<Meter>,
}

/// What one mount has of its plugin: its bounds, and what is known of its calls.
pub(super) struct MountState {
    gate: Gate,
    /// Of mounts that anybody can call.
    shares: Option<Shares>,
    /// In the pool.
    places: Places,
    breaker: Breaker,
    pub(super) turns: Turns,
    pub(super) shared: Arc<Shared>,
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
    pub(super) trapped: Option<Trapped>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, stale: false, may_rerun: false, trapped: None }
    }
}

impl MountState {
    fn new(inner: &Inner, exports: Exports, tally: Arc<Tally>, version: Arc<str>) -> Self {
        let options = &inner.options;
        let shared = Shared {
            clock: inner.clock.clone(),
            passwords: inner.passwords.for_another_mount(),
            makers: inner.makers.for_another_mount(),
            egress: inner.egress.clone(),
            journal: inner.journal.clone(),
            sending: Semaphore::new(limits::EGRESS_AT_ONCE / 4),
            tally,
            version,
        };
        Self {
            gate: Gate::new(options.calls_each, options.queue),
            shares: exports.auth.then(|| Shares::new(options.calls_each, options.queue)),
            places: inner.calls.for_another_mount(),
            breaker: Breaker::new(inner.clock.clone()),
            turns: inner.turns.for_another_mount(),
            shared: Arc::new(shared),
        }
    }
}

impl Instantiable {
    fn of(inner: &Inner, wasm: &[u8]) -> Result<(Self, Exports), Error> {
        let component = component(inner, wasm)?;
        check_imports(&inner.engine, &component)?;
        let exports = find_exports(&inner.engine, &component)?;
        let pre = inner.linker.instantiate_pre(&component).map_err(invalid)?;
        let indices = Indices::find(&pre, exports).map_err(invalid)?;
        Ok((Self { pre, indices }, exports))
    }

    /// Tells the breaker whether there could be an instance.
    pub(super) async fn instantiate(&self, store: &mut Store<Sandbox>, pass: Pass<'_>) -> Result<Instance, Fault> {
        match self.pre.instantiate_async(&mut *store).await {
            Ok(instance) => {
                pass.succeeded();
                Ok(instance)
            }
            Err(error) => {
                pass.failed();
                Err(stopped(store, error))
            }
        }
    }
}

impl Exports {
    /// By the names of interfaces: `coffer:plugin/engine`.
    pub fn named(is: impl Fn(&str) -> bool) -> Self {
        Self {
            engine: is("coffer:plugin/engine"),
            auth: is("coffer:plugin/auth"),
            leases: is("coffer:plugin/leases"),
            credentials: is("coffer:plugin/credentials"),
            maintenance: is("coffer:plugin/maintenance"),
        }
    }
}

impl Plugin {
    pub(super) fn new(runtime: &Runtime, wasm: &[u8]) -> Result<Self, Error> {
        let (instantiable, exports) = Instantiable::of(&runtime.0, wasm)?;
        Ok(Self::with(runtime.0.clone(), exports, Source::Compiled(instantiable)))
    }

    /// One that is compiled when it is first called.
    pub(super) fn later(runtime: &Runtime, wasm: Arc<[u8]>, exports: Exports) -> Self {
        Self::with(runtime.0.clone(), exports, Source::Wasm { wasm, compiled: OnceCell::new() })
    }

    fn with(runtime: Arc<Inner>, exports: Exports, source: Source) -> Self {
        let state = Arc::new(MountState::new(&runtime, exports, Arc::default(), Arc::default()));
        Self { code: Arc::new(Code { exports, runtime, source }), state }
    }

    async fn instantiable(&self) -> Result<&Instantiable, Fault> {
        let code = &self.code;
        let (wasm, compiled) = match &code.source {
            Source::Compiled(instantiable) => return Ok(instantiable),
            Source::Wasm { wasm, compiled } => (wasm, compiled),
        };
        let compile = async || {
            let (inner, wasm) = (code.runtime.clone(), wasm.clone());
            let compiled = code.runtime.compiling.run(move || Instantiable::of(&inner, &wasm)).await;
            let compiled = compiled.map_err(|_| Fault::Trap("its compilation ended early".to_owned()))?;
            let (instantiable, exports) =
                compiled.map_err(|error| Fault::Trap(format!("it does not compile: {error}")))?;
            match exports == code.exports {
                true => Ok(instantiable),
                false => Err(Fault::Trap("it exports something else than was known of it".to_owned())),
            }
        };
        compiled.get_or_try_init(compile).await
    }

    pub fn exports(&self) -> Exports {
        self.code.exports
    }

    /// Somebody else has the same code.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.code) > 1
    }

    /// The same code with bounds, a breaker and counters of its own: for another mount.
    pub fn for_another_mount(&self) -> Self {
        self.counted(Arc::default(), "")
    }

    /// The same, with counters that somebody keeps; `version` stands beside what it logs.
    pub fn counted(&self, tally: Arc<Tally>, version: &str) -> Self {
        let state = MountState::new(&self.code.runtime, self.code.exports, tally, version.into());
        Self { code: self.code.clone(), state: Arc::new(state) }
    }

    pub fn stats(&self) -> Stats {
        Stats { resting: self.state.breaker.is_open(), ..self.state.shared.tally.read() }
    }

    /// What it logged and how it failed, as far as it is kept.
    pub fn tally(&self) -> &Tally {
        &self.state.shared.tally
    }

    #[cfg(test)]
    pub(super) fn blocks_known(&self) -> usize {
        self.state.shares.as_ref().map_or(0, Shares::known)
    }

    /// Runs one call in a fresh sandbox.
    pub async fn call<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Fault> {
        self.attempt(input, call).await.map_err(|failure| failure.fault)
    }

    /// The same, and tells of a failure whether what it rests on has changed meanwhile.
    pub async fn attempt<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Failure> {
        let Shared { tally, version, clock, .. } = &*self.state.shared;
        let open = Open::begin(tally);
        let ended = self.begin(input, call).await;
        open.ended();
        match &ended {
            Ok(_) => tally.succeeded(),
            Err(failure) => {
                let (at, request) = (clock.now(), call.facts.request_id.as_str());
                tally.failed(failure, Of { at, request, version, export: I::EXPORT });
            }
        }
        ended
    }

    async fn begin<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Failure> {
        let state = &self.state;
        // Not on the call's own time: it is done once.
        let instantiable = self.instantiable().await?;
        let work = async {
            let meter = Arc::new(Meter::default());
            let mut timing = Timing::begin(&state.shared.tally, meter.clone());
            let pass = state.breaker.admit()?;
            let _share = match &state.shares {
                Some(shares) => Some(shares.enter(call.facts.client_address).await?),
                None => None,
            };
            let _turn = state.gate.enter().await?;
            let _room = state.places.enter().await?;
            timing.has_turn();
            self.run(input, call, Admission { instantiable, pass, timing, meter }).await
        };
        let begun = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(call.bounds.wall, begun).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_panic)) => Err(Fault::Trap("a function of the host panicked".to_owned()).into()),
            Err(_elapsed) => Err(Fault::Deadline.into()),
        }
    }
}

/// Compiled now, or found compiled.
fn component(inner: &Inner, wasm: &[u8]) -> Result<Component, Error> {
    let place = inner.cache.as_ref().map(|cache| cache.place(&inner.engine, wasm));
    if let Some(found) = place.as_ref().and_then(|place| place.find(&inner.engine)) {
        return Ok(found);
    }
    // `from_binary` takes WebAssembly alone: nothing that was compiled elsewhere is run.
    let component = inner.compiler.run(|| Component::from_binary(&inner.engine, wasm)).map_err(invalid)?;
    let image = component.image_range();
    if (image.end as usize).saturating_sub(image.start as usize) > limits::PLUGIN_COMPILED_BYTES {
        return Err(Error::TooLarge);
    }
    if let Some(place) = place {
        place.keep(&component);
    }
    Ok(component)
}

fn invalid(cause: wasmtime::Error) -> Error {
    Error::Invalid(shortened(&format!("{cause:#}")))
}
