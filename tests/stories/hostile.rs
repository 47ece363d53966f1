//! Plugins that mean harm, uploaded to a real server: each gets its own answer, and the others answer meanwhile.

use coffer::catalog::with_manifest;
use serde_json::{Value, json};

use crate::harness::guests::{
    GET, PUT, SLEEP, engine, engine_with_realloc, nested, sleeper, tattler, with_components, with_modules,
};
use crate::harness::{Answer, Client, Guest, TestServer, append_section, canary, eventually};

const SPIN: &str = "(loop $again (br $again)) (unreachable)";
/// Short enough for a story, long enough for a busy machine.
pub const BOUNDS: &str = "[limits]\nmemory = \"16MiB\"\ncpu-ms = 200\nwall-ms = 1500\n";

/// A component with a manifest: its name, its kind and what else stands in it.
pub fn plugin(name: &str, kind: &str, more: &str, wasm: &[u8]) -> Vec<u8> {
    let head = format!("[plugin]\nname = \"{name}\"\nversion = \"1.0.0\"\nkind = \"{kind}\"\napi = \"1.0\"\n");
    with_manifest(wasm, &format!("{head}{more}"))
}

pub async fn upload(client: &Client, name: &str, wasm: Vec<u8>) -> Answer {
    let call = client.call(reqwest::Method::PUT, &format!("/sys/plugins/{name}/1.0.0"));
    call.header("content-type", "application/wasm").body(wasm).await
}

/// Uploads it and mounts it under its own name.
pub async fn mount(client: &Client, (kind, name): (&str, &str), more: &str, wasm: &[u8], value: Value) -> Answer {
    upload(client, name, plugin(name, kind, more, wasm)).await.expect(200);
    let mut setting = json!({ "plugin": name, "version": "1.0.0" });
    for (member, value) in value.as_object().into_iter().flatten() {
        setting[member] = value.clone();
    }
    client.post("/sys/setting", json!({ "key": format!("{kind}/{name}"), "value": setting })).await
}

/// A server with one plugin that is as it should be.
async fn with_good() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    mount(&admin, ("secrets", "good"), BOUNDS, &engine("", "", "(call $ok)"), json!({})).await.expect(200);
    (server, admin)
}

/// Calls it, and others while it works.
async fn meanwhile(admin: &Client, call: impl Future<Output = Answer>) -> Answer {
    let others = async {
        for _ in 0..3 {
            assert_eq!(admin.get("/secrets/good/x").await.expect(200)["ok"], true);
            admin.put("/secrets/kv/other", json!({ "value": "v" })).await.expect(200);
        }
    };
    let (answer, ()) = tokio::join!(call, others);
    assert_eq!(admin.get("/secrets/good/x").await.expect(200)["ok"], true);
    answer
}

/// Puts under keys `aaaa`, `baaa`, … so much each time.
pub fn flood(bytes: u32, times: u32) -> Vec<u8> {
    let body = format!(
        "(drop (memory.grow (i32.const 40)))
         (loop $more
            (i32.store (i32.const 5000) (i32.add (i32.const 0x61616161) (i32.and (local.get $i) (i32.const 15))))
            (call $put (i32.const 5000) (i32.const 4) (i32.const 0) (i32.const {bytes})
                (i32.const 0) (i64.const 0) (i32.const 4096))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const {times}))))
         (call $ok)"
    );
    engine(PUT, "", &body)
}

/// Engines that want more than their share, by what they do: each of their calls by GET fails.
pub fn greedy() -> Vec<(&'static str, Vec<u8>)> {
    let realloc = format!(r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {SPIN})"#);
    let now = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))"#;
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) (unreachable)";
    let tables = "(loop $more (br_if $more (i32.ne (i32.const -1)
        (table.grow $t (ref.null func) (i32.const 1000))))) (unreachable)";
    let deep = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let handles = "(loop $more (drop (call $subscribe (i64.const 1)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 100000)))) (call $ok)";
    let huge = "(drop (memory.grow (i32.const 100))) (call $answer (i32.const 0) (i32.const 3000000))";
    let beyond = "(call $answer (i32.const 0) (i32.const 0x7fffffff))";
    let broken = r#"(data (i32.const 3000) "\ff\fe{]")"#;
    vec![
        ("loops", engine("", "", SPIN)),
        ("loops-in-realloc", engine_with_realloc(&realloc, "(call $ok)")),
        ("loops-in-the-host", engine(now, "", "(loop $again (drop (call $now)) (br $again)) (unreachable)")),
        ("sleeps", sleeper(600_000)),
        ("grows", engine("", "", grow)),
        ("grows-tables", engine("", "(table $t 0 funcref)", tables)),
        ("hoards-handles", engine(SLEEP, "", handles)),
        ("recurses", engine("", deep, "(call $deep (i32.const 1))")),
        ("answers-too-much", engine("", "", huge)),
        ("answers-beyond-its-memory", engine("", "", beyond)),
        ("answers-nonsense", engine("", broken, "(call $answer (i32.const 3000) (i32.const 4))")),
        ("traps", engine("", "", "(unreachable)")),
        ("stores-by-get", flood(10, 1)),
    ]
}

