//! Every endpoint, and who may call it. A caller who may not gets the same answer whether or not the thing
//! is there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, TestServer, canary};

/// An endpoint, and what a caller with no right to it sends.
struct Endpoint {
    method: Method,
    path: &'static str,
    body: Value,
}

fn endpoint(method: Method, path: &'static str, body: Value) -> Endpoint {
    Endpoint { method, path, body }
}

/// Endpoints that only an admin may use, on things that are there and on things that are not.
fn for_admins() -> Vec<Endpoint> {
    let user = json!({ "username": "eve", "email": "eve@example.com", "role": "user", "password": canary("eve") });
    let secret = json!({ "secret_id": "kv/apps/new", "value": canary("new") });
    vec![
        endpoint(Method::POST, "/users/create", user),
        endpoint(Method::POST, "/users/bob/delete", json!({})),
        endpoint(Method::POST, "/users/nobody/delete", json!({})),
        endpoint(Method::POST, "/users/delete", json!({ "username": "bob" })),
        endpoint(Method::GET, "/users", Value::Null),
        endpoint(Method::GET, "/users/bob", Value::Null),
        endpoint(Method::GET, "/users/nobody", Value::Null),
        endpoint(Method::POST, "/users/bob/update", json!({ "role": "admin" })),
        endpoint(Method::POST, "/users/nobody/update", json!({ "role": "wizard" })),
        endpoint(Method::POST, "/users/bob/password", json!({ "new": canary("new") })),
        endpoint(Method::POST, "/users/nobody/password", json!({ "new": canary("new") })),
        endpoint(Method::GET, "/users/bob/credentials/password", Value::Null),
        endpoint(Method::GET, "/users/nobody/credentials/none", Value::Null),
        endpoint(Method::POST, "/users/bob/credentials/password", json!({ "password": canary("new") })),
        endpoint(Method::POST, "/users/nobody/credentials/none", json!({ "id": "x" })),
        endpoint(Method::DELETE, "/users/bob/credentials/password/password", Value::Null),
        endpoint(Method::DELETE, "/users/nobody/credentials/none/x", Value::Null),
        endpoint(Method::GET, "/sessions?username=bob", Value::Null),
        endpoint(Method::GET, "/sessions?username=nobody", Value::Null),
        endpoint(Method::POST, "/sessions/revoke", json!({ "username": "bob" })),
        endpoint(Method::POST, "/sessions/revoke", json!({ "username": "nobody" })),
        endpoint(Method::POST, "/secrets/create", secret),
        endpoint(Method::GET, "/secrets/kv/apps/db", Value::Null),
        endpoint(Method::GET, "/secrets/kv/apps/none", Value::Null),
        endpoint(Method::GET, "/secrets/nowhere/none", Value::Null),
        endpoint(Method::GET, "/secrets?secret_id=kv/apps/db", Value::Null),
        endpoint(Method::PUT, "/secrets/kv/apps/db", json!({ "value": canary("put") })),
        endpoint(Method::PUT, "/secrets?secret_id=kv/apps/db", json!({ "value": canary("put") })),
        endpoint(Method::PATCH, "/secrets/kv/apps/db", json!({ "data": { "a": canary("patch") } })),
        endpoint(Method::DELETE, "/secrets/kv/apps/db", Value::Null),
        endpoint(Method::DELETE, "/secrets/kv/apps/none", Value::Null),
        endpoint(Method::GET, "/secrets?prefix=kv/apps/", Value::Null),
        endpoint(Method::GET, "/secrets?prefix=kv/none/", Value::Null),
        endpoint(Method::GET, "/secrets?prefix=nowhere/", Value::Null),
        endpoint(Method::GET, "/secrets/kv/apps/db:history", Value::Null),
        endpoint(Method::GET, "/secrets/kv/apps/db:metadata", Value::Null),
        endpoint(Method::POST, "/secrets/kv/apps/db:metadata", json!({ "metadata": { "a": "b" } })),
        endpoint(Method::POST, "/secrets/kv/apps/db:restore", json!({ "version": 1 })),
        endpoint(Method::POST, "/secrets/kv/apps/db:undelete", json!({})),
        endpoint(Method::POST, "/secrets/kv/apps/db:destroy", json!({ "versions": [1] })),
        endpoint(Method::POST, "/secrets/kv/apps/db:purge", json!({})),
        endpoint(Method::POST, "/secrets/kv/apps/none:purge", json!({})),
        endpoint(Method::GET, "/sys/settings", Value::Null),
        endpoint(Method::GET, "/settings", Value::Null),
        endpoint(Method::GET, "/sys/setting/security", Value::Null),
        endpoint(Method::GET, "/sys/setting/custom/none", Value::Null),
        endpoint(Method::POST, "/sys/setting", json!({ "key": "custom/x", "value": 1 })),
        endpoint(Method::PUT, "/sys/setting/custom/x", json!({ "value": 1 })),
        endpoint(Method::DELETE, "/sys/setting/custom/x", Value::Null),
        endpoint(Method::GET, "/sys/security", Value::Null),
        endpoint(Method::POST, "/sys/security", json!({ "sessions": { "idle": "1h" } })),
        endpoint(Method::GET, "/sys/roles", Value::Null),
        endpoint(Method::GET, "/sys/roles/user", Value::Null),
        endpoint(Method::GET, "/sys/roles/none", Value::Null),
        endpoint(Method::PUT, "/sys/roles/ops", json!({})),
        endpoint(Method::DELETE, "/sys/roles/none", Value::Null),
        endpoint(Method::GET, "/sys/policies", Value::Null),
        endpoint(Method::GET, "/sys/policies/coffer", Value::Null),
        endpoint(Method::GET, "/sys/policies/none", Value::Null),
        endpoint(Method::PUT, "/sys/policies/x", json!({ "text": "no policy at all" })),
        endpoint(Method::DELETE, "/sys/policies/none", Value::Null),
        endpoint(Method::POST, "/sys/policies/explain", json!({ "action": "read", "path": "secrets" })),
        endpoint(Method::POST, "/sys/seal", json!({})),
        endpoint(Method::POST, "/sys/rotate", json!({})),
        endpoint(Method::POST, "/sys/rekey", json!({ "share": "x" })),
    ]
}

