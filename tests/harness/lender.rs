//! A secrets engine that lends roles of a small service outside, and that service.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::guest::append_section;

/// The service: roles by name, that can be made (POST), prolonged (PUT) and removed (DELETE).
#[derive(Clone)]
pub struct Outside {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    roles: Mutex<BTreeMap<String, usize>>,
    /// Method and role of each request that was taken.
    log: Mutex<Vec<(String, String)>>,
    is_down: AtomicBool,
    holds: AtomicBool,
    removing: AtomicUsize,
    removing_most: AtomicUsize,
    slow: AtomicBool,
}

impl Outside {
    pub async fn start() -> Self {
        Self::start_at(IpAddr::from([127, 0, 0, 1])).await
    }

    pub async fn start_at(address: IpAddr) -> Self {
        let listener = tokio::net::TcpListener::bind((address, 0)).await.expect("a free port");
        let inner = Arc::<Inner>::default();
        let outside = Self { address: listener.local_addr().expect("an address"), inner: inner.clone() };
        let router = Router::new().fallback(answer).with_state(inner);
        tokio::spawn(async move { axum::serve(listener, router).await });
        outside
    }

    /// Names of the roles that there are.
    pub fn roles(&self) -> Vec<String> {
        self.inner.roles.lock().expect("nobody panics here").keys().cloned().collect()
    }

    pub fn has(&self, role: &str) -> bool {
        self.roles().iter().any(|known| known == role)
    }

    /// How often this was asked for.
    pub fn count(&self, method: &str, role: &str) -> usize {
        let log = self.inner.log.lock().expect("nobody panics here");
        log.iter().filter(|(how, what)| how == method && what == role).count()
    }

    /// Everything is refused until told otherwise.
    pub fn set_down(&self, is_down: bool) {
        self.inner.is_down.store(is_down, SeqCst);
    }

    /// Roles are made, and nobody is told.
    pub fn set_holds(&self, holds: bool) {
        self.inner.holds.store(holds, SeqCst);
    }

    /// Removing takes a while.
    pub fn set_slow(&self, slow: bool) {
        self.inner.slow.store(slow, SeqCst);
    }

    /// As the setting of a mount grants it.
    pub fn grant(&self) -> Value {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        json!({ "http": [format!("http://{} {}/{bits}", self.address, self.address.ip())] })
    }
}

/// One of this machine's that is not loopback, which only dev servers reach.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
    // Nothing is sent: this only asks for the route.
    socket.connect("203.0.113.1:9").expect("a route to somewhere");
    let address = socket.local_addr().expect("an address").ip();
    assert!(!address.is_loopback(), "a machine with an address besides loopback");
    address
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let role = request.uri().path().trim_start_matches("/roles/").to_owned();
    let method = request.method().to_string();
    if inner.is_down.load(SeqCst) {
        inner.log.lock().expect("nobody panics here").push((format!("refused {method}"), role));
        return (axum::http::StatusCode::SERVICE_UNAVAILABLE, Json(json!({}))).into_response();
    }
    inner.log.lock().expect("nobody panics here").push((method.clone(), role.clone()));
    match method.as_str() {
        "POST" => {
            *inner.roles.lock().expect("nobody panics here").entry(role).or_default() += 1;
            if inner.holds.load(SeqCst) {
                std::future::pending::<()>().await;
            }
        }
        "DELETE" => {
            let now = inner.removing.fetch_add(1, SeqCst) + 1;
            inner.removing_most.fetch_max(now, SeqCst);
            if inner.slow.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            inner.roles.lock().expect("nobody panics here").remove(&role);
            inner.removing.fetch_sub(1, SeqCst);
        }
        _ => {}
    }
    Json(json!({})).into_response()
}

/// The engine. What it does goes by the operation; the role is named as the path.
///
/// - `create`: intends, makes the role, lends it.
/// - `update`: the same, and then traps.
/// - `patch`: lends what it has not made.
/// - `read`: below `i` intends, below `e` lends: both by GET. Elsewhere it answers.
/// - anything else just answers.
///
/// A lease is prolonged by as much as is asked for; by a year, if that is 13 seconds.
pub struct Lender {
    pub ttl: u64,
    pub max_ttl: u64,
    /// Without it nothing can be taken back.
    pub leases: bool,
    pub name: &'static str,
    pub version: &'static str,
}

impl Default for Lender {
    fn default() -> Self {
        Self { ttl: 600, max_ttl: 1200, leases: true, name: "lender", version: "1.0.0" }
    }
}

