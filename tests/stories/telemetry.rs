//! What the server tells of itself: metrics, and how the plugins of its mounts do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Client, Guest, TestServer, canary};

/// A mount whose plugin logs what it is given, and traps on DELETE.
async fn talkative(admin: &Client, version: &str) {
    let wasm = Guest::new("hello", version).that_talks_and_fails().build();
    let call = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/hello/{version}"));
    call.header("content-type", "application/wasm").body(wasm).await.expect(200);
    let value = json!({ "plugin": "hello", "version": version });
    admin.post("/sys/setting", json!({ "key": "secrets/hello", "value": value })).await.expect(200);
}

/// Lets the role read one thing.
async fn allow(admin: &Client, name: &str, resource: &str) {
    let text =
        format!(r#"permit (principal in Role::"user", action == Action::"read", resource == Resource::"{resource}");"#);
    admin.put(&format!("/sys/policies/{name}"), json!({ "text": text })).await.expect(200);
}

/// Samples by name and labels, of a text that is held to the format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut found, mut families, mut of) = (BTreeMap::new(), BTreeSet::new(), (String::new(), String::new()));
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').expect("a name and a kind");
            assert!(families.insert(name.to_owned()), "{name} stands in one place");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            of = (name.to_owned(), kind.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            let name = sample.split('{').next().expect("a name");
            let rest = name.strip_prefix(&of.0).unwrap_or_else(|| panic!("{line} is of {}", of.0));
            match of.1.as_str() {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&rest), "{line}"),
                _ => assert!(rest.is_empty(), "{line}"),
            }
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(found.insert(sample.to_owned(), value).is_none(), "{sample} stands once");
        }
    }
    found
}

