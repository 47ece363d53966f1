//! Sessions: seen, ended, handed on.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, eventually};

on_every_store!(
    a_user_sees_and_ends_own_sessions,
    the_others_end_and_this_one_stays,
    sessions_outlive_a_restart,
    an_idle_session_ends,
    an_admin_sees_and_ends_the_sessions_of_others,
    what_a_stolen_token_makes_meanwhile_ends_too,
);

fn ids(list: &Value) -> Vec<String> {
    let sessions = list["sessions"].as_array().unwrap_or_else(|| panic!("a list of sessions: {list}"));
    sessions.iter().map(|session| session["session_id"].as_str().expect("an id").to_owned()).collect()
}

async fn a_user_sees_and_ends_own_sessions(server: Builder) {
    let server = server.start().await;
    let (ada, other, bob) = (server.login("ada").await, server.login("ada").await, server.login("bob").await);
    assert_eq!(ada.get("/sessions/current").await.expect(200)["session_id"], ada.session["session_id"]);
    let seen = ids(&ada.get("/sessions").await.expect(200));
    assert!(seen.contains(&ada.session_id()) && seen.contains(&other.session_id()));
    assert!(!seen.contains(&bob.session_id()));
    ada.post(&format!("/sessions/{}/revoke", other.session_id()), json!({})).await.expect(200);
    other.get("/users/me").await.expect_unauthorized();
    let seen = ids(&ada.get("/sessions").await.expect(200));
    assert!(!seen.contains(&other.session_id()), "an ended session is not listed");
}

async fn the_others_end_and_this_one_stays(server: Builder) {
    let server = server.start().await;
    let (ada, bob) = (server.login("ada").await, server.login("bob").await);
    let others = [server.login("ada").await, server.login("ada").await];
    ada.post("/sessions/revoke", json!({ "others": true })).await.expect(200);
    for other in &others {
        other.get("/users/me").await.expect_unauthorized();
        let body = json!({ "refresh_token": other.refresh_token() });
        server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    }
    ada.get("/users/me").await.expect(200);
    bob.get("/users/me").await.expect(200);
    server.login("ada").await;
}

async fn sessions_outlive_a_restart(server: Builder) {
    let mut server = server.start().await;
    let ada = server.login("ada").await;
    let gone = server.login("ada").await;
    let once = ada.with_session(ada.child(None, json!({ "one_time": true })).await.expect(200));
    once.get("/users/me").await.expect(200);
    ada.post("/token/revoke", json!({ "token": gone.token() })).await.expect(200);
    server.restart().await;
    ada.get("/users/me").await.expect(200);
    gone.get("/users/me").await.expect_unauthorized();
    once.get("/users/me").await.expect_unauthorized();
    let session = ada.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    ada.with_session(session).get("/users/me").await.expect(200);
}

