//! `POST /auth/token/create`: who gets a session, and what it may be.

use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, eventually};

const SPELLINGS: [&str; 2] = ["/auth/token/create", "/token/create"];

on_every_store!(
    a_password_gives_a_pair_of_tokens,
    a_one_time_token_succeeds_once_under_50_clients,
    a_session_of_five_uses_serves_five_requests,
    a_session_ends_when_its_ttl_is_over,
);

async fn a_password_gives_a_pair_of_tokens(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let session = &ada.session;
    let (access, refresh) = (ada.token(), ada.refresh_token());
    let selector = ada.session_id();
    assert!(access.starts_with(&format!("cof_s_{selector}_")), "the token names its kind and family");
    assert!(refresh.starts_with(&format!("cof_r_{selector}_")));
    assert_eq!(session["token_type"], "Bearer");
    assert!(session["expires_in"].as_u64().is_some_and(|seconds| seconds > 60), "{session}");
    assert!(session["refresh_expires_in"].as_u64().is_some_and(|seconds| seconds > 3600), "{session}");
    assert!(session.as_object().is_some_and(|members| members.contains_key("scope")));

    for path in SPELLINGS {
        let body = json!({ "grant_type": "password", "username": "ada", "password": ada.password });
        server.anonymous().post(path, body).await.expect(200);
        let fields = [("grant_type", "password"), ("username", "ada"), ("password", &ada.password)];
        server.anonymous().form(path, &fields).await.expect(200);
        // As the user's document spells it, and without a grant type.
        let body = json!({ "username": "ada", "passwor": ada.password });
        server.anonymous().post(path, body).await.expect(200);
        server.anonymous().form(path, &[("username", "ada"), ("password", &ada.password)]).await.expect(200);
        // Names are lower-cased.
        server.anonymous().post(path, json!({ "username": "ADA", "password": ada.password })).await.expect(200);
    }
}

async fn a_one_time_token_succeeds_once_under_50_clients(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    for _ in 0..2 {
        let session = ada.child(None, json!({ "one_time": true })).await.expect(200);
        assert_eq!(session["refresh_token"], Value::Null, "a limited session has none");
        let once = ada.with_session(session);
        let calls: Vec<_> = (0..50).map(|_| tokio::spawn(once.get("/users/me").into_future())).collect();
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.expect("an answer").status.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "one succeeds");
        assert!(statuses[1..].iter().all(|status| *status == 401), "and no other: {statuses:?}");
        once.get("/users/me").await.expect_unauthorized();
    }
}

async fn a_session_of_five_uses_serves_five_requests(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let body = json!({ "username": "ada", "password": ada.password, "session": { "max_uses": 5 } });
    let session = server.anonymous().post("/token/create", body).await.expect(200);
    assert_eq!(session["refresh_token"], Value::Null);
    let five = ada.with_session(session);
    // What can be refused without a use costs none.
    five.get("/no/such/route").await.expect(404);
    five.post("/users/me", json!({})).await.expect(405);
    // 200, 404 and 403 cost one each.
    five.get("/users/me").await.expect(200);
    five.get("/secrets/kv/~/nothing").await.expect(404);
    five.get("/sys/settings").await.expect_forbidden();
    five.get("/users/me").await.expect(200);
    five.get("/users/me").await.expect(200);
    five.get("/users/me").await.expect_unauthorized();
}

async fn a_session_ends_when_its_ttl_is_over(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let body = json!({ "username": "ada", "password": ada.password, "session": { "ttl": 1 } });
    let session = server.anonymous().post("/token/create", body).await.expect(200);
    assert!(session["expires_in"].as_u64().is_some_and(|seconds| seconds <= 1), "{session}");
    let short = ada.with_session(session);
    eventually("the session is over", || async { (short.get("/users/me").await.status == 401).then_some(()) }).await;
    let refresh = short.session["refresh_token"].as_str().map(str::to_owned);
    if let Some(refresh) = refresh {
        let body = json!({ "refresh_token": refresh });
        server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn unknown_deleted_and_wrong_look_the_same() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let bob = server.login("bob").await;
    server.admin().await.post("/users/bob/delete", json!({})).await.expect(200);
    let ask = async |username: &str, password: &str| {
        let body = json!({ "username": username, "password": password });
        let answer = server.anonymous().post("/token/create", body).await;
        let likeness = answer.likeness();
        answer.expect_oauth(400, "invalid_grant");
        likeness
    };
    let wrong = ask("ada", &canary("wrong")).await;
    assert_eq!(wrong, ask("nobody-at-all", &canary("wrong")).await);
    assert_eq!(wrong, ask("bob", &bob.password).await);
    assert_eq!(wrong, ask("not a name!", &canary("wrong")).await);
    assert_eq!(wrong, ask("ada", "").await);
    server.log_in("ada", &ada.password).await;
}

#[tokio::test]
async fn a_name_that_fails_too_often_is_slowed_and_says_nothing_else() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let admin = server.admin().await;
    admin.post("/sys/security", json!({ "logins": { "failures": 3 } })).await.expect(200);
    for name in ["ghost", "ghost", "ghost", "ghost", "ghost"] {
        let body = json!({ "username": name, "password": canary("wrong") });
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
    }
    // Another name is not slowed by it.
    server.log_in("ada", &ada.password).await;
}

