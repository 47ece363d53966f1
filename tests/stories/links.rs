//! Identities of elsewhere that somebody who may links to users who are there.

use serde_json::{Value, json};

use super::github::{mount, whose, with_github};
use crate::harness::{Answer, Builder, Call, Client, GitHub, Nodes, TestServer, canary};

on_every_store!(an_identity_that_is_linked_is_that_user, no_login_outlives_the_link_that_it_came_by,);

fn link(by: &Client, name: &str, subject: &str) -> Call {
    by.post(&format!("/users/{name}/credentials/github"), json!({ "subject": subject }))
}

async fn linked(by: &Client, name: &str, subject: &str) -> String {
    link(by, name, subject).await.expect(200)["id"].as_str().expect("an id").to_owned()
}

fn unlink(by: &Client, name: &str, id: &str) -> Call {
    by.delete(&format!("/users/{name}/credentials/github/{id}"))
}

async fn links(by: &Client, name: &str) -> Value {
    by.get(&format!("/users/{name}/credentials/github")).await.expect(200)["credentials"].clone()
}

fn taken(answer: Answer) -> Value {
    answer.expect_problem(422, ["body", "subject"], "already_exists")["detail"].clone()
}

/// Ada of this GitHub (1) logs in.
fn by_token(server: &TestServer, github: &GitHub) -> Call {
    let token = github.token(server, 1);
    server.anonymous().post("/token/create", json!({ "grant_type": "github", "token": token }))
}

/// Where nobody becomes a user by themselves.
async fn for_those_who_are_linked(server: Builder) -> (TestServer, GitHub, Client) {
    let (server, github, admin) = with_github(server).await;
    mount(&admin, github.setting(json!({ "provision": false }))).await;
    (server, github, admin)
}

async fn an_identity_that_is_linked_is_that_user(server: Builder) {
    let (mut server, github, admin) = for_those_who_are_linked(server).await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/mail", "value": canary("mail") })).await.expect(200);
    server.login("bob").await;
    by_token(&server, &github).await.expect_oauth(400, "invalid_grant");
    let id = linked(&admin, "ada", "1").await;
    let listed = json!([{ "id": id, "subject": "1" }]);
    assert_eq!((links(&admin, "ada").await, links(&ada, "me").await), (listed.clone(), listed));
    let (at_github, me) = whose(&server, by_token(&server, &github).await).await;
    assert_eq!((&me["id"], &me["username"]), (&json!(ada.id), &json!("ada")));
    at_github.get("/secrets/kv/~/mail").await.expect(200);
    server.restart().await;
    // It is hers, and nobody is told whose.
    let told = taken(link(&admin, "bob", "1").await);
    assert_eq!(taken(link(&admin, "ada", "1").await), told);
    linked(&admin, "ada", "2").await;
    assert_eq!(links(&admin, "ada").await.as_array().map(Vec::len), Some(2));

    unlink(&admin, "bob", &id).await.expect(404);
    unlink(&admin, "ada", &id).await.expect(200);
    at_github.get("/users/me").await.expect_unauthorized();
    ada.get("/users/me").await.expect_unauthorized();
    by_token(&server, &github).await.expect_oauth(400, "invalid_grant");
    unlink(&admin, "ada", &id).await.expect(404);
    // It may be somebody else's now, and with them it goes for ever.
    linked(&admin, "bob", "1").await;
    assert_eq!(whose(&server, by_token(&server, &github).await).await.1["username"], "bob");
    admin.post("/users/bob/delete", json!({})).await.expect(200);
    assert_eq!(taken(link(&admin, "ada", "1").await), told);
    by_token(&server, &github).await.expect_oauth(400, "invalid_grant");
    admin
        .post(
            "/users/create",
            json!({ "username": "bob", "email": "b@example.com", "role": "user", "password": canary("p") }),
        )
        .await
        .expect(200);
    assert_eq!(links(&admin, "bob").await, json!([]));
}

async fn no_login_outlives_the_link_that_it_came_by(server: Builder) {
    let (server, github, admin) = for_those_who_are_linked(server).await;
    let many = json!({ "logins": { "failures": 1000, "failures_per_address": 1000 } });
    admin.post("/sys/security", many).await.expect(200);
    server.login("ada").await;
    for _ in 0..8 {
        let id = linked(&admin, "ada", "1").await;
        let (login, ended) = tokio::join!(by_token(&server, &github), unlink(&admin, "ada", &id));
        ended.expect(200);
        match login.status.as_u16() {
            200 => {
                let session = server.anonymous().with_session(login.expect(200));
                session.get("/users/me").await.expect_unauthorized();
                let renewed = json!({ "refresh_token": session.refresh_token() });
                server.anonymous().post("/token/renew", renewed).await.expect_oauth(400, "invalid_grant");
            }
            _ => drop(login.expect_oauth(400, "invalid_grant")),
        }
    }
}

