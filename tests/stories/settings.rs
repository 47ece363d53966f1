//! `sys/settings` and `sys/setting`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Builder, TestServer};

on_every_store!(a_setting_is_set_shown_and_reset, a_setting_outlives_a_restart);

fn find<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    let settings = list["settings"].as_array().unwrap_or_else(|| panic!("a list of settings: {list}"));
    settings.iter().find(|setting| setting["key"] == key)
}

async fn a_setting_is_set_shown_and_reset(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let set = admin
        .post("/sys/setting", json!({ "key": "custom/team/a", "value": { "size": 3, "lead": "ada" } }))
        .await
        .expect(200);
    assert_eq!((&set["key"], &set["value"]["size"]), (&json!("custom/team/a"), &json!(3)));
    let shown = admin.get("/sys/setting/custom/team/a").await.expect(200);
    assert_eq!(shown["value"], json!({ "size": 3, "lead": "ada" }));
    assert_eq!(shown["updated_by"], admin.id.as_str());
    assert!(shown["updated_at"].is_string() && shown["version"].is_u64(), "{shown}");
    for path in ["/sys/settings", "/settings"] {
        let list = admin.get(path).await.expect(200);
        assert_eq!(find(&list, "custom/team/a").expect("it is listed")["value"], shown["value"]);
        for key in ["security", "auth/password", "secrets/kv"] {
            let setting = find(&list, key).unwrap_or_else(|| panic!("{key} is listed: {list}"));
            assert!(setting["description"].is_string() && setting["schema"].is_object(), "{setting}");
        }
    }
    // POST merges, PUT replaces.
    let merged = admin
        .post("/sys/setting", json!({ "key": "custom/team/a", "value": { "lead": null, "city": "Ulm" } }))
        .await
        .expect(200);
    assert_eq!(merged["value"], json!({ "size": 3, "city": "Ulm" }));
    let put = admin.put("/sys/setting/custom/team/a", json!({ "value": [1, 2] })).await.expect(200);
    assert_eq!(put["value"], json!([1, 2]));
    assert_eq!(admin.get("/sys/setting/custom%2Fteam%2Fa").await.expect(200)["value"], json!([1, 2]));
    let history = admin.get("/sys/setting/custom/team/a:history").await.expect(200);
    assert!(history.to_string().contains("Ulm"), "{history}");
    admin.delete("/sys/setting/custom/team/a").await.expect(200);
    admin.get("/sys/setting/custom/team/a").await.expect(404);
    admin.delete("/sys/setting/custom/team/a").await.expect(404);
}

async fn a_setting_outlives_a_restart(server: Builder) {
    let mut server = server.start().await;
    let admin = server.admin().await;
    admin.put("/sys/setting/custom/x", json!({ "value": "kept here" })).await.expect(200);
    admin.post("/sys/security", json!({ "passwords": { "min_length": 14 } })).await.expect(200);
    server.restart().await;
    assert_eq!(admin.get("/sys/setting/custom/x").await.expect(200)["value"], "kept here");
    assert_eq!(admin.get("/sys/security").await.expect(200)["passwords"]["min_length"], 14);
}

#[tokio::test]
async fn an_expected_version_is_held_to() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let set = |expected: Value| json!({ "key": "custom/v", "value": 1, "expected_version": expected });
    let version =
        admin.post("/sys/setting", json!({ "key": "custom/v", "value": 0 })).await.expect(200)["version"].clone();
    let next = admin.post("/sys/setting", set(version.clone())).await.expect(200)["version"].clone();
    assert_ne!(version, next);
    admin.post("/sys/setting", set(version)).await.expect(409);
    admin.post("/sys/setting", set(json!("x"))).await.expect_at(422, ["body", "expected_version"]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/setting", json!({ "key": "custom/dry", "value": 1, "dry_run": true })).await.expect(200);
    admin.get("/sys/setting/custom/dry").await.expect(404);
    let body = json!({ "key": "security", "value": { "sessions": { "idle": "5m" } }, "dry_run": true });
    admin.post("/sys/setting", body).await.expect(200);
    assert_eq!(admin.get("/sys/security").await.expect(200)["sessions"]["idle"], "30m");
    let body = json!({ "key": "secrets/x", "value": { "plugin": "nothing" }, "dry_run": true });
    admin.post("/sys/setting", body).await.expect(422);
}

#[tokio::test]
async fn what_is_no_setting_is_said_so() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for key in
        ["nothing", "security/x", "custom", "custom/", "auth", "auth/", "../security", "custom/../x", "CUSTOM/x", ""]
    {
        admin.post("/sys/setting", json!({ "key": key, "value": 1 })).await.expect_at(422, ["body", "key"]);
    }
    admin.post("/sys/setting", json!({ "key": "nothing", "value": 1 })).await.expect_problem(
        422,
        ["body", "key"],
        "unknown_setting",
    );
    admin.get("/sys/setting/nothing").await.expect(404);
    admin.get("/sys/setting/custom/none").await.expect(404);
    admin.get("/sys/setting/auth/none").await.expect(404);
    admin.delete("/sys/setting/nothing").await.expect(404);
    admin.post("/sys/setting", json!({ "value": 1 })).await.expect_at(422, ["body", "key"]);
    admin.post("/sys/setting", json!({ "key": "custom/x" })).await.expect_at(422, ["body", "value"]);
    admin
        .post("/sys/setting", json!({ "key": "custom/x", "value": 1, "colour": "red" }))
        .await
        .expect_at(422, ["body", "colour"]);
    admin.post("/sys/setting", json!({ "key": 1, "value": 1 })).await.expect_at(422, ["body", "key"]);
    admin.call(Method::POST, "/sys/settings").json(json!({})).await.expect(405);
    admin.get("/sys/setting").await.expect(405);
}

#[tokio::test]
async fn a_setting_is_held_to_its_schema_and_the_place_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let set = |value: Value| admin.post("/sys/setting", json!({ "key": "security", "value": value }));
    set(json!({ "sessions": { "idle": 5.5 } })).await.expect_at(422, ["body", "value", "sessions", "idle"]);
    set(json!({ "sessions": { "colour": "red" } })).await.expect_at(422, ["body", "value", "sessions", "colour"]);
    set(json!({ "passwords": { "min_length": "x" } }))
        .await
        .expect_at(422, ["body", "value", "passwords", "min_length"]);
    set(json!({ "logins": { "roles": { "password": ["*", 7] } } }))
        .await
        .expect_at(422, ["body", "value", "logins", "roles", "password", "1"]);
    set(json!("open")).await.expect_at(422, ["body", "value"]);
    let put = json!({ "value": { "enabled": true } });
    admin.put("/sys/setting/secrets/new", put).await.expect_at(422, ["body", "value", "plugin"]);
}