#[tokio::test]
async fn each_kind_of_greed_ends_in_an_answer_and_the_others_answer_meanwhile() {
    let (_server, admin) = with_good().await;
    for (name, wasm) in &greedy() {
        mount(&admin, ("secrets", name), BOUNDS, wasm, json!({})).await.expect(200);
        let answer = meanwhile(&admin, async { admin.get(&format!("/secrets/{name}/x")).await }).await;
        let told = answer.expect_type(502, "plugin_failed");
        // The caller learns that it failed, and nothing of how.
        assert!(!told.to_string().contains("wasm") && !told.to_string().contains("cpu"), "{name}: {told}");
    }
    // A flood of writes ends the call whole: nothing of it is stored.
    mount(&admin, ("secrets", "floods"), BOUNDS, &flood(1_000_000, 100), json!({})).await.expect(200);
    let call = async { admin.put("/secrets/floods/x", json!({ "value": "v" })).await };
    meanwhile(&admin, call).await.expect_type(502, "plugin_failed");
}

#[tokio::test]
async fn what_cannot_even_be_instantiated_is_not_mounted() {
    let (_server, admin) = with_good().await;
    let spin = format!("(func $spin {SPIN}) (start $spin)");
    // 20 MiB, of which its manifest asks for 16.
    let born_large = engine("", "(data (i32.const 0) \"\")", "(call $ok)");
    let small = BOUNDS.replace("16MiB", "64KiB");
    for (name, bounds, wasm) in
        [("loops-at-start", BOUNDS, engine("", &spin, "(call $ok)")), ("born-large", small.as_str(), born_large)]
    {
        let call = async { mount(&admin, ("secrets", name), bounds, &wasm, json!({})).await };
        meanwhile(&admin, call).await.expect_type(502, "plugin_failed");
        admin.get(&format!("/sys/setting/secrets/{name}")).await.expect(404);
        admin.get(&format!("/secrets/{name}/x")).await.expect(404);
    }
}

#[tokio::test]
async fn a_crowd_of_calls_that_loop_leaves_room_for_others() {
    let (_server, admin) = with_good().await;
    mount(&admin, ("secrets", "loops"), BOUNDS, &engine("", "", SPIN), json!({})).await.expect(200);
    let crowd = futures_util::future::join_all((0..20).map(|_| async { admin.get("/secrets/loops/x").await }));
    let others = async {
        for _ in 0..20 {
            assert_eq!(admin.get("/secrets/good/x").await.expect(200)["ok"], true);
        }
    };
    let (answers, ()) = tokio::join!(crowd, others);
    for answer in answers {
        // Either it used up its share, or there was no place for it.
        assert!([502, 503].contains(&answer.status.as_u16()), "{}", answer.status);
    }
}

fn good() -> Vec<u8> {
    engine("", "", "(call $ok)")
}

