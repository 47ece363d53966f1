//! `coffer plugin …`: from nothing to a mount, with what only Rust's own tools can do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::hostile::plugin;
use crate::harness::guests::{PUT, engine};
use crate::harness::{Client, Guest, TestServer};

/// Compiling takes longer than anything a server does.
async fn run(folder: &Path, arguments: &[&str], env: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(["plugin", "-o", "json"]).args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_") || name.starts_with("CARGO_")) {
        command.env_remove(name);
    }
    if let Ok(home) = std::env::var("CARGO_HOME") {
        command.env("CARGO_HOME", home);
    }
    // Whoever is logged in on this machine is not asked.
    command.env("XDG_STATE_HOME", folder.join("state"));
    // Kept from run to run: what others have written is compiled once.
    command.env("CARGO_TARGET_DIR", target());
    command.envs(env.iter().map(|(name, value)| (*name, value)));
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.expect("no panic")
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors")
}

#[track_caller]
fn told(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)))
}

#[track_caller]
fn refused(output: &Output, code: i32, word: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(word), "{word} in {error}");
}

fn environment(server: &TestServer, client: &Client) -> Vec<(&'static str, String)> {
    vec![
        ("COFFER_ADDR", server.url()),
        ("COFFER_TOKEN", client.token().to_owned()),
        ("COFFER_CACERT", server.authority().display().to_string()),
    ]
}

#[tokio::test]
async fn an_author_goes_from_nothing_to_a_mount() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let env = environment(&server, &admin);
    let folder = tempfile::tempdir().expect("a folder");
    told(&run(folder.path(), &["new", "greet"], &[]).await);
    refused(&run(folder.path(), &["new", "greet"], &[]).await, 2, "is there already");
    let project = folder.path().join("greet");
    let built = told(&run(&project, &["build", "--offline"], &[]).await);
    assert_eq!((&built["name"], &built["publisher"]), (&json!("greet"), &json!("unsigned")));
    let file = "greet-0.1.0.wasm";
    assert_eq!(told(&run(&project, &["test", file, "calls.json"], &[]).await)["calls"], 2);
    its_own_tests_pass(&project).await;
    let key = project.join("publisher.key").display().to_string();
    let signed = told(&run(&project, &["sign", file, "--key", &key, "--new-key"], &[]).await);
    let publisher = signed["publisher"].as_str().expect("a key").to_owned();
    assert!(publisher.starts_with("ed25519:"), "{publisher}");
    assert_eq!(told(&run(&project, &["inspect", file], &[]).await), signed);
    admin
        .post("/sys/security", json!({ "plugins": { "require_signature": true, "publishers": [publisher] } }))
        .await
        .expect(200);
    for _ in 0..2 {
        let set = told(&run(&project, &["install", file, "--mount", "greet"], &env).await);
        assert_eq!((&set["key"], &set["state"]["health"]), (&json!("secrets/greet"), &json!("ok")));
    }
    assert_eq!(admin.get("/secrets/greet/world").await.expect(200)["said"], "hello world");
    std::fs::write(project.join("config.json"), br#"{"greeting": "good day"}"#).expect("written");
    told(&run(&project, &["install", ".", "--mount", "greet", "--config", "config.json"], &env).await);
    assert_eq!(admin.get("/secrets/greet/world").await.expect(200)["said"], "good day world");
    // Other bytes under the same version: what to do about it is said.
    told(&run(&project, &["sign", file, "--key", "other.key", "--new-key"], &[]).await);
    refused(&run(&project, &["install", file], &env).await, 1, "raise `version` in plugin.toml");
}

/// `cargo test`, as its author runs it; with what the build before it has compiled already.
async fn its_own_tests_pass(project: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--release", "--offline", "--quiet"]).current_dir(project).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") && name != "CARGO_HOME") {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_TARGET_DIR", target());
    let output = tokio::task::spawn_blocking(move || cargo.output().expect("cargo runs")).await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("test result: ok"), "{said}");
}

