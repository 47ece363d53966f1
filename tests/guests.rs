//! Guests as WebAssembly text, for tests of the sandbox and for stories alike: no toolchain is needed, and they do
//! what no compiler would let them.
#![allow(dead_code, reason = "each of the two uses some of it")]

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

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
pub fn engine(imports: &str, more: &str, body: &str) -> Vec<u8> {
    world("wasi", &format!("{imports} {COMMON} {REALLOC} {more} {}", handle(body)))
}

/// An engine that does this to say whether its configuration is good. Its own answers lie at 2048 and above.
pub fn checking(imports: &str, more: &str, check: &str) -> Vec<u8> {
    let good = r#"#check") (result i32) (i32.const 2048))"#;
    let common = COMMON.replace(good, &format!(r#"#check") (result i32) {check})"#));
    assert_ne!(common, COMMON);
    world("wasi", &format!("{imports} {common} {REALLOC} {more} {}", handle("(call $ok)")))
}

/// An engine with an allocator of its own.
pub fn engine_with_realloc(realloc: &str, body: &str) -> Vec<u8> {
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
}
world wasi-auth-engine {
    include coffer:plugin/auth-method@1.0.0;
    export coffer:plugin/engine@1.0.0;
}";

/// An auth method that refuses everybody, with an engine for calls of its own.
pub fn auth_with_calls(body: &str) -> Vec<u8> {
    let steps = [("login", "i32 i32"), ("resume", "i32 i32 i32 i32"), ("refresh", "i32 i32")];
    let exports = steps.map(|(name, params)| {
        format!(r#"(func (export "coffer:plugin/auth@1.0.0#{name}") (param {params}) (result i32) (call $refuse))"#)
    });
    world("wasi-auth-engine", &format!("{COMMON} {REALLOC} {} {}", exports.join(" "), handle(body)))
}

/// An auth method that refuses everybody, after `login`.
pub fn auth(imports: &str, login: &str) -> Vec<u8> {
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
pub fn world(world: &str, fields: &str) -> Vec<u8> {
    let mut module = wat::parse_str(format!("(module {fields})")).expect("the guest is WebAssembly");
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
    let (package, _) = resolve.push_path(wit).expect("the contract");
    for text in WASI {
        resolve.push_str("wasi.wit", text).expect("a part of WASI");
    }
    let own = resolve.push_str("world.wit", WORLD).expect("worlds");
    let of = if world.starts_with("wasi") { own } else { package };
    let world = resolve.select_world(&[of], Some(world)).expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("metadata");
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module).expect("a module of the world").encode().expect("a component")
}

/// A component that has all it should have, and at its end this one more, instantiated so often.
pub fn with_components(wasm: Vec<u8>, text: &str, times: usize) -> Vec<u8> {
    let component = wat::parse_str(text).expect("a component");
    let (own, instances) = (sections(&wasm, 4), 5);
    appended(wasm, (4, &component), (instances, own), times)
}

/// The same with a core module.
pub fn with_modules(wasm: Vec<u8>, text: &str, times: usize) -> Vec<u8> {
    let module = wat::parse_str(text).expect("a module");
    let (own, instances) = (sections(&wasm, 1), 2);
    appended(wasm, (1, &module), (instances, own), times)
}

/// A section with what is new, which gets this index, and one with its instances.
fn appended(mut wasm: Vec<u8>, (kind, new): (u8, &[u8]), (instances, index): (u8, usize), times: usize) -> Vec<u8> {
    let mut section = |kind: u8, content: &[u8]| {
        wasm.push(kind);
        leb(content.len(), &mut wasm);
        wasm.extend_from_slice(content);
    };
    section(kind, new);
    let mut all = Vec::new();
    leb(times, &mut all);
    for _ in 0..times {
        // Instantiated, with no arguments.
        all.push(0);
        leb(index, &mut all);
        all.push(0);
    }
    section(instances, &all);
    wasm
}

/// How many sections of a kind stand outermost.
fn sections(wasm: &[u8], kind: u8) -> usize {
    let (mut at, mut found) = (8, 0);
    while at < wasm.len() {
        let (mut length, mut shift, own) = (0, 0, wasm[at]);
        loop {
            at += 1;
            length |= usize::from(wasm[at] & 0x7f) << shift;
            shift += 7;
            if wasm[at] < 0x80 {
                break;
            }
        }
        at += 1 + length;
        found += usize::from(own == kind);
    }
    found
}

/// A length as WebAssembly writes it (LEB128).
pub fn leb(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Nests a component in itself: each level instantiates the one below it so often.
pub fn nested(levels: usize, times: usize) -> String {
    let first = "(core module $m) (core instance (instantiate $m))".to_owned();
    let each = "(instance (instantiate $c))".repeat(times);
    format!("(component {})", (0..levels).fold(first, |inner, _| format!("(component $c {inner}) {each}")))
}

/// Puts `path` with the body under it, and answers.
pub const PUT: &str = r#"(import "coffer:plugin/storage@1.0.0" "put"
    (func $put (param i32 i32 i32 i32 i32 i64 i32)))"#;

/// `get` leaves its result at the address that it is given.
pub const GET: &str = r#"(import "coffer:plugin/storage@1.0.0" "get" (func $get (param i32 i32 i32)))"#;

/// Announces a deed: its result lies at the address that it is given last.
pub const INTEND: &str = r#"(import "coffer:plugin/effects@1.0.0" "intend" (func $intend (param i32 i32 i32)))"#;

/// An engine that can take back what it has lent: always, unless what it is told is empty.
pub fn lender(imports: &str, more: &str, body: &str) -> Vec<u8> {
    let revoke = "(if (i32.eqz (local.get $n)) (then (unreachable))) (i32.const 2048)";
    lender_that(imports, more, ("(unreachable)", revoke), body)
}

/// One that does this to prolong and to take back `$p $n`: what it answers of the former lies at 8192, and `$by` is
/// for how long.
pub fn lender_that(imports: &str, more: &str, (renew, revoke): (&str, &str), body: &str) -> Vec<u8> {
    let exports = format!(
        r#"
        (func (export "coffer:plugin/leases@1.0.0#renew") (param $p i32) (param $n i32) (param $by i64) (result i32)
            {renew})
        (func (export "coffer:plugin/leases@1.0.0#revoke") (param $p i32) (param $n i32) (result i32) {revoke})
        (func (export "coffer:plugin/maintenance@1.0.0#tick") (result i32) (i32.const 2048))
        (func (export "coffer:plugin/maintenance@1.0.0#migrate") (param i32 i32) (result i32) (unreachable))"#
    );
    world("full-secrets-engine", &format!("{imports} {COMMON} {REALLOC} {more} {exports} {}", handle(body)))
}

/// One that counts by the clock: every ten seconds the letter in `{"ticks":"A"}`, which every call of it answers, is the
/// next one.
pub fn ticker(section: &str) -> Vec<u8> {
    let get = "(call $get (i32.const 2200) (i32.const 1) (i32.const 2304))";
    let tick = format!(
        r#"{get}
        (if (i32.load8_u (i32.const 2312)) (then
            (memory.copy (i32.const 3000) (i32.load (i32.const 2320)) (i32.const 13))
            (i32.store8 (i32.const 3010) (i32.add (i32.load8_u (i32.const 3010)) (i32.const 1)))))
        (call $put (i32.const 2200) (i32.const 1) (i32.const 3000) (i32.const 13)
            (i32.const 0) (i64.const 0) (i32.const 2400))
        (i32.const 2600)"#
    );
    let handle = format!(
        "{get} (if (i32.eqz (i32.load8_u (i32.const 2312))) (then (return (call $ok))))
        (call $answer (i32.load (i32.const 2320)) (i32.load (i32.const 2324)))"
    );
    let more = r#"(data (i32.const 2200) "t") (data (i32.const 3000) "{\"ticks\":\"A\"}")
        (data (i32.const 2604) "\01\00\00\00\0a")"#;
    ticking(&format!("{GET} {PUT}"), &format!("{more} {section}"), &tick, &handle)
}

/// An engine that does this by the clock; an answer that asks for no further call lies at 2048.
pub fn ticking(imports: &str, more: &str, tick: &str, body: &str) -> Vec<u8> {
    let exports = format!(
        r#"
        (func (export "coffer:plugin/leases@1.0.0#renew") (param i32 i32 i64) (result i32) (unreachable))
        (func (export "coffer:plugin/leases@1.0.0#revoke") (param i32 i32) (result i32) (unreachable))
        (func (export "coffer:plugin/maintenance@1.0.0#tick") (result i32) {tick})
        (func (export "coffer:plugin/maintenance@1.0.0#migrate") (param i32 i32) (result i32) (unreachable))"#
    );
    world("full-secrets-engine", &format!("{imports} {COMMON} {REALLOC} {more} {exports} {}", handle(body)))
}

/// An engine with all that one may export. `migrate` is what that function does, with the locals
/// `$i` and `$n`; its answer lies at 2112, not done, and at 2128, done.
pub fn maintained(imports: &str, more: &str, migrate: &str) -> Vec<u8> {
    let exports = format!(
        r#"(data (i32.const 2128) "\00\00\00\00\01")
        (func (export "coffer:plugin/leases@1.0.0#renew") (param i32 i32 i64) (result i32) (unreachable))
        (func (export "coffer:plugin/leases@1.0.0#revoke") (param i32 i32) (result i32) (unreachable))
        (func (export "coffer:plugin/maintenance@1.0.0#tick") (result i32) (i32.const 2048))
        (func (export "coffer:plugin/maintenance@1.0.0#migrate") (param i32 i32) (result i32)
            (local $i i32) (local $n i32) {migrate})"#
    );
    world("full-secrets-engine", &format!("{imports} {COMMON} {REALLOC} {more} {exports} {}", handle("(call $ok)")))
}

/// An auth method: what `login` and `refresh` do. Either may answer by `proven`.
pub fn auth_with(more: &str, login: &str, refresh: &str) -> Vec<u8> {
    let text = format!(
        r#"{COMMON} {REALLOC} {more}
        (func (export "coffer:plugin/auth@1.0.0#login") (param $body i32) (param $body-len i32) (result i32) {login})
        (func (export "coffer:plugin/auth@1.0.0#resume") (param i32 i32 i32 i32) (result i32) (call $refuse))
        (func (export "coffer:plugin/auth@1.0.0#refresh") (param $kept i32) (param $kept-len i32) (result i32) {refresh})"#
    );
    world("auth-method", &text)
}

/// An engine that takes long to compile: its second function is this many lines long.
pub fn slow_to_compile(section: &str, lines: usize) -> Vec<u8> {
    let line = |at: usize| {
        format!(
            "(local.set $a (i32.add (i32.mul (local.get $b) (i32.const {})) (local.get $c)))
            (if (i32.and (local.get $a) (i32.const {})) (then (local.set $b (i32.xor (local.get $a) (local.get $c)))))
            (local.set $c (i32.load (i32.and (local.get $b) (i32.const 4092))))",
            at * 7 + 3,
            1 << (at % 31),
        )
    };
    let lines: String = (0..lines).map(line).collect();
    let long = format!("(func $long (param $a i32) (result i32) (local $b i32) (local $c i32) {lines} (local.get $a))");
    let body = "(if (i32.eq (local.get $op) (i32.const -1)) (then (drop (call $long (local.get $op))))) (call $ok)";
    engine("", &format!("{long} {section}"), body)
}

/// An auth method with an engine that answers what `refresh` has counted: `{"n":"A"}` after the first time, and so on.
pub fn renewing(subject: &str) -> Vec<u8> {
    let ((login, step), (refresh, renewed)) = (proven(true, subject, "staff"), proven(false, subject, "staff"));
    let get = "(call $get (i32.const 2200) (i32.const 1) (i32.const 2304))";
    let body = format!(
        "{get} (if (i32.eqz (i32.load8_u (i32.const 2312))) (then (return (call $ok))))
        (call $answer (i32.load (i32.const 2320)) (i32.load (i32.const 2324)))"
    );
    let text = format!(
        r#"{GET} {PUT} {COMMON} {REALLOC} {login} {refresh} {}
        (data (i32.const 2200) "n") (data (i32.const 4000) "{{\"n\":\"A\"}}")
        (func (export "coffer:plugin/auth@1.0.0#login") (param i32 i32) (result i32) {step})
        (func (export "coffer:plugin/auth@1.0.0#resume") (param i32 i32 i32 i32) (result i32) (call $refuse))
        (func (export "coffer:plugin/auth@1.0.0#refresh") (param i32 i32) (result i32)
            {get}
            (if (i32.load8_u (i32.const 2312)) (then
                (memory.copy (i32.const 4000) (i32.load (i32.const 2320)) (i32.const 9))
                (i32.store8 (i32.const 4006) (i32.add (i32.load8_u (i32.const 4006)) (i32.const 1)))))
            (call $put (i32.const 2200) (i32.const 1) (i32.const 4000) (i32.const 9)
                (i32.const 0) (i64.const 0) (i32.const 2400))
            {renewed})"#,
        handle(&body)
    );
    world("wasi-auth-engine", &text)
}

/// Answers `{"saw":"…"}` with the header that the path names, or `{"ok":true}` if it does not see it.
pub fn header_reader() -> Vec<u8> {
    let imports = r#"(import "coffer:plugin/context@1.0.0" "header" (func $header (param i32 i32 i32)))"#;
    let more = r#"(data (i32.const 3100) "{\"saw\":\"")"#;
    let body = "(call $header (local.get $path) (local.get $path-len) (i32.const 2304))
        (if (i32.eqz (i32.load8_u (i32.const 2304))) (then (return (call $ok))))
        (local.set $n (i32.load (i32.const 2312)))
        (memory.copy (i32.const 3108) (i32.load (i32.const 2308)) (local.get $n))
        (i32.store16 (i32.add (i32.const 3108) (local.get $n)) (i32.const 0x7d22))
        (call $answer (i32.const 3100) (i32.add (i32.const 10) (local.get $n)))";
    engine(imports, more, body)
}

/// A success of `login` or, without a `step`, of `refresh`: this subject, in this group, if any.
pub fn proven(step: bool, subject: &str, group: &str) -> (String, String) {
    let name = if step { "step" } else { "again" };
    // The identity begins where the variants above it end.
    let (at, text) = if step { (1616, 3000) } else { (1808, 3400) };
    let start = if step { 1600 } else { 1800 };
    let groups = usize::from(!group.is_empty());
    let data = format!(
        r#"(data (i32.const {text}) "{subject}") (data (i32.const {group_at}) "{group}")
        (func ${name} (result i32)
            (i32.store (i32.const {list}) (i32.const {group_at}))
            (i32.store offset=4 (i32.const {list}) (i32.const {group_len}))
            (i32.store (i32.const {at}) (i32.const {text}))
            (i32.store offset=4 (i32.const {at}) (i32.const {len}))
            (i32.store offset=8 (i32.const {at}) (i32.const {text}))
            (i32.store offset=12 (i32.const {at}) (i32.const {len}))
            (i32.store offset=16 (i32.const {at}) (i32.const {list}))
            (i32.store offset=20 (i32.const {at}) (i32.const {groups}))
            (i32.store8 offset=68 (i32.const {at}) (i32.const 1))
            (i32.store offset=72 (i32.const {at}) (i32.const {text}))
            (i32.store offset=76 (i32.const {at}) (i32.const {len}))
            (i32.const {start}))"#,
        group_at = text + 200,
        list = text + 300,
        group_len = group.len(),
        len = subject.len(),
    );
    (data, format!("(call ${name})"))
}

/// Asks for a URL with the credential `token`, or with none, and answers the status, or the code of the refusal:
/// `{"u":"http://…"}` is the body of the call.
pub fn fetcher(credential: bool) -> Vec<u8> {
    let imports = r#"(import "coffer:plugin/http@1.0.0" "send"
        (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    let more = r#"(data (i32.const 3000) "GET") (data (i32.const 3010) "token") (data (i32.const 3100) "{\"code\":\"")
        (data (i32.const 3200) "{\"status\":   }")"#;
    let has = u32::from(credential);
    let body = format!(
        r#"(call $send (i32.const 3000) (i32.const 3)
            (i32.add (local.get $body) (i32.const 6)) (i32.sub (local.get $body-len) (i32.const 8))
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const {has}) (i32.const 3010) (i32.const 5) (i32.const 4096))
        (if (result i32) (i32.load8_u (i32.const 4096))
            (then
                (local.set $n (i32.load offset=8 (i32.const 4096)))
                (memory.copy (i32.const 3109) (i32.load offset=4 (i32.const 4096)) (local.get $n))
                (i32.store16 (i32.add (i32.const 3109) (local.get $n)) (i32.const 0x7d22))
                (call $answer (i32.const 3100) (i32.add (i32.const 11) (local.get $n))))
            (else
                (local.set $n (i32.load16_u offset=4 (i32.const 4096)))
                (i32.store8 (i32.const 3210) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 100))))
                (i32.store8 (i32.const 3211)
                    (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
                (i32.store8 (i32.const 3212) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
                (call $answer (i32.const 3200) (i32.const 14))))"#
    );
    engine(imports, more, &body)
}

/// Sleeps in the host.
pub const SLEEP: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;

pub fn sleeper(millis: u64) -> Vec<u8> {
    let nanos = millis * 1_000_000;
    engine(SLEEP, "", &format!("(call $block (call $subscribe (i64.const {nanos}))) (call $ok)"))
}

/// Logs what it was given and refuses with the same words.
pub fn tattler() -> Vec<u8> {
    let imports = r#"(import "coffer:plugin/log@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))"#;
    let more = r#"(data (i32.const 3000) "invalid") (data (i32.const 3100) "0123456789abcdef")
        (func $digit (param $n i32) (result i32) (i32.load8_u offset=3100 (i32.and (local.get $n) (i32.const 15))))"#;
    // In hex behind it, at 16384.
    let body = r#"
        (loop $more (if (i32.lt_u (local.get $i) (local.get $body-len)) (then
            (local.set $n (i32.load8_u (i32.add (local.get $body) (local.get $i))))
            (i32.store8 (i32.add (i32.const 16384) (i32.mul (local.get $i) (i32.const 2)))
                (call $digit (i32.shr_u (local.get $n) (i32.const 4))))
            (i32.store8 (i32.add (i32.const 16385) (i32.mul (local.get $i) (i32.const 2))) (call $digit (local.get $n)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $more))))
        (local.set $n (i32.mul (local.get $body-len) (i32.const 2)))
        (call $emit (i32.const 1) (local.get $body) (local.get $body-len) (i32.const 0) (i32.const 0))
        (call $emit (i32.const 3) (i32.const 16384) (local.get $n) (i32.const 0) (i32.const 0))
        (i32.store (i32.const 1088) (i32.const 1))
        (i32.store offset=8 (i32.const 1088) (i32.const 3000))
        (i32.store offset=12 (i32.const 1088) (i32.const 7))
        (i32.store offset=16 (i32.const 1088) (i32.const 16384))
        (i32.store offset=20 (i32.const 1088) (local.get $n))
        (i32.const 1088)"#;
    engine(imports, more, body)
}
