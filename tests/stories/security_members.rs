//! Each member of `sys/security` changes what it says it changes: a table of them all with the story that shows it,
//! and the stories of those that have no other place.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::hostile::mount;
use crate::harness::guests::{engine, sleeper};
use crate::harness::{Client, Seal, TestServer, canary, eventually};

/// One more member of the document is one more line here, and a story.
const MEMBERS: &[(&str, &str)] = &[
    ("sessions.idle", "an_idle_session_ends"),
    ("sessions.absolute", "a_session_lasts_as_long_as_the_rules_say"),
    ("sessions.refresh", "a_session_lasts_as_long_as_the_rules_say"),
    ("sessions.max_ttl", "nobody_asks_for_longer_than_the_rules_allow"),
    ("sessions.max_per_user", "beyond_the_limit_the_oldest_session_ends"),
    ("sessions.over_limit", "one_session_too_many_is_refused_and_told_why"),
    ("sessions.bind", "every_session_is_bound_where_the_document_says_so"),
    ("sessions.bind_ipv6_prefix", "a_session_is_bound_to_as_much_of_an_address_as_the_rules_say"),
    ("sessions.default_max_uses", "every_session_is_limited_where_the_rules_say_so"),
    ("sessions.one_time_ttl", "a_one_time_token_lasts_as_long_as_the_rules_say"),
    ("passwords.min_length", "a_change_is_in_force_when_it_is_answered"),
    ("passwords.max_length", "a_password_may_be_as_long_and_as_common_as_the_rules_say"),
    ("passwords.refuse_common", "a_password_may_be_as_long_and_as_common_as_the_rules_say"),
    ("passwords.argon2", "a_user_who_is_deleted_while_logging_in_is_not_in"),
    ("logins.failures", "a_name_that_has_failed_too_often_is_refused_even_with_the_right_password"),
    ("logins.window", "a_name_that_has_failed_too_often_is_refused_even_with_the_right_password"),
    ("logins.failures_per_address", "an_address_that_has_failed_too_often_is_told_to_come_back_later"),
    ("logins.roles", "a_role_is_given_by_the_mounts_that_may_give_it"),
    ("step_up.max_age", "what_rules_others_needs_a_recent_login_and_a_renewal_is_none"),
    ("step_up.operations", "the_document_adds_operations_and_takes_none_away"),
    ("plugins.require_signature", "a_server_that_demands_signatures_runs_only_what_trusted_publishers_signed"),
    ("plugins.publishers", "a_server_that_demands_signatures_runs_only_what_trusted_publishers_signed"),
    ("plugins.denied", "a_denied_plugin_answers_502_and_the_server_starts_all_the_same"),
    ("plugins.max_memory", "a_bound_on_plugins_holds_for_those_that_run_already"),
    ("plugins.max_cpu_ms", "a_plugin_works_and_waits_no_longer_than_the_rules_allow"),
    ("plugins.max_wall_ms", "a_plugin_works_and_waits_no_longer_than_the_rules_allow"),
    ("mounts.keep_removed", "what_a_removed_mount_held_is_kept_as_long_as_the_rules_say"),
];

async fn set(admin: &Client, section: &str, members: Value) {
    admin.post("/sys/security", json!({ section: members })).await.expect(200);
}

#[tokio::test]
async fn each_member_has_a_story() {
    let server = TestServer::start().await;
    let document = server.admin().await.get("/sys/security").await.expect(200);
    let members = |(section, members): (&String, &Value)| {
        let members = members.as_object().expect("a section").keys();
        members.map(|member| format!("{section}.{member}")).collect::<Vec<_>>()
    };
    let there: BTreeSet<String> = document.as_object().expect("a document").iter().flat_map(members).collect();
    let tabled: BTreeSet<String> = MEMBERS.iter().map(|(member, _)| (*member).to_owned()).collect();
    assert_eq!(there, tabled);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/stories");
    let stories: String = std::fs::read_dir(folder)
        .expect("the stories are there")
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let lost = MEMBERS.iter().filter(|(_, story)| !stories.contains(&format!("async fn {story}(")));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused_where_they_stand() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let before = admin.get("/sys/security").await.expect(200);
    let unknown = json!({ "step_up": { "operations": ["secrets.read", "secrets.fly"] } });
    let answer = admin.post("/sys/security", unknown).await;
    answer.expect_problem(422, ["body", "step_up", "operations", "1"], "unknown_operation");
    let unknown = json!({ "logins": { "roles": { "password": ["*"], "github": ["wizard"] } } });
    let answer = admin.post("/sys/security", unknown.clone()).await;
    answer.expect_problem(422, ["body", "logins", "roles", "github", "0"], "unknown_role");
    let by_key = json!({ "key": "security", "value": unknown });
    let answer = admin.post("/sys/setting", by_key).await;
    answer.expect_problem(422, ["body", "value", "logins", "roles", "github", "0"], "unknown_role");
    let nowhere = json!({ "logins": { "roles": { "No Mount": ["user"] } } });
    admin.post("/sys/security", nowhere).await.expect_at(422, ["body", "logins", "roles", "No Mount"]);
    assert_eq!(admin.get("/sys/security").await.expect(200), before);
    // A role that is gone later keeps nobody from changing the rest.
    admin.put("/sys/roles/ops", json!({})).await.expect(200);
    set(&admin, "logins", json!({ "roles": { "github": ["ops"] } })).await;
    admin.delete("/sys/roles/ops").await.expect(200);
    set(&admin, "sessions", json!({ "idle": "20m" })).await;
    let setting = admin.get("/sys/setting/security").await.expect(200);
    let known = setting.pointer("/schema/properties/step_up/properties/operations/items/enum").expect("a list");
    assert!(known.as_array().is_some_and(|known| known.contains(&json!("secrets.read"))), "{known}");
}