async fn status(client: &Client, endpoint: &Endpoint) -> (u16, Value) {
    let call = client.call(endpoint.method.clone(), endpoint.path);
    let call = if endpoint.body.is_null() { call } else { call.json(endpoint.body.clone()) };
    call.await.likeness()
}

#[tokio::test]
async fn nobody_does_without_a_right_what_needs_one() {
    let server = TestServer::start().await;
    let (admin, ada, _) = (server.admin().await, server.login("ada").await, server.login("bob").await);
    let db = json!({ "secret_id": "kv/apps/db", "value": canary("db") });
    admin.post("/secrets/create", db).await.expect(200);
    // An admin's session, but for one folder that is none of these.
    let scoped = admin.with_session(admin.child(Some("read:secrets/kv/elsewhere"), json!({})).await.expect(200));

    let mut wrong = Vec::new();
    let mut refusals = Vec::new();
    for endpoint in for_admins() {
        let named = format!("{} {}", endpoint.method, endpoint.path);
        let (anonymous, _) = status(&server.anonymous(), &endpoint).await;
        let (junk, _) = status(&ada.with_token("cof_s_a_b_c"), &endpoint).await;
        let (user, refusal) = status(&ada, &endpoint).await;
        let (scoped, _) = status(&scoped, &endpoint).await;
        if (anonymous, junk, user, scoped) != (401, 401, 403, 403) {
            wrong.push(format!("{named}: anonymous {anonymous}, junk {junk}, user {user}, scoped child {scoped}"));
        }
        refusals.push((named, refusal));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // One refusal is like the other.
    for (named, refusal) in &refusals {
        assert_eq!(refusal, &refusals[0].1, "{named}");
    }
    // Nothing has happened.
    admin.get("/secrets/kv/apps/db").await.expect(200);
    server.login("bob").await;
    admin.get("/sys/setting/custom/x").await.expect(404);
    server.anonymous().get("/sys/health").await.expect(200);
}

#[tokio::test]
async fn what_is_open_to_everyone_is_listed_here() {
    let server = TestServer::start().await;
    for path in ["/sys/health", "/sys/seal-status", "/openapi.json"] {
        server.anonymous().get(path).await.expect(200);
        // A token, good or bad, changes nothing.
        server.anonymous().with_token("cof_s_a_b_c").get(path).await.expect(200);
    }
    server.anonymous().call(Method::HEAD, "/sys/health").await.expect(200);
}

#[tokio::test]
async fn a_user_owns_a_folder_and_nothing_beside_it() {
    let server = TestServer::start().await;
    let (ada, bob) = (server.login("ada").await, server.login("bob").await);
    let made = ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    assert_eq!(made["secret_id"], format!("kv/users/{}/x", ada.id));
    let (hers, none) = (format!("/secrets/kv/users/{}/x", ada.id), format!("/secrets/kv/users/{}/none", ada.id));
    ada.get(&hers).await.expect(200);
    ada.get(&none).await.expect(404);
    for path in [hers.as_str(), &none, "/secrets/kv/users", "/secrets/kv/x"] {
        bob.get(path).await.expect_forbidden();
        bob.delete(path).await.expect_forbidden();
        bob.put(path, json!({ "value": canary("y") })).await.expect_forbidden();
    }
    assert_eq!(bob.get(&hers).await.likeness(), bob.get(&none).await.likeness());
    bob.get(&format!("/secrets?prefix=kv/users/{}", ada.id)).await.expect_forbidden();
    bob.get("/secrets?prefix=kv/users/").await.expect_forbidden();
    // What ada's id begins with is not ada's.
    ada.get(&format!("/secrets/kv/users/{}0/x", ada.id)).await.expect_forbidden();
    let create = json!({ "secret_id": format!("kv/users/{}/y", ada.id), "value": canary("y") });
    bob.post("/secrets/create", create).await.expect_forbidden();
    // bob's own x is another.
    bob.get("/secrets/kv/~/x").await.expect(404);
    // All verbs are hers.
    ada.get("/secrets/kv/~/x:history").await.expect(200);
    ada.post("/secrets/kv/~/x:purge", json!({})).await.expect(200);
}

#[tokio::test]
async fn a_token_in_the_clear_kind_of_wrong_place_is_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    // Cookies never authenticate.
    server
        .anonymous()
        .get("/users/me")
        .header("cookie", &format!("access_token={}", ada.token()))
        .await
        .expect_unauthorized();
    // Cross-site requests that change anything are refused; there is no CORS.
    let cross = ada.post("/secrets/create", json!({ "secret_id": "kv/~/csrf", "value": canary("csrf") }));
    cross.header("sec-fetch-site", "cross-site").await.expect_forbidden();
    let answer = ada.get("/users/me").header("origin", "https://evil.example").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}