#[tokio::test]
async fn what_was_compiled_elsewhere_is_refused_wherever_it_is_put() {
    let (mut server, admin) = with_good().await;
    // By the very same compiler, of a component that would be taken: but nobody could check it any more.
    let wasm = plugin("precompiled", "secrets", BOUNDS, &good());
    let compiled = wasmtime::Engine::default().precompile_component(&wasm).expect("it compiles");
    assert!(compiled.starts_with(b"\x7fELF"));
    for forged in [compiled.clone(), plugin("precompiled", "secrets", BOUNDS, &compiled)] {
        let told = upload(&admin, "precompiled", forged).await.expect_type(422, "bad_plugin");
        assert!(told.to_string().contains("not WebAssembly"), "{told}");
    }
    admin.get("/sys/plugins/precompiled/1.0.0").await.expect(404);
    // Nor is it run when it lies where the server keeps what it has compiled itself.
    let trap = engine("", "", "(unreachable)");
    mount(&admin, ("secrets", "traps"), BOUNDS, &trap, json!({})).await.expect(200);
    let folder = server.data_dir().join("compiled");
    let files = || {
        let all = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
        all.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let kept: Vec<_> = files().into_iter().map(|path| (std::fs::read(&path).expect("its bytes"), path)).collect();
    assert!(kept.len() >= 2);
    server.sigterm();
    // The code of one under the name of the next, and foreign code under a name of ours.
    for (at, (_, path)) in kept.iter().enumerate() {
        let other = if at % 3 == 0 { &compiled } else { &kept[(at + 1) % kept.len()].0 };
        std::fs::write(path, other).expect("it can be written");
    }
    server.restart().await;
    let admin = server.here(&admin);
    assert_eq!(admin.get("/secrets/good/x").await.expect(200)["ok"], true);
    admin.get("/secrets/traps/x").await.expect_type(502, "plugin_failed");
    admin.put("/secrets/kv/x", json!({ "value": "v" })).await.expect(200);
}

#[tokio::test]
async fn bombs_and_forgeries_are_refused_at_the_door() {
    let (_server, admin) = with_good().await;
    let component = |text: &str| wat::parse_str(format!("(component {text})")).expect("a component");
    let bombs = [
        ("modules", "too many parts", component(&"(core module)".repeat(500))),
        ("memories", "features", component("(core module (memory 1) (memory 1))")),
        ("shared", "features", component("(core module (memory 1 1 shared))")),
        ("files", "wasi:filesystem/types", component(r#"(import "wasi:filesystem/types@0.2.6" (instance))"#)),
        ("sockets", "wasi:sockets/tcp", component(r#"(import "wasi:sockets/tcp@0.2.6" (instance))"#)),
        ("more-of-ours", "coffer:plugin/root", component(r#"(import "coffer:plugin/root@1.0.0" (instance))"#)),
        ("tables", "does not compile", engine("", "(table 10000000 funcref)", "(call $ok)")),
        // These have all that a plugin should have, and are otherwise as they should be.
        ("instances", "does not compile", with_modules(good(), "(module)", 99)),
        ("own-memories", "does not compile", with_modules(good(), "(module (memory 1))", 9)),
        ("own-tables", "does not compile", with_modules(good(), "(module (table 1 funcref))", 9)),
        ("nested", "too many parts", with_components(good(), &nested(90, 1), 1)),
        ("doubled", "instantiates too much", with_components(good(), &nested(40, 2), 1)),
        ("wide", "instantiates too much", with_components(good(), &nested(3, 90), 1)),
        ("doubled-a-little", "does not compile", with_components(good(), &nested(7, 2), 1)),
    ];
    for (name, word, wasm) in bombs {
        let call = async { upload(&admin, name, plugin(name, "secrets", "", &wasm)).await };
        let told = meanwhile(&admin, call).await.expect_type(422, "bad_plugin");
        assert!(told.to_string().contains(word), "{word} in {told}");
    }
    let whole = Guest::new("hello", "1.0.0").build();
    for part in [1, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        upload(&admin, "hello", whole[..part].to_vec()).await.expect_type(422, "bad_plugin");
    }
    for import in [
        r#"(import "coffer:plugin/crypto@1.0.0" "password-hash" (func (param i32 i32 i32)))"#,
        r#"(import "coffer:plugin/crypto@1.0.0" "create-key" (func (param i32 i32 i32 i32 i32)))"#,
        r#"(import "coffer:plugin/http@1.0.0" "send-many" (func (param i32 i32 i32)))"#,
    ] {
        let hidden = Guest::new("hello", "1.0.0").with_imports(import).build();
        upload(&admin, "hello", hidden).await.expect_type(422, "bad_plugin");
    }
    // Two manifests: an operator would read one and the server the other.
    let mut twice = whole.clone();
    append_section(&mut twice, "coffer:manifest", b"[plugin]\n");
    upload(&admin, "hello", twice).await.expect_type(422, "bad_plugin");
}

#[tokio::test]
async fn code_that_takes_long_to_compile_holds_nobody_up() {
    let (_server, admin) = with_good().await;
    // Some megabytes of one function after the other, each with a long body.
    let body = "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 77)) (i32.const 3)))".repeat(1_000);
    let functions = format!("(func (param i32) (result i32) {body} (local.get 0))").repeat(30);
    let wasm = engine("", &functions, "(call $ok)");
    let call = async { mount(&admin, ("secrets", "bomb"), BOUNDS, &wasm, json!({})).await };
    meanwhile(&admin, call).await.expect(200);
    assert_eq!(admin.get("/secrets/bomb/x").await.expect(200)["ok"], true);
}

/// What `get` of the path found, or `denied`.
const READ: &str = "(call $get (local.get $path) (local.get $path-len) (i32.const 4096))
    (if (i32.load8_u (i32.const 4096)) (then (return (call $refuse))))
    (if (i32.eqz (i32.load8_u offset=8 (i32.const 4096))) (then (return (call $refuse))))
    (call $answer (i32.load offset=16 (i32.const 4096)) (i32.load offset=20 (i32.const 4096)))";

/// On `update` it stores the body under the path and on everything else it reads the path.
fn keeper() -> Vec<u8> {
    let body = format!(
        r#"(if (i32.eq (i32.load8_u (local.get $op)) (i32.const 117)) (then
            (call $put (local.get $path) (local.get $path-len) (local.get $body) (local.get $body-len)
                (i32.const 0) (i64.const 0) (i32.const 4096))
            (return (call $ok))))
        {READ}"#
    );
    engine(&format!("{PUT} {GET}"), "", &body)
}

#[tokio::test]
async fn no_path_leads_to_another_mount() {
    let (_server, admin) = with_good().await;
    for name in ["mount-1", "mount-10"] {
        mount(&admin, ("secrets", name), BOUNDS, &keeper(), json!({})).await.expect(200);
    }
    admin.put("/secrets/mount-10/x", json!({ "value": canary("theirs") })).await.expect(200);
    assert!(admin.get("/secrets/mount-10/x").await.expect(200)["data"]["value"].is_string());
    for path in ["x", "0/x", "10/x", "mount-10/x"] {
        admin.get(&format!("/secrets/mount-1/{path}")).await.expect(403);
    }
    for path in ["..%2Fmount-10%2Fx", "%2E%2E/mount-10/x", "../mount-10/x", "%2F..%2Fmount-10%2Fx", ".%2F..%2Fx"] {
        let answer = admin.get(&format!("/secrets/mount-1/{path}")).await;
        // A client may have made the plain path of it, which is that of the other mount.
        assert!([200, 403, 404, 422].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        assert!(answer.body["data"].is_null() || answer.body["secret_id"] == "mount-10/x", "{path}");
    }
    // Whatever key a guest makes up, it is one of its own.
    for (at, key) in ["../mount-10/x", "/mount-10/x", "data/mount-10/x", "\\00x"].into_iter().enumerate() {
        let length = key.replace("\\00", "0").len();
        let own = format!("(i32.const 3000) (i32.const {length})");
        let read = READ.replace("(local.get $path) (local.get $path-len)", &own);
        let data = format!(r#"(data (i32.const 3000) "{key}")"#);
        let name = format!("tries-{at}");
        mount(&admin, ("secrets", &name), BOUNDS, &engine(GET, &data, &read), json!({})).await.expect(200);
        admin.get(&format!("/secrets/{name}/x")).await.expect(403);
    }
}

#[tokio::test]
async fn nothing_is_remembered_from_one_call_to_the_next() {
    let (_server, admin) = with_good().await;
    let remember = engine(
        "",
        "(global $calls (mut i32) (i32.const 0))",
        "(if (i32.or (global.get $calls) (i32.load (i32.const 60000))) (then (return (call $refuse))))
         (global.set $calls (i32.const 1)) (i32.store (i32.const 60000) (i32.const 1)) (call $ok)",
    );
    mount(&admin, ("secrets", "remembers"), BOUNDS, &remember, json!({})).await.expect(200);
    for _ in 0..30 {
        assert_eq!(admin.get("/secrets/remembers/x").await.expect(200)["ok"], true);
    }
}

#[tokio::test]
async fn a_secret_is_told_neither_by_a_log_nor_by_a_refusal_in_any_common_spelling() {
    // The end of each story searches the log and the trail for it, plain, in hex and in base64.
    let (server, admin) = with_good().await;
    mount(&admin, ("secrets", "tattles"), BOUNDS, &tattler(), json!({})).await.expect(200);
    let secret = canary("confided");
    let answer = admin.put("/secrets/tattles/x", json!({ "value": secret })).await.expect(422);
    assert!(!answer.to_string().contains(&secret) && !answer.to_string().contains(&hex::encode(&secret)), "{answer}");
    eventually("it is in the log that it said something", || async { server.log().contains("[secret]").then_some(()) })
        .await;
}

#[tokio::test]
async fn a_flood_of_log_lines_ends_where_its_bound_is() {
    let (server, admin) = with_good().await;
    let emit = r#"(import "coffer:plugin/log@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))"#;
    let line = r#"(data (i32.const 3000) "a-flood-of-words")"#;
    let body = "(loop $more
            (call $emit (i32.const 1) (i32.const 3000) (i32.const 16) (i32.const 0) (i32.const 0))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 20000)))) (call $ok)";
    let bounds = BOUNDS.replace("200", "5000").replace("1500", "20000");
    mount(&admin, ("secrets", "chatters"), &bounds, &engine(emit, line, body), json!({})).await.expect(200);
    let _ = meanwhile(&admin, async { admin.get("/secrets/chatters/x").await }).await;
    let lines = server.log().matches("a-flood-of-words").count();
    assert!((1..=1100).contains(&lines), "{lines} lines");
}