#[tokio::test]
async fn one_session_too_many_is_refused_and_told_why() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (first, second) = (server.login("ada").await, server.login("ada").await);
    set(&admin, "sessions", json!({ "max_per_user": 2, "over_limit": "refuse" })).await;
    let login = || server.anonymous().post("/token/create", json!({ "username": "ada", "password": first.password }));
    let refused = login().await;
    // Nobody knows when a place becomes free: nothing is said of when to come back.
    assert!(!refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    let told = refused.expect_type(429, "too_many_sessions");
    assert!(told["detail"][0]["msg"].as_str().is_some_and(|words| words.contains("end one")), "{told}");
    first.child(None, json!({})).await.expect_type(429, "too_many_sessions");
    // A wrong password learns nothing of it.
    let guess = json!({ "username": "ada", "password": canary("wrong") });
    server.anonymous().post("/token/create", guess).await.expect_oauth(400, "invalid_grant");
    first.get("/users/me").await.expect(200);
    let path = format!("/sessions/{}/revoke", second.session_id());
    first.post(&path, json!({})).await.expect(200);
    login().await.expect(200);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_rules_say() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    set(&admin, "sessions", json!({ "absolute": "5m", "refresh": "1h" })).await;
    let ada = server.login("ada").await;
    let seconds = |member: &str| ada.session[member].as_u64().expect("seconds");
    assert!((290..=300).contains(&seconds("expires_in")), "{}", ada.session);
    assert!((3590..=3600).contains(&seconds("refresh_expires_in")), "{}", ada.session);
    set(&admin, "sessions", json!({ "absolute": "1s" })).await;
    let ada = server.login("ada").await;
    eventually("the access token ends", || async { (ada.get("/users/me").await.status == 401).then_some(()) }).await;
    let renewed = server.anonymous().post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await;
    renewed.expect(200);
    set(&admin, "sessions", json!({ "absolute": "12h", "refresh": "1s" })).await;
    let ada = server.login("ada").await;
    eventually("the session ends", || async { (ada.get("/users/me").await.status == 401).then_some(()) }).await;
    let renewed = server.anonymous().post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await;
    renewed.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn nobody_asks_for_longer_than_the_rules_allow() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let login = |ttl: &str| {
        let session = json!({ "ttl": ttl });
        let body = json!({ "username": "ada", "password": ada.password, "session": session });
        server.anonymous().post("/token/create", body)
    };
    login("2h").await.expect(200);
    set(&admin, "sessions", json!({ "refresh": "30m", "max_ttl": "1h", "one_time_ttl": "2h" })).await;
    login("2h").await.expect_at(422, ["body", "session", "ttl"]);
    login("1h").await.expect(200);
    // Whoever asked for no time is not told that it is too long.
    let once = ada.child(None, json!({ "one_time": true })).await.expect(200);
    assert!(once["expires_in"].as_u64() <= Some(3600), "{once}");
}

#[tokio::test]
async fn a_one_time_token_lasts_as_long_as_the_rules_say() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    set(&admin, "sessions", json!({ "one_time_ttl": "90s" })).await;
    let once = ada.child(None, json!({ "one_time": true })).await.expect(200);
    assert!((80..=90).contains(&once["expires_in"].as_u64().expect("seconds")), "{once}");
    set(&admin, "sessions", json!({ "one_time_ttl": "1s" })).await;
    let once = ada.with_session(ada.child(None, json!({ "one_time": true })).await.expect(200));
    let active = || async {
        let told = ada.post("/token/introspect", json!({ "token": once.token() })).await.expect(200);
        (told["active"] == false).then_some(())
    };
    eventually("it ends unused", active).await;
    once.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn every_session_is_limited_where_the_rules_say_so() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.login("ada").await;
    let limited = json!({ "sessions": { "default_max_uses": 3 }, "force": true });
    admin.post("/sys/security", limited).await.expect(200);
    // Logging in asks once who it is.
    let ada = server.login("ada").await;
    assert_eq!(ada.session["refresh_token"], Value::Null);
    for _ in 0..2 {
        ada.get("/users/me").await.expect(200);
    }
    ada.get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_password_may_be_as_long_and_as_common_as_the_rules_say() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let create = async |name: &str, password: &str| {
        let body = json!({ "username": name, "email": "u@example.com", "role": "user", "password": password });
        admin.post("/users/create", body).await
    };
    let long: String = (0..9).map(|_| canary("long")).collect();
    create("long", &long).await.expect(200);
    set(&admin, "passwords", json!({ "max_length": 64, "refuse_common": false })).await;
    create("longer", &long).await.expect_problem(422, ["body", "password"], "too_long");
    // Who had it before logs in with it still.
    server.log_in("long", &long).await;
    create("short", "x").await.expect_problem(422, ["body", "password"], "too_short");
    create("common", "password1234").await.expect(200);
    set(&admin, "passwords", json!({ "refuse_common": true })).await;
    create("commoner", "password1234").await.expect_problem(422, ["body", "password"], "too_common");
}

