//! Plugins by setting, live: enabled, disabled, mounted twice, refused.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_second_engine_is_another_place, a_disabled_engine_answers_503_and_forgets_nothing);

fn setting(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

async fn mount(admin: &Client, key: &str, plugin: &str) -> Value {
    admin.post("/sys/setting", setting(key, json!({ "plugin": plugin }))).await.expect(200)
}

async fn a_second_engine_is_another_place(server: Builder) {
    let mut server = server.start().await;
    let admin = server.admin().await;
    admin.get("/secrets/team/x").await.expect(404);
    let made = mount(&admin, "secrets/team", "kv").await;
    assert!(made["state"]["live"]["version"].is_string() && made["state"]["live"]["digest"].is_string(), "{made}");
    // In force when it has answered.
    let (one, two) = (canary("kv"), canary("team"));
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": one })).await.expect(200);
    admin.post("/secrets/create", json!({ "name": "x", "mount": "team", "value": two })).await.expect(200);
    let read = async |id: &str| admin.get(&format!("/secrets/{id}")).await.expect(200)["data"]["value"].clone();
    assert_eq!((read("kv/x").await, read("team/x").await), (json!(one), json!(two)));
    server.restart().await;
    assert_eq!((read("kv/x").await, read("team/x").await), (json!(one), json!(two)));
    // A user owns nothing there.
    server.login("ada").await.get("/secrets/team/~/x").await.expect_forbidden();
    // Removed, and mounted again: a new mount is empty.
    admin.delete("/sys/setting/secrets/team").await.expect(200);
    admin.get("/secrets/team/x").await.expect(404);
    mount(&admin, "secrets/team", "kv").await;
    admin.get("/secrets/team/x").await.expect(404);
    assert_eq!(read("kv/x").await, json!(one));
}

async fn a_disabled_engine_answers_503_and_forgets_nothing(server: Builder) {
    let mut server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let value = canary("x");
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": value })).await.expect(200);
    admin.post("/sys/setting", setting("secrets/kv", json!({ "enabled": false }))).await.expect(200);
    for _ in 0..2 {
        ada.get("/secrets/kv/~/x").await.expect_type(503, "mount_disabled");
        ada.put("/secrets/kv/~/x", json!({ "value": canary("y") })).await.expect(503);
        ada.get("/secrets?prefix=kv/~/").await.expect(503);
        let create = json!({ "secret_id": "kv/~/y", "value": canary("y") });
        ada.post("/secrets/create", create).await.expect(503);
        // Who may not, learns not even that.
        ada.get("/secrets/kv/x").await.expect_forbidden();
        server.restart().await;
    }
    admin.post("/sys/setting", setting("secrets/kv", json!({ "enabled": true }))).await.expect(200);
    assert_eq!(ada.get("/secrets/kv/~/x").await.expect(200)["data"]["value"], value);
}

#[tokio::test]
async fn a_wrong_plugin_or_config_is_refused_and_nothing_changes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let set = |key: &str, value: Value| admin.post("/sys/setting", setting(key, value));
    set("secrets/new", json!({ "plugin": "nothing" })).await.expect_at(422, ["body", "value", "plugin"]);
    set("secrets/new", json!({ "plugin": "password" })).await.expect_at(422, ["body", "value", "plugin"]);
    set("auth/new", json!({ "plugin": "kv" })).await.expect_at(422, ["body", "value", "plugin"]);
    set("secrets/new", json!({ "plugin": "kv", "version": "9.9.9" }))
        .await
        .expect_at(422, ["body", "value", "version"]);
    set("secrets/new", json!({ "plugin": "kv", "config": { "colour": "red" } }))
        .await
        .expect_at(422, ["body", "value", "config", "colour"]);
    set("secrets/new", json!({ "plugin": "kv", "config": { "max_versions": "many" } }))
        .await
        .expect_at(422, ["body", "value", "config", "max_versions"]);
    set("secrets/new", json!({ "plugin": "kv", "grant": { "http": ["evil.example:443"] } })).await.expect(422);
    set("secrets/new", json!({ "plugin": "kv", "colour": "red" })).await.expect_at(422, ["body", "value", "colour"]);
    for key in [
        "secrets/create",
        "secrets/sys",
        "secrets/me",
        "secrets/password",
        "secrets/KV",
        "secrets/a/b",
        "secrets/",
        "auth/token",
    ] {
        set(key, json!({ "plugin": "kv" })).await.expect_at(422, ["body", "key"]);
    }
    admin.get("/sys/setting/secrets/new").await.expect(404);
    admin.get("/secrets/new/x").await.expect(404);
    // What runs goes on running.
    set("secrets/kv", json!({ "config": { "colour": "red" } })).await.expect(422);
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": canary("x") })).await.expect(200);
}

#[tokio::test]
async fn a_mount_that_holds_data_is_given_to_no_other_plugin() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": canary("x") })).await.expect(200);
    let other = setting("secrets/kv", json!({ "plugin": "transit" }));
    admin.post("/sys/setting", other).await.expect(422);
    admin.get("/secrets/kv/x").await.expect(200);
}

#[tokio::test]
async fn a_config_is_in_force_when_it_is_answered() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let config = |most: u32| setting("secrets/kv", json!({ "config": { "max_versions": most } }));
    admin.post("/sys/setting", config(2)).await.expect(200);
    for _ in 0..3 {
        admin.put("/secrets/kv/few", json!({ "value": canary("few") })).await.expect(200);
    }
    admin.get("/secrets/kv/few?version=1").await.expect(404);
    admin.get("/secrets/kv/few?version=2").await.expect(200);
}

#[tokio::test]
async fn a_disabled_login_makes_no_session_and_the_live_ones_live_on() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let disable = json!({ "key": "auth/password", "value": { "enabled": false }, "force": true });
    let answer = admin.post("/sys/setting", disable).await;
    if answer.status == 422 {
        // Where `force` is not for settings, a dev server has no other login: nothing to see.
        return;
    }
    answer.expect(200);
    let body = json!({ "username": "ada", "password": ada.password });
    assert_ne!(server.anonymous().post("/token/create", body).await.status, 200);
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_second_login_of_users_is_another_place_too() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    mount(&admin, "auth/staff", "password").await;
    // ada has no password there.
    let body = json!({ "grant_type": "staff", "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
    server.login("ada").await;
}