#[tokio::test]
async fn who_came_by_themselves_is_listed_and_let_go_as_well() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    let (ada, me) = whose(&server, by_token(&server, &github).await).await;
    let listed = links(&admin, "ada").await;
    assert_eq!((&listed[0]["subject"], &links(&ada, "me").await), (&json!("1"), &listed));
    // Whom an admin has known for longer takes over what is free.
    server.create_user("countess", "user").await;
    taken(link(&admin, "countess", "1").await);
    unlink(&admin, "ada", listed[0]["id"].as_str().expect("an id")).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    linked(&admin, "countess", "1").await;
    let (_, again) = whose(&server, by_token(&server, &github).await).await;
    assert_eq!((&again["username"], again["id"] == me["id"]), (&json!("countess"), false));
}

#[tokio::test]
async fn nobody_links_an_identity_to_themselves_nor_to_whom_they_do_not_rule() {
    let (server, _github, admin) = for_those_who_are_linked(TestServer::builder()).await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    let id = linked(&admin, "ada", "7").await;
    for (who, names) in [(&ada, ["me", "ada"]), (&admin, ["me", &admin.username])] {
        for name in names {
            link(who, name, "1").await.expect_type(422, "invalid_value");
            unlink(who, name, &id).await.expect_type(422, "invalid_value");
        }
    }
    let refused = link(&ada, "bob", "1").await.likeness();
    assert_eq!(refused.0, 403);
    for name in ["bob", "nobody", &admin.username] {
        assert_eq!(link(&ada, name, "1").await.likeness(), refused);
        assert_eq!(unlink(&ada, name, &id).await.likeness(), refused);
        assert_eq!(ada.get(&format!("/users/{name}/credentials/github")).await.likeness(), refused);
    }
    let limited = admin.with_session(admin.child(None, json!({ "max_uses": 9 })).await.expect(200));
    link(&limited, "ada", "1").await.expect_type(403, "limited_session");
    unlink(&limited, "ada", &id).await.expect_type(403, "limited_session");

    // Who may write below `sys/users` has to rule what the user is as well, and what the mount would make of them.
    for role in ["desk", "ops"] {
        admin.put(&format!("/sys/roles/{role}"), json!({})).await.expect(200);
    }
    let may = async |roles: &[&str]| {
        let roles = roles.iter().map(|role| format!("sys/roles/{role}"));
        let places = std::iter::once("sys/users".to_owned()).chain(roles);
        let rule =
            |place| format!("permit (principal in Role::\"desk\", action, resource in Resource::\"{place}\");\n");
        let text: String = places.map(rule).collect();
        admin.put("/sys/policies/desk", json!({ "text": text })).await.expect(200);
    };
    may(&[]).await;
    let password = server.create_user("eve", "desk").await;
    let eve = server.log_in("eve", &password).await;
    link(&eve, "ada", "1").await.expect_forbidden();
    unlink(&eve, "ada", &id).await.expect_forbidden();
    may(&["user"]).await;
    link(&eve, &admin.username, "1").await.expect_forbidden();
    link(&eve, "eve", "1").await.expect_type(422, "invalid_value");
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["user", "ops"] } } })).await.expect(200);
    mount(&admin, json!({ "roles": { "org:7": { "give": ["ops"] } } })).await;
    link(&eve, "bob", "1").await.expect_forbidden();
    unlink(&eve, "ada", &id).await.expect_forbidden();
    mount(&admin, json!({ "roles": { "org:7": null } })).await;
    assert_eq!(links(&admin, "bob").await, json!([]));
    linked(&eve, "bob", "1").await;
    unlink(&eve, "ada", &id).await.expect(200);
}

#[tokio::test]
async fn a_link_makes_no_admin_of_whom_the_mount_may_make_none() {
    let (server, github, admin) = for_those_who_are_linked(TestServer::builder()).await;
    server.create_user("grace", "admin").await;
    linked(&admin, "grace", "1").await;
    let (grace, me) = whose(&server, by_token(&server, &github).await).await;
    assert_eq!((&me["username"], &me["role"]), (&json!("grace"), &json!("admin")));
    // All that there is of her here is what the mapping gives.
    grace.get("/secrets?prefix=kv/~/").await.expect(200);
    let child = grace.with_session(grace.child(None, json!({})).await.expect(200));
    for session in [&grace, &child] {
        session.get("/users").await.expect_forbidden();
        session.get("/sys/settings").await.expect_forbidden();
        link(session, "ada", "2").await.expect_forbidden();
    }
    mount(&admin, json!({ "roles": { "team:42": null } })).await;
    grace.get("/secrets?prefix=kv/~/").await.expect_forbidden();
    by_token(&server, &github).await.expect_oauth(400, "invalid_grant");
    // Where the rules let it, she is what she is, and still rules nobody without her password.
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["admin"] } } })).await.expect(200);
    let (grace, _) = whose(&server, by_token(&server, &github).await).await;
    grace.get("/users").await.expect(200);
    let name = &admin.username;
    link(&grace, name, "2").await.expect_type(401, "insufficient_user_authentication");
}

