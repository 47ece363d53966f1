//! `POST /token/revoke` and `/token/introspect`.

use serde_json::json;

use crate::harness::{Builder, TestServer};

on_every_store!(either_token_ends_the_whole_family, a_child_ends_with_its_parent);

async fn either_token_ends_the_whole_family(server: Builder) {
    let server = server.start().await;
    for path in ["/token/revoke", "/auth/token/revoke"] {
        for member in ["revoke_token", "token"] {
            for of_refresh in [false, true] {
                let ada = server.login("ada").await;
                let token = if of_refresh { ada.refresh_token() } else { ada.token().to_owned() };
                server.anonymous().post(path, json!({ member: token })).await.expect(200);
                ada.get("/users/me").await.expect_unauthorized();
                let body = json!({ "refresh_token": ada.refresh_token() });
                server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
            }
        }
        let ada = server.login("ada").await;
        server.anonymous().form(path, &[("token", ada.token())]).await.expect(200);
        ada.get("/users/me").await.expect_unauthorized();
    }
}

async fn a_child_ends_with_its_parent(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let other = server.login("ada").await;
    let child = ada.with_session(ada.child(None, json!({})).await.expect(200));
    let stays = ada.with_session(ada.child(None, json!({})).await.expect(200));
    server.anonymous().post("/token/revoke", json!({ "token": child.token() })).await.expect(200);
    child.get("/users/me").await.expect_unauthorized();
    ada.get("/users/me").await.expect(200);
    stays.get("/users/me").await.expect(200);
    server.anonymous().post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    stays.get("/users/me").await.expect_unauthorized();
    other.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_token_nobody_knows_is_revoked_too() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let anonymous = server.anonymous();
    for path in ["/token/revoke", "/auth/token/revoke"] {
        for token in ["x", "", "cof_s_a_b_c", &format!("{}x", ada.token())] {
            anonymous.post(path, json!({ "revoke_token": token })).await.expect(200);
        }
        anonymous.post(path, json!({})).await.expect(422);
        anonymous.post(path, json!({ "revoke_token": 5 })).await.expect_at(422, ["body", "revoke_token"]);
        anonymous.post(path, json!({ "revoke_token": "a", "token": "b" })).await.expect(422);
        anonymous.get(path).await.expect(405);
    }
    ada.get("/users/me").await.expect(200);
    // Twice is as good as once.
    for _ in 0..2 {
        anonymous.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_in_a_body_is_no_second_credential() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let other = server.login("ada").await;
    ada.post("/token/revoke", json!({ "token": other.token() })).await.expect(200);
    other.get("/users/me").await.expect_unauthorized();
    ada.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_token_tells_about_itself_and_not_to_others() {
    let server = TestServer::start().await;
    let (ada, bob, admin) = (server.login("ada").await, server.login("bob").await, server.admin().await);
    let ask = |token: &str| json!({ "token": token });
    let told = ada.post("/token/introspect", ask(ada.token())).await.expect(200);
    assert_eq!(told["active"], true);
    assert_eq!(told["username"], "ada");
    assert!(told["exp"].is_u64(), "RFC 7662 counts seconds: {told}");
    let told = bob.post("/token/introspect", ask(ada.token())).await.expect(200);
    assert_eq!(told, json!({ "active": false }));
    let told = admin.post("/token/introspect", ask(ada.token())).await.expect(200);
    assert_eq!(told["active"], true);
    let told = ada.post("/token/introspect", ask("cof_s_a_b_c")).await.expect(200);
    assert_eq!(told, json!({ "active": false }));
    server.anonymous().post("/token/introspect", ask(ada.token())).await.expect_unauthorized();

    // It costs the token that is asked about no use.
    let one = ada.child(None, json!({ "max_uses": 1 })).await.expect(200)["access_token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for _ in 0..3 {
        assert_eq!(ada.post("/token/introspect", ask(&one)).await.expect(200)["active"], true);
    }
    ada.with_token(&one).get("/users/me").await.expect(200);
    assert_eq!(ada.post("/token/introspect", ask(&one)).await.expect(200), json!({ "active": false }));
}

#[tokio::test]
async fn a_request_that_was_begun_before_an_ending_is_judged_after_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let body = json!({ "secret_id": "kv/~/late", "value": crate::harness::canary("late") }).to_string();
    let mut stream = crate::harness::raw::connect_tls(&server).await;
    let head = format!(
        "POST /api/v1/secrets/create HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        server.address(),
        ada.token(),
        body.len()
    );
    let (begin, rest) = body.split_at(10);
    stream.write_all(format!("{head}{begin}").as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
    // Whoever asks is known before the body is read.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    ada.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    stream.write_all(rest.as_bytes()).await.expect("sent");
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    assert_eq!(crate::harness::raw::status(&String::from_utf8_lossy(&heard)), Some(401));
    other.get("/secrets/kv/~/late").await.expect(404);
}
