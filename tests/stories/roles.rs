//! Roles: made, given, taken, and who may.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_role_gives_what_policies_say_and_no_more, a_role_is_not_deleted_under_whoever_is_given_it,);

/// `helpers` run the users of role `user`, and nobody else.
const HELPERS: &str = r#"
permit (principal in Role::"helper", action, resource in Resource::"sys/users");
permit (principal in Role::"helper", action == Action::"manage", resource == Resource::"sys/roles/user");
"#;

fn person(name: &str, role: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "role": role, "password": canary("p") })
}

async fn helper(server: &TestServer, admin: &Client) -> Client {
    admin.put("/sys/roles/helper", json!({ "description": "helps people" })).await.expect(200);
    admin.put("/sys/policies/helpers", json!({ "text": HELPERS })).await.expect(200);
    let password = server.create_user("hal", "helper").await;
    server.log_in("hal", &password).await
}

async fn a_role_gives_what_policies_say_and_no_more(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    admin.post("/users/create", person("eve", "ops")).await.expect_type(422, "unknown_role");
    admin.put("/sys/roles/ops", json!({})).await.expect(200);
    let password = server.create_user("eve", "ops").await;
    let eve = server.log_in("eve", &password).await;
    admin.post("/secrets/create", json!({ "secret_id": "kv/ops/x", "value": canary("x") })).await.expect(200);
    eve.get("/secrets/kv/ops/x").await.expect_forbidden();
    let policy =
        r#"permit (principal in Role::"ops", action == Action::"read", resource in Resource::"secrets/kv/ops");"#;
    admin.put("/sys/policies/ops", json!({ "text": policy })).await.expect(200);
    eve.get("/secrets/kv/ops/x").await.expect(200);
    eve.delete("/secrets/kv/ops/x").await.expect_forbidden();
    admin.delete("/sys/roles/ops").await.expect_type(422, "in_use");
    admin.post("/users/eve/update", json!({ "role": "user" })).await.expect(200);
    eve.get("/secrets/kv/ops/x").await.expect_unauthorized();
    server.log_in("eve", &password).await.get("/secrets/kv/ops/x").await.expect_forbidden();
    admin.delete("/sys/roles/ops").await.expect_type(422, "in_use");
    admin.delete("/sys/policies/ops").await.expect(200);
    admin.delete("/sys/roles/ops").await.expect(200);
    admin.delete("/sys/roles/ops").await.expect(404);
    admin.post("/users/eve/update", json!({ "role": "ops" })).await.expect_type(422, "unknown_role");
}

async fn a_role_is_not_deleted_under_whoever_is_given_it(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    server.create_user("eve", "user").await;
    for _ in 0..6 {
        admin.put("/sys/roles/ops", json!({})).await.expect(200);
        let (given, deleted) =
            tokio::join!(admin.post("/users/eve/update", json!({ "role": "ops" })), admin.delete("/sys/roles/ops"));
        let role = admin.get("/users/eve").await.expect(200)["role"].clone();
        let there = admin.get("/sys/roles/ops").await.status == 200;
        assert!(there || role == "user", "{} {}", given.text, deleted.text);
        admin.post("/users/eve/update", json!({ "role": "user" })).await.expect(200);
    }
}

