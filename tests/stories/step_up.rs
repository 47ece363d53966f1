//! Step-up (RFC 9470): what rules others needs a recent login, whatever else the session may.

use serde_json::{Value, json};

use crate::harness::{TestServer, canary, eventually};

#[tokio::test]
async fn what_rules_others_needs_a_recent_login_and_a_renewal_is_none() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let secret = json!({ "secret_id": "kv/x", "value": canary("x") });
    admin.post("/secrets/create", secret).await.expect(200);
    // What is not there is refused alike, so that a try changes nothing.
    let calls: Vec<(reqwest::Method, String, Value)> = vec![
        (reqwest::Method::POST, "/users/nobody/update".into(), json!({ "disabled": true })),
        (reqwest::Method::POST, "/users/nobody/password".into(), json!({ "new": canary("n") })),
        (reqwest::Method::POST, "/users/nobody/delete".into(), json!({})),
        (reqwest::Method::POST, "/users/delete".into(), json!({ "username": "nobody" })),
        (reqwest::Method::POST, "/sessions/revoke".into(), json!({ "username": "nobody" })),
        (reqwest::Method::POST, format!("/sessions/{}/revoke", ada.session_id()), json!({})),
        (reqwest::Method::POST, "/sys/setting".into(), json!({ "key": "custom/x", "value": 1, "dry_run": true })),
        (reqwest::Method::PUT, "/sys/setting/custom/x".into(), json!({ "value": 1, "dry_run": true })),
        (reqwest::Method::POST, "/sys/security".into(), json!({})),
    ];
    admin.post("/sys/security", json!({ "step_up": { "max_age": "1s" } })).await.expect(200);
    let refused = eventually("the login is too long ago", || async {
        let answer = admin.post("/sys/security", json!({})).await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    let challenge = refused.headers["www-authenticate"].to_str().expect("text").to_owned();
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.contains("max_age=\"1\""), "{challenge}");
    refused.expect_type(401, "insufficient_user_authentication");
    // It is a session all the same, for everything else.
    admin.get("/users/me").await.expect(200);
    admin.get("/users").await.expect(200);
    admin.get("/sys/settings").await.expect(200);
    admin.get("/sessions?username=ada").await.expect(200);
    admin.get("/secrets/kv/x").await.expect(200);
    admin.put("/secrets/kv/x", json!({ "value": canary("y") })).await.expect(200);
    let renewal = json!({ "refresh_token": admin.refresh_token() });
    let renewed = server.anonymous().post("/token/renew", renewal).await.expect(200);
    let renewed = admin.with_session(renewed);
    // A child is as old as its parent's login.
    let child = renewed.with_session(renewed.child(None, json!({})).await.expect(200));
    for old in [&renewed, &child] {
        for (method, path, body) in &calls {
            let answer = old.call(method.clone(), path).json(body.clone()).await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
            answer.expect_type(401, "insufficient_user_authentication");
        }
    }
    ada.get("/users/me").await.expect(200);
    // Who may not is told so first: no login would help.
    for (method, path, body) in &calls[..6] {
        if path.contains(&ada.session_id()) {
            continue;
        }
        ada.call(method.clone(), path).json(body.clone()).await.expect_forbidden();
    }
    // A login that has just been made will do, and so will the root token, whatever its age.
    let root = server.anonymous().with_token(server.ready["root_token"].as_str().expect("a token"));
    root.post("/sys/security", json!({ "step_up": { "max_age": "10m" } })).await.expect(200);
    renewed.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
}

#[tokio::test]
async fn the_document_adds_operations_and_takes_none_away() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let secret = json!({ "secret_id": "kv/~/x", "value": canary("x") });
    ada.post("/secrets/create", secret).await.expect(200);
    let rules = json!({ "step_up": { "max_age": "1s", "operations": ["secrets.read", "sessions.list"] } });
    admin.post("/sys/security", rules).await.expect(200);
    eventually("the login is too long ago", || async {
        (ada.get("/secrets/kv/~/x").await.status == 401).then_some(())
    })
    .await;
    ada.get("/sessions").await.expect_type(401, "insufficient_user_authentication");
    ada.get("/users/me").await.expect(200);
    // Of a step-up that is asked for there is a record with what it was for.
    let refused = ada.get("/secrets/kv/~/x").await;
    let id = refused.request_id();
    let trail = server.trail();
    let record = trail.of(&id).next().expect("a record").clone();
    assert_eq!(record["phase"], "refused");
    assert_eq!(record["user"], ada.id.as_str());
    assert_eq!(record["resource"], format!("secrets/kv/users/{}/x", ada.id));
}
