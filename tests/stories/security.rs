//! `sys/security`: one document, in force when it answers.

use serde_json::json;

use crate::harness::{Builder, TestServer, canary};

on_every_store!(a_change_is_in_force_when_it_is_answered);

async fn a_change_is_in_force_when_it_is_answered(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    for length in [30, 12, 40] {
        admin.post("/sys/security", json!({ "passwords": { "min_length": length } })).await.expect(200);
        let password = canary("p").chars().take(20).collect::<String>();
        let user = json!({ "username": format!("user{length}"), "email": "u@example.com", "role": "user", "password": password });
        let answer = admin.post("/users/create", user).await;
        match length {
            12 => drop(answer.expect(200)),
            _ => drop(answer.expect_at(422, ["body", "password"])),
        }
    }
}

#[tokio::test]
async fn the_document_is_whole_and_a_change_merges() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let before = admin.get("/sys/security").await.expect(200);
    for section in ["sessions", "passwords", "logins", "step_up", "plugins", "mounts"] {
        assert!(before[section].is_object(), "{section}: {before}");
    }
    assert_eq!(before["sessions"]["idle"], "30m");
    assert_eq!(before["passwords"]["argon2"], json!({ "memory_kib": 19456, "iterations": 2, "parallelism": 1 }));
    let after = admin.post("/sys/security", json!({ "sessions": { "idle": "1h" } })).await.expect(200);
    let mut want = before.clone();
    want["sessions"]["idle"] = json!("1h");
    assert_eq!(after, want, "the whole, with the one change");
    assert_eq!(admin.get("/sys/security").await.expect(200), want);
    assert_eq!(admin.get("/sys/setting/security").await.expect(200)["value"], want);
    // Nothing is no change.
    assert_eq!(admin.post("/sys/security", json!({})).await.expect(200), want);
    // A `null` goes back to the default.
    let back = admin.post("/sys/security", json!({ "sessions": { "idle": null } })).await.expect(200);
    assert_eq!(back["sessions"]["idle"], "30m");
}

#[tokio::test]
async fn what_is_out_of_range_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let before = admin.get("/sys/security").await.expect(200);
    for (section, member, values) in [
        ("sessions", "idle", vec![json!("0s"), json!(-1), json!("soon"), json!(true)]),
        ("sessions", "absolute", vec![json!(0), json!("x")]),
        ("sessions", "max_per_user", vec![json!(0), json!(-1), json!("5")]),
        ("sessions", "bind", vec![json!("everyone"), json!(1)]),
        ("sessions", "bind_ipv6_prefix", vec![json!(0), json!(129)]),
        ("sessions", "over_limit", vec![json!("explode")]),
        ("passwords", "min_length", vec![json!(0), json!(5000), json!("12")]),
        ("logins", "failures", vec![json!(0), json!(-1)]),
        ("logins", "colour", vec![json!("red")]),
        ("plugins", "max_memory", vec![json!("a lot")]),
    ] {
        for value in values {
            admin
                .post("/sys/security", json!({ section: { member: value } }))
                .await
                .expect_at(422, ["body", section, member]);
        }
    }
    admin.post("/sys/security", json!({ "weather": {} })).await.expect_at(422, ["body", "weather"]);
    admin.post("/sys/security", json!({ "sessions": [] })).await.expect_at(422, ["body", "sessions"]);
    let low = json!({ "passwords": { "argon2": { "memory_kib": 1 } } });
    admin.post("/sys/security", low).await.expect_at(422, ["body", "passwords", "argon2", "memory_kib"]);
    assert_eq!(admin.get("/sys/security").await.expect(200), before);
}

#[tokio::test]
async fn nobody_locks_everybody_out_by_accident() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let nobody = json!({ "logins": { "roles": { "password": ["user"] } } });
    admin.post("/sys/security", nobody.clone()).await.expect_type(422, "locked_out");
    let disable = json!({ "key": "auth/password", "value": { "enabled": false } });
    admin.post("/sys/setting", disable).await.expect_type(422, "locked_out");
    server.admin().await.get("/sys/security").await.expect(200);
}

#[tokio::test]
async fn every_session_is_bound_where_the_document_says_so() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/security", json!({ "sessions": { "bind": "caller" } })).await.expect(200);
    // From here on a session is good where it was made: the caller of this story is.
    let ada = server.login("ada").await;
    ada.get("/users/me").await.expect(200);
    // A login may tighten that and not undo it: it is bound all the same, or told so.
    let body = json!({ "username": "ada", "password": ada.password, "session": { "bind": "none" } });
    let answer = server.anonymous().post("/token/create", body).await;
    assert!([200, 422].contains(&answer.status.as_u16()), "{}", answer.text);
}

#[tokio::test]
async fn a_common_password_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user =
        |password: &str| json!({ "username": "ada", "email": "a@example.com", "role": "user", "password": password });
    for common in ["password1234", "123456789012", "qwertyuiop12"] {
        admin.post("/users/create", user(common)).await.expect_at(422, ["body", "password"]);
    }
    admin.post("/users/create", user(&canary("good"))).await.expect(200);
}

#[tokio::test]
async fn not_even_by_making_every_session_a_limited_one() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let limited = json!({ "sessions": { "default_max_uses": 100 } });
    admin.post("/sys/security", limited).await.expect_type(422, "locked_out");
}

#[tokio::test]
async fn a_bound_on_plugins_holds_for_those_that_run_already() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    admin.post("/sys/security", json!({ "plugins": { "max_memory": "1MiB" } })).await.expect(200);
    // Its own memory is larger than that to begin with.
    ada.get("/secrets/kv/~/x").await.expect(502);
    admin.post("/sys/security", json!({ "plugins": { "max_memory": "64MiB" } })).await.expect(200);
    ada.get("/secrets/kv/~/x").await.expect(200);
}

#[tokio::test]
async fn two_admins_at_once_do_not_lock_each_other_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/security", json!({ "logins": { "roles": { "other": ["*"] } } })).await.expect(200);
    let set = async |mount: &str, enabled: bool| {
        let value = json!({ "plugin": "password", "enabled": enabled });
        admin.post("/sys/setting", json!({ "key": format!("auth/{mount}"), "value": value })).await
    };
    set("other", true).await.expect(200);
    for _ in 0..10 {
        let (one, other) = tokio::join!(set("password", false), set("other", false));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{} {}", one.text, other.text);
        set("password", true).await.expect(200);
        set("other", true).await.expect(200);
    }
}

#[tokio::test]
async fn not_by_binding_sessions_behind_a_proxy_that_nobody_told_of() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let bind = |force: bool| {
        let body = json!({ "sessions": { "bind": "caller" }, "force": force });
        admin.post("/sys/security", body).header("x-forwarded-for", "192.0.2.1")
    };
    bind(false).await.expect_type(422, "locked_out");
    let body = json!({ "key": "security", "value": { "sessions": { "bind": "caller" } } });
    admin.post("/sys/setting", body).header("x-real-ip", "192.0.2.1").await.expect_type(422, "locked_out");
    bind(true).await.expect(200);
    // It is so already: another change is none of that.
    let idle = json!({ "sessions": { "idle": "45m" } });
    admin.post("/sys/security", idle).header("x-forwarded-for", "192.0.2.1").await.expect(200);
}
