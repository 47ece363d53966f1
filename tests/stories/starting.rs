//! How the server starts, refuses to start, and stops.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Builder, Seal, Storage, TestServer, canary, eventually, finish};

on_every_store!(a_server_that_is_told_to_stop_finishes_what_it_began);

/// A start that must fail by itself: what it said.
async fn refusal(command: Command) -> String {
    let Output { status, stdout, stderr } = finish(command).await;
    assert!(!status.success(), "it should not have started");
    assert_ne!(status.code(), Some(101), "a refusal is no panic");
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

fn coffer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
        command.env_remove(name);
    }
    command
}

async fn a_server_that_is_told_to_stop_finishes_what_it_began(server: Builder) {
    let mut server = server.start().await;
    let ada = server.login("ada").await;
    let calls: Vec<_> = (0..10)
        .map(|n| {
            let body = json!({ "secret_id": format!("kv/~/s{n}"), "value": canary("s") });
            tokio::spawn(ada.post("/secrets/create", body).attempt())
        })
        .collect();
    let status = tokio::task::spawn_blocking(move || {
        let status = server.sigterm();
        (status, server)
    });
    let mut acknowledged = Vec::new();
    for (n, call) in calls.into_iter().enumerate() {
        if call.await.expect("no panic").is_some_and(|answer| answer.status == 200) {
            acknowledged.push(n);
        }
    }
    let (status, mut server) = status.await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    server.restart().await;
    for n in acknowledged {
        ada.get(&format!("/secrets/kv/~/s{n}")).await.expect(200);
    }
}