async fn an_idle_session_ends(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    server.login("ada").await;
    admin.post("/sys/security", json!({ "sessions": { "idle": "1s" } })).await.expect(200);
    let ada = server.login("ada").await;
    // Each use begins the span anew, so the story may not use it while it waits.
    eventually("the session idles out", || async {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        (ada.get("/users/me").await.status == 401).then_some(())
    })
    .await;
    // The refresh token is good all the same.
    let session =
        server.anonymous().post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    ada.with_session(session).get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_child_that_ends_the_others_stays_and_so_does_its_parent() {
    let server = TestServer::start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let child = ada.with_session(ada.child(None, json!({})).await.expect(200));
    let beside = ada.with_session(ada.child(None, json!({})).await.expect(200));
    child.post("/sessions/revoke", json!({ "others": true })).await.expect(200);
    for gone in [&other, &beside] {
        gone.get("/users/me").await.expect_unauthorized();
    }
    child.get("/users/me").await.expect(200);
    ada.get("/users/me").await.expect(200);
    // Its own new password is another matter: whoever holds the parent may be why.
    let new = canary("password");
    let change = json!({ "current": ada.password, "new": new });
    let done = child.post("/users/ada/password", change).await.expect(200);
    assert_eq!(done["session_kept"], false);
    child.get("/users/me").await.expect_unauthorized();
    ada.get("/users/me").await.expect_unauthorized();
}

/// Ending the others raises one epoch and walks no list: what a thief makes meanwhile is among the others.
async fn what_a_stolen_token_makes_meanwhile_ends_too(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let mut made = 0;
    for _ in 0..6 {
        let thief = server.login("ada").await;
        let children = futures_util::future::join_all((0..6).map(|_| thief.child(None, json!({}))));
        let renewal = server.anonymous().post("/token/renew", json!({ "refresh_token": thief.refresh_token() }));
        let end = ada.post("/sessions/revoke", json!({ "others": true }));
        let (children, renewed, ended) = tokio::join!(children, renewal.into_future(), end.into_future());
        ended.expect(200);
        let taken = children.into_iter().chain([renewed]).filter(|answer| answer.status == 200);
        for answer in taken {
            made += 1;
            let session = thief.with_session(answer.body);
            session.get("/users/me").await.expect_unauthorized();
        }
        thief.get("/users/me").await.expect_unauthorized();
        ada.get("/users/me").await.expect(200);
        let listed = ada.get("/sessions").await.expect(200);
        assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{listed}");
    }
    assert!(made > 0, "some were made before the end");
}

#[tokio::test]
async fn somebody_elses_session_is_not_there() {
    let server = TestServer::start().await;
    let (ada, bob) = (server.login("ada").await, server.login("bob").await);
    let theirs = bob.post(&format!("/sessions/{}/revoke", ada.session_id()), json!({})).await;
    let none = bob.post("/sessions/AAAAAAAAAAAAAA/revoke", json!({})).await;
    assert_eq!(theirs.likeness(), none.likeness(), "whether it exists is not told");
    assert!([403, 404].contains(&theirs.status.as_u16()), "{}", theirs.text);
    ada.get("/users/me").await.expect(200);
    bob.post("/sessions/revoke", json!({})).await.expect(422);
    bob.post("/sessions/revoke", json!({ "others": false })).await.expect(422);
    bob.get("/users/me").await.expect(200);
    for path in ["/sessions", "/sessions/current"] {
        server.anonymous().get(path).await.expect_unauthorized();
    }
    server.anonymous().post("/sessions/revoke", json!({ "others": true })).await.expect_unauthorized();
}

async fn an_admin_sees_and_ends_the_sessions_of_others(server: Builder) {
    let server = server.start().await;
    let (ada, bob, admin) = (server.login("ada").await, server.login("bob").await, server.admin().await);
    bob.get("/sessions?username=ada").await.expect_forbidden();
    bob.get("/sessions?username=nobody").await.expect_forbidden();
    bob.post("/sessions/revoke", json!({ "username": "ada" })).await.expect_forbidden();
    bob.post("/sessions/revoke", json!({ "username": "nobody" })).await.expect_forbidden();
    ada.get("/users/me").await.expect(200);
    let seen = ids(&admin.get("/sessions?username=ada").await.expect(200));
    assert!(seen.contains(&ada.session_id()));
    admin.post("/sessions/AAAAAAAAAAAAAA/revoke", json!({})).await.expect(404);
    admin.post(&format!("/sessions/{}/revoke", ada.session_id()), json!({})).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    let ada = server.login("ada").await;
    admin.post("/sessions/revoke", json!({ "username": "ada" })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    bob.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_child_is_never_more_than_its_parent() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let folder = format!("secrets/kv/users/{}", ada.id);
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/a/x", "value": canary("a") })).await.expect(200);
    let child = ada.child(Some(&format!("read:{folder}/a")), json!({ "ttl": "10m" })).await.expect(200);
    assert_eq!(child["refresh_token"], Value::Null);
    assert!(child["expires_in"].as_u64().is_some_and(|seconds| seconds <= 600), "{child}");
    let child = ada.with_session(child);
    child.get("/secrets/kv/~/a/x").await.expect(200);
    child.get("/secrets/kv/~/b/x").await.expect_forbidden();
    child.child(Some(&format!("read:{folder}")), json!({})).await.expect_oauth(400, "invalid_scope");
    let grandchild = child.child(Some(&format!("read:{folder}/a/x")), json!({})).await.expect(200);
    let grandchild = ada.with_session(grandchild);
    grandchild.get("/secrets/kv/~/a/x").await.expect(200);
    ada.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    child.get("/secrets/kv/~/a/x").await.expect_unauthorized();
    grandchild.get("/secrets/kv/~/a/x").await.expect_unauthorized();
    server.anonymous().child(None, json!({})).await.expect_unauthorized();
}

#[tokio::test]
async fn a_child_is_bound_to_no_more_addresses_than_its_parent() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let list = |addresses: Value| json!({ "bind": "list", "addresses": addresses });
    let body = json!({ "username": "ada", "password": ada.password, "session": list(json!(["127.0.0.0/8"])) });
    let bound = ada.with_session(server.anonymous().post("/token/create", body).await.expect(200));
    bound.child(None, list(json!(["127.0.0.1/32"]))).await.expect(200);
    // What both allow is left: of a wider list the parent's, of another nothing.
    let wider = ada.with_session(bound.child(None, list(json!(["0.0.0.0/0"]))).await.expect(200));
    wider.get("/users/me").await.expect(200);
    let other = ada.with_session(bound.child(None, list(json!(["10.0.0.0/8"]))).await.expect(200));
    other.get("/users/me").await.expect_forbidden();
    // Said nothing, the child is bound as its parent is.
    let child = ada.with_session(bound.child(None, json!({})).await.expect(200));
    child.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_session_ends() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.login("ada").await;
    admin.post("/sys/security", json!({ "sessions": { "max_per_user": 2 } })).await.expect(200);
    let second = server.login("ada").await;
    let third = server.login("ada").await;
    first.get("/users/me").await.expect_unauthorized();
    second.get("/users/me").await.expect(200);
    third.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_redis_that_was_emptied_logs_everyone_out_and_harms_nothing_else() {
    let server = TestServer::builder().sessions(crate::harness::Sessions::Redis).start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    let redis = server.services.redis.as_ref().expect("this server has one");
    assert!(!redis.keys().await.is_empty());
    redis.flush().await;
    eventually("the session is gone", || async { (ada.get("/users/me").await.status == 401).then_some(()) }).await;
    server.login("ada").await.get("/secrets/kv/~/x").await.expect(200);
}

#[tokio::test]
async fn a_narrowed_session_neither_sees_nor_ends_the_others_of_its_user() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let scoped = ada.with_session(ada.child(Some("read:secrets/kv/users"), json!({})).await.expect(200));
    scoped.get("/sessions").await.expect_forbidden();
    scoped.post("/sessions/revoke", json!({ "others": true })).await.expect_forbidden();
    scoped.post(&format!("/sessions/{}/revoke", ada.session_id()), json!({})).await.expect_forbidden();
    let once = ada.with_session(ada.child(None, json!({ "max_uses": 9 })).await.expect(200));
    once.post("/sessions/revoke", json!({ "others": true })).await.expect_forbidden();
    ada.get("/sessions").await.expect(200);
    // It may end itself.
    scoped.post("/token/revoke", json!({ "token": scoped.token() })).await.expect(200);
    scoped.get("/sessions/current").await.expect_unauthorized();
}

#[tokio::test]
async fn more_addresses_than_a_session_can_hold_are_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let many = vec!["10.0.0.0/8"; 65];
    let body = json!({ "username": "ada", "password": ada.password, "session": { "bind": "list", "addresses": many } });
    server.anonymous().post("/token/create", body).await.expect_at(422, ["body", "session", "addresses"]);
}

