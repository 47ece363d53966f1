//! Users: made, changed, deleted, and who may.

use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, unique};

fn new_user(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "role": "user", "password": canary(name) })
}

on_every_store!(a_created_user_logs_in_and_a_deleted_one_does_not, a_new_user_of_an_old_name_inherits_nothing,);

not_yet!(
    a_changed_password_ends_the_other_sessions,
    a_disabled_user_is_out_at_once,
    an_admin_sees_and_changes_users,
    what_a_user_may_not_ask_about_others_looks_the_same,
);

async fn a_created_user_logs_in_and_a_deleted_one_does_not(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    for (path, in_body) in [("/users/ada/delete", false), ("/users/delete", true)] {
        let body = new_user("ada");
        let made = admin.post("/users/create", body.clone()).await.expect(200);
        assert_eq!(
            (&made["username"], &made["email"], &made["role"]),
            (&body["username"], &body["email"], &body["role"])
        );
        assert!(
            made["id"].is_string() && made["created_at"].as_str().is_some_and(|time| time.ends_with('Z')),
            "{made}"
        );
        let password = body["password"].as_str().expect("text");
        let ada = server.log_in("ada", password).await;
        assert_eq!(made["id"], ada.id.as_str());
        let gone = if in_body { json!({ "username": "ada" }) } else { json!({}) };
        admin.post(path, gone.clone()).await.expect(200);
        ada.get("/users/me").await.expect_unauthorized();
        let body = json!({ "username": "ada", "password": password });
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
        admin.post(path, gone).await.expect_type(422, "not_found");
    }
}

async fn a_new_user_of_an_old_name_inherits_nothing(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    admin.post("/users/ada/delete", json!({})).await.expect(200);
    let body = new_user("ada");
    admin.post("/users/create", body.clone()).await.expect(200);
    let new = server.log_in("ada", body["password"].as_str().expect("text")).await;
    assert_ne!(new.id, ada.id);
    new.get("/secrets/kv/~/x").await.expect(404);
    new.get(&format!("/secrets/kv/users/{}/x", ada.id)).await.expect_forbidden();
    let old = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", old).await.expect_oauth(400, "invalid_grant");
}

async fn a_changed_password_ends_the_other_sessions(server: Builder) {
    let server = server.start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let new = canary("new");
    ada.post("/users/ada/password", json!({ "current": canary("wrong"), "new": new }))
        .await
        .expect_at(422, ["body", "current"]);
    other.get("/users/me").await.expect(200);
    ada.post("/users/ada/password", json!({ "current": ada.password, "new": new })).await.expect(200);
    other.get("/users/me").await.expect_unauthorized();
    ada.get("/users/me").await.expect(200);
    let old = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", old).await.expect_oauth(400, "invalid_grant");
    server.log_in("ada", &new).await;
}