#[tokio::test]
async fn the_ready_file_tells_all_and_to_nobody_else() {
    let server = TestServer::start().await;
    let mode = std::fs::metadata(server.ready_file()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ready = &server.ready;
    for member in ["url", "ca_cert", "admin_username", "admin_password", "root_token"] {
        assert!(ready[member].is_string(), "{member}: {ready}");
    }
    assert_eq!(ready["pid"], server.pid());
    assert!(ready["url"].as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")), "{ready}");
    let root = server.anonymous().with_token(ready["root_token"].as_str().expect("a token"));
    root.get("/sys/settings").await.expect(200);
}

#[tokio::test]
async fn a_dev_server_finds_everything_again() {
    let mut server = TestServer::start().await;
    let value = canary("x");
    let admin = server.admin().await;
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": value })).await.expect(200);
    for _ in 0..2 {
        server.restart().await;
        assert_eq!(server.admin().await.get("/secrets/kv/x").await.expect(200)["data"]["value"], value);
    }
}

#[tokio::test]
async fn a_file_with_an_unknown_key_is_refused_with_its_line() {
    let server = TestServer::builder().seal(Seal::KeyFile).config("storage.colour", "red").prepare().await;
    let said = refusal(server.command()).await;
    let file = std::fs::read_to_string(server.dir().join("coffer.toml")).expect("a file");
    let line = 1 + file.lines().position(|line| line.starts_with("colour")).expect("it is there");
    assert!(said.contains(&format!("coffer.toml:{line}:")), "{said}");
    assert!(!said.contains("red"), "the value is not told: {said}");
}

#[tokio::test]
async fn what_does_not_go_together_is_refused() {
    for arguments in [
        &["server"][..],
        &["server", "--config", "/nowhere/coffer.toml"],
        &["server", "--dev", "--listen", "0.0.0.0:0"],
        &["server", "--dev", "--listen", "here"],
        &["server", "--dev", "--colour"],
        &["serve"],
    ] {
        let said = refusal(coffer(arguments)).await;
        assert!(!said.trim().is_empty(), "{arguments:?}");
    }
    let mut command = coffer(&["server", "--dev", "--listen", "127.0.0.1:0"]);
    command.env("COFFER_STORAGE__COLOUR", "red");
    assert!(refusal(command).await.contains("COFFER_STORAGE__COLOUR"));
    let mut command = coffer(&["server", "--dev", "--listen", "127.0.0.1:0"]);
    command.env("COFFER_STORAGE__URL", "mysql://u:hunter2hunter2@db/x");
    let said = refusal(command).await;
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_dev_store_is_one_for_ever() {
    let mut server = TestServer::start().await;
    assert!(server.sigterm().success());
    let url = format!("sqlite://{}", server.data_dir().join("coffer.db").display());
    let other = TestServer::builder().seal(Seal::KeyFile).config("storage.url", url).prepare().await;
    assert!(!refusal(other.command()).await.is_empty());

    let mut real = TestServer::builder().seal(Seal::KeyFile).start().await;
    let code = std::fs::read_dir(real.data_dir()).expect("a folder").flatten();
    let code = code.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("code")).expect("a code");
    let code = std::fs::read_to_string(code).expect("text").trim().to_owned();
    real.anonymous().post("/sys/init", json!({ "code": code })).await.expect(200);
    assert!(real.sigterm().success());
    let dev =
        coffer(&["server", "--dev", "--listen", "127.0.0.1:0", "--data-dir", real.data_dir().to_str().expect("UTF-8")]);
    assert!(!refusal(dev).await.is_empty());
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused() {
    let server = TestServer::start().await;
    let folder = server.data_dir().to_str().expect("UTF-8").to_owned();
    refusal(coffer(&["server", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &folder])).await;
    server.login("ada").await;
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let server = TestServer::start().await;
    let address = server.address();
    let said = refusal(coffer(&["server", "--dev", "--listen", &address])).await;
    assert!(!said.is_empty());
}

#[tokio::test]
async fn a_missing_database_is_refused_without_its_password() {
    let server = TestServer::builder().storage(Storage::Postgres).prepare().await;
    let url = &server.services.postgres.as_ref().expect("this server has one").url;
    let mut command = coffer(&["server", "--dev", "--listen", "127.0.0.1:0"]);
    let missing = format!("{}_missing", url);
    let password = url.split(['@']).next().and_then(|before| before.rsplit(':').next()).expect("a password").to_owned();
    command.env("COFFER_STORAGE__URL", missing);
    let said = refusal(command).await;
    assert!(!said.contains(&password), "{said}");
}

#[tokio::test]
async fn an_impatient_operator_stops_it_too() {
    let mut server = TestServer::start().await;
    let ada = server.login("ada").await;
    ada.get("/users/me").await.expect(200);
    // Idle connections, kept open by a client, hold nothing up.
    let stop = tokio::task::spawn_blocking(move || {
        server.signal(rustix::process::Signal::INT);
        let status = server.wait();
        (status, server)
    });
    let (status, _server) = tokio::time::timeout(Duration::from_secs(10), stop).await.expect("soon").expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_dev_server_is_small_at_rest_also_after_many_logins() {
    let server = TestServer::start().await;
    server.login("ada").await;
    // Each of these holds 19 MiB for a while; none of it stays.
    futures_util::future::join_all((0..24).map(|_| server.login("ada"))).await;
    let status = format!("/proc/{}/status", server.pid());
    let resident = || {
        std::fs::read_to_string(&status)
            .ok()?
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
    };
    if resident().is_none() {
        return; // Not on Linux.
    }
    // A debug build maps more of itself.
    let most = if cfg!(debug_assertions) { 120 } else { 80 };
    eventually("it comes to rest", || async { resident().filter(|kib| *kib < most * 1024) }).await;
}

#[tokio::test]
async fn a_start_finds_its_plugins_compiled_and_believes_no_file_that_was_changed() {
    let mut server = TestServer::start().await;
    let ada = server.login("ada").await;
    let value = canary("kept");
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/a", "value": value })).await.expect(200);
    let folder = server.data_dir().join("compiled");
    let kept = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    };
    let first = kept();
    assert_eq!(first.len(), 2, "one of each plugin that was called");
    for (path, bytes) in &first {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        std::fs::write(path, changed).unwrap();
    }
    server.restart().await;
    let ada = server.login("ada").await;
    assert_eq!(ada.get("/secrets/kv/~/a").await.expect(200)["data"]["value"], value);
    assert!(kept() == first, "they were compiled anew");
    server.restart().await;
    assert_eq!(ada.get("/secrets/kv/~/a").await.expect(200)["data"]["value"], value);
}