#[tokio::test]
async fn what_a_login_lacks_is_named() {
    let server = TestServer::start().await;
    let anonymous = server.anonymous();
    for path in SPELLINGS {
        anonymous
            .post(path, json!({ "grant_type": "password", "username": "ada" }))
            .await
            .expect_at(422, ["body", "password"]);
        anonymous
            .post(path, json!({ "grant_type": "password", "password": "x" }))
            .await
            .expect_at(422, ["body", "username"]);
        anonymous
            .form(path, &[("grant_type", "password"), ("username", "ada")])
            .await
            .expect_at(422, ["body", "password"]);
        let wrong_type = json!({ "grant_type": "password", "username": "ada", "password": 7 });
        anonymous.post(path, wrong_type).await.expect_at(422, ["body", "password"]);
        anonymous
            .post(path, json!({ "grant_type": "password", "username": ["ada"], "password": "x" }))
            .await
            .expect_at(422, ["body", "username"]);
        anonymous.post(path, json!({ "grant_type": "morse" })).await.expect_oauth(400, "unsupported_grant_type");
        anonymous.post(path, json!({ "grant_type": "kv" })).await.expect_oauth(400, "unsupported_grant_type");
        anonymous.post(path, json!({ "grant_type": 1 })).await.expect_at(422, ["body", "grant_type"]);
        anonymous.post(path, json!({})).await.expect(422);
        anonymous.get(path).await.expect(405);
    }
}

#[tokio::test]
async fn a_body_that_begins_with_a_brace_is_json_whatever_it_is_called() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let body = json!({ "username": "ada", "password": ada.password }).to_string();
    for media in ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"] {
        let call = server.anonymous().call(reqwest::Method::POST, "/token/create");
        call.header("content-type", media).body(body.clone()).await.expect(200);
    }
    server.anonymous().call(reqwest::Method::POST, "/token/create").body(body).await.expect(200);
    let call = server.anonymous().call(reqwest::Method::POST, "/token/create");
    call.header("content-type", "text/plain").body("username=ada").await.expect(415);
}

#[tokio::test]
async fn a_scope_narrows_and_is_checked() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let bin = format!("kv/users/{}", ada.id);
    let secret = json!({ "secret_id": "kv/~/apps/db", "value": canary("db") });
    ada.post("/secrets/create", secret).await.expect(200);
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/application", "value": canary("x") })).await.expect(200);

    let scope = format!("read:secrets/{bin}/apps list:secrets/{bin}/apps");
    let body = json!({ "username": "ada", "password": ada.password, "scope": scope });
    let session = server.anonymous().post("/token/create", body).await.expect(200);
    assert_eq!(session["scope"], scope);
    let narrow = ada.with_session(session);
    narrow.get("/secrets/kv/~/apps/db").await.expect(200);
    narrow.get(&format!("/secrets?prefix={bin}/apps/")).await.expect(200);
    // By segments, not by letters.
    narrow.get("/secrets/kv/~/application").await.expect_forbidden();
    narrow.delete("/secrets/kv/~/apps/db").await.expect_forbidden();
    narrow
        .post("/secrets/create", json!({ "secret_id": "kv/~/apps/new", "value": canary("x") }))
        .await
        .expect_forbidden();

    // One's own folder has a short name here as well.
    let own = ada.child(Some("read:secrets/kv/~/apps"), json!({})).await.expect(200);
    assert_eq!(own["scope"], format!("read:secrets/{bin}/apps"));
    ada.with_session(own).get("/secrets/kv/~/apps/db").await.expect(200);

    for scope in ["fly:secrets/kv", "read", "read:", ":secrets/kv", "read:secrets/kv/../x"] {
        let body = json!({ "username": "ada", "password": ada.password, "scope": scope });
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_scope");
    }
    // What is short as it is sent, and too long as it would be kept.
    let long = format!("read:secrets/kv/~/{}", "x".repeat(1000));
    let body = json!({ "username": "ada", "password": ada.password, "scope": long });
    server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_scope");
    ada.child(Some(&long), json!({})).await.expect_oauth(400, "invalid_scope");
    // A scope gives nothing that policy does not.
    let body = json!({ "username": "ada", "password": ada.password, "scope": "read:sys manage:sys" });
    let session = server.anonymous().post("/token/create", body).await.expect(200);
    ada.with_session(session).get("/sys/settings").await.expect_forbidden();
}

