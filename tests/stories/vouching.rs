//! Who may say who comes in: whoever rules an auth mount could be anybody whom it lets in, with that one's role.

use serde_json::{Value, json};

use super::github::with_github;
use crate::harness::{Answer, Client, TestServer, reworded};

/// May change the settings of these mounts and manage users of the role `user`, and nothing else.
async fn desk(server: &TestServer, admin: &Client, mounts: &[&str]) -> Client {
    admin.put("/sys/roles/desk", json!({ "description": "" })).await.expect(200);
    may(admin, mounts, &["user"]).await;
    let password = server.create_user("eve", "desk").await;
    server.log_in("eve", &password).await
}

async fn may(admin: &Client, mounts: &[&str], roles: &[&str]) {
    let settings = mounts.iter().map(|mount| format!("sys/setting/auth/{mount}"));
    let places = settings.chain(roles.iter().map(|role| format!("sys/roles/{role}")));
    let rules = places
        .map(|place| format!("permit (principal in Role::\"desk\", action, resource in Resource::\"{place}\");\n"));
    let text: String = rules.collect();
    admin.put("/sys/policies/desk", json!({ "text": text })).await.expect(200);
}

async fn set(client: &Client, mount: &str, value: Value) -> Answer {
    client.post("/sys/setting", json!({ "key": format!("auth/{mount}"), "value": value })).await
}

#[tokio::test]
async fn a_plugin_that_speaks_for_our_own_users_is_set_by_who_rules_them_all() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let mounts = ["mine", "password", "totp"];
    let eve = desk(&server, &admin, &mounts).await;
    let give = json!({ "logins": { "roles": { "mine": ["user", "desk"] } } });
    admin.post("/sys/security", give).await.expect(200);
    // Any login by it could be said to be anybody's.
    set(&eve, "mine", json!({ "plugin": "password" })).await.expect_forbidden();
    set(&eve, "password", json!({ "provision": false })).await.expect_forbidden();
    let dry_run = json!({ "key": "auth/mine", "value": { "plugin": "password" }, "dry_run": true });
    eve.post("/sys/setting", dry_run).await.expect_forbidden();
    may(&admin, &mounts, &["user", "desk"]).await;
    set(&eve, "mine", json!({ "plugin": "password" })).await.expect(200);
    // `*` is all roles.
    set(&eve, "password", json!({ "provision": false })).await.expect_forbidden();
    eve.delete("/sys/setting/auth%2Fpassword").await.expect_forbidden();
    may(&admin, &mounts, &[]).await;
    set(&eve, "totp", json!({ "enabled": false })).await.expect_forbidden();
    // An admin rules all roles.
    set(&admin, "password", json!({ "provision": false })).await.expect(200);
}

#[tokio::test]
async fn who_asks_another_server_may_make_what_its_users_are() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    admin.put("/sys/roles/ops", json!({ "description": "" })).await.expect(200);
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["user", "ops"] } } })).await.expect(200);
    set(&admin, "github", github.setting(json!({}))).await.expect(200);
    let eve = desk(&server, &admin, &["github"]).await;
    // Somebody of ops may be linked there.
    for value in [
        json!({ "config": { "personal_tokens": true, "recheck": "relogin" } }),
        json!({ "grant": { "http": [] } }),
        json!({ "version": "1.0.0" }),
    ] {
        set(&eve, "github", value).await.expect_forbidden();
    }
    // That has nothing to do with who it is.
    set(&eve, "github", json!({ "roles": { "org:7": { "give": ["user"] } } })).await.expect(200);
    may(&admin, &["github"], &["user", "ops"]).await;
    set(&eve, "github", json!({ "config": { "recheck": "relogin" } })).await.expect(200);
}

/// The shipped `password` under another name; `of_ours`: it says that it proves the server's own users.
fn passport(version: &str, of_ours: bool) -> Vec<u8> {
    let version = format!("version = \"{version}\"");
    let mut changes = vec![("name = \"password\"", "name = \"passport\""), ("version = \"1.0.0\"", &version)];
    if !of_ours {
        changes.push(("identifier = \"username\"", "subjects = \"external\"  "));
        changes.push(("subjects = \"users\"", "#                 "));
    }
    reworded("password", &changes)
}

#[tokio::test]
async fn an_upgrade_that_would_speak_for_our_own_users_waits_until_that_is_granted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (version, of_ours) in [("1.0.0", false), ("1.1.0", true), ("1.2.0", true)] {
        let call = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/passport/{version}"));
        call.header("content-type", "application/wasm").body(passport(version, of_ours)).await.expect(200);
    }
    set(&admin, "port", json!({ "plugin": "passport", "version": "1.0.0" })).await.expect(200);
    let waiting = set(&admin, "port", json!({ "version": "1.1.0" })).await.expect(200);
    assert_eq!(waiting["state"]["live"]["version"], "1.0.0", "{waiting}");
    assert_eq!(waiting["state"]["pending"]["needs"], json!({ "subjects": ["users"] }), "{waiting}");
    let users = json!({ "subjects": ["users"] });
    set(&admin, "port", json!({ "deny": users })).await.expect_type(422, "not_asked_for");
    let live = set(&admin, "port", json!({ "grant": users })).await.expect(200);
    assert_eq!(live["state"]["live"]["version"], "1.1.0", "{live}");
    // One that did so already need not ask.
    let live = set(&admin, "port", json!({ "version": "1.2.0", "grant": null })).await.expect(200);
    assert_eq!(live["state"]["live"]["version"], "1.2.0", "{live}");
}
