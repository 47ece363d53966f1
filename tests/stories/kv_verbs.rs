//! What `kv` does beyond the plain six: versions looked at, brought back, destroyed.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_history_names_every_version_and_no_value, a_destroyed_version_is_gone_for_good);

async fn three_versions(ada: &Client) -> [String; 3] {
    let values = [canary("one"), canary("two"), canary("three")];
    for value in &values {
        ada.put("/secrets/kv/~/v", json!({ "value": value })).await.expect(200);
    }
    values
}

fn versions(history: &Value) -> Vec<u64> {
    let list = history["versions"].as_array().unwrap_or_else(|| panic!("a list of versions: {history}"));
    let mut numbers: Vec<_> = list.iter().map(|version| version["version"].as_u64().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

async fn a_history_names_every_version_and_no_value(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let values = three_versions(&ada).await;
    let history = ada.get("/secrets/kv/~/v:history").await.expect(200);
    assert_eq!(versions(&history), [1, 2, 3]);
    assert!(values.iter().all(|value| !history.to_string().contains(value.as_str())), "{history}");
    ada.get("/secrets/kv/~/none:history").await.expect(404);
}

async fn a_destroyed_version_is_gone_for_good(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let values = three_versions(&ada).await;
    ada.post("/secrets/kv/~/v:destroy", json!({ "versions": [1, 2] })).await.expect(200);
    ada.get("/secrets/kv/~/v?version=1").await.expect(404);
    ada.post("/secrets/kv/~/v:restore", json!({ "version": 1 })).await.expect_at(422, ["body", "version"]);
    // Undeleting it finds nothing to bring back.
    let _ = ada.post("/secrets/kv/~/v:undelete", json!({})).await;
    ada.get("/secrets/kv/~/v?version=1").await.expect(404);
    assert_eq!(ada.get("/secrets/kv/~/v").await.expect(200)["data"]["value"], values[2]);
}

#[tokio::test]
async fn an_old_version_is_restored_as_a_new_one() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let values = three_versions(&ada).await;
    let restored = ada.post("/secrets/kv/~/v:restore", json!({ "version": 1 })).await.expect(200);
    assert_eq!(restored["version"], 4);
    let read = ada.get("/secrets/kv/~/v").await.expect(200);
    assert_eq!((&read["version"], &read["data"]["value"]), (&json!(4), &json!(values[0])));
    // What a body names and is not there is a 422.
    ada.post("/secrets/kv/~/v:restore", json!({ "version": 9 })).await.expect_at(422, ["body", "version"]);
    ada.post("/secrets/kv/~/v:restore", json!({})).await.expect_at(422, ["body", "version"]);
    ada.post("/secrets/kv/~/v:restore", json!({ "version": "1" })).await.expect_at(422, ["body", "version"]);
}

#[tokio::test]
async fn a_deleted_version_is_brought_back() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let values = three_versions(&ada).await;
    ada.delete("/secrets/kv/~/v").await.expect(200);
    // Whoever may read is told that it can be brought back; the history would say so too.
    for path in ["/secrets/kv/~/v", "/secrets/kv/~/v?version=3"] {
        let told = ada.get(path).await.expect_type(404, "not_found");
        assert!(told["detail"][0]["msg"].as_str().is_some_and(|words| words.contains("undelete")), "{told}");
    }
    let told = ada.get("/secrets/kv/~/never").await.expect(404);
    assert!(!told.to_string().contains("undelete"), "{told}");
    assert_eq!(ada.get("/secrets/kv/~/v?version=2").await.expect(200)["data"]["value"], values[1]);
    ada.post("/secrets/kv/~/v:undelete", json!({})).await.expect(200);
    assert_eq!(ada.get("/secrets/kv/~/v").await.expect(200)["data"]["value"], values[2]);
    // A new version after a deletion is the newest.
    ada.delete("/secrets/kv/~/v").await.expect(200);
    assert_eq!(ada.put("/secrets/kv/~/v", json!({ "value": canary("four") })).await.expect(200)["version"], 4);
}

#[tokio::test]
async fn metadata_is_read_and_changed_without_the_value() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let value = canary("m");
    let body = json!({ "secret_id": "kv/~/m", "value": value, "metadata": { "owner": "web" } });
    ada.post("/secrets/create", body).await.expect(200);
    let told = ada.get("/secrets/kv/~/m:metadata").await.expect(200);
    assert_eq!(told["metadata"], json!({ "owner": "web" }));
    assert!(!told.to_string().contains(&value), "{told}");
    ada.post("/secrets/kv/~/m:metadata", json!({ "metadata": { "owner": "ops" } })).await.expect(200);
    let read = ada.get("/secrets/kv/~/m").await.expect(200);
    assert_eq!((&read["metadata"], &read["version"]), (&json!({ "owner": "ops" }), &json!(1)));
    ada.get("/secrets/kv/~/none:metadata").await.expect(404);
}

#[tokio::test]
async fn only_the_newest_ten_versions_are_kept() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for _ in 0..12 {
        ada.put("/secrets/kv/~/many", json!({ "value": canary("many") })).await.expect(200);
    }
    ada.get("/secrets/kv/~/many?version=2").await.expect(404);
    ada.get("/secrets/kv/~/many?version=3").await.expect(200);
    ada.get("/secrets/kv/~/many?version=12").await.expect(200);
    assert_eq!(versions(&ada.get("/secrets/kv/~/many:history").await.expect(200)).last(), Some(&12));
}

#[tokio::test]
async fn a_purged_secret_leaves_nothing() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    three_versions(&ada).await;
    ada.post("/secrets/kv/~/v:purge", json!({})).await.expect(200);
    for call in [ada.get("/secrets/kv/~/v"), ada.get("/secrets/kv/~/v?version=1"), ada.get("/secrets/kv/~/v:history")] {
        call.await.expect(404);
    }
    ada.post("/secrets/kv/~/v:purge", json!({})).await.expect(404);
    let made = ada.post("/secrets/create", json!({ "secret_id": "kv/~/v", "value": canary("new") })).await.expect(200);
    assert_eq!(made["version"], 1);
}

#[tokio::test]
async fn a_verb_nobody_knows_is_not_there() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    three_versions(&ada).await;
    ada.post("/secrets/kv/~/v:fly", json!({})).await.expect_type(404, "unknown_verb");
    ada.get("/secrets/kv/~/v:fly").await.expect_type(404, "unknown_verb");
    ada.post("/secrets/kv/~/v:", json!({})).await.expect(422);
    // A verb by the wrong method.
    ada.post("/secrets/kv/~/v:history", json!({})).await.expect(405);
    ada.get("/secrets/kv/~/v:purge").await.expect(405);
    for versions in [json!([]), json!([0]), json!(["1"]), json!(1), Value::Null] {
        ada.post("/secrets/kv/~/v:destroy", json!({ "versions": versions })).await.expect(422);
    }
    ada.post("/secrets/kv/~/v:destroy", json!({ "versions": [1], "more": 1 })).await.expect_at(422, ["body", "more"]);
}