async fn a_disabled_user_is_out_at_once(server: Builder) {
    let server = server.start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    admin.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    let body = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body.clone()).await.expect_oauth(400, "invalid_grant");
    admin.post("/users/ada/update", json!({ "disabled": false })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    server.anonymous().post("/token/create", body).await.expect(200);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/users/create", new_user("ada")).await.expect(200);
    for name in ["ada", "ADA", "Ada"] {
        admin.post("/users/create", new_user(name)).await.expect_problem(422, ["body", "username"], "already_exists");
    }
    // Of many at once, one.
    let calls: Vec<_> =
        (0..8).map(|_| tokio::spawn(admin.post("/users/create", new_user("eve")).into_future())).collect();
    let mut made = 0;
    for call in calls {
        let answer = call.await.expect("an answer");
        match answer.status.as_u16() {
            200 => made += 1,
            _ => drop(answer.expect_problem(422, ["body", "username"], "already_exists")),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn what_a_new_user_lacks_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let with = |member: &str, value: Value| {
        let mut body = new_user(&unique("user"));
        body[member] = value;
        body
    };
    for name in [
        "",
        ".ada",
        "a b",
        "ада",
        "a/b",
        "root",
        "admin",
        "system",
        "anonymous",
        "me",
        "create",
        "delete",
        &"a".repeat(129),
    ] {
        admin.post("/users/create", with("username", json!(name))).await.expect_at(422, ["body", "username"]);
    }
    for email in ["", "ada", "@x.y", "a b@c.d"] {
        admin.post("/users/create", with("email", json!(email))).await.expect_at(422, ["body", "email"]);
    }
    for password in ["", "short", "password1234", &"x".repeat(1025)] {
        admin.post("/users/create", with("password", json!(password))).await.expect_at(422, ["body", "password"]);
    }
    admin.post("/users/create", with("role", json!("wizard"))).await.expect_problem(
        422,
        ["body", "role"],
        "unknown_role",
    );
    for member in ["username", "email", "role", "password"] {
        admin.post("/users/create", with(member, json!(5))).await.expect_at(422, ["body", member]);
    }
    for member in ["username", "role", "password"] {
        let mut body = new_user(&unique("user"));
        body.as_object_mut().expect("an object").remove(member);
        admin.post("/users/create", body).await.expect_at(422, ["body", member]);
    }
    admin.post("/users/create", with("shoe_size", json!(42))).await.expect_at(422, ["body", "shoe_size"]);
    let twice = r#"{"username":"ada","username":"bob","email":"a@b.c","role":"user","password":"long enough to pass"}"#;
    admin.call(reqwest::Method::POST, "/users/create").body(twice).await.expect_at(422, ["body", "username"]);
    admin.post("/users/delete", json!({})).await.expect_at(422, ["body", "username"]);
}

#[tokio::test]
async fn a_user_learns_nothing_about_other_users() {
    let server = TestServer::start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    let likeness = async |path: &str, body: Value| ada.post(path, body).await.likeness();
    let named = |name: &str| json!({ "username": name });
    assert_eq!(likeness("/users/bob/delete", json!({})).await, likeness("/users/nobody/delete", json!({})).await);
    assert_eq!(likeness("/users/delete", named("bob")).await, likeness("/users/delete", named("nobody")).await);
    ada.post("/users/bob/delete", json!({})).await.expect_forbidden();
    ada.post("/users/delete", named("bob")).await.expect_forbidden();
    ada.post("/users/ada/delete", json!({})).await.expect_forbidden();
    ada.post("/users/create", new_user("bob")).await.expect_forbidden();
    ada.post("/users/create", new_user("carl")).await.expect_forbidden();
    let mut admin = new_user("carl");
    admin["role"] = json!("admin");
    ada.post("/users/create", admin).await.expect_forbidden();
    let me = ada.get("/users/me").await.expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!("ada"), &json!("user")));
    server.anonymous().get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn an_admin_makes_admins_and_the_last_one_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("/users/{}/delete", admin.username);
    admin.post(&path, json!({})).await.expect(422);
    admin.post("/users/delete", json!({ "username": admin.username })).await.expect(422);
    admin.get("/users/me").await.expect(200);
    server.create_user("ada", "admin").await;
    let ada = server.login("ada").await;
    ada.get("/sys/settings").await.expect(200);
    ada.post(&path, json!({})).await.expect(200);
    admin.get("/users/me").await.expect_unauthorized();
    ada.post("/users/ada/delete", json!({})).await.expect(422);
}

async fn what_a_user_may_not_ask_about_others_looks_the_same(server: Builder) {
    let server = server.start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    for path in ["/users/bob", "/users/nobody", "/users"] {
        ada.get(path).await.expect_forbidden();
    }
    let likeness = async |path: &str| ada.post(path, json!({})).await.likeness();
    assert_eq!(likeness("/users/bob/update").await, likeness("/users/nobody/update").await);
    ada.post("/users/ada/update", json!({ "role": "admin" })).await.expect_forbidden();
    let password = json!({ "current": ada.password, "new": canary("new") });
    ada.post("/users/bob/password", password).await.expect_forbidden();
}

async fn an_admin_sees_and_changes_users(server: Builder) {
    let server = server.start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    let list = admin.get("/users").await.expect(200);
    let names: Vec<_> = list["users"].as_array().expect("a list").iter().map(|user| user["username"].clone()).collect();
    assert!(names.contains(&json!("ada")) && names.contains(&json!(admin.username)), "{list}");
    assert!(!list.to_string().contains("password"), "{list}");
    assert_eq!(admin.get("/users/ada").await.expect(200)["id"], ada.id.as_str());
    admin.get("/users/nobody").await.expect(404);
    let email = format!("{}@example.org", unique("ada"));
    admin.post("/users/ada/update", json!({ "email": email })).await.expect(200);
    assert_eq!(admin.get("/users/ada").await.expect(200)["email"], email);
    let wizard = json!({ "role": "wizard" });
    admin.post("/users/ada/update", wizard).await.expect_problem(422, ["body", "role"], "unknown_role");
    admin.post("/users/ada/update", json!({ "role": "admin" })).await.expect(200);
    server.login("ada").await.get("/sys/settings").await.expect(200);
    admin.post("/users/ada/update", json!({ "role": "user" })).await.expect(200);
    server.login("ada").await.get("/sys/settings").await.expect_forbidden();
    admin.post("/users/nobody/update", json!({ "role": "user" })).await.expect_type(422, "not_found");
    let path = format!("/users/{}/update", admin.username);
    admin.post(&path, json!({ "role": "user" })).await.expect(422);
    admin.post(&path, json!({ "disabled": true })).await.expect(422);
}
