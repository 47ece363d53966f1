//! Auth methods that mean harm: they may say who somebody is, and nothing more.

use serde_json::{Value, json};

use super::hostile::mount;
use crate::harness::guests::{auth_with, proven};
use crate::harness::{Answer, Client, TestServer};

const USERS: &str = "[auth]\nidentifier = \"username\"\nsubjects = \"users\"\n";
const EXTERNAL: &str = "[auth]\nidentifier = \"username\"\nsubjects = \"external\"\n";

/// A method that proves `subject`, and at a renewal `again`.
fn method(subject: &str, group: &str, again: &str) -> Vec<u8> {
    let (login, step) = proven(true, subject, group);
    let (refresh, renewed) = proven(false, again, group);
    auth_with(&format!("{login} {refresh}"), &step, &renewed)
}

async fn log_in(server: &TestServer, mount: &str, name: &str) -> Answer {
    server.anonymous().post("/token/create", json!({ "grant_type": mount, "username": name })).await
}

/// Lets logins by these mounts give the role `user`.
async fn let_give(admin: &Client, mounts: &[&str]) {
    let roles: Value = mounts.iter().map(|&name| (name.to_owned(), json!(["user"]))).collect();
    admin.post("/sys/security", json!({ "logins": { "roles": roles } })).await.expect(200);
}

async fn whose(server: &TestServer, session: Value) -> (Client, Value) {
    let client = server.anonymous().with_session(session);
    let me = client.get("/users/me").await.expect(200);
    (client, me)
}

#[tokio::test]
async fn a_method_of_our_users_proves_whom_it_was_asked_about_and_nobody_else() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let boss = admin.get("/users/me").await.expect(200);
    let (boss_id, boss_name) = (boss["id"].as_str().expect("an id"), boss["username"].as_str().expect("a name"));
    let ada_id = ada.get("/users/me").await.expect(200)["id"].as_str().expect("an id").to_owned();
    for (name, subject) in [("says-boss", boss_id), ("says-name", boss_name), ("says-ada", &ada_id), ("says-none", "")]
    {
        mount(&admin, ("auth", name), USERS, &method(subject, "", subject), json!({})).await.expect(200);
    }
    // An admin's id or name for somebody else's login, or an empty one, is the plugin's fault, and no session.
    for name in ["says-boss", "says-name", "says-none"] {
        let answer = log_in(&server, name, "ada").await;
        assert!([400, 502].contains(&answer.status.as_u16()), "{name}: {}", answer.status);
        assert!(answer.body["access_token"].is_null(), "{name}");
    }
    // Nor for a name that nobody has.
    let answer = log_in(&server, "says-boss", "nobody-at-all").await;
    assert!(answer.body["access_token"].is_null());
    let (_, me) = whose(&server, log_in(&server, "says-ada", "ada").await.expect(200)).await;
    assert_eq!(me["username"], "ada");
    assert!(log_in(&server, "says-ada", boss_name).await.body["access_token"].is_null());
}

