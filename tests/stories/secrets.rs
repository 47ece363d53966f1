//! Secrets: stored, read, changed, over. What `kv` does by its plain six operations.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Builder, TestServer, canary, eventually};

on_every_store!(
    what_is_stored_is_read_back,
    a_secret_is_gone_when_its_ttl_is_over,
    versions_count_and_an_expected_one_is_held_to,
    of_writers_who_expect_the_same_version_one_wins,
    a_deleted_secret_is_absent_and_its_name_taken,
);

async fn what_is_stored_is_read_back(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let (user, password) = (canary("user"), canary("password"));
    let body = json!({
        "secret_id": "kv/apps/web/db",
        "data": { "user": user, "password": password, "nested": { "list": [1, 2.5, true, null, "ключ"] } },
        "ttl": "1h",
        "metadata": { "owner": "web" },
    });
    let made = admin.post("/secrets/create", body.clone()).await.expect(200);
    assert_eq!((&made["secret_id"], &made["version"]), (&json!("kv/apps/web/db"), &json!(1)));
    let read = admin.get("/secrets/kv/apps/web/db").await.expect(200);
    assert_eq!(read["data"], body["data"]);
    assert_eq!(read["metadata"], body["metadata"]);
    assert_eq!((&read["version"], &read["created_by"]), (&json!(1), &json!(admin.id)));
    for time in ["created_at", "updated_at", "expires_at"] {
        let text = read[time].as_str().unwrap_or_else(|| panic!("{time}: {read}"));
        assert!(
            text.len() == "2026-01-02T03:04:05.678Z".len() && text.ends_with('Z'),
            "RFC 3339, UTC, milliseconds: {text}"
        );
    }
    assert_eq!((&made["created_at"], &made["expires_at"]), (&read["created_at"], &read["expires_at"]));
    // Every form of the same call.
    let query = admin.get("/secrets").query(&[("secret_id", "kv/apps/web/db")]).await.expect(200);
    assert_eq!(query, read);
    assert_eq!(admin.get("/secrets/kv%2Fapps%2Fweb%2Fdb").await.expect(200), read);
    assert_eq!(admin.get("/secrets/kv/apps/web/db?version=1").await.expect(200), read);

    // Every way to name it, and to say one value.
    let value = canary("value");
    for (n, mut body) in [
        json!({ "name": "named/a0" }),
        json!({ "name": "named/a1", "mount": "kv" }),
        json!({ "name": "named/a2", "engine": "kv" }),
        json!({ "secret_id": "kv/named/a3" }),
    ]
    .into_iter()
    .enumerate()
    {
        body["value"] = json!(value);
        let made = admin.post("/secrets/create", body).await.expect(200);
        assert_eq!(made["secret_id"], format!("kv/named/a{n}"));
        assert_eq!(made["expires_at"], Value::Null);
        let read = admin.get(&format!("/secrets/kv/named/a{n}")).await.expect(200);
        assert_eq!(read["data"], json!({ "value": value }));
    }
}

async fn a_secret_is_gone_when_its_ttl_is_over(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let body = json!({ "secret_id": "kv/~/short", "value": canary("short"), "ttl": "1s" });
    let made = ada.post("/secrets/create", body.clone()).await.expect(200);
    assert!(made["expires_at"].is_string());
    eventually("the secret expires", || async { (ada.get("/secrets/kv/~/short").await.status == 404).then_some(()) })
        .await;
    for call in [
        ada.patch("/secrets/kv/~/short", json!({ "data": { "a": "b" } })),
        ada.delete("/secrets/kv/~/short"),
        ada.get("/secrets/kv/~/short:history"),
        ada.get("/secrets/kv/~/short:metadata"),
        ada.post("/secrets/kv/~/short:undelete", json!({})),
    ] {
        call.await.expect(404);
    }
    let listed = ada.get("/secrets").query(&[("prefix", "kv/~/")]).await.expect(200);
    assert_eq!(listed["secrets"], json!([]), "what is over is not listed");
    // The name is free, and counts from one again.
    let made = ada.post("/secrets/create", body).await.expect(200);
    assert_eq!(made["version"], 1);
}

