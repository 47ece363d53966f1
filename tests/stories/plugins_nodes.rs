//! Plugins on several servers with one store: what is done once, what is told of all, and who waits for whom.

use serde_json::{Value, json};

use super::hostile::{mount, plugin, upload};
use crate::harness::guests::{slow_to_compile, ticker};
use crate::harness::{Client, Nodes, eventually};

async fn with_any_plugin(count: usize) -> (Nodes, Vec<Client>) {
    let nodes = Nodes::start(count).await;
    let admin = nodes.admin().await;
    admin.post("/sys/security", json!({ "plugins": { "require_signature": false } })).await.expect(200);
    let everywhere = nodes.everywhere(&admin);
    (nodes, everywhere)
}

async fn nodes_of(client: &Client, key: &str) -> Value {
    client.get(&format!("/sys/setting/{key}")).await.expect(200)["state"]["nodes"].clone()
}

async fn ticks(client: &Client) -> u8 {
    let answer = client.get("/secrets/clock/x").await.expect(200);
    answer["ticks"].as_str().map_or(0, |text| text.as_bytes()[0] - b'A' + 1)
}

#[tokio::test]
async fn work_by_the_clock_is_done_on_one_node_at_a_time() {
    let (nodes, admins) = with_any_plugin(3).await;
    let exports = "exports = [\"leases\", \"maintenance\"]\n";
    mount(&admins[0], ("secrets", "clock"), exports, &ticker(""), json!({})).await.expect(200);
    let done = || {
        let of_all = nodes.servers.iter().map(|server| {
            let records = server.trail().0;
            records.iter().filter(|record| record["operation"] == "mounts.tick").count()
        });
        of_all.sum::<usize>()
    };
    for times in 1..=2 {
        eventually("it is called again", || async { (ticks(&admins[2]).await >= times).then_some(()) }).await;
    }
    // Each call of three nodes' is on record before it is made.
    let before = ticks(&admins[1]).await;
    let called = done();
    let after = ticks(&admins[1]).await;
    assert!((before.into()..=usize::from(after) + 1).contains(&called), "{called} calls made {before} to {after}");
}

#[tokio::test]
async fn a_setting_says_on_how_many_nodes_it_is_in_force() {
    let (nodes, admins) = with_any_plugin(3).await;
    let all = json!({ "ready": 3, "of": 3 });
    for change in [json!({ "plugin": "kv" }), json!({ "config": { "max_versions": 7 } })] {
        admins[1].post("/sys/setting", json!({ "key": "secrets/team", "value": change })).await.expect(200);
        for admin in &admins {
            eventually("every node has brought it up", || async {
                (nodes_of(admin, "secrets/team").await == all).then_some(())
            })
            .await;
        }
    }
    let off = json!({ "key": "secrets/team", "value": { "enabled": false } });
    admins[0].post("/sys/setting", off).await.expect(200);
    assert_eq!(nodes_of(&admins[0], "secrets/team").await, json!({ "ready": 0, "of": 3 }));
    assert_eq!(nodes.servers.len(), 3);
}

#[tokio::test]
async fn a_node_that_compiles_goes_on_answering() {
    let (_nodes, admins) = with_any_plugin(2).await;
    let (here, there) = (&admins[0], &admins[1]);
    there.put("/secrets/kv/x", json!({ "value": "v" })).await.expect(200);
    let wasm = plugin("slow", "secrets", "", &slow_to_compile("", 8_000));
    upload(here, "slow", wasm).await.expect(200);
    let value = json!({ "plugin": "slow", "version": "1.0.0" });
    here.post("/sys/setting", json!({ "key": "secrets/slow", "value": value })).await.expect(200);
    // Who has enabled it has compiled it; the other node says so, and whoever asks for nothing else waits for nothing.
    here.get("/secrets/slow/x").await.expect(200);
    let waiting = ["/secrets/slow/x", "/secrets?secret_id=slow/y", "/secrets/slow/z"].map(|path| {
        let call = there.get(path);
        tokio::spawn(async move { call.await })
    });
    there.get("/secrets/kv/x").await.expect(200);
    let state = there.get("/sys/setting/secrets/slow").await.expect(200)["state"].clone();
    assert_eq!((&state["health"], &state["live"]), (&json!("compiling"), &Value::Null), "{state}");
    // Who waits is looked at again before anything is done.
    let ended = there.with_session(there.child(None, json!({})).await.expect(200));
    let late = ended.get("/secrets/slow/x");
    let late = tokio::spawn(async move { late.await });
    here.post("/token/revoke", json!({ "token": ended.token() })).await.expect(200);
    for call in waiting {
        call.await.unwrap().expect(200);
    }
    late.await.unwrap().expect_unauthorized();
    assert_eq!(there.get("/sys/setting/secrets/slow").await.expect(200)["state"]["health"], "ok");
}