#[tokio::test]
async fn a_session_of_somebody_else_is_shown_as_its_owner_sees_it() {
    let server = TestServer::start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    let child = ada.child(Some("read:secrets"), json!({ "max_uses": 3 })).await.expect(200);
    let mut hers = ada.get("/sessions").await.expect(200);
    let mut theirs = admin.get("/sessions?username=ADA").await.expect(200);
    for list in [&mut hers, &mut theirs] {
        for session in list["sessions"].as_array_mut().expect("a list") {
            for member in ["device", "address", "method", "created_at", "last_used_at", "expires_at"] {
                assert!(session[member].is_string(), "{member}: {session}");
            }
            // Looking is a use.
            session["last_used_at"] = Value::Null;
            session["current"] = Value::Null;
        }
    }
    assert_eq!(hers, theirs);
    let told = theirs.to_string();
    for secret in [ada.token(), child["access_token"].as_str().expect("a token")] {
        assert!(!told.contains(secret), "no token is shown");
    }
    // Pages, oldest first.
    let first = admin.get("/sessions?username=ada&limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("there are more");
    let rest = admin.get(&format!("/sessions?username=ada&cursor={cursor}")).await.expect(200);
    assert_eq!([ids(&first), ids(&rest)].concat(), ids(&theirs));
    assert_eq!(rest["next_cursor"], Value::Null);
    admin.get(&format!("/sessions?cursor={cursor}")).await.expect_at(422, ["query", "cursor"]);
    admin.get("/sessions?username=nobody").await.expect(404);
    admin.get("/sessions?username=a%20b").await.expect_at(422, ["query", "username"]);
    admin.get("/sessions?limit=0").await.expect_at(422, ["query", "limit"]);
}

#[tokio::test]
async fn what_ends_sessions_says_whose() {
    let server = TestServer::start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    for body in [json!({}), json!({ "others": false }), json!({ "others": true, "username": "ada" })] {
        admin.post("/sessions/revoke", body).await.expect_at(422, ["body", "others"]);
    }
    admin.post("/sessions/revoke", json!({ "username": "nobody" })).await.expect_type(422, "not_found");
    admin.post("/sessions/not-an-id/revoke", json!({})).await.expect_at(422, ["path", "session_id"]);
    // One's own name is all of one's own, this one too.
    let other = server.login("ada").await;
    assert_eq!(ada.post("/sessions/revoke", json!({ "username": "ada" })).await.expect(200)["ended"], 2);
    ada.get("/users/me").await.expect_unauthorized();
    other.get("/users/me").await.expect_unauthorized();
    // The root token has sessions like anybody, and an end.
    let root = server.anonymous().with_token(server.ready["root_token"].as_str().expect("a token"));
    root.get("/users").await.expect(200);
    admin.post("/sessions/revoke", json!({ "username": "root" })).await.expect(200);
    root.get("/users").await.expect_unauthorized();
}

#[tokio::test]
async fn by_permission_somebody_elses_token_is_introspected() {
    let server = TestServer::start().await;
    let (ada, bob, admin) = (server.login("ada").await, server.login("bob").await, server.admin().await);
    let body = json!({ "token": ada.token() });
    assert_eq!(bob.post("/token/introspect", body.clone()).await.expect(200), json!({ "active": false }));
    let told = admin.post("/token/introspect", body.clone()).await.expect(200);
    assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!(ada.id)));
    // A session that is narrowed to something else does not see it.
    let narrow = admin.with_session(admin.child(Some("read:secrets"), json!({})).await.expect(200));
    assert_eq!(narrow.post("/token/introspect", body.clone()).await.expect(200), json!({ "active": false }));
    let scope = format!("read:sys/sessions/{}", ada.session_id());
    let one = admin.with_session(admin.child(Some(&scope), json!({})).await.expect(200));
    assert_eq!(one.post("/token/introspect", body).await.expect(200)["active"], true);
}
