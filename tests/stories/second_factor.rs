//! A second factor: whom a password has proven is asked for a code before there is a session.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::github;
use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_login_waits_for_the_code_and_goes_on_with_it_once);

/// RFC 6238, as an app computes it.
fn code(secret: &Value, ahead: i64) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut seed) = (0_u32, 0, Vec::new());
    for letter in secret.as_str().expect("a seed").bytes() {
        let value = alphabet.iter().position(|known| *known == letter).expect("base32") as u32;
        (bits, held) = (bits << 5 | value, held + 5);
        if held >= 8 {
            held -= 8;
            seed.push((bits >> held & 0xff) as u8);
        }
    }
    let now = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs();
    let step = (now / 30).checked_add_signed(ahead).expect("a step");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &seed);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

/// Enrols and confirms an app: its seed, its id, and recovery codes.
async fn enrolled(ada: &Client) -> (Value, String, Vec<String>) {
    let made = ada.post("/users/me/credentials/totp", json!({ "label": "phone" })).await.expect(200);
    let id = made["id"].as_str().expect("an id").to_owned();
    let confirm = json!({ "id": id, "code": code(&made["secret"], -1) });
    ada.post("/users/me/credentials/totp", confirm).await.expect(200);
    let codes = ada.post("/users/me/credentials/totp", json!({ "recovery": true })).await.expect(200);
    (made["secret"].clone(), id, serde_json::from_value(codes["codes"].clone()).expect("codes"))
}

async fn demand(admin: &Client, when: &str) {
    let value = json!({ "second": { "mount": "totp", "when": when } });
    // Whoever demands it of everybody has it already, or says that this is meant.
    let body = json!({ "key": "auth/password", "value": value, "force": when == "always" });
    admin.post("/sys/setting", body).await.expect(200);
}

async fn asked(server: &TestServer, user: &Client) -> String {
    let body = json!({ "username": user.username, "password": user.password });
    let refused = server.anonymous().post("/token/create", body).await.expect_oauth(400, "challenge_required");
    let challenge = &refused["challenge"];
    assert_eq!((&challenge["kind"], &challenge["details"]["member"]), (&json!("prompt"), &json!("code")), "{refused}");
    assert!(challenge["expires_in"].as_u64().is_some_and(|left| (1..=300).contains(&left)), "{refused}");
    challenge["id"].as_str().expect("an id").to_owned()
}

async fn a_login_waits_for_the_code_and_goes_on_with_it_once(server: Builder) {
    let mut server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (secret, _, codes) = enrolled(&ada).await;
    demand(&admin, "enrolled").await;
    // Who has none is asked for none.
    server.login("bob").await;
    let id = asked(&server, &ada).await;
    server.restart().await;
    let anonymous = server.anonymous();
    let resume = |answer: &str| anonymous.post("/auth/token/resume", json!({ "challenge_id": id, "code": answer }));
    let again = resume("000000").await.expect_oauth(400, "challenge_required");
    assert_eq!((&again["challenge"]["id"], &again["challenge"]["details"]["wrong"]), (&json!(id), &json!(true)));
    let session = resume(&code(&secret, 0)).await.expect(200);
    let in_again = anonymous.with_session(session);
    assert_eq!(in_again.get("/users/me").await.expect(200)["username"], "ada");
    // A challenge is answered once, and so is a code.
    resume(&codes[0]).await.expect_oauth(400, "expired_token");
    let other = asked(&server, &ada).await;
    let replay = json!({ "challenge_id": other, "code": code(&secret, 0) });
    anonymous.post("/auth/token/resume", replay).await.expect_oauth(400, "challenge_required");
    let paper = json!({ "challenge_id": other, "code": codes[1] });
    anonymous.post("/auth/token/resume", paper).await.expect(200);
    // It can be renewed like any, and the second factor is not asked for again.
    let renewal = json!({ "refresh_token": in_again.refresh_token() });
    anonymous.post("/token/renew", renewal).await.expect(200);
}

