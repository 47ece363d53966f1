//! The life of a mounted plugin: upgraded, held back, gone back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Guest, TestServer, eventually, unique};

async fn upload(client: &Client, guest: Guest, version: &str) {
    let call = client.call(reqwest::Method::PUT, &format!("/sys/plugins/hello/{version}"));
    call.header("content-type", "application/wasm").body(guest.build()).await.expect(200);
}

async fn set(client: &Client, value: Value) -> Answer {
    client.post("/sys/setting", json!({ "key": "secrets/hello", "value": value })).await
}

async fn state(client: &Client) -> Value {
    client.get("/sys/setting/secrets/hello").await.expect(200)["state"].clone()
}

async fn version(client: &Client) -> Value {
    client.get("/secrets/hello/x").await.expect(200)["version"].clone()
}

/// Version 1.0.0 of `hello`, mounted.
async fn mounted() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    upload(&admin, Guest::new("hello", "1.0.0"), "1.0.0").await;
    set(&admin, json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    (server, admin)
}

/// Somebody else who may do all.
async fn another_admin(server: &TestServer) -> Client {
    let name = unique("boss");
    let password = server.create_user(&name, "admin").await;
    server.log_in(&name, &password).await
}

#[tokio::test]
async fn an_upgrade_that_asks_for_more_waits_until_it_is_granted_or_denied() {
    let (mut server, admin) = mounted().await;
    let more = r#"[requires]
crypto = ["ed25519"]
headers = ["x-team"]
[[requires.http]]
host = "api.example.com"
why = "to see who is who"
"#;
    upload(&admin, Guest::new("hello", "2.0.0").with_manifest(more), "2.0.0").await;
    let needs = json!({ "http": ["api.example.com:443"], "headers": ["x-team"], "crypto": ["ed25519"] });
    let answer = set(&admin, json!({ "version": "2.0.0" })).await.expect(200);
    assert_eq!(answer["state"]["pending"], json!({ "version": "2.0.0", "needs": needs }));
    for _ in 0..2 {
        assert_eq!(version(&admin).await, "1.0.0");
        let state = state(&admin).await;
        assert_eq!((&state["live"]["version"], &state["health"]), (&json!("1.0.0"), &json!("ok")));
        assert_eq!(state["pending"]["needs"], needs);
        server.restart().await;
    }
    // While it waits, both versions are in use.
    for version in ["1.0.0", "2.0.0"] {
        admin.delete(&format!("/sys/plugins/hello/{version}")).await.expect_type(422, "plugin_in_use");
    }
    // What is not of the version is in force at once.
    set(&admin, json!({ "enabled": false })).await.expect(200);
    admin.get("/secrets/hello/x").await.expect_type(503, "mount_disabled");
    set(&admin, json!({ "enabled": true })).await.expect(200);
    assert_eq!(version(&admin).await, "1.0.0");
    // Some of it, and it waits for the rest; what nobody asks for is refused by name.
    let some = json!({ "grant": { "http": ["api.example.com:443"] } });
    let left = set(&admin, some).await.expect(200)["state"]["pending"]["needs"].clone();
    assert_eq!(left, json!({ "headers": ["x-team"], "crypto": ["ed25519"] }));
    let evil = json!({ "grant": { "http": ["api.example.com:443", "evil.example:443"] } });
    set(&admin, evil).await.expect_problem(422, ["body", "value", "grant", "http", "1"], "not_asked_for");
    let rest = json!({ "grant": { "crypto": ["ed25519"] }, "deny": { "headers": ["x-team"] } });
    let answer = set(&admin, rest).await.expect(200);
    assert_eq!((&answer["state"]["pending"], &answer["state"]["live"]["version"]), (&Value::Null, &json!("2.0.0")));
    assert_eq!(version(&admin).await, "2.0.0");
    server.restart().await;
    assert_eq!(version(&admin).await, "2.0.0");
}

#[tokio::test]
async fn an_upgrade_that_is_not_wanted_after_all_is_forgotten() {
    let (_server, admin) = mounted().await;
    let more = "[requires]\nheaders = [\"x-team\"]\n";
    upload(&admin, Guest::new("hello", "2.0.0").with_manifest(more), "2.0.0").await;
    let answer = set(&admin, json!({ "version": "2.0.0" })).await.expect(200);
    assert!(answer["state"]["pending"].is_object());
    let answer = set(&admin, json!({ "version": "1.0.0" })).await.expect(200);
    assert_eq!(answer["state"]["pending"], Value::Null);
    admin.delete("/sys/plugins/hello/2.0.0").await.expect(200);
}

