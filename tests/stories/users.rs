//! Users: made, changed, deleted, and who may.

use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, unique};

fn new_user(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "role": "user", "password": canary(name) })
}

on_every_store!(
    a_created_user_logs_in_and_a_deleted_one_does_not,
    a_new_user_of_an_old_name_inherits_nothing,
    a_disabled_user_is_out_at_once,
    an_admin_sees_and_changes_users,
    what_a_user_may_not_ask_about_others_looks_the_same,
    of_two_admins_who_remove_each_other_one_remains,
);

async fn a_created_user_logs_in_and_a_deleted_one_does_not(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    for (path, in_body) in [("/users/ada/delete", false), ("/users/delete", true)] {
        let body = new_user("ada");
        let made = admin.post("/users/create", body.clone()).await.expect(200);
        assert_eq!(
            (&made["username"], &made["email"], &made["role"]),
            (&body["username"], &body["email"], &body["role"])
        );
        assert!(
            made["id"].is_string() && made["created_at"].as_str().is_some_and(|time| time.ends_with('Z')),
            "{made}"
        );
        let password = body["password"].as_str().expect("text");
        let ada = server.log_in("ada", password).await;
        assert_eq!(made["id"], ada.id.as_str());
        let gone = if in_body { json!({ "username": "ada" }) } else { json!({}) };
        admin.post(path, gone.clone()).await.expect(200);
        ada.get("/users/me").await.expect_unauthorized();
        let body = json!({ "username": "ada", "password": password });
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
        admin.post(path, gone).await.expect_type(422, "not_found");
    }
}

async fn a_new_user_of_an_old_name_inherits_nothing(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    admin.post("/users/ada/delete", json!({})).await.expect(200);
    let body = new_user("ada");
    admin.post("/users/create", body.clone()).await.expect(200);
    let new = server.log_in("ada", body["password"].as_str().expect("text")).await;
    assert_ne!(new.id, ada.id);
    new.get("/secrets/kv/~/x").await.expect(404);
    new.get(&format!("/secrets/kv/users/{}/x", ada.id)).await.expect_forbidden();
    let old = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", old).await.expect_oauth(400, "invalid_grant");
}