impl Lender {
    pub fn build(&self, outside: &Outside) -> Vec<u8> {
        let Self { ttl, max_ttl, leases, name, version } = self;
        let base = format!("http://{}/roles/", outside.address);
        let leases_exports = r#"
            (func (export "coffer:plugin/leases@1.0.0#renew") (param $p i32) (param $n i32) (param $by i64) (result i32)
                (if (i32.ne (call $ask (i32.const 1420) (i32.const 3) (local.get $p) (local.get $n)) (i32.const 200))
                    (then (return (call $fail))))
                (if (i64.eq (local.get $by) (i64.const 13)) (then (local.set $by (i64.const 31536000))))
                (i32.store (i32.const 8192) (i32.const 0))
                (i64.store offset=8 (i32.const 8192) (local.get $by))
                (i64.store offset=16 (i32.const 8192) (i64.const 31536000))
                (i32.store offset=24 (i32.const 8192) (i32.const 1))
                (i32.store offset=28 (i32.const 8192) (local.get $p))
                (i32.store offset=32 (i32.const 8192) (local.get $n))
                (i32.const 8192))
            (func (export "coffer:plugin/leases@1.0.0#revoke") (param $p i32) (param $n i32) (result i32)
                (if (i32.eq (call $ask (i32.const 1430) (i32.const 6) (local.get $p) (local.get $n)) (i32.const 200))
                    (then (return (i32.const 2048))))
                (i32.store (i32.const 1216) (i32.const 1))
                (i32.store offset=4 (i32.const 1216) (i32.const 1400))
                (i32.store offset=8 (i32.const 1216) (i32.const 11))
                (i32.const 1216))"#;
        let leases_exports = if *leases { leases_exports } else { "" };
        let text = format!(
            r#"(module
            (import "coffer:plugin/effects@1.0.0" "intend" (func $intend (param i32 i32 i32)))
            (import "coffer:plugin/http@1.0.0" "send"
                (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
            (memory (export "memory") 2)
            (global $heap (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
                (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                (global.set $heap (i32.add (local.get $at) (local.get $new)))
                (memory.copy (local.get $at) (local.get $old) (local.get $size))
                (local.get $at))
            (data (i32.const 1300) "{{\"ok\":true}}")
            (data (i32.const 1400) "unavailable")
            (data (i32.const 1415) "POST")
            (data (i32.const 1420) "PUT")
            (data (i32.const 1430) "DELETE")
            (data (i32.const 5000) "{base}")
            (func $ok (result i32)
                (i32.store offset=8 (i32.const 1024) (i32.const 1300))
                (i32.store offset=12 (i32.const 1024) (i32.const 11))
                (i32.const 1024))
            (func $fail (result i32)
                (i32.store (i32.const 1152) (i32.const 1))
                (i32.store offset=8 (i32.const 1152) (i32.const 1400))
                (i32.store offset=12 (i32.const 1152) (i32.const 11))
                (i32.const 1152))
            (func $lend (param $p i32) (param $n i32) (result i32)
                (i32.store offset=24 (i32.const 1024) (i32.const 1))
                (i64.store offset=32 (i32.const 1024) (i64.const {ttl}))
                (i64.store offset=40 (i32.const 1024) (i64.const {max_ttl}))
                (i32.store offset=48 (i32.const 1024) (i32.const 1))
                (i32.store offset=52 (i32.const 1024) (local.get $p))
                (i32.store offset=56 (i32.const 1024) (local.get $n))
                (call $ok))
            (func $ask (param $m i32) (param $ml i32) (param $p i32) (param $n i32) (result i32)
                (memory.copy (i32.const {end}) (local.get $p) (local.get $n))
                (call $send (local.get $m) (local.get $ml) (i32.const 5000) (i32.add (i32.const {len}) (local.get $n))
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096))
                (if (result i32) (i32.load8_u (i32.const 4096))
                    (then (i32.const 0))
                    (else (i32.load16_u (i32.const 4100)))))
            (func $make (param $p i32) (param $n i32) (result i32)
                (call $intend (local.get $p) (local.get $n) (i32.const 4200))
                (if (i32.load8_u (i32.const 4200)) (then (return (i32.const 0))))
                (call $ask (i32.const 1415) (i32.const 4) (local.get $p) (local.get $n)))
            (func (export "coffer:plugin/plugin@1.0.0#check") (result i32) (i32.const 2048))
            (func (export "coffer:plugin/engine@1.0.0#handle")
                (param $op i32) (param i32) (param $p i32) (param $n i32) (param i32 i32) (result i32) (local $first i32)
                (local.set $first (i32.load8_u (local.get $op)))
                (if (i32.eq (local.get $first) (i32.const 99)) (then
                    (if (i32.ne (call $make (local.get $p) (local.get $n)) (i32.const 200))
                        (then (return (call $fail))))
                    (return (call $lend (local.get $p) (local.get $n)))))
                (if (i32.eq (local.get $first) (i32.const 117)) (then
                    (drop (call $make (local.get $p) (local.get $n)))
                    (unreachable)))
                (if (i32.eq (local.get $first) (i32.const 112))
                    (then (return (call $lend (local.get $p) (local.get $n)))))
                (if (i32.eq (local.get $first) (i32.const 114)) (then
                    (local.set $first (i32.load8_u (local.get $p)))
                    (if (i32.eq (local.get $first) (i32.const 105))
                        (then (drop (call $make (local.get $p) (local.get $n)))))
                    (if (i32.eq (local.get $first) (i32.const 101))
                        (then (return (call $lend (local.get $p) (local.get $n)))))))
                (call $ok))
            {leases_exports})"#,
            len = base.len(),
            end = 5000 + base.len(),
        );
        let mut module = wat::parse_str(text).expect("the guest is WebAssembly");
        let mut resolve = Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
        resolve.push_path(wit).expect("the contract");
        let exports = if *leases { "export coffer:plugin/leases@1.0.0;" } else { "" };
        let world =
            format!("package test:lender; world lender {{ include coffer:plugin/secrets-engine@1.0.0; {exports} }}");
        let package = resolve.push_str("world.wit", &world).expect("a world");
        let world = resolve.select_world(&[package], Some("lender")).expect("a world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("metadata");
        let mut encoder = ComponentEncoder::default();
        encoder.module(&module).expect("a module of the world");
        let mut wasm = encoder.encode().expect("a component");
        let (host, port) = (outside.address.ip(), outside.address.port());
        let manifest = format!(
            "[plugin]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"secrets\"\napi = \"1.0\"\n\
             [limits]\nwall-ms = 4000\n[[requires.http]]\nhost = \"{host}\"\nport = {port}\nwhy = \"roles\"\n"
        );
        append_section(&mut wasm, "coffer:manifest", manifest.as_bytes());
        wasm
    }
}