#[tokio::test]
async fn who_proves_outsiders_makes_nobody_of_ours() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let boss = admin.get("/users/me").await.expect(200);
    let (boss_id, boss_name) = (boss["id"].as_str().expect("an id"), boss["username"].as_str().expect("a name"));
    let open = json!({ "provision": true, "roles": { "staff": { "give": ["user"] } } });
    let_give(&admin, &["outside-0", "outside-1", "outside-2", "outside-3", "twin-1", "twin-10"]).await;
    // Subjects that are ids and names of ours, or of another mount, are strangers of this one.
    for (at, subject) in [boss_id, boss_name, "auth/password:1", "../password/1"].into_iter().enumerate() {
        let name = format!("outside-{at}");
        mount(&admin, ("auth", &name), EXTERNAL, &method(subject, "staff", subject), open.clone()).await.expect(200);
        let (client, me) = whose(&server, log_in(&server, &name, "x").await.expect(200)).await;
        assert_ne!(me["id"], boss["id"], "{subject}");
        assert_ne!(me["username"], boss["username"], "{subject}");
        client.get("/users").await.expect_forbidden();
        client.get("/sys/plugins").await.expect_forbidden();
    }
    // The same subject at two mounts is two people.
    for name in ["twin-1", "twin-10"] {
        mount(&admin, ("auth", name), EXTERNAL, &method("42", "staff", "42"), open.clone()).await.expect(200);
    }
    let (_, one) = whose(&server, log_in(&server, "twin-1", "x").await.expect(200)).await;
    let (_, other) = whose(&server, log_in(&server, "twin-10", "x").await.expect(200)).await;
    assert_ne!(one["id"], other["id"]);
    // Without the mount's leave nobody is made.
    mount(&admin, ("auth", "closed"), EXTERNAL, &method("43", "staff", "43"), json!({})).await.expect(200);
    log_in(&server, "closed", "x").await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_role_is_given_by_the_mapping_and_by_nothing_that_a_plugin_says() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let open = json!({ "provision": true, "roles": { "staff": { "give": ["user"] } } });
    let_give(&admin, &["climbs-0", "climbs-1", "climbs-2", "climbs-3", "climbs-4", "honest"]).await;
    for (at, group) in ["admin", "Role::\\\"admin\\\"", "role:admin", "roles/admin", "staff "].into_iter().enumerate() {
        let name = format!("climbs-{at}");
        mount(&admin, ("auth", &name), EXTERNAL, &method("7", group, "7"), open.clone()).await.expect(200);
        // A login that yields no role is none.
        assert!(log_in(&server, &name, "x").await.body["access_token"].is_null(), "{group}");
    }
    // Nor may the mapping give more than the server's rules let this mount give.
    let more = json!({ "provision": true, "roles": { "staff": { "give": ["admin"] } } });
    mount(&admin, ("auth", "honest"), EXTERNAL, &method("7", "staff", "7"), more).await.expect(422);
    let open = json!({ "key": "auth/honest", "value": { "plugin": "honest", "version": "1.0.0", "provision": true,
        "roles": { "staff": { "give": ["user"] } } } });
    admin.post("/sys/setting", open).await.expect(200);
    let (client, _) = whose(&server, log_in(&server, "honest", "x").await.expect(200)).await;
    client.get("/sys/roles/admin").await.expect_forbidden();
}

#[tokio::test]
async fn an_identity_and_an_error_at_once_are_an_error() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ada = server.login("ada").await;
    let id = ada.get("/users/me").await.expect(200)["id"].as_str().expect("an id").to_owned();
    let (identity, step) = proven(true, &id, "");
    // The identity is written where an answer stands, and then the answer is said to be an error; or neither.
    for (name, verdict) in [("both", 1), ("neither", 7)] {
        let login = format!("(drop {step}) (i32.store8 (i32.const 1600) (i32.const {verdict})) (i32.const 1600)");
        let wasm = auth_with(&identity, &login, "(call $refuse)");
        mount(&admin, ("auth", name), USERS, &wasm, json!({})).await.expect(200);
        let answer = log_in(&server, name, "ada").await;
        assert!(answer.status.as_u16() >= 400 && answer.body["access_token"].is_null(), "{name}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_renewal_that_names_somebody_else_ends_the_session() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let id = |me: Value| me["id"].as_str().expect("an id").to_owned();
    let boss = id(admin.get("/users/me").await.expect(200));
    let ada_id = id(ada.get("/users/me").await.expect(200));
    mount(&admin, ("auth", "turncoat"), USERS, &method(&ada_id, "", &boss), json!({})).await.expect(200);
    let session = log_in(&server, "turncoat", "ada").await.expect(200);
    let renewal = json!({ "grant_type": "refresh_token", "refresh_token": session["refresh_token"] });
    let answer = server.anonymous().post("/token/create", renewal).await;
    assert!(answer.status.as_u16() >= 400 && answer.body["access_token"].is_null(), "{}", answer.status);
}
