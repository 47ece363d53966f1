//! What an attacker tries first: each try and the answer that it must get.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, canary, raw};

#[tokio::test]
async fn a_token_in_a_path_stands_in_no_record() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    // What the end of each story searches the trail for.
    let token = admin.token();
    for path in [
        format!("/secrets/kv/{token}"),
        format!("/secrets/kv/{token}:history"),
        format!("/secrets/kv/apps%2F{token}"),
        format!("/sys/policies/{token}"),
        format!("/sys/roles/{token}"),
        format!("/sys/setting/custom/{token}"),
        format!("/sys/plugins/{token}/1.0.0"),
        format!("/users/{token}"),
        format!("/users/{token}/credentials/{token}"),
        format!("/{token}"),
    ] {
        let status = admin.get(&path).await.status.as_u16();
        assert!([404, 422].contains(&status), "{path}: {status}");
        ada.get(&path).await;
        admin.delete(&path).await;
    }
    admin.post(&format!("/sessions/{token}/revoke"), json!({})).await;
    admin.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn what_an_engine_is_asked_for_plainly_is_no_verb() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let text = r#"permit (principal in Role::"user", action == Action::"use", resource in Resource::"secrets/kv");"#;
    admin.put("/sys/policies/users", json!({ "text": text })).await.expect(200);
    admin.put("/secrets/kv/apps/db", json!({ "value": canary("db") })).await.expect(200);
    for verb in ["read", "list", "create", "update", "patch", "delete", "handle", "put", "get"] {
        for path in [format!("/secrets/kv/apps/db:{verb}"), format!("/secrets:{verb}?secret_id=kv/apps/db")] {
            ada.get(&path).await.expect_type(404, "unknown_verb");
            ada.post(&path, json!({ "data": {} })).await.expect_type(404, "unknown_verb");
        }
    }
    assert_eq!(admin.get("/secrets/kv/apps/db").await.expect(200)["version"], 1);
}

#[tokio::test]
async fn headers_that_speak_to_other_servers_mean_nothing_here() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/api/v1/sys/settings"),
        ("x-rewrite-url", "/api/v1/sys/settings"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=127.0.0.1;proto=http"),
        ("x-request-id", "00000000000000000000000000000000"),
        ("x-user", "admin"),
        ("upgrade", "h2c"),
    ] {
        let answer = ada.get("/users/me").header(name, value).await;
        assert_ne!(answer.request_id(), "00000000000000000000000000000000");
        assert_eq!(answer.expect(200)["username"], "ada", "{name}");
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn paths_have_one_spelling() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let ask = async |target: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            ada.token()
        );
        raw::status(&raw::exchange(raw::connect_tls(&server).await, request.as_bytes()).await)
    };
    assert_eq!(ask("/api/v1/users/me").await, Some(200));
    for target in [
        "/api/v1/users/me/",
        "/api/v1//users/me",
        "//api/v1/users/me",
        "/API/v1/users/me",
        "/api/v1/Users/me",
        "/api/v1/users%2Fme",
        "/api%2Fv1/users/me",
        "/api/v1/./users/me",
        "/api/v1/users/x/../me",
        "/api/v1/users/me;x=1",
        "/api/v1/users/me%00",
        "/api/v1/users/me%20",
        "/api/v1/users/%6de/",
        "/api/v1/sys/../users/me",
    ] {
        let status = ask(target).await;
        assert!(status.is_some_and(|status| [400, 403, 404, 422].contains(&status)), "{target}: {status:?}");
    }
}

#[tokio::test]
async fn a_request_has_one_length_and_one_host() {
    let server = TestServer::start().await;
    let head = "POST /api/v1/token/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let smuggled = "GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nX: canary\r\n\r\n";
    for lengths in [
        "Content-Length: 5\r\nContent-Length: 50\r\n",
        "Content-Length: 5, 50\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let request = format!("{head}{lengths}\r\n0\r\n\r\n{smuggled}");
        let heard = raw::exchange(raw::connect_tls(&server).await, request.as_bytes()).await;
        // One answer, which is a refusal, and the connection ends.
        let answers = heard.matches("HTTP/1.1 ").count();
        let status = raw::status(&heard);
        assert!(answers == 1 && status.is_some_and(|status| (400..500).contains(&status)), "{lengths:?}: {heard}");
    }
}

#[tokio::test]
async fn numbers_at_the_end_of_their_range_break_no_verification() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let records = server.trail().0;
    let text = std::fs::read_to_string(server.data_dir().join("audit.log")).expect("a trail");
    let line = text.lines().nth(2).expect("some lines");
    let chain = records[2]["chain"].as_str().expect("a chain");
    for most in [0, u64::MAX - 1, u64::MAX] {
        let from = json!({ "chain": chain, "seq": most, "mac": "", "unkeyed": most, "torn": [] });
        let found = admin.post("/sys/audit/verify", json!({ "lines": [line], "from": from })).await.expect(200);
        assert!(found["broken"]["why"].is_string(), "{found}");
        let torn = json!({ "chain": chain, "seq": most, "mac": "", "unkeyed": most, "torn": [most, most] });
        admin.post("/sys/audit/verify", json!({ "lines": [line, line], "from": torn })).await.expect(200);
        admin.post("/sys/audit/verify", json!({ "end": true, "from": from })).await.expect(200);
    }
}