#[tokio::test]
async fn an_author_is_told_what_is_wrong_and_not_something_else() {
    let folder = tempfile::tempdir().expect("a folder");
    told(&run(folder.path(), &["new", "wrong"], &[]).await);
    let project = folder.path().join("wrong");
    refused(&run(&project, &["test", "."], &[]).await, 2, "coffer plugin build");
    // A mistake in the source is no lack of a target, and a lack of it is no mistake in the source.
    let source = std::fs::read_to_string(project.join("src/lib.rs")).expect("a source");
    std::fs::write(project.join("src/lib.rs"), source.replace("Operation::Read", "Operation::Raed")).expect("written");
    let built = run(&project, &["build", "--offline"], &[]).await;
    refused(&built, 1, "what it says stands above");
    refused(&built, 1, "Raed");
    assert!(!String::from_utf8_lossy(&built.stderr).contains("rustup"), "it is not the target");
    let rustc = folder.path().join("rustc");
    std::fs::write(&rustc, "#!/bin/sh\nmkdir -p empty; echo \"$PWD/empty\"\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&rustc, mode).expect("a program");
    let without = [("RUSTC", rustc.display().to_string())];
    refused(&run(&project, &["build", "--offline"], &without).await, 1, "rustup target add wasm32-wasip2");
    // What is no TOML is told as the parser has it, with the line.
    let manifest = std::fs::read_to_string(project.join("plugin.toml")).expect("a manifest");
    std::fs::write(project.join("plugin.toml"), manifest.replace("kind = \"secrets\"", "kind = secrets"))
        .expect("written");
    for command in [&["build", "--offline"][..], &["test", "."]] {
        let output = run(&project, command, &[]).await;
        refused(&output, 2, "line 4");
        refused(&output, 2, "kind = secrets");
    }
}

/// Does what the server forbids, where its path says so.
const LAWLESS: &str = "[[calls]]\npath = \"{key}\"\noperation = \"look\"\naction = \"use\"\nmethod = \"GET\"\n
    [[calls]]\npath = \"{key}\"\noperation = \"turn\"\naction = \"use\"\nmethod = \"POST\"\n
    [calls.request]\ntype = \"object\"\nadditionalProperties = false\nrequired = [\"by\"]\n
    [calls.request.properties.by]\ntype = \"integer\"\n";

#[tokio::test]
async fn what_the_server_refuses_fails_in_a_test_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    let storing = "(call $put (local.get $path) (local.get $path-len) (i32.const 1300) (i32.const 2)
        (i32.const 0) (i64.const 0) (i32.const 4096)) (call $ok)";
    let reserved = r#"(data (i32.const 3000) "{\"secret_id\":1}")"#;
    let guests = [
        ("answers", engine("", "", "(call $ok)")),
        ("stores", engine(PUT, "", storing)),
        ("reserved", engine("", reserved, "(call $answer (i32.const 3000) (i32.const 15))")),
    ];
    for (name, wasm) in &guests {
        write(&format!("{name}.wasm"), &plugin(name, "secrets", LAWLESS, wasm));
    }
    for (guest, call, word) in [
        ("answers", r#"{"operation": "turn", "path": "a", "body": {"by": 1}}"#, ""),
        ("answers", r#"{"operation": "look", "path": "a", "body": {"n": 1}}"#, ""),
        ("answers", r#"{"operation": "turn", "path": "a", "body": {"by": "x"}, "error": "invalid"}"#, ""),
        ("answers", r#"{"operation": "turn", "path": "a", "body": {"by": 1, "to": 2}}"#, "/to"),
        ("answers", r#"{"operation": "turn", "path": "a", "method": "GET", "body": {"by": 1}}"#, "[[calls]]"),
        ("answers", r#"{"operation": "fly", "path": "a"}"#, "[[calls]]"),
        ("answers", r#"{"operation": "fly", "path": "a", "error": "unsupported"}"#, "[[calls]]"),
        ("answers", r#"{"operation": "read", "path": "a//b"}"#, "no such path"),
        ("answers", r#"{"operation": "read", "path": ""}"#, "no such path"),
        ("answers", r#"{"operation": "read", "path": "a", "body": {"n": []}}"#, "in a URL"),
        ("answers", r#"{"operation": "update", "path": "a", "body": [1]}"#, "no JSON object"),
        ("answers", r#"{"operation": "read", "path": "a", "tick": true}"#, "more than one thing"),
        ("answers", r#"{"path": "a"}"#, "asks nothing"),
        ("answers", r#"{"refresh": true}"#, "nobody has logged in"),
        ("answers", r#"{"tick": true}"#, "maintenance"),
        ("answers", r#"{"enroll": {}, "user": "ada"}"#, "credentials"),
        ("stores", r#"{"operation": "turn", "path": "a", "body": {"by": 1}}"#, ""),
        ("stores", r#"{"operation": "update", "path": "a"}"#, ""),
        ("stores", r#"{"operation": "look", "path": "a"}"#, "call 0"),
        ("stores", r#"{"operation": "read", "path": "a"}"#, "call 0"),
        ("stores", r#"{"operation": "list", "path": "a"}"#, "call 0"),
        ("reserved", r#"{"operation": "read", "path": "a"}"#, "secret_id"),
    ] {
        write("calls.json", format!("[{call}]").as_bytes());
        let output = run(folder.path(), &["test", &format!("{guest}.wasm"), "calls.json"], &[]).await;
        match word {
            "" => assert_eq!(told(&output)["failed"], 0, "{guest} {call}"),
            word => refused(&output, 1, word),
        }
    }
}

#[tokio::test]
async fn a_file_is_looked_at_tried_and_signed_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    write("good.wasm", &Guest::new("hello", "1.0.0").build());
    write("bad.wasm", b"no plugin");
    write("calls.json", br#"[{"operation": "read", "path": "a", "answer": {"version": "1.0.0"}}, {"advance": "5s"}]"#);
    write("wrong.json", br#"[{"operation": "read", "path": "a", "answer": {"version": "2.0.0"}}]"#);
    write("trap.wasm", &Guest::new("hello", "1.0.0").that_traps().build());
    write("other.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let coffer = async |line: &str| run(folder.path(), &line.split(' ').collect::<Vec<_>>(), &[]).await;
    assert_eq!(told(&coffer("inspect good.wasm").await)["exports"][0], "coffer:plugin/engine");
    refused(&coffer("inspect bad.wasm").await, 2, "not WebAssembly");
    refused(&coffer("inspect absent.wasm").await, 2, "cannot be read");
    assert_eq!(told(&coffer("test good.wasm calls.json").await)["failed"], 0);
    refused(&coffer("test good.wasm wrong.json").await, 1, "call 0");
    refused(&coffer("test trap.wasm calls.json").await, 1, "trapped");
    refused(&coffer("sign good.wasm --key absent.key").await, 2, "cannot be read");
    refused(&coffer("sign good.wasm --key other.key").await, 2, "no Ed25519 private key");
    refused(&coffer("sign bad.wasm --key k.key --new-key").await, 2, "not WebAssembly");
    assert!(!folder.path().join("k.key").exists(), "no key for nothing");
    told(&coffer("sign good.wasm --key k.key --new-key").await);
    // Signed again, it has one signature; the key is not made over another.
    let first = std::fs::read(folder.path().join("good.wasm")).expect("signed");
    told(&coffer("sign good.wasm --key k.key").await);
    assert_eq!(std::fs::read(folder.path().join("good.wasm")).expect("signed"), first);
    refused(&coffer("sign good.wasm --key k.key --new-key").await, 2, "cannot be made");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.path().join("k.key")).expect("a key").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_new_auth_method_builds_and_lets_in_who_has_a_pin() {
    let folder = tempfile::tempdir().expect("a folder");
    told(&run(folder.path(), &["new", "pin-login", "--kind", "auth"], &[]).await);
    let project = folder.path().join("pin-login");
    assert_eq!(told(&run(&project, &["build", "--offline"], &[]).await)["kind"], "auth");
    assert_eq!(told(&run(&project, &["test", ".", "calls.json"], &[]).await)["calls"], 11);
    its_own_tests_pass(&project).await;
}