async fn versions_count_and_an_expected_one_is_held_to(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let path = "/secrets/kv/~/v";
    let with = |expected: Value| json!({ "value": canary("v"), "expected_version": expected });
    ada.put(path, with(json!(1))).await.expect(409);
    assert_eq!(ada.put(path, with(json!(0))).await.expect(200)["version"], 1);
    ada.put(path, with(json!(0))).await.expect(409);
    ada.put(path, with(json!(2))).await.expect(409);
    assert_eq!(ada.put(path, with(json!(1))).await.expect(200)["version"], 2);
    assert_eq!(ada.put(path, json!({ "value": canary("v") })).await.expect(200)["version"], 3);
    let last = ada.get(path).await.expect(200);
    assert_eq!(last["version"], 3);
    let first = ada.get(&format!("{path}?version=1")).await.expect(200);
    assert_eq!(first["version"], 1);
    assert_ne!(first["data"], last["data"]);
    ada.get(&format!("{path}?version=4")).await.expect(404);
    for version in ["-1", "x", "1.5", ""] {
        ada.get(&format!("{path}?version={version}")).await.expect_at(422, ["query", "version"]);
    }
    for expected in [json!(-1), json!("1"), json!(1.5)] {
        ada.put(path, with(expected)).await.expect_at(422, ["body", "expected_version"]);
    }
}

async fn of_writers_who_expect_the_same_version_one_wins(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    for version in 0..3 {
        let body = || json!({ "value": canary("race"), "expected_version": version });
        let calls: Vec<_> =
            (0..12).map(|_| tokio::spawn(ada.put("/secrets/kv/~/race", body()).into_future())).collect();
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.expect("an answer").status.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{statuses:?}");
        assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
    }
    // Without an expectation all are kept, one after the other.
    let calls: Vec<_> = (0..12)
        .map(|_| tokio::spawn(ada.put("/secrets/kv/~/race", json!({ "value": canary("race") })).into_future()))
        .collect();
    let mut versions = Vec::new();
    for call in calls {
        versions.push(call.await.expect("an answer").expect(200)["version"].as_u64().expect("a number"));
    }
    versions.sort_unstable();
    assert_eq!(versions, (4..16).collect::<Vec<_>>());
}

async fn a_deleted_secret_is_absent_and_its_name_taken(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let body = json!({ "secret_id": "kv/~/d", "value": canary("d") });
    ada.post("/secrets/create", body.clone()).await.expect(200);
    ada.post("/secrets/create", body.clone()).await.expect_type(422, "already_exists");
    ada.delete("/secrets/kv/~/d").await.expect(200);
    ada.get("/secrets/kv/~/d").await.expect(404);
    ada.delete("/secrets/kv/~/nothing").await.expect(404);
    ada.post("/secrets/create", body.clone()).await.expect_type(422, "already_exists");
    ada.post("/secrets/kv/~/d:undelete", json!({})).await.expect(200);
    ada.get("/secrets/kv/~/d").await.expect(200);
    ada.post("/secrets/kv/~/d:purge", json!({})).await.expect(200);
    ada.get("/secrets/kv/~/d").await.expect(404);
    assert_eq!(ada.post("/secrets/create", body).await.expect(200)["version"], 1);
}

#[tokio::test]
async fn a_put_keeps_what_it_does_not_name() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let body = json!({ "secret_id": "kv/~/k", "value": canary("k"), "ttl": 3600, "metadata": { "owner": "web" } });
    let made = ada.post("/secrets/create", body).await.expect(200);
    let put = ada.put("/secrets/kv/~/k", json!({ "value": canary("k") })).await.expect(200);
    assert_eq!(put["expires_at"], made["expires_at"], "no ttl leaves the end where it is");
    let read = ada.get("/secrets/kv/~/k").await.expect(200);
    assert_eq!(read["metadata"], json!({ "owner": "web" }));
    assert_eq!(read["created_at"], made["created_at"]);
    let put = ada.put("/secrets/kv/~/k", json!({ "value": canary("k"), "ttl": "2h" })).await.expect(200);
    assert_ne!(put["expires_at"], made["expires_at"], "a ttl counts from now");
    let put = ada.put("/secrets/kv/~/k", json!({ "value": canary("k"), "ttl": null })).await.expect(200);
    assert_eq!(put["expires_at"], Value::Null);
    ada.put("/secrets/kv/~/k", json!({ "value": canary("k"), "metadata": { "team": "a" } })).await.expect(200);
    assert_eq!(ada.get("/secrets/kv/~/k").await.expect(200)["metadata"], json!({ "team": "a" }));
}

