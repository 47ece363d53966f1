//! `POST /token/renew`: a new pair for the old one, and no second branch.

use serde_json::json;

use crate::harness::{Builder, Client, TestServer};

on_every_store!(
    a_renewal_replaces_both_tokens,
    a_lost_answer_can_be_asked_for_again,
    a_second_holder_ends_the_family,
    renewals_at_once_leave_one_branch,
    a_deleted_user_renews_nothing,
    a_disabled_user_renews_nothing,
);

async fn renew(client: &Client, refresh: &str) -> Client {
    let session = client.post("/token/renew", json!({ "refresh_token": refresh })).await.expect(200);
    client.with_session(session)
}

async fn a_renewal_replaces_both_tokens(server: Builder) {
    let server = server.start().await;
    let mut ada = server.login("ada").await;
    for path in ["/token/renew", "/auth/token/renew"] {
        let session = server.anonymous().post(path, json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
        assert_eq!(session["session_id"], ada.session["session_id"], "the family stays");
        let renewed = ada.with_session(session);
        renewed.get("/users/me").await.expect(200);
        ada.get("/users/me").await.expect_unauthorized();
        ada = renewed;
        let session = server.anonymous().form(path, &[("refresh_token", &ada.refresh_token())]).await.expect(200);
        ada = ada.with_session(session);
        ada.get("/users/me").await.expect(200);
    }
    let body = json!({ "grant_type": "refresh_token", "refresh_token": ada.refresh_token() });
    let session = server.anonymous().post("/token/create", body).await.expect(200);
    ada.with_session(session).get("/users/me").await.expect(200);
}

async fn a_lost_answer_can_be_asked_for_again(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let lost = renew(&ada, &ada.refresh_token()).await;
    let again = renew(&ada, &ada.refresh_token()).await;
    lost.get("/users/me").await.expect_unauthorized();
    again.get("/users/me").await.expect(200);
}

async fn a_second_holder_ends_the_family(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let renewed = renew(&ada, &ada.refresh_token()).await;
    renewed.get("/users/me").await.expect(200);
    // The pair is in use: whoever shows the spent token is a second holder.
    let body = json!({ "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    renewed.get("/users/me").await.expect_unauthorized();
    let body = json!({ "refresh_token": renewed.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    assert!(server.trail().0.iter().any(|record| record.to_string().contains("refresh_reuse")), "it is recorded");
}

async fn renewals_at_once_leave_one_branch(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let ask = || server.anonymous().post("/token/renew", json!({ "refresh_token": ada.refresh_token() }));
    let calls: Vec<_> = (0..8).map(|_| tokio::spawn(ask().into_future())).collect();
    let mut branches = Vec::new();
    for call in calls {
        let answer = call.await.expect("an answer");
        match answer.status.as_u16() {
            200 => branches.push(ada.with_session(answer.body)),
            _ => drop(answer.expect_oauth(400, "invalid_grant")),
        }
    }
    let mut live = 0;
    for branch in &branches {
        if branch.get("/users/me").await.status == 200 {
            live += 1;
        }
    }
    assert!(live <= 1, "{live} live branches of {}", branches.len());
}

async fn a_deleted_user_renews_nothing(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    server.admin().await.post("/users/ada/delete", json!({})).await.expect(200);
    let body = json!({ "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    ada.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_three_times_at_most() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let mut last = renew(&ada, &ada.refresh_token()).await;
    for _ in 0..3 {
        last = renew(&ada, &ada.refresh_token()).await;
    }
    let body = json!({ "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    last.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_family_however_old_it_is() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let first = ada.refresh_token();
    let mut now = ada;
    for _ in 0..4 {
        now = renew(&now, &now.refresh_token()).await;
        now.get("/users/me").await.expect(200);
    }
    server.anonymous().post("/token/renew", json!({ "refresh_token": first })).await.expect_oauth(400, "invalid_grant");
    now.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn what_is_no_refresh_token_renews_nothing_and_ends_nothing() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let anonymous = server.anonymous();
    for path in ["/token/renew", "/auth/token/renew"] {
        anonymous.post(path, json!({})).await.expect_at(422, ["body", "refresh_token"]);
        anonymous.post(path, json!({ "refresh_token": 1 })).await.expect_at(422, ["body", "refresh_token"]);
        anonymous.post(path, json!({ "refresh_token": null })).await.expect_at(422, ["body", "refresh_token"]);
        for token in ["", "x", "cof_r_a_b_c", ada.token(), &format!("{}x", ada.refresh_token())] {
            anonymous.post(path, json!({ "refresh_token": token })).await.expect_oauth(400, "invalid_grant");
        }
        anonymous.get(path).await.expect(405);
    }
    ada.get("/users/me").await.expect(200);
    renew(&ada, &ada.refresh_token()).await.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_renewal_narrows_and_never_widens() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let folder = format!("secrets/kv/users/{}", ada.id);
    let body = json!({ "username": "ada", "password": ada.password, "scope": format!("read:{folder} list:{folder}") });
    let narrow = ada.with_session(server.anonymous().post("/token/create", body).await.expect(200));
    let body = json!({ "refresh_token": narrow.refresh_token(), "scope": format!("delete:{folder}") });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_scope");
    let body = json!({ "refresh_token": narrow.refresh_token(), "scope": format!("list:{folder}") });
    let narrower = ada.with_session(server.anonymous().post("/token/renew", body).await.expect(200));
    assert_eq!(narrower.session["scope"], format!("list:{folder}"));
    narrower.get("/secrets/kv/~/x").await.expect_forbidden();
    let again = renew(&narrower, &narrower.refresh_token()).await;
    again.get("/secrets/kv/~/x").await.expect_forbidden();
}

async fn a_disabled_user_renews_nothing(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    server.admin().await.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    let body = json!({ "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
}