async fn scrape(client: &Client) -> BTreeMap<String, f64> {
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let media = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    assert_eq!(media, Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(&answer.text)
}

fn of(found: &BTreeMap<String, f64>, sample: &str) -> f64 {
    found.get(sample).copied().unwrap_or(0.0)
}

#[tokio::test]
async fn counts_rise_with_what_is_done() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    talkative(&admin, "1.0.0").await;
    let before = scrape(&admin).await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/a", "value": canary("a") })).await.expect(200);
    ada.get("/secrets/kv/~/a").await.expect(200);
    ada.get("/secrets/kv/~/none").await.expect(404);
    ada.get("/secrets/kv/apps/none").await.expect_forbidden();
    for _ in 0..3 {
        admin.delete("/secrets/hello/x").await.expect(502);
    }
    let wrong = json!({ "username": "ada", "password": canary("wrong") });
    server.anonymous().post("/token/create", wrong).await.expect_oauth(400, "invalid_grant");
    server.anonymous().get("/sessions").await.expect_unauthorized();
    admin.post(&format!("/sessions/{}/revoke", ada.session_id()), json!({})).await.expect(200);
    let after = scrape(&admin).await;
    let grown = |sample: &str| of(&after, sample) - of(&before, sample);
    let calls = |mount: &str, result: &str| {
        grown(&format!(r#"coffer_plugin_calls_total{{kind="secrets",mount="{mount}",result="{result}"}}"#))
    };
    assert_eq!((calls("kv", "ok"), calls("kv", "refused"), calls("hello", "trap")), (2.0, 1.0, 3.0));
    assert_eq!(grown(r#"coffer_plugin_traps_total{kind="secrets",mount="hello",trap="unreachable"}"#), 3.0);
    assert_eq!(grown(r#"coffer_plugin_calls_total{kind="auth",mount="password",result="refused"}"#), 1.0);
    assert_eq!(grown(r#"coffer_plugin_call_duration_seconds_count{kind="secrets",mount="kv"}"#), 3.0);
    assert_eq!(grown(r#"coffer_plugin_call_duration_seconds_bucket{kind="secrets",mount="kv",le="+Inf"}"#), 3.0);
    assert!(grown(r#"coffer_plugin_time_seconds_total{kind="secrets",mount="kv",phase="guest"}"#) > 0.0);
    assert!(of(&after, r#"coffer_plugin_memory_peak_bytes{kind="secrets",mount="hello"}"#) >= 131_072.0);
    let answered = |operation: &str, status: u16| {
        grown(&format!(r#"coffer_http_requests_total{{operation="{operation}",status="{status}"}}"#))
    };
    assert_eq!(
        (answered("secrets.read", 200), answered("secrets.read", 404), answered("secrets.read", 403)),
        (1.0, 1.0, 1.0)
    );
    assert_eq!(
        (answered("secrets.delete", 502), answered("token.create", 400), answered("unknown", 401)),
        (3.0, 1.0, 1.0)
    );
    assert_eq!(grown("coffer_sessions_created_total"), answered("token.create", 200));
    assert_eq!(grown("coffer_sessions_ended_total"), 1.0);
    assert!(grown("coffer_audit_records_total") >= 20.0 && of(&after, "coffer_audit_failures_total") == 0.0);
    assert!(grown(r#"coffer_storage_commits_total{outcome="committed"}"#) >= 3.0);
    assert_eq!((of(&after, "coffer_sealed"), of(&after, "coffer_fence_fresh")), (0.0, 1.0));
    assert_eq!(of(&after, "coffer_http_requests_in_flight"), 1.0);
    assert_eq!(of(&after, r#"coffer_mount_up{kind="secrets",mount="hello"}"#), 1.0);
    assert_eq!(of(&after, r#"coffer_mount_info{kind="secrets",mount="hello",plugin="hello",version="1.0.0"}"#), 1.0);
    assert!(after.keys().any(|sample| sample.starts_with("coffer_build_info{version=")));
    assert!(of(&after, "process_resident_memory_bytes") > 1e6 && of(&after, "process_cpu_seconds_total") > 0.0);
    assert!(after.iter().all(|(sample, value)| !sample.contains("_total") || *value >= of(&before, sample)));
}

#[tokio::test]
async fn what_a_client_chooses_stands_in_no_label() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada-lovelace").await);
    for path in ["nowhere-land", "secrets/kv/~/path-of-ada", "sys/setting/custom/thing-of-ada", "users/no-such-user"] {
        let _ = ada.get(&format!("/{path}")).await;
        let _ = ada.call(reqwest::Method::from_bytes(b"BREW").expect("a method"), &format!("/{path}")).await;
    }
    let text = admin.get("/metrics").await.text;
    for found in
        ["ada-lovelace", "nowhere-land", "path-of-ada", "thing-of-ada", "no-such-user", &ada.id, "BREW", "brew"]
    {
        assert!(!text.contains(found), "{found}");
    }
}

#[tokio::test]
async fn who_may_not_see_learns_nothing() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    talkative(&admin, "1.0.0").await;
    let paths = [
        "/sys/mounts/secrets/hello",
        "/sys/mounts/secrets/none",
        "/sys/mounts/auth/password/log",
        "/sys/mounts/auth/none/log",
        "/sys/mounts/secrets/hello/failures",
        "/sys/mounts/secrets/none/failures",
    ];
    for path in ["/metrics", "/sys/mounts"].iter().chain(&paths) {
        server.anonymous().get(path).await.expect_unauthorized();
        ada.get(path).await.expect_forbidden();
    }
    for path in [
        "/sys/mounts/secrets/none",
        "/sys/mounts/auth/hello/log",
        "/sys/mounts/other/hello",
        "/sys/mounts/secrets/A%20B",
    ] {
        admin.get(path).await.expect(404);
    }
    admin.get("/metrics?x=1").await.expect_at(422, ["query", "x"]);
    admin.get("/sys/mounts/secrets/hello/log?limit=0").await.expect_at(422, ["query", "limit"]);
    admin.get("/sys/mounts/secrets/hello/log?after=-1").await.expect_at(422, ["query", "after"]);
    admin.post("/metrics", json!({})).await.expect(405);
    // One part of one mount, and the numbers.
    allow(&admin, "failures", "sys/mounts/secrets/hello/failures").await;
    allow(&admin, "numbers", "sys/metrics").await;
    ada.get("/sys/mounts/secrets/hello/failures").await.expect(200);
    scrape(&ada).await;
    for path in
        ["/sys/mounts", "/sys/mounts/secrets/hello", "/sys/mounts/secrets/hello/log", "/sys/mounts/secrets/kv/failures"]
    {
        ada.get(path).await.expect_forbidden();
    }
    // A narrowed token of somebody who may: for that alone, and so often.
    let child = admin.child(Some("read:sys/metrics"), json!({ "max_uses": 2 })).await.expect(200);
    let scraper = admin.with_session(child);
    scraper.get("/sys/mounts/secrets/hello").await.expect_forbidden();
    scrape(&scraper).await;
    scrape(&scraper).await;
    scraper.get("/metrics").await.expect_unauthorized();
}

#[tokio::test]
async fn mounts_are_listed_for_who_may_see_each_of_them() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let names = |listed: &Value| -> Vec<String> {
        let mounts = listed["mounts"].as_array().expect("a list");
        mounts
            .iter()
            .map(|of| format!("{}/{}", of["kind"].as_str().expect("a kind"), of["mount"].as_str().expect("a name")))
            .collect()
    };
    let all = names(&admin.get("/sys/mounts").await.expect(200));
    assert!(all.contains(&"auth/password".to_owned()) && all.contains(&"secrets/kv".to_owned()), "{all:?}");
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/sys/mounts?limit=1{cursor}")).await.expect(200);
        paged.extend(names(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    // Sealed, as every cursor: nothing is written into it, and it is nobody else's.
    let made = admin.get("/sys/mounts?limit=1").await.expect(200)["next_cursor"].as_str().expect("more").to_owned();
    assert!(!made.contains("auth"), "{made}");
    admin.get("/sys/mounts?cursor=auth%2Fpassword").await.expect_at(422, ["query", "cursor"]);
    admin.get(&format!("/sys/plugins?cursor={made}")).await.expect_at(422, ["query", "cursor"]);
    admin.get("/sys/mounts?cursor=x").await.expect_at(422, ["query", "cursor"]);
    let text = r#"permit (principal in Role::"user", action == Action::"list", resource == Resource::"sys/mounts");"#;
    admin.put("/sys/policies/list", json!({ "text": text })).await.expect(200);
    assert!(names(&ada.get("/sys/mounts").await.expect(200)).is_empty());
    allow(&admin, "kv", "sys/mounts/secrets/kv").await;
    assert_eq!(names(&ada.get("/sys/mounts").await.expect(200)), ["secrets/kv"]);
    let kv = ada.get("/sys/mounts/secrets/kv").await.expect(200);
    assert_eq!((&kv["plugin"], &kv["health"], &kv["breaker_open"]), (&json!("kv"), &json!("ok"), &json!(false)));
    admin.post("/sys/setting", json!({ "key": "secrets/kv", "value": { "enabled": false } })).await.expect(200);
    let kv = ada.get("/sys/mounts/secrets/kv").await.expect(200);
    assert_eq!((&kv["health"], &kv["version"]), (&json!("disabled"), &Value::Null));
}

#[tokio::test]
async fn a_trap_shows_with_its_backtrace_and_outlives_the_version_that_trapped() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    talkative(&admin, "1.0.0").await;
    let refused = admin.delete("/secrets/hello/x").await;
    let (request, body) = (refused.request_id(), refused.expect(502).to_string());
    assert!(!body.contains("boom") && !body.contains("unreachable"), "the client is told nothing: {body}");
    talkative(&admin, "1.1.0").await;
    admin.delete("/secrets/hello/x").await.expect(502);
    let told = admin.get("/sys/mounts/secrets/hello/failures").await.expect(200);
    let [first, second] = told["failures"].as_array().expect("a list").as_slice() else { panic!("{told}") };
    assert_eq!((&first["version"], &second["version"]), (&json!("1.0.0"), &json!("1.1.0")));
    assert_eq!((&first["request_id"], &first["call"]), (&json!(request), &json!("engine.handle")));
    assert_eq!((&first["backtrace"][0], &first["backtrace"][1]), (&json!("boom"), &json!("outer")), "{first}");
    assert!(first["reason"].as_str().is_some_and(|why| why.contains("unreachable")), "{first}");
    let mount = admin.get("/sys/mounts/secrets/hello").await.expect(200);
    assert_eq!(
        (&mount["calls"], &mount["traps"]["unreachable"], &mount["version"]),
        (&json!(2), &json!(2), &json!("1.1.0"))
    );
    // What a plugin refuses is an answer.
    admin.get("/secrets/kv/none").await.expect(404);
    assert_eq!(admin.get("/sys/mounts/secrets/kv/failures").await.expect(200)["failures"], json!([]));
}

#[tokio::test]
async fn the_log_of_a_plugin_is_told_in_order_and_without_what_its_calls_were_given() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    talkative(&admin, "1.0.0").await;
    let path = "/sys/mounts/secrets/hello/log";
    assert_eq!(admin.get(path).await.expect(200)["lines"], json!([]));
    let secret = canary("log");
    for _ in 0..3 {
        admin.put("/secrets/hello/x", json!({ "value": secret })).await.expect(200);
    }
    let told = admin.get(path).await.expect(200);
    let lines = told["lines"].as_array().expect("a list");
    assert_eq!(lines.iter().map(|line| line["number"].clone()).collect::<Vec<_>>(), [1, 2, 3].map(Value::from));
    assert!(lines.iter().all(|line| line["level"] == "warn" && line["version"] == "1.0.0"), "{told}");
    assert!(
        lines[0]["text"].as_str().is_some_and(|text| text.contains("[secret]") && !text.contains(&secret)),
        "{told}"
    );
    let numbers = async |query: &str| -> Vec<u64> {
        let told = admin.get(&format!("{path}?{query}")).await.expect(200);
        told["lines"].as_array().expect("a list").iter().filter_map(|line| line["number"].as_u64()).collect()
    };
    assert_eq!(numbers("limit=1").await, [3]);
    assert_eq!(numbers("after=1").await, [2, 3]);
    assert_eq!(numbers("after=0&limit=2").await, [1, 2]);
    assert_eq!(numbers("after=3").await, [0_u64; 0]);
}

#[tokio::test]
async fn a_sealed_server_tells_none_of_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/seal", json!({})).await.expect(200);
    for path in
        ["/sys/mounts", "/sys/mounts/secrets/kv", "/sys/mounts/secrets/kv/log", "/sys/mounts/auth/password/failures"]
    {
        admin.get(path).await.expect_type(503, "sealed");
    }
    let refused = admin.get("/metrics").await;
    assert!(!refused.text.contains("coffer_"), "{}", refused.text);
    assert_eq!(refused.expect(503)["detail"][0]["type"], "sealed");
}

#[tokio::test]
async fn a_machine_scrapes_with_its_own_credential() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let machine = json!({ "username": "prometheus", "kind": "machine", "role": "user" });
    admin.post("/users/create", machine).await.expect(200);
    allow(&admin, "numbers", "sys/metrics").await;
    let made = admin.post("/users/prometheus/credentials/clients", json!({})).await.expect(200);
    let secret = made["client_secret"].as_str().expect("a secret");
    let session = server
        .anonymous()
        .form(
            "/token/create",
            &[("grant_type", "client_credentials"), ("client_id", "prometheus"), ("client_secret", secret)],
        )
        .await
        .expect(200);
    scrape(&server.anonymous().with_session(session)).await;
}

#[tokio::test]
async fn the_command_line_shows_what_mounts_do() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    talkative(&admin, "1.0.0").await;
    let cli = server.admin_cli("operator").await;
    cli.run(&["plugin", "failures", "secrets/hello"]).await.done();
    admin.put("/secrets/hello/x", json!({ "value": canary("x") })).await.expect(200);
    admin.delete("/secrets/hello/x").await.expect(502);
    let rows = cli.run(&["plugin", "top", "--once", "-o", "json"]).await.json();
    let row = rows["mounts"]
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["mount"] == "secrets/hello"))
        .expect("a row");
    assert_eq!((&row["calls"], &row["failed"], &row["plugin"]), (&json!(2), &json!(1), &json!("hello 1.0.0")));
    assert!(row["p50_ms"].as_f64().is_some_and(|millis| millis > 0.0) && row["guest_ms"].is_number(), "{row}");
    let table = cli.run(&["plugin", "top", "--once"]).await.done();
    assert!(table.starts_with("MOUNT") && table.contains("secrets/hello") && table.contains("P99_MS"), "{table}");
    let shown = cli.run(&["plugin", "failures", "hello"]).await.done();
    assert!(shown.contains("engine.handle 1.0.0 request") && shown.contains("    at boom\n    at outer\n"), "{shown}");
    assert_eq!(
        cli.run(&["plugin", "failures", "hello", "-o", "json"]).await.json()["failures"][0]["backtrace"][0],
        "boom"
    );
    let lines = cli.run(&["plugin", "logs", "hello"]).await.done();
    assert!(lines.lines().count() == 2 && lines.contains(" warn  "), "{lines}");
    cli.run(&["plugin", "logs", "secrets/none"]).await.failed(6);
    cli.run(&["plugin", "logs", "none"]).await.failed(6);
    let ada = server.user_cli("ada").await;
    for command in [&["top", "--once"][..], &["logs", "secrets/hello"], &["failures", "secrets/hello"]] {
        ada.run(&[&["plugin"][..], command].concat()).await.failed(5);
    }
}

#[tokio::test]
async fn the_command_line_follows_a_log_and_what_goes_on() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    talkative(&admin, "1.0.0").await;
    let cli = server.admin_cli("operator").await;
    let mut follow = cli.command(&["plugin", "logs", "secrets/hello", "--follow"]);
    let mut following = follow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let out = following.stdout.take().expect("a pipe");
    let (to, mut heard) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
    let _ended = Ended(following);
    for value in ["one", "two"] {
        admin.put("/secrets/hello/x", json!({ "data": { "n": value } })).await.expect(200);
        let line = tokio::time::timeout(crate::harness::SOON, heard.recv()).await.expect("soon").expect("a line");
        assert!(line.contains(" warn ") && line.contains(value), "{line}");
    }
    let mut top = cli.command(&["plugin", "top", "--interval", "200ms", "-o", "json"]);
    let mut topping = top.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let out = topping.stdout.take().expect("a pipe");
    let _topped = Ended(topping);
    let (to, mut looks) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
    looks.recv().await.expect("a first look");
    admin.delete("/secrets/hello/x").await.expect(502);
    loop {
        let look = tokio::time::timeout(crate::harness::SOON, looks.recv()).await.expect("soon").expect("a look");
        let look: Value = serde_json::from_str(&look).expect("a line is JSON");
        let mut rows = look["mounts"].as_array().expect("rows").iter();
        let row = rows.find(|row| row["mount"] == "secrets/hello").expect("a row");
        if row["failed"] == 1 {
            assert!(row["calls_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
            break;
        }
    }
}

/// A command that goes on until it is ended.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