#[tokio::test]
async fn a_session_may_only_be_tightened() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let ask = async |session: Value| {
        let body = json!({ "username": "ada", "password": ada.password, "session": session });
        server.anonymous().post("/token/create", body).await
    };
    for ttl in [json!(0), json!(-5), json!("0s"), json!("33d"), json!(1e12), json!("soon"), json!(true), json!("")] {
        ask(json!({ "ttl": ttl })).await.expect_at(422, ["body", "session", "ttl"]);
    }
    for uses in [json!(0), json!(-1), json!("5"), json!(1.5), json!(u64::MAX)] {
        ask(json!({ "max_uses": uses })).await.expect_at(422, ["body", "session", "max_uses"]);
    }
    ask(json!({ "bind": "everyone" })).await.expect_at(422, ["body", "session", "bind"]);
    ask(json!({ "bind": "list", "addresses": ["10.0.0.0/99"] })).await.expect(422);
    ask(json!({ "bind": "list" })).await.expect(422);
    ask(json!({ "one_time": "yes" })).await.expect_at(422, ["body", "session", "one_time"]);
    ask(json!({ "surprise": 1 })).await.expect_at(422, ["body", "session", "surprise"]);
    ask(json!("tight")).await.expect_at(422, ["body", "session"]);
    // Beyond the deadline it changes nothing.
    let session = ask(json!({ "ttl": "31d" })).await.expect(200);
    assert!(session["refresh_expires_in"].as_u64().is_some_and(|seconds| seconds <= 30 * 86400), "{session}");
}

#[tokio::test]
async fn a_session_is_used_only_from_the_addresses_it_is_bound_to() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let ask = async |session: Value| {
        let body = json!({ "username": "ada", "password": ada.password, "session": session });
        ada.with_session(server.anonymous().post("/token/create", body).await.expect(200))
    };
    ask(json!({ "bind": "caller" })).await.get("/users/me").await.expect(200);
    ask(json!({ "bind": "list", "addresses": ["127.0.0.0/8"] })).await.get("/users/me").await.expect(200);
    let elsewhere = ask(json!({ "bind": "list", "addresses": ["10.0.0.0/8"] })).await;
    elsewhere.get("/users/me").await.expect_forbidden();
    // A mismatch does not end the session, and a header from anybody does not help.
    elsewhere.get("/users/me").header("x-forwarded-for", "10.1.2.3").await.expect_forbidden();
    elsewhere.get("/users/me").header("forwarded", "for=10.1.2.3").await.expect_forbidden();
    ask(json!({ "bind": "list", "addresses": [] })).await.get("/users/me").await.expect_forbidden();
    // Whether it has ended is asked first.
    let body = json!({ "revoke_token": elsewhere.token() });
    server.anonymous().post("/token/revoke", body).await.expect(200);
    elsewhere.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_token_that_is_not_one_is_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let token = ada.token().to_owned();
    let mut flipped = token.clone().into_bytes();
    let at = token.rfind('_').expect("a token has parts") - 3;
    flipped[at] = if flipped[at] == b'a' { b'b' } else { b'a' };
    let flipped = String::from_utf8(flipped).expect("ASCII");
    let junk = [
        "",
        "x",
        "cof_s_",
        "cof_s_a_b_c",
        &flipped,
        &token[..token.len() - 1],
        &format!("{token}0"),
        &ada.refresh_token(),
    ];
    for token in junk {
        let answer = ada.with_token(token).get("/users/me").await;
        let challenge = answer.headers["www-authenticate"].to_str().expect("text").to_owned();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        answer.expect_unauthorized();
    }
    let anonymous = server.anonymous();
    anonymous.get("/users/me").header("authorization", &format!("bearer {token}")).await.expect(200);
    anonymous.get("/users/me").header("authorization", &format!("Token {token}")).await.expect_unauthorized();
    anonymous.get("/users/me").header("authorization", &token).await.expect_unauthorized();
    let twice = ada.get("/users/me").header("authorization", &format!("Bearer {token}"));
    twice.await.expect(400);
    // Never in a URL.
    for name in ["access_token", "token", "password", "refresh_token"] {
        anonymous.get("/users/me").query(&[(name, &token)]).await.expect(422);
        ada.get("/users/me").query(&[(name, &token)]).await.expect(422);
    }
}

#[tokio::test]
async fn a_limited_session_makes_no_session_and_no_credential() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.login("ada").await;
    let limited = async || admin.with_session(admin.child(None, json!({ "max_uses": 3 })).await.expect(200));
    limited().await.child(None, json!({})).await.expect_type(403, "limited_session");
    let user = json!({ "username": "eve", "email": "eve@example.com", "role": "user", "password": canary("eve") });
    limited().await.post("/users/create", user).await.expect_type(403, "limited_session");
    limited().await.post("/sys/security", json!({})).await.expect_type(403, "limited_session");
    let setting = json!({ "key": "custom/x", "value": 1 });
    limited().await.post("/sys/setting", setting).await.expect_type(403, "limited_session");
    // What makes nothing is allowed.
    limited().await.get("/sys/settings").await.expect(200);
}
