use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::component::{Component, InstancePre};

use super::{
    Call, Error, Fault, Input, Outcome, Stats,
    breaker::Breaker,
    component::{check_imports, find_exports},
    fault::shortened,
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
    pub(super) seat: Arc<Seat>,
}

pub(super) struct Code {
    exports: Exports,
    pub(super) runtime: Arc<Inner>,
    made: OnceCell<Made>,
    /// What is compiled by the first call.
    wasm: Option<Arc<[u8]>>,
}

/// What a call takes its instance from.
pub(super) struct Made {
    pub(super) pre: InstancePre<Sandbox>,
    pub(super) indices: Indices,
}

/// What one mount has of its plugin: its bounds, and what is known of its calls.
pub(super) struct Seat {
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

impl Seat {
    fn new(inner: &Inner, exports: Exports, (tally, version): (Arc<Tally>, Arc<str>)) -> Self {
        let options = &inner.options;
        let shared = Shared {
            clock: inner.clock.clone(),
            passwords: inner.passwords.apart(),
            makers: inner.makers.apart(),
            egress: inner.egress.clone(),
            journal: inner.journal.clone(),
            sending: Semaphore::new(limits::EGRESS_AT_ONCE / 4),
            tally,
            version,
        };
        Self {
            gate: Gate::new(options.calls_each, options.queue),
            shares: exports.auth.then(|| Shares::new(options.calls_each, options.queue)),
            places: inner.calls.apart(),
            breaker: Breaker::new(inner.clock.clone()),
            turns: inner.turns.apart(),
            shared: Arc::new(shared),
        }
    }
}

impl Made {
    fn of(inner: &Inner, wasm: &[u8]) -> Result<(Self, Exports), Error> {
        let component = component(inner, wasm)?;
        check_imports(&inner.engine, &component)?;
        let exports = find_exports(&inner.engine, &component)?;
        let pre = inner.linker.instantiate_pre(&component).map_err(invalid)?;
        let indices = Indices::find(&pre, exports).map_err(invalid)?;
        Ok((Self { pre, indices }, exports))
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
        let (made, exports) = Made::of(&runtime.0, wasm)?;
        Ok(Self::with(runtime.0.clone(), exports, (OnceCell::new_with(Some(made)), None)))
    }

    /// One that is compiled when it is first called.
    pub(super) fn later(runtime: &Runtime, wasm: Arc<[u8]>, exports: Exports) -> Self {
        Self::with(runtime.0.clone(), exports, (OnceCell::new(), Some(wasm)))
    }

    fn with(runtime: Arc<Inner>, exports: Exports, (made, wasm): (OnceCell<Made>, Option<Arc<[u8]>>)) -> Self {
        let seat = Arc::new(Seat::new(&runtime, exports, Default::default()));
        Self { code: Arc::new(Code { exports, runtime, made, wasm }), seat }
    }

    async fn made(&self) -> Result<&Made, Fault> {
        let code = &self.code;
        let compile = async || {
            let (inner, wasm) = (code.runtime.clone(), code.wasm.clone().unwrap_or_default());
            let compiled = code.runtime.compiling.run(move || Made::of(&inner, &wasm)).await;
            let compiled = compiled.map_err(|_| Fault::Trap("its compilation ended early".to_owned()))?;
            let (made, exports) = compiled.map_err(|error| Fault::Trap(format!("it does not compile: {error}")))?;
            match exports == code.exports {
                true => Ok(made),
                false => Err(Fault::Trap("it exports something else than was known of it".to_owned())),
            }
        };
        code.made.get_or_try_init(compile).await
    }

    pub fn exports(&self) -> Exports {
        self.code.exports
    }

    /// Somebody else has the same code.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.code) > 1
    }

    /// The same code with bounds, a breaker and counters of its own: for another mount.
    pub fn apart(&self) -> Self {
        self.counted(Arc::default(), "")
    }

    /// The same, with counters that somebody keeps; `version` stands beside what it logs.
    pub fn counted(&self, tally: Arc<Tally>, version: &str) -> Self {
        let seat = Seat::new(&self.code.runtime, self.code.exports, (tally, version.into()));
        Self { code: self.code.clone(), seat: Arc::new(seat) }
    }

    pub fn stats(&self) -> Stats {
        Stats { resting: self.seat.breaker.is_open(), ..self.seat.shared.tally.read() }
    }

    /// What it logged and how it failed, as far as it is kept.
    pub fn tally(&self) -> &Tally {
        &self.seat.shared.tally
    }

    #[cfg(test)]
    pub(super) fn blocks_known(&self) -> usize {
        self.seat.shares.as_ref().map_or(0, Shares::known)
    }

    /// Runs one call in a fresh sandbox.
    pub async fn call<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Fault> {
        self.attempt(input, call).await.map_err(|failure| failure.fault)
    }

    /// The same, and tells of a failure whether what it rests on has changed meanwhile.
    pub async fn attempt<I: Input>(&self, input: I, call: &Call) -> Result<Outcome<I::Answer>, Failure> {
        let Shared { tally, version, clock, .. } = &*self.seat.shared;
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
        let seat = &self.seat;
        let tally = &seat.shared.tally;
        // Not on the call's own time: it is done once.
        let made = self.made().await?;
        let work = async {
            let meter = Arc::new(Meter::default());
            let mut timing = Timing::begin(tally, meter.clone());
            let pass = seat.breaker.admit()?;
            let _share = match &seat.shares {
                Some(shares) => Some(shares.enter(call.facts.client_address).await?),
                None => None,
            };
            let _turn = seat.gate.enter().await?;
            let _room = seat.places.enter().await?;
            timing.has_turn();
            self.run(input, call, (made, pass, &mut timing, meter)).await
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