#[tokio::test]
async fn the_command_line_asks_for_the_code() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (_, _, codes) = enrolled(&ada).await;
    demand(&admin, "enrolled").await;
    let cli = server.cli("ada");
    let (url, authority) = (server.url(), server.authority().to_str().expect("UTF-8").to_owned());
    let arguments = ["login", "--address", &url, "--ca-cert", &authority, "--username", "ada"];
    let typed = format!("{}\n000000\n{}\n", ada.password, codes[0]);
    let ran = cli.run_with(&arguments, typed.as_bytes()).await;
    assert!(ran.err.contains("That was not right."), "{}", ran.err);
    ran.done();
    server.keep_tokens(&cli);
    assert_eq!(cli.run(&["whoami", "-o", "json"]).await.json()["username"], "ada");
}

#[tokio::test]
async fn a_wrong_password_is_told_before_anything_is_asked() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    enrolled(&ada).await;
    demand(&admin, "enrolled").await;
    let anonymous = server.anonymous();
    let wrong = json!({ "username": "ada", "password": canary("wrong") });
    let unknown = json!({ "username": "nobody", "password": canary("wrong") });
    let wrong = anonymous.post("/token/create", wrong).await.likeness();
    assert_eq!(wrong, anonymous.post("/token/create", unknown).await.likeness());
    assert_eq!(wrong.1["error"], "invalid_grant");
}

#[tokio::test]
async fn the_second_factor_is_no_login_by_itself() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let (secret, _, codes) = enrolled(&ada).await;
    for body in [
        json!({ "grant_type": "totp" }),
        json!({ "grant_type": "totp", "code": code(&secret, 0) }),
        json!({ "grant_type": "totp", "code": codes[0] }),
    ] {
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
    }
    let named = json!({ "grant_type": "totp", "username": "ada", "code": codes[0] });
    server.anonymous().post("/token/create", named).await.expect(422);
}

#[tokio::test]
async fn always_lets_nobody_in_without_one() {
    let server = TestServer::start().await;
    let (admin, ada, bob) = (server.admin().await, server.login("ada").await, server.login("bob").await);
    let (secret, id, _) = enrolled(&ada).await;
    demand(&admin, "always").await;
    let body = json!({ "username": "bob", "password": bob.password });
    server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
    let challenge = asked(&server, &ada).await;
    let answer = json!({ "challenge_id": challenge, "code": code(&secret, 0) });
    let session = server.anonymous().post("/auth/token/resume", answer).await.expect(200);
    // A challenge that waits while its credential is taken away is answered no more.
    let waiting = asked(&server, &ada).await;
    ada.with_session(session).delete(&format!("/users/me/credentials/totp/{id}")).await.expect(200);
    let answer = json!({ "challenge_id": waiting, "code": code(&secret, 1) });
    server.anonymous().post("/auth/token/resume", answer).await.expect_oauth(400, "invalid_grant");
    // The mount gone, nobody gets in: it fails closed.
    let disable = json!({ "key": "auth/totp", "value": { "enabled": false }, "force": true });
    admin.post("/sys/setting", disable).await.expect(200);
    let body = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body).await.expect(503);
}