async fn a_disabled_user_is_out_at_once(server: Builder) {
    let server = server.start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    admin.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    let body = json!({ "username": "ada", "password": ada.password });
    server.anonymous().post("/token/create", body.clone()).await.expect_oauth(400, "invalid_grant");
    admin.post("/users/ada/update", json!({ "disabled": false })).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    server.anonymous().post("/token/create", body).await.expect(200);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/users/create", new_user("ada")).await.expect(200);
    for name in ["ada", "ADA", "Ada"] {
        admin.post("/users/create", new_user(name)).await.expect_problem(422, ["body", "username"], "already_exists");
    }
    // Of many at once, one.
    let calls: Vec<_> =
        (0..8).map(|_| tokio::spawn(admin.post("/users/create", new_user("eve")).into_future())).collect();
    let mut made = 0;
    for call in calls {
        let answer = call.await.expect("an answer");
        match answer.status.as_u16() {
            200 => made += 1,
            _ => drop(answer.expect_problem(422, ["body", "username"], "already_exists")),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn what_a_new_user_lacks_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let with = |member: &str, value: Value| {
        let mut body = new_user(&unique("user"));
        body[member] = value;
        body
    };
    for name in [
        "",
        ".ada",
        "a b",
        "ада",
        "a/b",
        "root",
        "admin",
        "system",
        "anonymous",
        "me",
        "create",
        "delete",
        &"a".repeat(129),
    ] {
        admin.post("/users/create", with("username", json!(name))).await.expect_at(422, ["body", "username"]);
    }
    for email in ["", "ada", "@x.y", "a b@c.d"] {
        admin.post("/users/create", with("email", json!(email))).await.expect_at(422, ["body", "email"]);
    }
    for password in ["", "short", "password1234", &"x".repeat(1025)] {
        admin.post("/users/create", with("password", json!(password))).await.expect_at(422, ["body", "password"]);
    }
    admin.post("/users/create", with("role", json!("wizard"))).await.expect_problem(
        422,
        ["body", "role"],
        "unknown_role",
    );
    for member in ["username", "email", "role", "password"] {
        admin.post("/users/create", with(member, json!(5))).await.expect_at(422, ["body", member]);
    }
    for member in ["username", "role", "password"] {
        let mut body = new_user(&unique("user"));
        body.as_object_mut().expect("an object").remove(member);
        admin.post("/users/create", body).await.expect_at(422, ["body", member]);
    }
    // All that it lacks is told at once.
    let lacking = |answer: crate::harness::Answer| {
        let told = answer.expect_type(422, "missing");
        told["detail"].as_array().expect("a list").iter().map(|one| one["loc"][1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(lacking(admin.post("/users/create", json!({})).await), ["username", "email", "role", "password"]);
    let named = json!({ "username": unique("user") });
    assert_eq!(lacking(admin.post("/users/create", named).await), ["email", "role", "password"]);
    let machine = json!({ "username": unique("user"), "kind": "machine" });
    assert_eq!(lacking(admin.post("/users/create", machine).await), ["role"]);
    let told = admin.post("/users/create", with("shoe_size", json!(42))).await.expect_type(422, "unknown_member");
    assert!(told["detail"][0]["msg"].as_str().is_some_and(|words| words.contains("only username, email")), "{told}");
    admin.post("/users/create", with("shoe_size", json!(42))).await.expect_at(422, ["body", "shoe_size"]);
    let twice = r#"{"username":"ada","username":"bob","email":"a@b.c","role":"user","password":"long enough to pass"}"#;
    admin.call(reqwest::Method::POST, "/users/create").body(twice).await.expect_at(422, ["body", "username"]);
    admin.post("/users/delete", json!({})).await.expect_at(422, ["body", "username"]);
}

#[tokio::test]
async fn a_user_learns_nothing_about_other_users() {
    let server = TestServer::start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    let likeness = async |path: &str, body: Value| ada.post(path, body).await.likeness();
    let named = |name: &str| json!({ "username": name });
    assert_eq!(likeness("/users/bob/delete", json!({})).await, likeness("/users/nobody/delete", json!({})).await);
    assert_eq!(likeness("/users/delete", named("bob")).await, likeness("/users/delete", named("nobody")).await);
    ada.post("/users/bob/delete", json!({})).await.expect_forbidden();
    ada.post("/users/delete", named("bob")).await.expect_forbidden();
    ada.post("/users/ada/delete", json!({})).await.expect_forbidden();
    ada.post("/users/create", new_user("bob")).await.expect_forbidden();
    ada.post("/users/create", new_user("carl")).await.expect_forbidden();
    let mut admin = new_user("carl");
    admin["role"] = json!("admin");
    ada.post("/users/create", admin).await.expect_forbidden();
    let me = ada.get("/users/me").await.expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!("ada"), &json!("user")));
    server.anonymous().get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn an_admin_makes_admins_and_the_last_one_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("/users/{}/delete", admin.username);
    admin.post(&path, json!({})).await.expect(422);
    admin.post("/users/delete", json!({ "username": admin.username })).await.expect(422);
    admin.get("/users/me").await.expect(200);
    server.create_user("ada", "admin").await;
    let ada = server.login("ada").await;
    ada.get("/sys/settings").await.expect(200);
    ada.post(&path, json!({})).await.expect(200);
    admin.get("/users/me").await.expect_unauthorized();
    ada.post("/users/ada/delete", json!({})).await.expect(422);
}

async fn what_a_user_may_not_ask_about_others_looks_the_same(server: Builder) {
    let server = server.start().await;
    let (ada, _) = (server.login("ada").await, server.login("bob").await);
    for path in ["/users/bob", "/users/nobody", "/users"] {
        ada.get(path).await.expect_forbidden();
    }
    let likeness = async |path: &str| ada.post(path, json!({})).await.likeness();
    assert_eq!(likeness("/users/bob/update").await, likeness("/users/nobody/update").await);
    ada.post("/users/ada/update", json!({ "role": "admin" })).await.expect_forbidden();
    let password = json!({ "current": ada.password, "new": canary("new") });
    ada.post("/users/bob/password", password).await.expect_forbidden();
}

async fn an_admin_sees_and_changes_users(server: Builder) {
    let server = server.start().await;
    let (ada, admin) = (server.login("ada").await, server.admin().await);
    let list = admin.get("/users").await.expect(200);
    let names: Vec<_> = list["users"].as_array().expect("a list").iter().map(|user| user["username"].clone()).collect();
    assert!(names.contains(&json!("ada")) && names.contains(&json!(admin.username)), "{list}");
    assert!(!list.to_string().contains("password"), "{list}");
    assert_eq!(admin.get("/users/ada").await.expect(200)["id"], ada.id.as_str());
    admin.get("/users/nobody").await.expect(404);
    let email = format!("{}@example.org", unique("ada"));
    admin.post("/users/ada/update", json!({ "email": email })).await.expect(200);
    assert_eq!(admin.get("/users/ada").await.expect(200)["email"], email);
    let wizard = json!({ "role": "wizard" });
    admin.post("/users/ada/update", wizard).await.expect_problem(422, ["body", "role"], "unknown_role");
    admin.post("/users/ada/update", json!({ "role": "admin" })).await.expect(200);
    server.login("ada").await.get("/sys/settings").await.expect(200);
    admin.post("/users/ada/update", json!({ "role": "user" })).await.expect(200);
    server.login("ada").await.get("/sys/settings").await.expect_forbidden();
    admin.post("/users/nobody/update", json!({ "role": "user" })).await.expect_type(422, "not_found");
    let path = format!("/users/{}/update", admin.username);
    admin.post(&path, json!({ "role": "user" })).await.expect(422);
    admin.post(&path, json!({ "disabled": true })).await.expect(422);
}

async fn of_two_admins_who_remove_each_other_one_remains(server: Builder) {
    let server = server.start().await;
    for (one, other) in [("update", "update"), ("update", "delete"), ("delete", "delete")] {
        let admin = server.admin().await;
        let name = unique("eve");
        let password = server.create_user(&name, "admin").await;
        let eve = server.log_in(&name, &password).await;
        let body = |how: &str| if how == "update" { json!({ "role": "user" }) } else { json!({}) };
        let (mine, hers) = (format!("/users/{}/{other}", admin.username), format!("/users/{name}/{one}"));
        if other == "delete" {
            // The dev admin is to come back for the next round; to lose the role is enough.
            let (first, second) = tokio::join!(
                admin.post(&hers, body(one)),
                eve.post(&format!("/users/{}/update", admin.username), json!({ "disabled": true }))
            );
            let won = [&first, &second].iter().filter(|answer| answer.status == 200).count();
            assert_eq!(won, 1, "{} {}", first.text, second.text);
        } else {
            let (first, second) = tokio::join!(admin.post(&hers, body(one)), eve.post(&mine, body(other)));
            let won = [&first, &second].iter().filter(|answer| answer.status == 200).count();
            assert_eq!(won, 1, "{} {}", first.text, second.text);
        }
        // Whoever is left puts it right, so that the next round begins as this one did.
        let (mine, hers) = (format!("/users/{}/update", admin.username), format!("/users/{name}/delete"));
        if eve.get("/sys/settings").await.status == 200 {
            eve.post(&mine, json!({ "role": "admin", "disabled": false })).await.expect(200);
            server.admin().await.post(&hers, json!({})).await.expect(200);
        } else if admin.get(&format!("/users/{name}")).await.status == 200 {
            admin.post(&hers, json!({})).await.expect(200);
        }
    }
}

#[tokio::test]
async fn users_are_listed_in_pages_by_name() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for name in ["carl", "ada", "bob", "b-b", "zoe"] {
        server.create_user(name, "user").await;
    }
    let (mut names, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "2")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = admin.get("/users").query(&query).await.expect(200);
        let users = page["users"].as_array().expect("a list");
        assert!(users.len() <= 2, "{page}");
        names.extend(users.iter().map(|user| user["username"].as_str().expect("a name").to_owned()));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        let Some(cursor) = &cursor else { break };
        // Nobody reads a name out of it, and nobody but who was given it goes on with it.
        for name in &names {
            assert!(!cursor.contains(name.as_str()), "{cursor}");
        }
    }
    assert_eq!(names, ["ada", "admin", "b-b", "bob", "carl", "zoe"], "byte order, each once, and no root");
    for limit in ["0", "1001", "x"] {
        admin.get("/users").query(&[("limit", limit)]).await.expect_at(422, ["query", "limit"]);
    }
    for cursor in ["x", "AAAA", "ada"] {
        admin.get("/users").query(&[("cursor", cursor)]).await.expect_at(422, ["query", "cursor"]);
    }
    let first = admin.get("/users?limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().expect("there are more");
    let eve = server.create_user("eve", "admin").await;
    let eve = server.log_in("eve", &eve).await;
    eve.get("/users").query(&[("cursor", cursor)]).await.expect_at(422, ["query", "cursor"]);
    admin.get("/sessions").query(&[("cursor", cursor)]).await.expect_at(422, ["query", "cursor"]);
}

#[tokio::test]
async fn what_a_change_of_a_user_lacks_is_named() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    for (member, value) in [
        ("email", json!("ada")),
        ("email", json!(5)),
        ("role", json!("Wizard")),
        ("role", json!(5)),
        ("disabled", json!("yes")),
        ("password", json!(canary("p"))),
        ("username", json!("eve")),
    ] {
        admin.post("/users/ada/update", json!({ member: value })).await.expect_at(422, ["body", member]);
    }
    admin.post("/users/ada%2Fx/update", json!({})).await.expect_at(422, ["path", "username"]);
    admin.get("/users/a%20b").await.expect_at(422, ["path", "username"]);
    admin.get("/users/ada?x=1").await.expect_at(422, ["query", "x"]);
    let before = admin.get("/users/ada").await.expect(200);
    assert_eq!(admin.post("/users/ada/update", json!({})).await.expect(200), before, "nothing is no change");
    ada.get("/users/me").await.expect(200);
    let none = admin.post("/users/ada/update", json!({ "email": null })).await.expect(200);
    assert_eq!(none["email"], Value::Null);
    ada.get("/users/me").await.expect(200);
    // Whom the root token stands for is nobody's to change.
    admin.get("/users/root").await.expect(404);
    for (what, body) in
        [("update", json!({ "role": "admin" })), ("password", json!({ "new": canary("r") })), ("delete", json!({}))]
    {
        admin.post(&format!("/users/root/{what}"), body).await.expect_type(422, "not_found");
    }
}

#[tokio::test]
async fn a_role_that_is_taken_takes_the_sessions_along() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let password = server.create_user("eve", "admin").await;
    let eve = server.log_in("eve", &password).await;
    eve.get("/users").await.expect(200);
    admin.post("/users/eve/update", json!({ "role": "user" })).await.expect(200);
    eve.get("/users/me").await.expect_unauthorized();
    let body = json!({ "refresh_token": eve.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    server.log_in("eve", &password).await.get("/users").await.expect_forbidden();
}

#[tokio::test]
async fn a_name_has_one_form_wherever_it_is_given() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    // Case and percent-encoding lead to the one user, …
    for name in ["ADA", "Ada", "%61da", "%41DA"] {
        assert_eq!(admin.get(&format!("/users/{name}")).await.expect(200)["id"], ada.id.as_str(), "{name}");
    }
    let as_written = json!({ "username": "aDa", "password": ada.password });
    server.anonymous().post("/token/create", as_written).await.expect(200);
    // … and what only looks like the name, or is cut or folded to it elsewhere, leads to nobody.
    for name in [
        " ada",
        "ada ",
        "ada\t",
        "ada\n",
        "ada\0",
        "ada\0x",
        "аda",
        "ａda",
        "ada\u{200b}",
        "a\u{301}da",
        "ada/",
        "ada/../ada",
        "./ada",
        "\u{212a}im",
    ] {
        let body = json!({ "username": name, "password": ada.password });
        server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
        let mut body = new_user("x");
        body["username"] = json!(name);
        admin.post("/users/create", body).await.expect_at(422, ["body", "username"]);
        admin.post("/users/delete", json!({ "username": name })).await.expect_at(422, ["body", "username"]);
        admin.post("/sessions/revoke", json!({ "username": name })).await.expect_at(422, ["body", "username"]);
        admin.get("/sessions").query(&[("username", name)]).await.expect_at(422, ["query", "username"]);
    }
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn no_name_of_a_user_stands_in_the_trail() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let name = unique("hidden");
    let password = server.create_user(&name, "user").await;
    let user = server.log_in(&name, &password).await;
    admin.get(&format!("/users/{name}")).await.expect(200);
    admin.get(&format!("/sessions?username={name}")).await.expect(200);
    user.post(&format!("/users/{name}/update"), json!({})).await.expect_forbidden();
    user.post(&format!("/users/{name}/password"), json!({ "current": password, "new": canary("n") })).await.expect(200);
    admin.post(&format!("/users/{name}/password"), json!({ "new": canary("n") })).await.expect(200);
    admin.post("/sessions/revoke", json!({ "username": name })).await.expect(200);
    admin.post(&format!("/users/{name}/update"), json!({ "email": format!("{name}@example.org") })).await.expect(200);
    admin.post(&format!("/users/{name}/delete"), json!({})).await.expect(200);
    server.keep_secret(&name);
}
