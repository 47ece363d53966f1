//! A mount for guests to run on, and the guests: WebAssembly text, which the stories have too.

use std::{sync::Arc, time::Duration};

use crate::{
    barrier::{Barrier, View, layout::Prefix},
    clock::{Clock, Hand, Timestamp},
    ids::MountId,
    runtime::{
        Bounds, Call, Egress, Facts, Fault, Grant, Handle, Journal, Options, Outcome, Plugin, Runtime,
        imports::Passwords,
        sandbox::{Sandbox, Shared},
        types::{Request, Response},
        workers::Workers,
    },
    storage::Memory,
};

#[path = "../../../tests/guests.rs"]
mod guests;

pub(crate) use guests::{
    GET, INTEND, PUT, SLEEP, auth, checking, engine, engine_with_realloc, fetcher, lender, lender_that, maintained,
    nested, sleeper, slow_to_compile, ticker, ticking, with_components, with_modules, world,
};

/// A runtime and one mount in a store of its own.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) barrier: Barrier,
    pub(crate) view: View,
    pub(crate) call: Call,
    pub(crate) clock: Clock,
    pub(crate) hand: Hand,
    pub(crate) memory: Arc<Memory>,
    /// Of sandboxes without a guest.
    pub(crate) egress: Option<Egress>,
    pub(crate) journal: Option<Arc<dyn Journal>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Options { calls: 8, calls_each: 4, queue: 4, passwords: 2 })
    }

    pub(crate) fn with(options: Options) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        let memory = Arc::new(Memory::default());
        let barrier = Barrier::for_test(memory.clone(), clock.clone());
        let mount = MountId::new();
        let view = barrier.view(Prefix::Data(mount.clone()));
        let call = Call {
            facts: Facts { mount_path: "kv".to_owned(), request_id: "r1".to_owned(), ..Facts::default() },
            storage: view.clone(),
            keys: barrier.view(Prefix::Key(mount)),
            config: Arc::from(&b"{}"[..]),
            grant: Arc::new(Grant::default()),
            credentials: Arc::default(),
            // Generous where a busy machine would matter.
            bounds: Bounds { wall: Duration::from_secs(20), ..Bounds::default() },
            passwords: crate::runtime::Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 }.into(),
            read_only: false,
            origin: None,
        };
        Self {
            runtime: Runtime::new(clock.clone(), options).unwrap(),
            barrier,
            view,
            call,
            clock,
            hand,
            memory,
            egress: None,
            journal: None,
        }
    }

    pub(crate) async fn compile(&self, wasm: Vec<u8>) -> Plugin {
        self.runtime.compile(wasm.into()).await.unwrap()
    }

    /// The host's side of one call, with no guest.
    pub(in crate::runtime) fn sandbox(&self, inputs: &[&str]) -> Sandbox {
        let inputs = inputs.iter().map(|text| text.as_bytes().to_vec().into()).collect();
        let shared = Shared {
            clock: self.clock.clone(),
            passwords: Passwords::new(2),
            makers: Workers::new(1),
            egress: self.egress.clone(),
            journal: self.journal.clone(),
            sending: tokio::sync::Semaphore::new(2),
            tally: Arc::default(),
            version: "".into(),
        };
        Sandbox::new(&self.call, inputs, Arc::new(shared), Arc::default())
    }

    /// Calls `handle` once.
    pub(crate) async fn run(&self, plugin: &Plugin, path: &str) -> Result<Outcome<Response>, Fault> {
        plugin.call(request("read", path, ""), &self.call).await
    }

    /// Compiles and calls once.
    pub(crate) async fn run_wasm(&self, wasm: Vec<u8>) -> Result<Outcome<Response>, Fault> {
        self.run(&self.compile(wasm).await, "a").await
    }
}

pub(crate) fn request(operation: &str, path: &str, body: &str) -> Handle {
    Handle(Request { operation: operation.to_owned(), path: path.to_owned(), body: body.as_bytes().to_vec().into() })
}
