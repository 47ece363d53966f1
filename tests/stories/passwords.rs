//! Passwords: one's own, and somebody else's.

use serde_json::json;

use crate::harness::{Builder, TestServer, canary};

on_every_store!(a_changed_password_ends_the_other_sessions, a_password_that_an_admin_sets_ends_all_sessions,);

async fn a_changed_password_ends_the_other_sessions(server: Builder) {
    let server = server.start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let new = canary("new");
    ada.post("/users/ada/password", json!({ "current": canary("wrong"), "new": new }))
        .await
        .expect_at(422, ["body", "current"]);
    other.get("/users/me").await.expect(200);
    let done = ada.post("/users/ada/password", json!({ "current": ada.password, "new": new })).await.expect(200);
    assert_eq!(done["session_kept"], true);
    other.get("/users/me").await.expect_unauthorized();
    let renewal = json!({ "refresh_token": other.refresh_token() });
    server.anonymous().post("/token/renew", renewal).await.expect_oauth(400, "invalid_grant");
    ada.get("/users/me").await.expect(200);
    let old = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", old).await.expect_oauth(400, "invalid_grant");
    server.log_in("ada", &new).await;
    // The one that lives on does so beyond its next renewal.
    let session = ada.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    ada.with_session(session).get("/users/me").await.expect(200);
}

async fn a_password_that_an_admin_sets_ends_all_sessions(server: Builder) {
    let server = server.start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    let new = canary("new");
    admin.post("/users/ada/password", json!({ "new": new })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    let old = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", old).await.expect_oauth(400, "invalid_grant");
    server.log_in("ada", &new).await;
    admin.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn what_a_change_of_password_lacks_is_named() {
    let server = TestServer::start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    let current = ada.password.clone();
    for new in ["", "short", "password1234", &"x".repeat(1025)] {
        ada.post("/users/ada/password", json!({ "current": current, "new": new }))
            .await
            .expect_at(422, ["body", "new"]);
        admin.post("/users/ada/password", json!({ "new": new })).await.expect_at(422, ["body", "new"]);
    }
    let new = canary("new");
    ada.post("/users/ada/password", json!({ "new": new })).await.expect_problem(422, ["body", "current"], "missing");
    ada.post("/users/ada/password", json!({ "current": current })).await.expect_problem(
        422,
        ["body", "new"],
        "missing",
    );
    ada.post("/users/ada/password", json!({ "current": 5, "new": new })).await.expect_at(422, ["body", "current"]);
    ada.post("/users/me/password", json!({ "current": "", "new": new })).await.expect_at(422, ["body", "current"]);
    ada.post("/users/me/password", json!({ "current": "x".repeat(9000), "new": new }))
        .await
        .expect_at(422, ["body", "current"]);
    // An admin's own is as anybody's own: the token alone does not do.
    admin.post("/users/admin/password", json!({ "new": new })).await.expect_problem(
        422,
        ["body", "current"],
        "missing",
    );
    admin
        .post("/users/ada/password", json!({ "current": current, "new": new }))
        .await
        .expect_at(422, ["body", "current"]);
    admin.post("/users/nobody/password", json!({ "new": new })).await.expect_type(422, "not_found");
    server.anonymous().post("/users/ada/password", json!({ "new": new })).await.expect_unauthorized();
    // All is as it was.
    ada.get("/users/me").await.expect(200);
    server.log_in("ada", &current).await;
}

#[tokio::test]
async fn one_who_may_not_learns_nothing_of_whose_password_it_is() {
    let server = TestServer::start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    let ask = async |name: &str| {
        let body = json!({ "new": canary("new") });
        ada.post(&format!("/users/{name}/password"), body).await.likeness()
    };
    let refused = ask("bob").await;
    assert_eq!(refused.0, 403);
    for name in ["nobody", "root", "admin"] {
        assert_eq!(ask(name).await, refused, "{name}");
    }
}

#[tokio::test]
async fn a_narrowed_or_limited_session_changes_no_password() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let body = || json!({ "current": ada.password, "new": canary("new") });
    let limited = ada.with_session(ada.child(None, json!({ "max_uses": 9 })).await.expect(200));
    limited.post("/users/ada/password", body()).await.expect_type(403, "limited_session");
    let narrow = ada.with_session(ada.child(Some("read:secrets"), json!({})).await.expect(200));
    narrow.post("/users/ada/password", body()).await.expect_forbidden();
    server.log_in("ada", &ada.password).await;
    let admin = server.admin().await;
    let limited = admin.with_session(admin.child(None, json!({ "max_uses": 9 })).await.expect(200));
    limited.post("/users/ada/password", json!({ "new": canary("new") })).await.expect_type(403, "limited_session");
    limited.post("/users/ada/update", json!({ "disabled": true })).await.expect_type(403, "limited_session");
    server.log_in("ada", &ada.password).await;
}

#[tokio::test]
async fn a_child_that_changes_the_password_ends_with_its_parent() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let child = ada.with_session(ada.child(None, json!({})).await.expect(200));
    let new = canary("new");
    let done = child.post("/users/me/password", json!({ "current": ada.password, "new": new })).await.expect(200);
    assert_eq!(done["session_kept"], false);
    child.get("/users/me").await.expect_unauthorized();
    ada.get("/users/me").await.expect_unauthorized();
    server.log_in("ada", &new).await;
}

#[tokio::test]
async fn of_many_changes_at_once_the_last_one_answered_is_the_password() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let news: Vec<String> = (0..4).map(|_| canary("new")).collect();
    let calls: Vec<_> = news
        .iter()
        .map(|new| {
            let body = json!({ "current": ada.password, "new": new });
            tokio::spawn(ada.post("/users/ada/password", body).into_future())
        })
        .collect();
    let mut won = Vec::new();
    for (new, call) in news.iter().zip(calls) {
        let answer = call.await.expect("an answer");
        match answer.status.as_u16() {
            200 => won.push(new.clone()),
            // Overtaken: no longer the password, or no longer a session.
            401 | 422 => {}
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!(won.len(), 1, "the current password is current once");
    server.log_in("ada", &won[0]).await;
}

#[tokio::test]
async fn a_session_guesses_the_password_no_oftener_than_a_login_may() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    server.admin().await.post("/sys/security", json!({ "logins": { "failures": 3 } })).await.expect(200);
    let change =
        async |current: &str| ada.post("/users/me/password", json!({ "current": current, "new": canary("new") })).await;
    // Refused for another reason it is no guess, …
    for _ in 0..5 {
        ada.post("/users/me/password", json!({ "current": ada.password, "new": "short" }))
            .await
            .expect_at(422, ["body", "new"]);
    }
    for _ in 0..3 {
        change(&canary("wrong")).await.expect_at(422, ["body", "current"]);
    }
    // … and after enough of them nothing is right, here or at a login.
    change(&ada.password).await.expect_at(422, ["body", "current"]);
    let login = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", login).await.expect_oauth(400, "invalid_grant");
    ada.get("/users/me").await.expect(200);
}