#[tokio::test]
async fn a_renewal_is_the_same_by_either_name() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    // A program that sends its old access token with everything is told nothing else.
    let renewed = ada.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    let ada = ada.with_session(renewed);
    let body = json!({ "grant_type": "refresh_token", "refresh_token": ada.refresh_token() });
    let ada = ada.with_session(ada.post("/token/create", body).await.expect(200));
    ada.get("/users/me").await.expect(200);
}

/// A wish that a renewal cannot fulfil is refused, not passed over: whoever sent it would believe to hold less.
#[tokio::test]
async fn a_renewal_that_is_to_be_limited_is_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for session in [json!({ "one_time": true }), json!({})] {
        let mut body = json!({ "grant_type": "refresh_token", "refresh_token": ada.refresh_token() });
        body["session"] = session;
        let answer = server.anonymous().post("/token/create", body).await;
        answer.expect_problem(422, ["body", "session"], "unknown_member");
    }
    // And nothing was spent.
    let body = json!({ "grant_type": "refresh_token", "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/create", body).await.expect(200);
}

#[tokio::test]
async fn a_narrow_session_makes_no_wider_one_by_any_way() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    ada.put("/secrets/kv/~/x", json!({ "value": canary("x") })).await.expect(200);
    let narrow = "list:secrets/kv/~";
    let body = json!({ "username": "ada", "password": ada.password, "scope": narrow });
    let narrow = server.anonymous().with_session(server.anonymous().post("/token/create", body).await.expect(200));
    narrow.get("/secrets?prefix=kv/~/").await.expect(200);
    narrow.get("/secrets/kv/~/x").await.expect_forbidden();
    let wider = [json!("read:secrets/kv/~"), json!("list:secrets/kv"), json!("list:secrets/kv/~ read:secrets/kv/~")];
    for scope in &wider {
        let child = json!({ "grant_type": "session", "scope": scope });
        narrow.post("/token/create", child).await.expect_oauth(400, "invalid_scope");
        let renewal = json!({ "refresh_token": narrow.refresh_token(), "scope": scope });
        server.anonymous().post("/token/renew", renewal).await.expect_oauth(400, "invalid_scope");
    }
    // Neither nothing, nor null, nor a blank is a way out of a scope.
    for scope in [Value::Null, json!(""), json!(" ")] {
        let child = narrow.post("/token/create", json!({ "grant_type": "session", "scope": scope })).await;
        if child.status == 200 {
            let child = narrow.with_session(child.body);
            child.get("/secrets/kv/~/x").await.expect_forbidden();
            child.get("/secrets?prefix=kv/~/").await.expect(200);
        }
    }
    let renewal = json!({ "refresh_token": narrow.refresh_token(), "scope": "" });
    let renewed = narrow.with_session(server.anonymous().post("/token/renew", renewal).await.expect(200));
    renewed.get("/secrets/kv/~/x").await.expect_forbidden();
    // Nor does it look at, or end, what is beside it.
    let calls = [
        renewed.get("/sessions"),
        renewed.get("/users/me/credentials/totp"),
        renewed.post("/sessions/revoke", json!({ "others": true })),
        renewed.post(&format!("/sessions/{}/revoke", ada.session_id()), json!({})),
        renewed.post("/users/me/credentials/totp", json!({ "label": "x" })),
        renewed.call(Method::POST, "/users/me/password").json(json!({ "current": ada.password, "new": canary("n") })),
    ];
    for call in calls {
        call.await.expect_forbidden();
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn nobody_locks_an_address_out_through_a_visitors_browser() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/security", json!({ "logins": { "failures_per_address": 3 } })).await.expect(200);
    let nobody = server.anonymous();
    // What a state stands for cannot be guessed, so whoever asks for one that is not there has guessed nothing.
    for state in 0..5 {
        nobody.get(&format!("/auth/password/callback?state=A{state}")).await.expect(400);
    }
    // An image on another site's page.
    for path in ["/auth/password/browser?code=AAAA-AAAA", "/auth/password/callback?state=A", "/sys/health"] {
        let image = nobody.get(path).header("sec-fetch-site", "cross-site");
        let image = image.header("sec-fetch-mode", "no-cors").header("sec-fetch-dest", "image");
        image.await.expect_type(403, "cross_site");
    }
    // A link on it.
    let link = nobody.get("/sys/health").header("sec-fetch-site", "cross-site");
    link.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document").await.expect(200);
    server.login("ada").await;
}
