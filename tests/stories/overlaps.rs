//! Logins that overlap an ending: what is ended while a password is being looked at makes no session.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, eventually};

on_every_store!(
    a_user_who_is_deleted_while_logging_in_is_not_in,
    a_user_who_is_disabled_while_logging_in_is_not_in,
    a_password_that_is_changed_while_it_is_looked_at_lets_nobody_in,
    a_mount_that_is_disabled_while_somebody_logs_in_lets_nobody_in,
);

/// A password that takes long to look at.
async fn slow(server: &TestServer) {
    let dear = json!({ "passwords": { "argon2": { "memory_kib": 65536, "iterations": 4 } } });
    server.admin().await.post("/sys/security", dear).await.expect(200);
}

fn begun(server: &TestServer) -> usize {
    let trail = server.trail();
    trail.0.iter().filter(|record| record["operation"] == "token.create" && record["phase"] == "decided").count()
}

/// Logs in, and once that has begun, ends something. Answers what the login came to if the ending was
/// answered while it was still under way.
async fn overlap(
    server: &TestServer,
    (username, password): (&str, &str),
    ending: impl Future<Output = ()>,
) -> Option<(u16, Value)> {
    let before = begun(server);
    let call = server.anonymous().post("/token/create", json!({ "username": username, "password": password }));
    let login = tokio::spawn(call.into_future());
    eventually("the login has begun", || async { (begun(server) > before || login.is_finished()).then_some(()) }).await;
    ending.await;
    let overlapped = !login.is_finished();
    let answer = login.await.expect("an answer");
    overlapped.then(|| (answer.status.as_u16(), answer.body))
}

async fn a_user_who_is_deleted_while_logging_in_is_not_in(server: Builder) {
    nobody_is_in(server, "delete", json!({})).await;
}

async fn a_user_who_is_disabled_while_logging_in_is_not_in(server: Builder) {
    nobody_is_in(server, "update", json!({ "disabled": true })).await;
}

async fn a_password_that_is_changed_while_it_is_looked_at_lets_nobody_in(server: Builder) {
    nobody_is_in(server, "password", json!({ "new": canary("another") })).await;
}

/// A login that this call on its user overlaps is as wrong as any.
async fn nobody_is_in(server: Builder, call: &str, body: Value) {
    let server = server.start().await;
    slow(&server).await;
    let admin = server.admin().await;
    for attempt in 0..20 {
        let name = format!("ada{attempt}");
        let password = server.create_user(&name, "user").await;
        let ending = async { drop(admin.post(&format!("/users/{name}/{call}"), body.clone()).await.expect(200)) };
        let Some((status, body)) = overlap(&server, (&name, &password), ending).await else { continue };
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")), "{body}");
        return;
    }
    panic!("no login overlapped what was to end it");
}

async fn a_mount_that_is_disabled_while_somebody_logs_in_lets_nobody_in(server: Builder) {
    let server = server.start().await;
    slow(&server).await;
    let admin = server.admin().await;
    let password = server.create_user("ada", "user").await;
    let set = async |enabled: bool| {
        let body = json!({ "key": "auth/password", "value": { "enabled": enabled }, "force": true });
        admin.post("/sys/setting", body).await.expect(200);
    };
    for _ in 0..20 {
        let ended = overlap(&server, ("ada", &password), set(false)).await;
        set(true).await;
        let Some((status, body)) = ended else { continue };
        assert_eq!((status, &body["detail"][0]["type"]), (503, &json!("mount_disabled")), "{body}");
        let ada = server.log_in("ada", &password).await;
        let sessions = ada.get("/sessions").await.expect(200);
        let others = sessions["sessions"].as_array().expect("a list").iter().filter(|one| one["current"] == false);
        // Whatever came in before it was disabled, came in with an answer of 200.
        assert_eq!(others.count(), 0, "{sessions}");
        return;
    }
    panic!("no login overlapped the end of its mount");
}

#[tokio::test]
async fn a_login_that_nothing_overlaps_succeeds_however_long_it_takes() {
    let server = TestServer::start().await;
    slow(&server).await;
    let password = server.create_user("ada", "user").await;
    let nothing = tokio::time::sleep(Duration::from_millis(1));
    if let Some((status, body)) = overlap(&server, ("ada", &password), nothing).await {
        assert_eq!(status, 200, "{body}");
    }
}