#[tokio::test]
async fn a_role_is_given_by_the_mounts_that_may_give_it() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    ada.put("/secrets/kv/~/x", json!({ "value": canary("x") })).await.expect(200);
    set(&admin, "logins", json!({ "roles": { "password": ["admin"] } })).await;
    // From now on, for sessions that are open too.
    ada.get("/secrets/kv/~/x").await.expect_forbidden();
    server.login("ada").await.get("/secrets/kv/~/x").await.expect_forbidden();
    set(&admin, "logins", json!({ "roles": { "password": ["*"] } })).await;
    ada.get("/secrets/kv/~/x").await.expect(200);
}

#[tokio::test]
async fn a_session_is_bound_to_as_much_of_an_address_as_the_rules_say() {
    let builder = TestServer::builder().seal(Seal::KeyFile);
    let builder = builder.config("listener.trusted_proxies", vec!["127.0.0.0/8"]);
    let server = builder.config("listener.client_address_header", "x-forwarded-for").start().await;
    let body = json!({ "code": server.init_code() });
    let made = server.anonymous().post("/sys/init", body).await.expect(200);
    let root = server.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
    root.post("/sys/setting", json!({ "key": "auth/password", "value": { "plugin": "password" } })).await.expect(200);
    let password = canary("password");
    let ada = json!({ "username": "ada", "email": "a@example.com", "role": "user", "password": password });
    root.post("/users/create", ada).await.expect(200);
    for (prefix, near, far) in [(64, "2001:db8:0:1::2", "2001:db8:0:2::1"), (128, "2001:db8:0:1::1", "2001:db8:0:1::2")]
    {
        root.post("/sys/security", json!({ "sessions": { "bind_ipv6_prefix": prefix } })).await.expect(200);
        let body = json!({ "username": "ada", "password": password, "session": { "bind": "caller" } });
        let login = server.anonymous().post("/token/create", body).header("x-forwarded-for", "2001:db8:0:1::1");
        let ada = server.anonymous().with_session(login.await.expect(200));
        ada.get("/users/me").header("x-forwarded-for", near).await.expect(200);
        ada.get("/users/me").header("x-forwarded-for", far).await.expect_type(403, "wrong_address");
    }
}

#[tokio::test]
async fn a_plugin_works_and_waits_no_longer_than_the_rules_allow() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    // Some hundred milliseconds of work, and as much of waiting.
    let work = "(loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.ne (local.get $i) (i32.const 200000000)))) (call $ok)";
    let bounds = "[limits]\nmemory = \"16MiB\"\ncpu-ms = 10000\nwall-ms = 30000\n";
    set(&admin, "plugins", json!({ "max_cpu_ms": 10_000 })).await;
    mount(&admin, ("secrets", "works"), bounds, &engine("", "", work), json!({})).await.expect(200);
    mount(&admin, ("secrets", "waits"), bounds, &sleeper(500), json!({})).await.expect(200);
    admin.get("/secrets/works/x").await.expect(200);
    admin.get("/secrets/waits/x").await.expect(200);
    set(&admin, "plugins", json!({ "max_cpu_ms": 1 })).await;
    admin.get("/secrets/works/x").await.expect(502);
    set(&admin, "plugins", json!({ "max_cpu_ms": 10_000, "max_wall_ms": 100 })).await;
    admin.get("/secrets/waits/x").await.expect(502);
    set(&admin, "plugins", json!({ "max_wall_ms": 30_000 })).await;
    admin.get("/secrets/waits/x").await.expect(200);
}

#[tokio::test]
async fn what_a_removed_mount_held_is_kept_as_long_as_the_rules_say() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let team = json!({ "key": "secrets/team", "value": { "plugin": "kv" } });
    admin.post("/sys/setting", team).await.expect(200);
    admin.put("/secrets/team/x", json!({ "value": canary("x") })).await.expect(200);
    admin.delete("/sys/setting/secrets%2Fteam").await.expect(200);
    let swept = || server.trail().0.iter().any(|record| record["operation"] == "mounts.sweep");
    assert!(!swept(), "it is kept for thirty days");
    set(&admin, "mounts", json!({ "keep_removed": 0 })).await;
    // Every ten seconds it is looked for.
    eventually("it is gone for good", || async { swept().then_some(()) }).await;
}