#[tokio::test]
async fn the_last_link_by_which_an_admin_gets_in_stays() {
    let (server, _github, admin) = for_those_who_are_linked(TestServer::builder()).await;
    let root = server.anonymous().with_token(server.ready["root_token"].as_str().expect("a token"));
    for name in ["grace", "joan"] {
        server.create_user(name, "admin").await;
    }
    server.login("ada").await;
    let give = |password: &str, github: &str| {
        let roles = json!({ "password": [password], "github": [github] });
        root.post("/sys/security", json!({ "logins": { "roles": roles } }))
    };
    // Nobody who is an admin is known there.
    linked(&admin, "ada", "3").await;
    give("user", "admin").await.expect_type(422, "locked_out");
    let first = linked(&admin, "grace", "1").await;
    give("user", "admin").await.expect(200);
    unlink(&root, "grace", &first).await.expect_type(422, "in_use");
    let second = linked(&root, "joan", "2").await;
    unlink(&root, "grace", &first).await.expect(200);
    unlink(&root, "joan", &second).await.expect_type(422, "in_use");
    give("*", "admin").await.expect(200);
    unlink(&root, "joan", &second).await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_linked_is_named() {
    let (server, _github, admin) = for_those_who_are_linked(TestServer::builder()).await;
    server.login("ada").await;
    let post = async |name: &str, body: Value| admin.post(&format!("/users/{name}/credentials/github"), body).await;
    for (body, at, kind) in [
        (json!({}), "subject", "missing"),
        (json!({ "subject": null }), "subject", "wrong_type"),
        (json!({ "subject": 583_231 }), "subject", "wrong_type"),
        (json!({ "subject": "" }), "subject", "invalid_value"),
        (json!({ "subject": "x".repeat(1025) }), "subject", "invalid_value"),
        (json!({ "subject": "583231\u{0}" }), "subject", "invalid_value"),
        (json!({ "subject": "583231\n" }), "subject", "invalid_value"),
        (json!({ "subject": "1", "user": "eve" }), "user", "unknown_member"),
        (json!({ "subject": "1", "id": "x" }), "id", "invalid_value"),
    ] {
        post("ada", body).await.expect_problem(422, ["body", at], kind);
    }
    post("nobody", json!({ "subject": "1" })).await.expect_at(422, ["path", "username"]);
    admin.post("/users/create", json!({ "username": "ci", "role": "user", "kind": "machine" })).await.expect(200);
    post("ci", json!({ "subject": "1" })).await.expect_type(422, "invalid_value");
    assert_eq!(links(&admin, "ada").await, json!([]));
    for subject in ["x".repeat(1024), "uid=ada,ou=people/../\u{202e} 100%".to_owned()] {
        let id = linked(&admin, "ada", &subject).await;
        assert_eq!(links(&admin, "ada").await, json!([{ "id": id, "subject": subject }]));
        unlink(&admin, "ada", &id).await.expect(200);
    }
    for at in 0..64 {
        linked(&admin, "ada", &at.to_string()).await;
    }
    link(&admin, "ada", "64").await.expect_type(422, "too_many");
    // A mount that is removed knows nobody any more, and one of its name knows others.
    admin.delete("/sys/setting/auth%2Fgithub").await.expect(200);
    link(&admin, "ada", "65").await.expect_at(422, ["path", "mount"]);
}

#[tokio::test]
async fn of_two_nodes_that_link_one_identity_one_does() {
    let nodes = Nodes::start(2).await;
    let admin = nodes.admin().await;
    let value = json!({ "plugin": "github", "grant": { "http": ["api.github.com:443", "github.com:443"] } });
    admin.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200);
    for name in ["ada", "bob"] {
        nodes.login(0, name, "user").await;
    }
    let at = nodes.everywhere(&admin);
    for round in 0..10 {
        let subject = round.to_string();
        let (one, other) = tokio::join!(link(&at[0], "ada", &subject), link(&at[1], "bob", &subject));
        let lost = if one.status == 200 { other } else { one };
        taken(lost);
        let (ada, bob) = (links(&at[1], "ada").await, links(&at[0], "bob").await);
        let count = |links: &Value| links.as_array().map_or(0, Vec::len);
        assert_eq!(count(&ada) + count(&bob), round + 1, "{ada} {bob}");
    }
}
