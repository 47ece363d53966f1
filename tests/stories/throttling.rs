//! Guessing: slowed by name, refused by address block, and nothing told on the way.

use std::future::IntoFuture;

use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Client, Seal, Sessions, TestServer, canary, eventually};

on_every_store!(
    a_name_that_has_failed_too_often_is_refused_even_with_the_right_password,
    an_address_that_has_failed_too_often_is_told_to_come_back_later,
);

/// One login, by whatever name.
async fn ask(by: &Client, username: &str, password: &str) -> Answer {
    by.post("/token/create", json!({ "username": username, "password": password })).await
}

async fn fail(by: &Client, username: &str, times: usize) {
    for _ in 0..times {
        ask(by, username, &canary("wrong")).await.expect_oauth(400, "invalid_grant");
    }
}

async fn set(server: &TestServer, logins: Value) {
    server.admin().await.post("/sys/security", json!({ "logins": logins })).await.expect(200);
}

/// A store with one share, opened. Answers who may do everything.
async fn init(server: &TestServer) -> Client {
    let mut files = std::fs::read_dir(server.data_dir()).expect("the data folder is there").flatten();
    let file = files.find(|entry| entry.file_name().to_string_lossy().contains("code")).expect("a file with the code");
    let code = std::fs::read_to_string(file.path()).expect("a code is text").trim().to_owned();
    server.keep_secret(&code);
    let made = server.anonymous().post("/sys/init", json!({ "code": code })).await.expect(200);
    server.anonymous().with_token(made["root_token"].as_str().expect("a root token"))
}