#[tokio::test]
async fn a_login_that_is_overtaken_by_an_ending_does_not_go_on() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (secret, _, codes) = enrolled(&ada).await;
    demand(&admin, "enrolled").await;
    let waiting = asked(&server, &ada).await;
    admin.post("/sessions/revoke", json!({ "username": "ada" })).await.expect(200);
    let answer = json!({ "challenge_id": waiting, "code": code(&secret, 0) });
    server.anonymous().post("/auth/token/resume", answer).await.expect_oauth(400, "invalid_grant");
    let waiting = asked(&server, &ada).await;
    admin.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    let answer = json!({ "challenge_id": waiting, "code": codes[0] });
    server.anonymous().post("/auth/token/resume", answer).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_login_by_another_provider_is_overtaken_by_an_ending_as_well() {
    let (server, github, admin) = github::with_github(TestServer::builder()).await;
    github::mount(&admin, github.setting(json!({}))).await;
    let token = github.token(&server, 1);
    let first = || server.anonymous().post("/token/create", json!({ "grant_type": "github", "token": token }));
    let (_, me) = github::whose(&server, first().await).await;
    assert_eq!(me["username"], "ada");
    // By a password she adds an app to what she has.
    let password = canary("ada");
    server.keep_password("ada", &password);
    admin.post("/users/ada/password", json!({ "new": password })).await.expect(200);
    let (_, _, codes) = enrolled(&server.log_in("ada", &password).await).await;
    let second = json!({ "second": { "mount": "totp", "when": "always" } });
    github::mount(&admin, github.setting(second)).await;
    let asked = async || first().await.expect_oauth(400, "challenge_required")["challenge"]["id"].clone();
    let resume = |id: &Value, code: &str| {
        server.anonymous().post("/auth/token/resume", json!({ "challenge_id": id, "code": code }))
    };
    resume(&asked().await, &codes[0]).await.expect(200);
    // Whom GitHub has vouched for before the ending, the code does not bring in after it.
    let waiting = asked().await;
    admin.post("/sessions/revoke", json!({ "username": "ada" })).await.expect(200);
    resume(&waiting, &codes[1]).await.expect_oauth(400, "invalid_grant");
    // Nor when it looks as if nothing had been.
    let waiting = asked().await;
    for disabled in [true, false] {
        admin.post("/users/ada/update", json!({ "disabled": disabled })).await.expect(200);
    }
    resume(&waiting, &codes[2]).await.expect_oauth(400, "invalid_grant");
    resume(&asked().await, &codes[3]).await.expect(200);
    let waiting = asked().await;
    admin.post("/users/ada/delete", json!({})).await.expect(200);
    let answer = resume(&waiting, &codes[4]).await;
    assert!(answer.status.as_u16() >= 400 && answer.body["access_token"].is_null(), "{}", answer.text);
}

#[tokio::test]
async fn a_challenge_nobody_gave_out_has_expired() {
    let server = TestServer::start().await;
    let anonymous = server.anonymous();
    for id in ["x", "0123456789abcdef", "../../user/x", &"x".repeat(5000)] {
        let answer = json!({ "challenge_id": id, "code": "123456" });
        anonymous.post("/auth/token/resume", answer).await.expect_oauth(400, "expired_token");
    }
    anonymous.post("/auth/token/resume", json!({})).await.expect_at(422, ["body", "challenge_id"]);
    anonymous.post("/auth/token/resume", json!({ "challenge_id": 1 })).await.expect_at(422, ["body", "challenge_id"]);
}

#[tokio::test]
async fn what_cannot_be_a_second_factor_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let set =
        |key: &str, second: Value| admin.post("/sys/setting", json!({ "key": key, "value": { "second": second } }));
    for mount in ["none", "kv"] {
        set("auth/password", json!({ "mount": mount, "when": "always" }))
            .await
            .expect_at(422, ["body", "value", "second", "mount"]);
    }
    set("auth/password", json!({ "mount": "password", "when": "always" }))
        .await
        .expect_at(422, ["body", "value", "second"]);
    set("auth/password", json!({ "mount": "totp", "when": "often" })).await.expect(422);
    set("secrets/kv", json!({ "mount": "totp", "when": "always" })).await.expect_at(422, ["body", "value", "second"]);
}

#[tokio::test]
async fn a_second_factor_locks_nobody_out_by_accident() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    enrolled(&ada).await;
    let set = |key: &str, value: Value| admin.post("/sys/setting", json!({ "key": key, "value": value }));
    let demand = |when: &str| set("auth/password", json!({ "second": { "mount": "totp", "when": when } }));
    // No admin could answer.
    demand("always").await.expect_type(422, "locked_out");
    demand("enrolled").await.expect(200);
    // Without it nobody gets in who logs in with it.
    for _ in 0..2 {
        set("auth/totp", json!({ "enabled": false })).await.expect_type(422, "locked_out");
        admin.delete("/sys/setting/auth%2Ftotp").await.expect_type(422, "locked_out");
        // Nor where an admin has it.
        enrolled(&admin).await;
        demand("always").await.expect(200);
    }
    set("auth/password", json!({ "second": null })).await.expect(200);
    set("auth/totp", json!({ "enabled": false })).await.expect(200);
    // What is shut can be opened again, and all else be changed meanwhile.
    let shut = json!({ "key": "auth/password", "value": { "enabled": false }, "force": true });
    admin.post("/sys/setting", shut).await.expect(200);
    set("auth/totp", json!({ "enabled": true })).await.expect(200);
    set("auth/password", json!({ "enabled": true })).await.expect(200);
}