#[tokio::test]
async fn a_patch_merges_into_the_data() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let (a, b, c) = (canary("a"), canary("b"), canary("c"));
    let body = json!({ "secret_id": "kv/~/p", "data": { "a": a, "b": b, "deep": { "x": 1, "y": 2 } } });
    ada.post("/secrets/create", body).await.expect(200);
    let patch = json!({ "data": { "b": null, "c": c, "deep": { "y": null, "z": 3 } } });
    let patched = ada.patch("/secrets/kv/~/p", patch.clone()).await.expect(200);
    assert_eq!(patched["version"], 2);
    let read = ada.get("/secrets/kv/~/p").await.expect(200);
    assert_eq!(read["data"], json!({ "a": a, "c": c, "deep": { "x": 1, "z": 3 } }));
    ada.patch("/secrets/kv/~/none", patch).await.expect(404);
    let stale = json!({ "data": { "a": a }, "expected_version": 1 });
    ada.patch("/secrets/kv/~/p", stale).await.expect(409);
}

#[tokio::test]
async fn every_call_has_a_form_with_the_id_in_the_query() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let id = [("secret_id", "kv/~/q")];
    ada.put("/secrets", json!({ "value": canary("q") })).query(&id).await.expect(200);
    ada.patch("/secrets", json!({ "data": { "more": canary("more") } })).query(&id).await.expect(200);
    assert_eq!(ada.get("/secrets").query(&id).await.expect(200)["version"], 2);
    assert!(ada.get("/secrets:history").query(&id).await.expect(200)["versions"].is_array());
    ada.post("/secrets:restore", json!({ "version": 1 })).query(&id).await.expect(200);
    ada.delete("/secrets").query(&id).await.expect(200);
    ada.get("/secrets").query(&id).await.expect(404);
    ada.post("/secrets:purge", json!({})).query(&id).await.expect(200);
    for call in [ada.put("/secrets", json!({ "value": "x" })), ada.delete("/secrets"), ada.get("/secrets:history")] {
        call.await.expect(422);
    }
    // One id, not two.
    ada.get("/secrets/kv/~/q?secret_id=kv/~/other").await.expect(422);
    ada.get("/secrets?secret_id=kv/~/a&secret_id=kv/~/b").await.expect(422);
    ada.get("/secrets?secret_id=kv/~/a&prefix=kv/~/").await.expect(422);
}

