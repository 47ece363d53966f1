use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use wasmtime::{ResourceLimiter, component::ResourceTable};

use super::{
    Call, Fault,
    bindings::coffer::plugin::types::{self, Error},
    egress::Egress,
    imports::{Log, Passwords, ReadTracker},
    journal::Journal,
    meter::Meter,
    stats::{Tally, Trapped},
    types::Bytes,
    workers::Workers,
};
use crate::{barrier::Writes, clock::Clock, limits};

/// All that a call has: made for it, dropped after it.
pub(super) struct Sandbox {
    pub(super) call: Call,
    pub(super) clock: Clock,
    /// When the call began, its queue before it, by the system's monotonic time.
    pub(super) begun: Duration,
    pub(super) storage: ReadTracker,
    pub(super) keys: ReadTracker,
    /// What the call wants stored, in both.
    pub(super) writes: Writes,
    spent: Spent,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) meter: Arc<Meter>,
    pub(super) table: ResourceTable,
    pub(super) usage: Usage,
    /// The call has acted outside: it must not run again.
    pub(super) acted: bool,
    /// What is asked may intend, and the plugin can be told to undo.
    pub(super) may_intend: bool,
    pub(super) intents: usize,
    /// Drops the intents noted so far.
    pub(super) settled: Writes,
    /// Keys made that take long to make.
    pub(super) slow_keys: usize,
    pub(super) trapped: Option<Trapped>,
    /// Sent to other hosts, or tried to.
    pub(super) requests: u32,
}

/// What the sandboxes of all calls of a mount have in common.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) passwords: Passwords,
    pub(super) makers: Workers,
    pub(super) egress: Option<Egress>,
    pub(super) journal: Option<Arc<dyn Journal>>,
    /// Requests of this mount's at a time: a host that is slow for one mount is not for all.
    pub(super) sending: Semaphore,
    pub(super) tally: Arc<Tally>,
    /// Of the plugin, as the operator is told.
    pub(super) version: Arc<str>,
}

impl Sandbox {
    /// `inputs` are what the log must not show, beside what is secret of the call's facts.
    pub(super) fn new(call: &Call, mut inputs: Vec<Bytes>, shared: Arc<Shared>, meter: Arc<Meter>) -> Self {
        inputs.extend(secrets(call));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::PLUGIN_HANDLES);
        Self {
            clock: shared.clock.clone(),
            begun: Clock::system().monotonic(),
            storage: ReadTracker::new(call.storage.clone()),
            keys: ReadTracker::new(call.keys.clone()),
            writes: Writes::default(),
            spent: Spent::default(),
            log: Log::new(call.bounds.log_bytes, inputs),
            shared,
            meter,
            table,
            usage: Usage::new(call.bounds.memory),
            acted: false,
            may_intend: false,
            intents: 0,
            settled: Writes::default(),
            slow_keys: 0,
            trapped: None,
            requests: 0,
            call: call.clone(),
        }
    }

    /// When the call's time is over, by the system's monotonic time.
    pub(super) fn until(&self) -> Duration {
        self.begun.saturating_add(self.call.bounds.wall)
    }

    /// What is left of the call's time.
    pub(super) fn left(&self) -> Duration {
        self.until().saturating_sub(Clock::system().monotonic())
    }
}

/// Of the facts that the guest is told: a header may be a key, and the state of a callback finishes a login.
fn secrets(call: &Call) -> impl Iterator<Item = Bytes> {
    let state = call.facts.callback.iter().map(|callback| callback.state.reveal());
    let granted = call.facts.headers.iter().filter(|(name, _)| call.grant.headers.contains(name));
    // As JSON, whatever they look like: each is one secret.
    state.chain(granted.map(|(_, value)| value)).filter_map(|text| serde_json::to_vec(text).ok().map(Bytes::from))
}

/// What the call has used of its bounds on storage.
#[derive(Debug, Default)]
struct Spent {
    operations: u32,
    written: usize,
}

impl Sandbox {
    /// Counts keys that are read, written or listed.
    pub(super) fn spend_operations(&mut self, count: usize) -> Result<(), Fault> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.spent.operations = self.spent.operations.saturating_add(count);
        if self.spent.operations > self.call.bounds.storage_operations {
            return Err(Fault::Limit("storage operations"));
        }
        Ok(())
    }

    /// Every write passes here: one is not for a call that may only read, and bytes are counted.
    pub(super) fn spend_write(&mut self, bytes: usize) -> Result<(), Fault> {
        if self.call.read_only {
            return Err(Fault::Invalid("it writes in a call that may only read".to_owned()));
        }
        self.spend_operations(1)?;
        self.spent.written = self.spent.written.saturating_add(bytes);
        if self.spent.written > self.call.bounds.storage_bytes {
            return Err(Fault::Limit("storage bytes"));
        }
        Ok(())
    }
}

impl Sandbox {
    /// Work of the host's that takes the longer the more it is given, and that nothing interrupts:
    /// so much at once, and all of it counts.
    pub(super) fn compute<T>(&self, given: usize, work: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        if given > limits::PLUGIN_CRYPTO_BYTES {
            return Err(Stop::told("too-large", "at most 1 MiB at once"));
        }
        let done = self.meter.compute(work)?;
        match self.meter.spent() > self.call.bounds.cpu {
            true => Err(Fault::Limit("cpu").into()),
            false => Ok(done),
        }
    }
}

/// Why a host function does not answer: an error for the plugin, or the end of the call.
#[derive(Debug)]
pub(super) enum Stop {
    Told(Error),
    Halt(Fault),
}

impl Stop {
    pub(super) fn told(code: &str, message: &str) -> Self {
        Self::Told(Error {
            code: code.to_owned(),
            message: message.to_owned(),
            problems: Vec::new(),
            retry_after_ms: None,
        })
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Halt(fault)
    }
}

impl types::Host for Sandbox {
    fn convert_error(&mut self, stop: Stop) -> wasmtime::Result<Error> {
        match stop {
            Stop::Told(error) => Ok(error),
            Stop::Halt(fault) => Err(fault.into()),
        }
    }
}

/// Sums what an instance takes, over all of its memories and tables.
#[derive(Debug)]
pub(super) struct Usage {
    bytes: usize,
    most: usize,
    /// What it was refused, if anything.
    pub(super) refused: Option<&'static str>,
}

impl Usage {
    fn new(most: usize) -> Self {
        Self { bytes: 0, most: most.min(limits::PLUGIN_MEMORY), refused: None }
    }

    fn grow(&mut self, by: usize, what: &'static str) -> bool {
        let allowed = self.bytes.checked_add(by).filter(|bytes| *bytes <= self.most);
        match allowed {
            Some(bytes) => self.bytes = bytes,
            None => self.refused = Some(what),
        }
        allowed.is_some()
    }
}

impl ResourceLimiter for Usage {
    fn memory_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current), "memory"))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        if desired > limits::PLUGIN_TABLE_ELEMENTS {
            self.refused = Some("tables");
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(size_of::<usize>()), "tables"))
    }

    fn instances(&self) -> usize {
        limits::PLUGIN_CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        limits::PLUGIN_TABLES as usize
    }

    fn memories(&self) -> usize {
        limits::PLUGIN_MEMORIES as usize
    }
}

/// Whatever a guest printed last is logged, however its call ended.
impl Drop for Sandbox {
    fn drop(&mut self) {
        self.flush_log();
        self.shared.tally.memory(self.usage.bytes);
    }
}
