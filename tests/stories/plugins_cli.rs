//! `coffer plugin …`: from nothing to a mount, with what only Rust's own tools can do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

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
    told(&run(&project, &["install", file, "--mount", "greet", "--config", "config.json"], &env).await);
    assert_eq!(admin.get("/secrets/greet/world").await.expect(200)["said"], "good day world");
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
async fn a_new_auth_method_builds_and_refuses_whom_it_does_not_know() {
    let folder = tempfile::tempdir().expect("a folder");
    told(&run(folder.path(), &["new", "pin-login", "--kind", "auth"], &[]).await);
    let project = folder.path().join("pin-login");
    assert_eq!(told(&run(&project, &["build", "--offline"], &[]).await)["kind"], "auth");
    told(&run(&project, &["test", "pin-login-0.1.0.wasm", "calls.json"], &[]).await);
}
