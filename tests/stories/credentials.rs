//! What users can log in with, mount by mount; and machines.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary, eventually};

on_every_store!(a_credential_is_added_used_replaced_and_taken_away, what_a_deleted_user_leaves_is_forgotten_later,);

/// A second place where users have passwords.
async fn mount_other(admin: &Client) {
    let value = json!({ "plugin": "password" });
    admin.post("/sys/setting", json!({ "key": "auth/other", "value": value })).await.expect(200);
}

fn login(name: &str, password: &str) -> Value {
    json!({ "grant_type": "other", "username": name, "password": password })
}

async fn a_credential_is_added_used_replaced_and_taken_away(server: Builder) {
    let server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    mount_other(&admin).await;
    let path = "/users/ada/credentials/other";
    assert_eq!(admin.get(path).await.expect(200)["credentials"], json!([]));
    let (first, second) = (canary("first"), canary("second"));
    admin.post(path, json!({ "password": first })).await.expect(200);
    // Whoever had the old one has no session left.
    ada.get("/users/me").await.expect_unauthorized();
    let ada = server.log_in("ada", &ada.password).await;
    server.anonymous().post("/token/create", login("ada", &first)).await.expect(200);
    let listed = admin.get(path).await.expect(200);
    assert_eq!(listed["credentials"][0]["id"], "password");
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    assert_eq!(ada.get("/users/me/credentials/other").await.expect(200), listed);
    assert_eq!(ada.get("/users/ada/credentials/password").await.expect(200)["credentials"][0]["id"], "password");
    admin.post(path, json!({ "id": "password", "password": second })).await.expect(200);
    server.anonymous().post("/token/create", login("ada", &first)).await.expect_oauth(400, "invalid_grant");
    let session = server.anonymous().post("/token/create", login("ada", &second)).await.expect(200);
    let by_other = server.anonymous().with_session(session);
    admin.delete(&format!("{path}/password")).await.expect(200);
    by_other.get("/users/me").await.expect_unauthorized();
    server.anonymous().post("/token/create", login("ada", &second)).await.expect_oauth(400, "invalid_grant");
    admin.delete(&format!("{path}/password")).await.expect(404);
    // The other mount is another.
    server.log_in("ada", &ada.password).await;
}

async fn what_a_deleted_user_leaves_is_forgotten_later(server: Builder) {
    let server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let swept = || server.trail().0.iter().filter(|record| record["operation"] == "users.sweep").count();
    // Too little for the plugin to run at all: it cannot be asked to forget anybody.
    admin.post("/sys/security", json!({ "plugins": { "max_memory": "1MiB" } })).await.expect(200);
    admin.post("/users/ada/delete", json!({})).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    admin.get("/users/ada").await.expect(404);
    assert_eq!(swept(), 0);
    admin.post("/sys/security", json!({ "plugins": { "max_memory": "64MiB" } })).await.expect(200);
    eventually("it is asked again until it is gone", || async { (swept() > 0).then_some(()) }).await;
    let body = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn ones_own_password_is_no_credential_to_be_added() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    mount_other(&admin).await;
    for mount in ["password", "other"] {
        for name in ["ada", "me"] {
            let path = format!("/users/{name}/credentials/{mount}");
            ada.post(&path, json!({ "password": canary("p") })).await.expect_type(422, "invalid_value");
            ada.delete(&format!("{path}/password")).await.expect_type(422, "invalid_value");
        }
    }
    server.log_in("ada", &ada.password).await;
    // Nor is an admin left without a way in.
    server.create_user("eve", "admin").await;
    admin.delete("/users/eve/credentials/password/password").await.expect_type(422, "in_use");
    admin.delete("/users/ada/credentials/password/password").await.expect(200);
    let body = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn what_a_credential_lacks_is_named() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let good = || json!({ "password": canary("p") });
    for (body, at) in [
        (json!({}), "password"),
        (json!({ "password": 5 }), "password"),
        (json!({ "password": "short" }), "password"),
        (json!({ "password": "password1234" }), "password"),
        (json!({ "id": 5, "password": "a green horse sings" }), "id"),
        (json!({ "id": "", "password": "a green horse sings" }), "id"),
    ] {
        admin.post("/users/ada/credentials/password", body).await.expect_at(422, ["body", at]);
    }
    admin.post("/users/ada/credentials/password", json!({ "id": "second", "password": canary("p") })).await.expect(422);
    admin.post("/users/nobody/credentials/password", good()).await.expect_at(422, ["path", "username"]);
    admin.post("/users/ada/credentials/none", good()).await.expect_at(422, ["path", "mount"]);
    admin.post("/users/ada/credentials/No", good()).await.expect_at(422, ["path", "mount"]);
    admin.get("/users/ada/credentials/none").await.expect(404);
    admin.get("/users/nobody/credentials/password").await.expect(404);
    admin.delete("/users/ada/credentials/password/none").await.expect(404);
    admin.delete("/users/ada/credentials/password/a%00b").await.expect_at(422, ["path", "id"]);
    server.log_in("ada", &ada.password).await;
}