#[tokio::test]
async fn an_upgrade_whose_check_fails_changes_nothing() {
    let (_server, admin) = mounted().await;
    upload(&admin, Guest::new("hello", "2.0.0").that_refuses_its_configuration(), "2.0.0").await;
    set(&admin, json!({ "version": "2.0.0" })).await.expect_at(422, ["body", "value", "config"]);
    assert_eq!(version(&admin).await, "1.0.0");
    let setting = admin.get("/sys/setting/secrets/hello").await.expect(200);
    assert_eq!((&setting["value"]["version"], &setting["version"]), (&json!("1.0.0"), &json!(1)));
}

#[tokio::test]
async fn an_upgrade_that_fails_for_several_is_undone_and_for_one_it_is_not() {
    let (server, admin) = mounted().await;
    upload(&admin, Guest::new("hello", "2.0.0").that_traps_on_delete(), "2.0.0").await;
    set(&admin, json!({ "version": "2.0.0" })).await.expect(200);
    assert_eq!(version(&admin).await, "2.0.0");
    for _ in 0..20 {
        admin.delete("/secrets/hello/x").await.expect(502);
    }
    // As many looks of the server at its mounts as it takes to see that nothing comes of it.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(version(&admin).await, "2.0.0");
    for _ in 0..2 {
        another_admin(&server).await.delete("/secrets/hello/x").await.expect(502);
    }
    let state = eventually("it goes back", || async {
        let state = state(&admin).await;
        (state["live"]["version"] == "1.0.0").then_some(state)
    })
    .await;
    assert_eq!(state["rolled_back"]["version"], "2.0.0", "{state}");
    assert!(state["rolled_back"]["reason"].as_str().is_some_and(|why| why.contains("trapped")), "{state}");
    let setting = admin.get("/sys/setting/secrets/hello").await.expect(200);
    assert_eq!((&setting["value"]["version"], &setting["updated_by"]), (&json!("1.0.0"), &Value::Null));
    assert_eq!(version(&admin).await, "1.0.0");
    admin.delete("/secrets/hello/x").await.expect(200);
    let records = server.trail().0.iter().filter(|record| record["operation"] == "mounts.rollback").count();
    assert_eq!(records, 2, "one before, one after");
}

#[tokio::test]
async fn to_go_back_by_hand_has_its_time() {
    let (_server, admin) = mounted().await;
    upload(&admin, Guest::new("hello", "0.9.0"), "0.9.0").await;
    upload(&admin, Guest::new("hello", "2.0.0"), "2.0.0").await;
    set(&admin, json!({ "version": "2.0.0" })).await.expect(200);
    // It never ran here: who knows what it makes of what it finds.
    set(&admin, json!({ "version": "0.9.0" })).await.expect_type(422, "rollback_window");
    set(&admin, json!({ "version": "1.0.0" })).await.expect(200);
    assert_eq!(version(&admin).await, "1.0.0");
}

#[tokio::test]
async fn a_hot_swap_under_load_loses_no_request() {
    swap_under_load(6).await;
}

/// The same for as long as it takes to see memory grow.
#[tokio::test]
#[ignore = "takes a minute: for whoever changes how plugins are swapped"]
async fn a_hundred_swaps_lose_no_request_and_no_memory() {
    swap_under_load(100).await;
}

async fn swap_under_load(swaps: usize) {
    let (server, admin) = mounted().await;
    upload(&admin, Guest::new("hello", "2.0.0"), "2.0.0").await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (admin, stop, answered) = (admin.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let version = version(&admin).await;
                    assert!(version == "1.0.0" || version == "2.0.0", "{version}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut memory = Vec::new();
    for swap in 0..swaps {
        let next = if swap % 2 == 0 { "2.0.0" } else { "1.0.0" };
        set(&admin, json!({ "version": next })).await.expect(200);
        assert_eq!(version(&admin).await, next, "in force when it is answered");
        memory.push(resident(server.pid()));
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("every request was answered");
    }
    assert!(answered.load(Ordering::Relaxed) > swaps, "there was load");
    let (early, late) = (memory[swaps / 2], memory[swaps - 1]);
    assert!(late < early + 64 * 1024, "it grew from {early} to {late} KiB");
}

/// KiB that the process holds in memory.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line of it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