#[tokio::test]
async fn what_a_secret_lacks_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let create = |body: Value| admin.post("/secrets/create", body);
    let value = canary("v");
    create(json!({ "secret_id": "kv/a" })).await.expect(422);
    create(json!({ "value": value })).await.expect(422);
    create(json!({ "secret_id": "kv/a", "value": value, "data": { "value": value } })).await.expect(422);
    // What says the same thing is given once; nothing here was given twice.
    for (body, member, words) in [
        (json!({ "secret_id": "kv/a", "name": "a", "value": value }), "name", "does not go with secret_id"),
        (json!({ "secret_id": "kv/a", "mount": "kv", "value": value }), "mount", "does not go with secret_id"),
        (json!({ "secret_id": "kv/a", "engine": "kv", "value": value }), "engine", "does not go with secret_id"),
        (json!({ "name": "a", "mount": "kv", "engine": "kv", "value": value }), "engine", "the same as mount"),
    ] {
        let told = create(body).await.expect_problem(422, ["body", member], "invalid_value");
        assert!(told["detail"][0]["msg"].as_str().is_some_and(|said| said.contains(words)), "{told}");
    }
    create(json!({ "secret_id": 7, "value": value })).await.expect_at(422, ["body", "secret_id"]);
    create(json!({ "secret_id": "kv/a", "data": [value] })).await.expect_at(422, ["body", "data"]);
    create(json!({ "secret_id": "kv/a", "data": "text" })).await.expect_at(422, ["body", "data"]);
    create(json!({ "secret_id": "kv/a", "value": value, "surprise": 1 })).await.expect_at(422, ["body", "surprise"]);
    create(json!({ "secret_id": "kv/a", "value": value, "metadata": "web" }))
        .await
        .expect_at(422, ["body", "metadata"]);
    for ttl in
        [json!(0), json!(-1), json!("0s"), json!("-5m"), json!("1y"), json!("soon"), json!(""), json!(true), json!([1])]
    {
        create(json!({ "secret_id": "kv/a", "value": value, "ttl": ttl })).await.expect_at(422, ["body", "ttl"]);
    }
    create(json!({ "secret_id": "nowhere/a", "value": value })).await.expect_at(422, ["body", "secret_id"]);
    create(json!({ "name": "a", "mount": "nowhere", "value": value })).await.expect_at(422, ["body", "mount"]);
    for ttl in [json!(60), json!("90s"), json!("15m"), json!("24h"), json!("7d")] {
        let name = format!("kv/ttl/{}", ttl.to_string().replace('"', ""));
        create(json!({ "secret_id": name, "value": value, "ttl": ttl })).await.expect(200);
    }
    admin.get("/secrets/kv/a").await.expect(404);
    admin.get("/secrets/nowhere/a").await.expect(404);
    admin.put("/secrets/nowhere/a", json!({ "value": value })).await.expect(404);
}

/// Variants that pass a check in one spelling and are something else in another.
#[tokio::test]
async fn a_path_that_is_not_canonical_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let long = format!("kv/{}", "a".repeat(256));
    let deep = format!("kv{}", "/a".repeat(32));
    let far = format!("kv{}", format!("/{}", "a".repeat(200)).repeat(6));
    for id in [
        "",
        "kv",
        "kv/",
        "/a",
        "kv//a",
        "kv/a/",
        "kv/./a",
        "kv/../a",
        "kv/a/..",
        "kv/~",
        "kv/a/~",
        "kv/a/~/b",
        "KV/a",
        " kv/a",
        "kv/ a",
        "kv/a ",
        "kv/a%2fb",
        "kv/a%252fb",
        "kv/a:b",
        "kv/a\\b",
        "kv/a?b",
        "kv/a#b",
        "kv/a*",
        "kv/\"a\"",
        "kv/a|b",
        "kv/<a>",
        "kv/a\0",
        "kv/a\nb",
        "kv/a\u{7f}",
        "kv/a\u{200b}b",
        "kv/\u{202e}a",
        "kv/e\u{301}",
        "kv/\u{feff}a",
        "me/a",
        "sys/a",
        "token/a",
        &long,
        &deep,
        &far,
    ] {
        let body = json!({ "secret_id": id, "value": canary("path") });
        admin.post("/secrets/create", body).await.expect_at(422, ["body", "secret_id"]);
        // The same in a URL.
        let answer = admin.get("/secrets").query(&[("secret_id", id)]).await;
        answer.expect_at(422, ["query", "secret_id"]);
    }
    for path in [
        "kv%2F..%2Fx",
        "kv%2F.%2Fx",
        "kv/%2e%2e%2fx",
        "kv/a%00",
        "kv/a%0a",
        "kv//x",
        "kv/x/",
        "kv/%C3%28",
        "kv/e%CC%81",
    ] {
        admin.get(&format!("/secrets/{path}")).await.expect(422);
    }
    // A dot within, a blank within, any script.
    for id in ["kv/tls.crt", "kv/..a/b..", "kv/a b", "kv/ключ/é", "kv/a~b", "kv/@+&=,;!$'()"] {
        let value = canary("path");
        let made = admin.post("/secrets/create", json!({ "secret_id": id, "value": value })).await.expect(200);
        assert_eq!(made["secret_id"], id);
        let read = admin.get("/secrets").query(&[("secret_id", id)]).await.expect(200);
        assert_eq!(read["data"]["value"], value);
        let encoded = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
        assert_eq!(admin.get(&format!("/secrets/{encoded}")).await.expect(200), read);
    }
    // Decoded once, not twice.
    admin.get("/secrets/kv%252Ftls.crt").await.expect(422);
}