#[tokio::test]
async fn roles_are_listed_and_shown() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let put = admin.put("/sys/roles/ops", json!({ "description": "runs things" })).await.expect(200);
    assert_eq!(
        (&put["name"], &put["description"], &put["built_in"]),
        (&json!("ops"), &json!("runs things"), &json!(false))
    );
    assert_eq!(admin.get("/sys/roles/ops").await.expect(200), put);
    let list = admin.get("/sys/roles").await.expect(200);
    let names: Vec<_> = list["roles"].as_array().expect("a list").iter().map(|role| role["name"].clone()).collect();
    assert_eq!(names, ["admin", "ops", "user"]);
    let first = admin.get("/sys/roles?limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("there are more");
    assert_eq!(admin.get(&format!("/sys/roles?limit=1&cursor={cursor}")).await.expect(200)["roles"][0]["name"], "ops");
    for name in ["admin", "user"] {
        assert_eq!(admin.get(&format!("/sys/roles/{name}")).await.expect(200)["built_in"], true);
        admin.put(&format!("/sys/roles/{name}"), json!({})).await.expect_type(422, "built_in");
        admin.delete(&format!("/sys/roles/{name}")).await.expect_type(422, "built_in");
    }
    admin.get("/sys/roles/none").await.expect(404);
    for name in ["Ops", "a%20b", "-a", &"a".repeat(64)] {
        admin.put(&format!("/sys/roles/{name}"), json!({})).await.expect_at(422, ["path", "name"]);
    }
    for description in [json!(5), json!("two\nlines"), json!("x".repeat(2000))] {
        let body = json!({ "description": description });
        admin.put("/sys/roles/x", body).await.expect_at(422, ["body", "description"]);
    }
}

#[tokio::test]
async fn who_manages_one_role_neither_gives_nor_takes_nor_touches_another() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let hal = helper(&server, &admin).await;
    server.create_user("eve", "admin").await;
    server.create_user("ada", "user").await;

    // Whoever is a user is theirs.
    hal.get("/users").await.expect(200);
    hal.get("/users/ada").await.expect(200);
    hal.post("/users/create", person("bob", "user")).await.expect(200);
    hal.post("/users/ada/update", json!({ "email": "ada@example.org" })).await.expect(200);
    hal.post("/users/ada/password", json!({ "new": canary("p") })).await.expect(200);
    hal.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    hal.post("/users/bob/delete", json!({})).await.expect(200);

    // Whoever is more is not, nor do they make anybody more, themselves least of all.
    hal.post("/users/create", person("mal", "admin")).await.expect_forbidden();
    hal.post("/users/create", person("mal", "helper")).await.expect_forbidden();
    for (name, body) in [
        ("ada", json!({ "role": "admin" })),
        ("ada", json!({ "role": "helper" })),
        ("hal", json!({ "role": "admin" })),
        ("hal", json!({ "role": "user" })),
        ("eve", json!({ "role": "user" })),
        ("eve", json!({ "email": "hal@example.com" })),
        ("eve", json!({ "disabled": true })),
        ("eve", json!({})),
        (&admin.username, json!({ "disabled": true })),
    ] {
        hal.post(&format!("/users/{name}/update"), body).await.expect_forbidden();
    }
    hal.post("/users/eve/password", json!({ "new": canary("p") })).await.expect_forbidden();
    hal.post("/users/eve/delete", json!({})).await.expect_forbidden();
    hal.post("/users/delete", json!({ "username": "eve" })).await.expect_forbidden();
    // Nor do they get at it by way of roles or policies.
    hal.put("/sys/roles/admin", json!({})).await.expect_forbidden();
    hal.put("/sys/roles/user", json!({})).await.expect_forbidden();
    hal.put("/sys/policies/helpers", json!({ "text": "permit (principal, action, resource);" }))
        .await
        .expect_forbidden();
    admin.get("/users/eve").await.expect(200);
}

#[tokio::test]
async fn a_role_that_a_mount_gives_is_in_use() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.put("/sys/roles/ops", json!({})).await.expect(200);
    let rules = json!({ "logins": { "roles": { "other": ["ops"] } } });
    admin.post("/sys/security", rules).await.expect(200);
    let mount = json!({ "plugin": "password", "roles": { "team:1": { "give": ["ops"] } } });
    admin.post("/sys/setting", json!({ "key": "auth/other", "value": mount })).await.expect(200);
    admin.delete("/sys/roles/ops").await.expect_type(422, "in_use");
    admin.delete("/sys/setting/auth/other").await.expect(200);
    admin.delete("/sys/roles/ops").await.expect(200);
}