#[tokio::test]
async fn other_peoples_credentials_are_nobodys_business() {
    let server = TestServer::start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    let refused = ada.get("/users/bob/credentials/password").await.likeness();
    assert_eq!(refused.0, 403);
    for name in ["bob", "nobody", "admin"] {
        for mount in ["password", "none"] {
            let path = format!("/users/{name}/credentials/{mount}");
            assert_eq!(ada.get(&path).await.likeness(), refused);
            assert_eq!(ada.post(&path, json!({ "password": canary("p") })).await.likeness(), refused);
            assert_eq!(ada.delete(&format!("{path}/password")).await.likeness(), refused);
        }
    }
    let narrow = ada.with_session(ada.child(Some("read:secrets"), json!({})).await.expect(200));
    narrow.get("/users/me/credentials/password").await.expect_forbidden();
    let limited = ada.with_session(ada.child(None, json!({ "max_uses": 9 })).await.expect(200));
    limited.post("/users/me/credentials/password", json!({})).await.expect_type(403, "limited_session");
}

#[tokio::test]
async fn a_credential_of_ones_own_takes_a_recent_login() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    admin.post("/sys/security", json!({ "step_up": { "max_age": "1s" } })).await.expect(200);
    eventually("the login is too long ago", || async {
        (ada.post("/users/me/credentials/password", json!({})).await.status == 401).then_some(())
    })
    .await;
    ada.delete("/users/me/credentials/password/password").await.expect_type(401, "insufficient_user_authentication");
    ada.get("/users/me/credentials/password").await.expect(200);
    // The current password is proof enough of itself.
    let body = json!({ "current": ada.password, "new": canary("new") });
    ada.post("/users/me/password", body).await.expect(200);
}

#[tokio::test]
async fn a_machine_has_no_password() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let machine = json!({ "username": "ci", "role": "user", "kind": "machine" });
    let with = |member: &str, value: Value| {
        let mut body = machine.clone();
        body[member] = value;
        body
    };
    admin.post("/users/create", with("password", json!(canary("p")))).await.expect_at(422, ["body", "password"]);
    admin.post("/users/create", with("kind", json!("robot"))).await.expect_at(422, ["body", "kind"]);
    admin.post("/users/create", with("kind", json!("person"))).await.expect_at(422, ["body", "email"]);
    let made = admin.post("/users/create", machine.clone()).await.expect(200);
    assert_eq!((&made["kind"], &made["email"], &made["disabled"]), (&json!("machine"), &Value::Null, &json!(false)));
    admin.post("/users/create", machine).await.expect_problem(422, ["body", "username"], "already_exists");
    admin.post("/users/ci/password", json!({ "new": canary("p") })).await.expect(422);
    admin.post("/users/ci/credentials/password", json!({ "password": canary("p") })).await.expect(422);
    assert_eq!(admin.get("/users/ci/credentials/password").await.expect(200)["credentials"], json!([]));
    // An admin that is a machine is not the one who is left.
    admin.post("/users/ci/update", json!({ "role": "admin" })).await.expect(200);
    let path = format!("/users/{}/update", admin.username);
    admin.post(&path, json!({ "role": "user" })).await.expect_type(422, "last_admin");
    admin.post("/users/ci/delete", json!({})).await.expect(200);
    admin.get("/users/ci").await.expect(404);
}
