//! Guests as WebAssembly text, and a mount for them to run on: no toolchain is needed.

use std::{path::Path, sync::Arc, time::Duration};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

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

/// The allocator and the answers that every guest has: an empty success at 1024, and an error
/// with the code `denied` at 1088.
const COMMON: &str = r#"
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const 65536))
    (func $realloc (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get $new)))
        (block $room
            (br_if $room (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
            (br_if $room (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
                (i32.shr_u (local.get $new) (i32.const 16))))))
            (unreachable))
        (memory.copy (local.get $at) (local.get $old) (local.get $size))
        (local.get $at))
    (func $answer (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 0))
        (i32.store offset=8 (i32.const 1024) (local.get $at))
        (i32.store offset=12 (i32.const 1024) (local.get $len))
        (i32.const 1024))
    (func $refuse (result i32)
        (i32.store (i32.const 1088) (i32.const 1))
        (i32.store offset=8 (i32.const 1088) (i32.const 1200))
        (i32.store offset=12 (i32.const 1088) (i32.const 6))
        (i32.const 1088))
    (data (i32.const 1200) "denied")
    (data (i32.const 1300) "{\"ok\":true}")
    (func $ok (result i32) (call $answer (i32.const 1300) (i32.const 11)))
    (func (export "coffer:plugin/plugin@1.0.0#check") (result i32) (i32.const 2048))
"#;

const REALLOC: &str = r#"(export "cabi_realloc" (func $realloc))"#;

/// A secrets engine. `imports` and `more` are declarations; `body` is what `handle` does, with
/// the request in `$op $op-len $path $path-len $body $body-len` and the locals `$i` and `$n`.
pub(crate) fn engine(imports: &str, more: &str, body: &str) -> Vec<u8> {
    world("wasi", &format!("{imports} {COMMON} {REALLOC} {more} {}", handle(body)))
}

/// The same with an allocator of its own.
pub(crate) fn engine_with_realloc(realloc: &str, body: &str) -> Vec<u8> {
    world("wasi", &format!("{COMMON} {realloc} {}", handle(body)))
}

fn handle(body: &str) -> String {
    format!(
        r#"(func (export "coffer:plugin/engine@1.0.0#handle")
            (param $op i32) (param $op-len i32) (param $path i32) (param $path-len i32)
            (param $body i32) (param $body-len i32) (result i32) (local $i i32) (local $n i32)
            {body})"#
    )
}

/// Interfaces of WASI as far as guests here use them.
const WASI: [&str; 3] = [
    "package wasi:io@0.2.6; interface poll { resource pollable { block: func(); } }",
    "package wasi:clocks@0.2.6; interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
    }",
    "package wasi:cli@0.2.6; interface exit { exit: func(status: result); }",
];

const WORLD: &str = "package test:guest; world wasi {
    include coffer:plugin/secrets-engine@1.0.0;
    import wasi:clocks/monotonic-clock@0.2.6;
    import wasi:cli/exit@0.2.6;
}
world wasi-auth {
    include coffer:plugin/auth-method@1.0.0;
    import wasi:clocks/monotonic-clock@0.2.6;
}";

/// An auth method that refuses everybody, after `login`.
pub(crate) fn auth(imports: &str, login: &str) -> Vec<u8> {
    let steps = [("login", "i32 i32"), ("resume", "i32 i32 i32 i32"), ("refresh", "i32 i32")];
    let exports = steps.map(|(name, params)| {
        let body = if name == "login" { login } else { "" };
        format!(
            r#"(func (export "coffer:plugin/auth@1.0.0#{name}") (param {params}) (result i32) {body} (call $refuse))"#
        )
    });
    world("wasi-auth", &format!("{imports} {COMMON} {REALLOC} {}", exports.join(" ")))
}

/// A world of the contract, or `wasi`: an engine that may import some of WASI.
pub(crate) fn world(world: &str, fields: &str) -> Vec<u8> {
    let mut module = wat::parse_str(format!("(module {fields})")).unwrap();
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
    let (package, _) = resolve.push_path(wit).unwrap();
    for text in WASI {
        resolve.push_str("wasi.wit", text).unwrap();
    }
    let own = resolve.push_str("world.wit", WORLD).unwrap();
    let of = if world.starts_with("wasi") { own } else { package };
    let world = resolve.select_world(&[of], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

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
            passwords: Arc::new(Passwords::new(2)),
            makers: Arc::new(Workers::new(1)),
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

/// Puts `path` with the body under it, and answers.
pub(crate) const PUT: &str = r#"(import "coffer:plugin/storage@1.0.0" "put"
    (func $put (param i32 i32 i32 i32 i32 i64 i32)))"#;

/// `get` leaves its result at the address that it is given.
pub(crate) const GET: &str = r#"(import "coffer:plugin/storage@1.0.0" "get" (func $get (param i32 i32 i32)))"#;

/// Announces a deed: its result lies at the address that it is given last.
pub(crate) const INTEND: &str = r#"(import "coffer:plugin/effects@1.0.0" "intend" (func $intend (param i32 i32 i32)))"#;

/// An engine that can take back what it has lent: always, unless what it is told is empty.
pub(crate) fn lender(imports: &str, more: &str, body: &str) -> Vec<u8> {
    let exports = r#"
        (func (export "coffer:plugin/leases@1.0.0#renew") (param i32 i32 i64) (result i32) (unreachable))
        (func (export "coffer:plugin/leases@1.0.0#revoke") (param $p i32) (param $n i32) (result i32)
            (if (i32.eqz (local.get $n)) (then (unreachable)))
            (i32.const 2048))
        (func (export "coffer:plugin/maintenance@1.0.0#tick") (result i32) (unreachable))
        (func (export "coffer:plugin/maintenance@1.0.0#migrate") (param i32 i32) (result i32) (unreachable))"#;
    world("full-secrets-engine", &format!("{imports} {COMMON} {REALLOC} {more} {exports} {}", handle(body)))
}

/// An engine with all that one may export. `migrate` is what that function does, with the locals
/// `$i` and `$n`; its answer lies at 2112, not done, and at 2128, done.
pub(crate) fn maintained(imports: &str, more: &str, migrate: &str) -> Vec<u8> {
    let exports = format!(
        r#"(data (i32.const 2128) "\00\00\00\00\01")
        (func (export "coffer:plugin/leases@1.0.0#renew") (param i32 i32 i64) (result i32) (unreachable))
        (func (export "coffer:plugin/leases@1.0.0#revoke") (param i32 i32) (result i32) (unreachable))
        (func (export "coffer:plugin/maintenance@1.0.0#tick") (result i32) (unreachable))
        (func (export "coffer:plugin/maintenance@1.0.0#migrate") (param i32 i32) (result i32)
            (local $i i32) (local $n i32) {migrate})"#
    );
    world("full-secrets-engine", &format!("{imports} {COMMON} {REALLOC} {more} {exports} {}", handle("(call $ok)")))
}
