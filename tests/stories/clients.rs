//! Machines: a client id and a secret log in, and say which program asks where a person logs in.

use std::future::IntoFuture;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary, unique};

on_every_store!(a_machine_logs_in_however_it_shows_its_secret, a_secret_of_two_uses_is_good_twice);

/// A machine and a secret of it: id and secret.
async fn machine(admin: &Client, wanted: Value) -> (String, Value) {
    let name = unique("robot");
    admin.post("/users/create", json!({ "username": name, "role": "user", "kind": "machine" })).await.expect(200);
    let made = enroll(admin, &name, wanted).await;
    (name, made)
}

async fn enroll(admin: &Client, name: &str, wanted: Value) -> Value {
    admin.post(&format!("/users/{name}/credentials/clients"), wanted).await.expect(200)
}

fn credentials(id: &str, secret: &Value) -> Value {
    json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": secret })
}

fn basic(id: &str, secret: &Value) -> String {
    format!("Basic {}", BASE64.encode(format!("{id}:{}", secret.as_str().expect("a secret"))))
}

async fn a_machine_logs_in_however_it_shows_its_secret(server: Builder) {
    let mut server = server.start().await;
    let admin = server.admin().await;
    let (id, made) = machine(&admin, json!({ "label": "build" })).await;
    let secret = made["client_secret"].clone();
    assert!(secret.as_str().is_some_and(|secret| secret.starts_with("cof_c_")), "{made}");
    server.restart().await;
    let anonymous = server.anonymous();
    let by_json = anonymous.post("/token/create", credentials(&id, &secret)).await.expect(200);
    let fields =
        [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", secret.as_str().unwrap())];
    let by_form = anonymous.form("/token/create", &fields).await.expect(200);
    let call = anonymous.form("/token/create", &fields[..1]).header("authorization", &basic(&id, &secret));
    let by_basic = call.await.expect(200);
    for session in [by_json, by_form, by_basic] {
        assert_eq!(session["refresh_token"], Value::Null, "who has the secret needs no refresh token");
        let robot = anonymous.with_session(session);
        assert_eq!(robot.get("/users/me").await.expect(200)["username"], id.as_str());
        robot
            .post("/secrets/create", json!({ "secret_id": format!("kv/~/{}", unique("s")), "value": canary("s") }))
            .await
            .expect(200);
    }
}

async fn a_secret_of_two_uses_is_good_twice(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let (id, made) = machine(&admin, json!({ "max_uses": 2 })).await;
    let anonymous = server.anonymous();
    let login = || anonymous.post("/token/create", credentials(&id, &made["client_secret"]));
    login().await.expect(200);
    login().await.expect(200);
    login().await.expect_oauth(401, "invalid_client");
    let listed = admin.get(&format!("/users/{id}/credentials/clients")).await.expect(200);
    assert_eq!(listed["credentials"][0]["uses_left"], 0);
    assert!(!listed.to_string().contains("cof_c_"), "{listed}");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_client_is_invalid_client() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (id, made) = machine(&admin, json!({})).await;
    let (other, _) = machine(&admin, json!({})).await;
    let secret = made["client_secret"].clone();
    let anonymous = server.anonymous();
    let answers = [
        anonymous.post("/token/create", credentials(&id, &json!("wrong"))).await.likeness(),
        anonymous.post("/token/create", credentials(&id, &json!(canary("wrong")))).await.likeness(),
        anonymous.post("/token/create", credentials(&other, &secret)).await.likeness(),
        anonymous.post("/token/create", credentials("nobody", &secret)).await.likeness(),
        anonymous.post("/token/create", credentials("ada", &secret)).await.likeness(),
    ];
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let refused = anonymous.post("/token/create", credentials(&id, &json!("wrong"))).await;
    assert!(refused.headers["www-authenticate"].to_str().is_ok_and(|line| line.starts_with("Basic")));
    refused.expect_oauth(401, "invalid_client");
    let both = anonymous.post("/token/create", credentials(&id, &secret)).header("authorization", &basic(&id, &secret));
    both.await.expect_type(400, "two_credentials");
    let half = json!({ "grant_type": "client_credentials", "client_id": id });
    anonymous.post("/token/create", half).await.expect_oauth(401, "invalid_client");
    let none = json!({ "grant_type": "client_credentials" });
    anonymous.post("/token/create", none).await.expect_at(422, ["body", "client_id"]);
    // A client's secret is no token.
    anonymous.with_token(secret.as_str().unwrap()).get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_secret_that_is_taken_away_logs_nobody_in_and_ends_what_it_began() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (id, old) = machine(&admin, json!({})).await;
    let new = enroll(&admin, &id, json!({})).await;
    let anonymous = server.anonymous();
    let begun = anonymous.post("/token/create", credentials(&id, &old["client_secret"])).await.expect(200);
    admin.delete(&format!("/users/{id}/credentials/clients/{}", old["id"].as_str().unwrap())).await.expect(200);
    anonymous.post("/token/create", credentials(&id, &old["client_secret"])).await.expect_oauth(401, "invalid_client");
    anonymous.with_session(begun).get("/users/me").await.expect_unauthorized();
    let begun = anonymous.post("/token/create", credentials(&id, &new["client_secret"])).await.expect(200);
    // Disabled, or gone, it is nobody.
    admin.post(&format!("/users/{id}/update"), json!({ "disabled": true })).await.expect(200);
    anonymous.with_session(begun).get("/users/me").await.expect_unauthorized();
    anonymous.post("/token/create", credentials(&id, &new["client_secret"])).await.expect_oauth(401, "invalid_client");
}

#[tokio::test]
async fn a_secret_is_good_from_its_addresses_only() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (far, elsewhere) = machine(&admin, json!({ "addresses": ["192.0.2.0/24"] })).await;
    let (near, here) = machine(&admin, json!({ "addresses": ["127.0.0.0/8"], "ttl": "1h" })).await;
    let anonymous = server.anonymous();
    anonymous
        .post("/token/create", credentials(&far, &elsewhere["client_secret"]))
        .await
        .expect_oauth(401, "invalid_client");
    let session = anonymous.post("/token/create", credentials(&near, &here["client_secret"])).await.expect(200);
    assert!(session["expires_in"].as_u64().is_some_and(|left| left <= 3600), "no longer than the secret: {session}");
    for (wanted, at) in [
        (json!({ "addresses": ["x"] }), "addresses"),
        (json!({ "ttl": 0 }), "ttl"),
        (json!({ "max_uses": 0 }), "max_uses"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        let refused = admin.post(&format!("/users/{near}/credentials/clients"), wanted).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains(at), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_session_that_a_program_began_is_renewed_by_that_program_only() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (id, made) = machine(&admin, json!({})).await;
    let (other, others) = machine(&admin, json!({})).await;
    let anonymous = server.anonymous();
    let login = |id: &str, secret: &Value| json!({ "username": "ada", "password": ada.password, "client_id": id, "client_secret": secret });
    anonymous.post("/token/create", login(&id, &json!("wrong"))).await.expect_oauth(401, "invalid_client");
    let session = anonymous.post("/token/create", login(&id, &made["client_secret"])).await.expect(200);
    assert_eq!(anonymous.with_session(session.clone()).get("/users/me").await.expect(200)["username"], "ada");
    let renewal = json!({ "refresh_token": session["refresh_token"] });
    anonymous.post("/token/renew", renewal.clone()).await.expect_oauth(400, "invalid_grant");
    let call = anonymous.post("/token/renew", renewal.clone());
    let by_another = call.header("authorization", &basic(&other, &others["client_secret"])).await;
    by_another.expect_oauth(400, "invalid_grant");
    let call = anonymous.post("/token/renew", renewal);
    call.header("authorization", &basic(&id, &made["client_secret"])).await.expect(200);
    // A child is its parent's: no program has a say.
    let child = json!({ "grant_type": "session", "client_id": id, "client_secret": made["client_secret"] });
    ada.post("/token/create", child).await.expect_type(400, "two_credentials");
    // One that nobody began asks for no program, and takes none.
    let renewal = json!({
        "refresh_token": ada.refresh_token(), "client_id": id, "client_secret": made["client_secret"],
    });
    anonymous.post("/token/renew", renewal).await.expect_oauth(400, "invalid_grant");
    anonymous.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
}

#[tokio::test]
async fn a_machine_introspects_with_its_secret_what_it_may_see() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (id, made) = machine(&admin, json!({ "max_uses": 1 })).await;
    let secret = &made["client_secret"];
    let anonymous = server.anonymous();
    let ask = |token: &str| json!({ "token": token, "client_id": id, "client_secret": secret });
    // Somebody else's token is as good as none.
    assert_eq!(anonymous.post("/token/introspect", ask(ada.token())).await.expect(200), json!({ "active": false }));
    assert_eq!(anonymous.post("/token/introspect", ask("junk")).await.expect(200), json!({ "active": false }));
    // One that it got for her is not.
    let login = json!({ "username": "ada", "password": ada.password, "client_id": id, "client_secret": secret });
    let begun = anonymous.post("/token/create", login).await.expect(200);
    let token = begun["access_token"].as_str().expect("a token");
    let told = anonymous.post("/token/introspect", ask(token)).await.expect(200);
    assert_eq!((&told["active"], &told["username"], &told["sub"]), (&json!(true), &json!("ada"), &json!(ada.id)));
    // By a form and by HTTP Basic.
    let fields = [("token", token), ("token_type_hint", "access_token")];
    let call = anonymous.form("/token/introspect", &fields).header("authorization", &basic(&id, secret));
    assert_eq!(call.await.expect(200), told);
    let fields = [("token", token), ("client_id", &id), ("client_secret", secret.as_str().unwrap())];
    assert_eq!(anonymous.form("/token/introspect", &fields).await.expect(200), told);
    // With permission, everybody's.
    let text = r#"permit (principal in Role::"user", action == Action::"read", resource in Resource::"sys/sessions");"#;
    admin.put("/sys/policies/readers", json!({ "text": text })).await.expect(200);
    assert_eq!(anonymous.post("/token/introspect", ask(ada.token())).await.expect(200)["active"], true);
    // It cost the secret no use, and the token none.
    let one = ada.child(None, json!({ "one_time": true })).await.expect(200);
    for _ in 0..3 {
        let told = anonymous.post("/token/introspect", ask(one["access_token"].as_str().unwrap())).await.expect(200);
        assert_eq!((&told["active"], &told["uses_left"]), (&json!(true), &json!(1)));
    }
    let robot = anonymous.post("/token/create", credentials(&id, secret)).await.expect(200);
    let own = anonymous.post("/token/introspect", ask(robot["access_token"].as_str().unwrap())).await.expect(401);
    assert_eq!(own["error"], "invalid_client", "the secret's one use is spent now: it proves nothing any more");
    let records = server.trail().0;
    let by_machine = |record: &&Value| record["operation"] == "token.introspect" && record["phase"] == "answered";
    assert!(records.iter().filter(by_machine).any(|record| record["user"].is_string()), "the trail names the machine");
}

#[tokio::test]
async fn who_introspects_shows_one_credential_and_a_right_one() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (id, made) = machine(&admin, json!({})).await;
    let secret = &made["client_secret"];
    let anonymous = server.anonymous();
    let token = json!({ "token": ada.token() });
    let with = |more: Value| {
        let mut body = token.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for path in ["/token/introspect", "/token/revoke"] {
        for wrong in [
            json!({ "client_id": id, "client_secret": canary("wrong") }),
            json!({ "client_id": "nobody", "client_secret": secret }),
            json!({ "client_id": "ada", "client_secret": ada.password }),
            json!({ "client_id": id }),
            json!({ "client_secret": secret }),
        ] {
            anonymous.post(path, with(wrong)).await.expect_oauth(401, "invalid_client");
        }
        let both = with(json!({ "client_id": id, "client_secret": secret }));
        let call = anonymous.post(path, both).header("authorization", &basic(&id, secret));
        call.await.expect_type(400, "two_credentials");
    }
    let two = with(json!({ "client_id": id, "client_secret": secret }));
    ada.post("/token/introspect", two).await.expect_type(400, "two_credentials");
    anonymous.post("/token/introspect", token.clone()).await.expect_unauthorized();
    anonymous.post("/token/introspect", json!({})).await.expect_unauthorized();
    anonymous
        .post("/token/introspect", json!({ "client_id": id, "client_secret": secret }))
        .await
        .expect_at(422, ["body", "token"]);
    // None of it ended anything.
    assert_eq!(ada.get("/users/me").await.expect(200)["username"], "ada");
    // A disabled machine is nobody; another one may still say who it is when it gives a token back.
    let right = with(json!({ "client_id": id, "client_secret": secret }));
    anonymous.post("/token/revoke", right.clone()).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    admin.post(&format!("/users/{id}/update"), json!({ "disabled": true })).await.expect(200);
    anonymous.post("/token/introspect", right).await.expect_oauth(401, "invalid_client");
}

#[tokio::test]
async fn a_login_by_a_program_never_waits_for_itself() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let (id, made) = machine(&admin, json!({})).await;
    let anonymous = server.anonymous();
    let login = |name: &str, password: &str| {
        let program = json!({ "client_id": id, "client_secret": made["client_secret"] });
        let mut body = json!({ "username": name, "password": password });
        body.as_object_mut().unwrap().extend(program.as_object().unwrap().clone());
        anonymous.post("/token/create", body)
    };
    // One may fail: the program and the person are looked at from one block, and neither has failed.
    let strict = json!({ "failures": 1, "failures_per_address": 1 });
    admin.post("/sys/security", json!({ "logins": strict })).await.expect(200);
    for _ in 0..2 {
        login("ada", &ada.password).await.expect(200);
    }
    // Many of them at once, from one address as an application has it.
    admin.post("/sys/security", json!({ "logins": { "failures": 2, "failures_per_address": 3 } })).await.expect(200);
    let calls: Vec<_> = (0..12).map(|_| tokio::spawn(login("ada", &ada.password).into_future())).collect();
    for call in calls {
        call.await.expect("an answer").expect(200);
    }
    // Nor where somebody has the program's own name tried.
    login(&id, &canary("wrong")).await.expect_oauth(400, "invalid_grant");
    login("ada", &canary("wrong")).await.expect_oauth(400, "invalid_grant");
    login("ada", &ada.password).await.expect(200);
}

#[tokio::test]
async fn a_person_has_no_secret_of_a_client() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    admin.post("/sys/setting", json!({ "key": "auth/robots", "value": { "plugin": "clients" } })).await.expect(200);
    // It would need no second factor, and outlive a new password.
    for mount in ["clients", "robots"] {
        let refused = admin.post(&format!("/users/ada/credentials/{mount}"), json!({ "label": "hers" })).await;
        refused.expect_type(422, "invalid_value");
        for name in ["me", "ada"] {
            let path = format!("/users/{name}/credentials/{mount}");
            ada.post(&path, json!({ "label": "mine" })).await.expect_type(422, "invalid_value");
            assert_eq!(ada.get(&path).await.expect(200)["credentials"], json!([]));
        }
    }
    let (id, made) = machine(&admin, json!({})).await;
    server.anonymous().post("/token/create", credentials(&id, &made["client_secret"])).await.expect(200);
}