#[tokio::test]
async fn values_come_back_to_the_letter() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let all: String = (1..0x2000).filter_map(char::from_u32).collect();
    let data = json!({
        "": "an empty name", "all": all, "big": 9_007_199_254_740_993_u64, "small": -1, "float": 1.5e-7,
        "most": u64::MAX, "least": i64::MIN, "price": 19.99, "large": 1e300, "zero": 0.0,
        "long": canary("long").repeat(10_000), "null": null, "empty": {}, "none": [], "a/b": { "~1": "\u{0}" },
    });
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/all", "data": data })).await.expect(200);
    assert_eq!(ada.get("/secrets/kv/~/all").await.expect(200)["data"], data);
}

/// What JSON's numbers cannot hold is refused: whoever stores it would read another.
#[tokio::test]
async fn a_number_comes_back_as_it_was_or_is_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let send = |path: &str, method: Method, body: String| ada.call(method, path).body(body);
    let kept = ["18446744073709551615", "-9223372036854775808", "0.1", "1.5", "1e300", "-0.25"];
    for (count, number) in kept.into_iter().enumerate() {
        let body = format!(r#"{{"secret_id": "kv/~/kept{count}", "data": {{"n": {number}}}}}"#);
        send("/secrets/create", Method::POST, body).await.expect(200);
        let read = ada.get(&format!("/secrets/kv/~/kept{count}")).await.expect(200);
        assert_eq!(read["data"]["n"], serde_json::from_str::<Value>(number).expect("a number"), "{number}");
    }
    // Of equal value, though written otherwise.
    for (text, value) in [("1.10", 1.1), ("1e5", 100_000.0), ("100000000000000000000", 1e20)] {
        send("/secrets/kv/~/kept0", Method::PUT, format!(r#"{{"data": {{"n": {text}}}}}"#)).await.expect(200);
        assert_eq!(ada.get("/secrets/kv/~/kept0").await.expect(200)["data"]["n"], json!(value), "{text}");
    }
    let changed = [
        "18446744073709551616",
        "-9223372036854775809",
        "0.1000000000000000055511151231257827",
        "123456789012345678901234567890",
        "1e400",
        "-1e-400",
    ];
    for number in changed {
        let data = format!(r#"{{"data": {{"a": [1, {{"n": {number}}}]}}}}"#);
        for (method, path) in [(Method::PUT, "/secrets/kv/~/kept1"), (Method::PATCH, "/secrets/kv/~/kept1")] {
            let answer = send(path, method, data.clone()).await;
            assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "data", "a", 1, "n"]), "{number}");
            let told = answer.expect_type(422, "inexact_number");
            assert!(!told.to_string().contains(number), "{told}");
        }
        let setting = format!(r#"{{"key": "custom/x", "value": {number}}}"#);
        let answer = server.admin().await.call(Method::POST, "/sys/setting").body(setting).await;
        answer.expect_problem(422, ["body", "value"], "inexact_number");
    }
    assert_eq!(ada.get("/secrets/kv/~/kept1").await.expect(200)["version"], 1);
}

#[tokio::test]
async fn methods_that_mean_nothing_here_are_refused() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    ada.get("/secrets/create").await.expect(405);
    ada.call(Method::POST, "/secrets/kv/~/x").json(json!({})).await.expect(405);
    ada.call(Method::HEAD, "/secrets/kv/~/x").await.expect(405);
    ada.call(Method::OPTIONS, "/secrets/kv/~/x").await.expect(405);
}