async fn a_name_that_has_failed_too_often_is_refused_even_with_the_right_password(server: Builder) {
    let server = server.start().await;
    let password = server.create_user("ada", "user").await;
    set(&server, json!({ "failures": 3, "window": "4s" })).await;
    let stranger = server.anonymous_at("127.0.0.2");
    fail(&stranger, "ada", 3).await;
    ask(&stranger, "ada", &password).await.expect_oauth(400, "invalid_grant");
    ask(&server.anonymous(), "ada", &password).await.expect_oauth(400, "invalid_grant");
    // Another name is not slowed by it.
    server.login("bob").await;
    eventually("the window is over", || async {
        let answer = ask(&server.anonymous(), "ada", &password).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

async fn an_address_that_has_failed_too_often_is_told_to_come_back_later(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let guesser = server.anonymous_at("127.0.0.2");
    set(&server, json!({ "failures_per_address": 4 })).await;
    for name in ["ada", "ghost", "not a name", "admin"] {
        fail(&guesser, name, 1).await;
    }
    for (name, password) in [("ada", ada.password.as_str()), ("ghost", "x"), ("bob", "y")] {
        let answer = ask(&guesser, name, password).await;
        let after: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!((800..=900).contains(&after), "{after}");
        answer.expect_type(429, "too_many_requests");
    }
    // What is no guess is not refused, and others are not harmed.
    guesser.get("/sys/health").await.expect(200);
    guesser.with_token(ada.token()).get("/users/me").await.expect(200);
    let renewed = guesser.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    guesser.with_session(renewed).child(None, json!({})).await.expect(200);
    server.log_in("ada", &ada.password).await;
    // Settings are live.
    set(&server, json!({ "failures_per_address": 5 })).await;
    ask(&guesser, "ada", &ada.password).await.expect(200);
}

#[tokio::test]
async fn unknown_wrong_deleted_and_slowed_look_the_same() {
    let server = TestServer::start().await;
    let (ada, eve) = (server.login("ada").await, server.login("eve").await);
    server.create_user("bob", "user").await;
    server.admin().await.post("/users/eve/delete", json!({})).await.expect(200);
    set(&server, json!({ "failures": 3 })).await;
    let by = server.anonymous_at("127.0.0.2");
    fail(&by, "bob", 3).await;
    fail(&by, "ghost", 3).await;
    let mut seen = Vec::new();
    let bob = server.anonymous_at("127.0.0.2");
    for (name, password) in [
        ("ada", canary("wrong")),
        ("nobody", canary("wrong")),
        ("eve", eve.password),
        ("bob", canary("wrong")),
        ("ghost", canary("wrong")),
    ] {
        let answer = ask(&bob, name, &password).await;
        let mut headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
            .collect();
        headers.sort();
        seen.push((answer.likeness(), headers, answer.text.len()));
    }
    for other in &seen[1..] {
        assert_eq!(&seen[0], other);
    }
    ask(&by, "ada", &ada.password).await.expect(200);
}

#[tokio::test]
async fn one_name_is_one_name_however_it_is_written() {
    let server = TestServer::start().await;
    let password = server.create_user("ada.l", "user").await;
    set(&server, json!({ "failures": 6 })).await;
    let by = server.anonymous_at("127.0.0.2");
    for name in ["ada.l", "ADA.L", " ada.l", "ada.l ", "Ada.\u{200b}L", "\u{ff41}da.l"] {
        fail(&by, name, 1).await;
    }
    for name in ["ada.l", "ADA.L"] {
        ask(&by, name, &password).await.expect_oauth(400, "invalid_grant");
    }
}

#[tokio::test]
async fn nobody_locks_a_user_out_of_where_the_user_logs_in() {
    let server = TestServer::start().await;
    // From 127.0.0.1.
    let ada = server.login("ada").await;
    set(&server, json!({ "failures": 3 })).await;
    for guesser in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        fail(&server.anonymous_at(guesser), "ada", 3).await;
    }
    ask(&server.anonymous_at("127.0.0.5"), "ada", &ada.password).await.expect_oauth(400, "invalid_grant");
    server.log_in("ada", &ada.password).await;
    // Whoever guesses from there has as few tries as anywhere.
    fail(&server.anonymous(), "ada", 3).await;
    ask(&server.anonymous(), "ada", &ada.password).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_header_makes_nobody_come_from_elsewhere() {
    let server = TestServer::start().await;
    set(&server, json!({ "failures_per_address": 5 })).await;
    let guess = |n: u32| {
        let call =
            server.anonymous().post("/token/create", json!({ "username": "ghost", "password": canary("wrong") }));
        call.header("x-forwarded-for", &format!("192.0.2.{n}")).header("forwarded", &format!("for=192.0.2.{n}"))
    };
    for n in 0..5 {
        guess(n).await.expect_oauth(400, "invalid_grant");
    }
    guess(6).await.expect(429);
}

#[tokio::test]
async fn behind_a_proxy_it_is_the_client_that_counts_and_rubbish_counts_as_one() {
    let builder = TestServer::builder().seal(Seal::KeyFile);
    let builder = builder.config("listener.trusted_proxies", vec!["127.0.0.0/8"]);
    let server = builder.config("listener.client_address_header", "x-forwarded-for").start().await;
    let root = init(&server).await;
    root.post("/sys/setting", json!({ "key": "auth/password", "value": { "plugin": "password" } })).await.expect(200);
    root.post("/sys/security", json!({ "logins": { "failures_per_address": 3 } })).await.expect(200);
    let guess = |from: &str| {
        let call =
            server.anonymous().post("/token/create", json!({ "username": "ghost", "password": canary("wrong") }));
        call.header("x-forwarded-for", from)
    };
    // What stands further left was written by whoever wanted to be somebody else.
    for forged in ["198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1", "192.0.2.1"] {
        guess(forged).await.expect_oauth(400, "invalid_grant");
    }
    guess("198.51.100.3, 192.0.2.1").await.expect(429);
    guess("2001:db8::1").await.expect_oauth(400, "invalid_grant");
    for rubbish in ["unknown", "_hidden", "1.2.3"] {
        guess(rubbish).await.expect_oauth(400, "invalid_grant");
    }
    guess("rubbish").await.expect(429);
    // Nor by writing what is no address does anybody become nobody.
    guess("rubbish, 192.0.2.1").await.expect(429);
    guess("192.0.2.2").await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn many_guesses_at_once_are_no_more_guesses() {
    let server = TestServer::start().await;
    let password = server.create_user("ada", "user").await;
    set(&server, json!({ "failures": 5 })).await;
    let by = server.anonymous_at("127.0.0.2");
    let guess = |password: String| {
        let call = by.post("/token/create", json!({ "username": "ada", "password": password }));
        tokio::spawn(call.into_future())
    };
    let wrong: Vec<_> = (0..32).map(|_| guess(canary("wrong"))).collect();
    for guess in wrong {
        guess.await.expect("an answer").expect_oauth(400, "invalid_grant");
    }
    ask(&by, "ada", &password).await.expect_oauth(400, "invalid_grant");
    let reasons = server
        .trail()
        .0
        .iter()
        .filter(|record| record["cause"].as_str().is_some_and(|cause| cause.contains("slowed")))
        .count();
    assert_eq!(reasons, 32 - 5 + 1, "five were looked at, and the trail says of the others why not");
}

#[tokio::test]
async fn many_right_logins_at_once_are_all_let_in() {
    let server = TestServer::start().await;
    let password = server.create_user("ada", "user").await;
    set(&server, json!({ "failures": 2, "failures_per_address": 3 })).await;
    let login = || {
        let call = server.anonymous().post("/token/create", json!({ "username": "ada", "password": password }));
        tokio::spawn(call.into_future())
    };
    let logins: Vec<_> = (0..32).map(|_| login()).collect();
    for login in logins {
        login.await.expect("an answer").expect(200);
    }
}

#[tokio::test]
async fn what_is_no_guess_is_not_counted() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    set(&server, json!({ "failures": 2, "failures_per_address": 3 })).await;
    let by = server.anonymous();
    for _ in 0..5 {
        by.post("/token/create", json!({ "grant_type": "password", "username": "ada" })).await.expect(422);
        by.post("/token/create", json!({ "grant_type": "morse", "username": "ada" })).await.expect(400);
        let body = json!({ "username": "ada", "password": ada.password, "session": { "ttl": 0 } });
        by.post("/token/create", body).await.expect(422);
        server.log_in("ada", &ada.password).await;
        by.post("/token/renew", json!({ "refresh_token": "cof_r_a_b_c" })).await.expect(400);
        by.with_token("cof_s_a_b_c").get("/users/me").await.expect(401);
    }
}

#[tokio::test]
async fn every_mount_of_the_servers_users_has_the_same_count() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let password = server.create_user("ada", "user").await;
    let second = json!({ "key": "auth/second", "value": { "plugin": "password", "enabled": true } });
    admin.post("/sys/setting", second).await.expect(200);
    set(&server, json!({ "failures": 2 })).await;
    let by = server.anonymous_at("127.0.0.2");
    for _ in 0..2 {
        let body = json!({ "grant_type": "second", "username": "ada", "password": canary("wrong") });
        by.post("/token/create", body).await.expect_oauth(400, "invalid_grant");
    }
    ask(&by, "ada", &password).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn the_counts_of_redis_outlive_a_server_and_tell_no_name() {
    let mut server = TestServer::builder().sessions(Sessions::Redis).start().await;
    let password = server.create_user("canary-ada", "user").await;
    set(&server, json!({ "failures": 2 })).await;
    fail(&server.anonymous_at("127.0.0.2"), "canary-ada", 2).await;
    let keys = server.services.redis.as_ref().expect("this server has one").keys().await;
    let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
    assert!(keys.iter().any(|key| key.contains("throttle")), "{keys:?}");
    assert!(!keys.iter().any(|key| key.contains("canary") || key.contains("127.0.0")), "{keys:?}");
    server.restart().await;
    ask(&server.anonymous_at("127.0.0.2"), "canary-ada", &password).await.expect_oauth(400, "invalid_grant");
}
