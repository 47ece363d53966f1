//! Bad input is a clear error: never a 500, never a panic (the end of each story looks for one in the log).

use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, canary, raw};

/// Every endpoint that takes a body, with a path that leads to it.
const TAKE_A_BODY: &[(&str, &str)] = &[
    ("POST", "/auth/token/create"),
    ("POST", "/token/create"),
    ("POST", "/auth/token/renew"),
    ("POST", "/token/renew"),
    ("POST", "/auth/token/revoke"),
    ("POST", "/token/revoke"),
    ("POST", "/token/introspect"),
    ("POST", "/sessions/revoke"),
    ("POST", "/users/create"),
    ("POST", "/users/delete"),
    ("POST", "/secrets/create"),
    ("PUT", "/secrets/kv/x"),
    ("PATCH", "/secrets/kv/x"),
    ("POST", "/secrets/kv/x:restore"),
    ("POST", "/secrets/kv/x:undelete"),
    ("POST", "/secrets/kv/x:destroy"),
    ("POST", "/secrets/kv/x:metadata"),
    ("POST", "/sys/setting"),
    ("PUT", "/sys/setting/custom/x"),
    ("POST", "/sys/security"),
    ("POST", "/sys/unseal"),
    ("POST", "/sys/init"),
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method")
}

#[tokio::test]
async fn no_body_makes_a_500() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let nested = r#"{"a":"#.repeat(2_000) + "1" + &"}".repeat(2_000);
    let many: String = format!("{{{}}}", (0..50_000).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(","));
    let numbers = format!("{{\"secret_id\":\"kv/x\",\"ttl\":{},\"expected_version\":1e999}}", "9".repeat(400));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("not JSON", b"{".to_vec()),
        ("not JSON either", b"{\"a\":}".to_vec()),
        ("trailing", b"{} {}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a text", b"\"text\"".to_vec()),
        ("null", b"null".to_vec()),
        ("no UTF-8", b"{\"username\":\"\xff\xfe\"}".to_vec()),
        ("half a surrogate", b"{\"username\":\"\\ud800\"}".to_vec()),
        ("a zero", b"{\"username\":\"\\u0000\",\"secret_id\":\"kv/\\u0000\"}".to_vec()),
        ("deep lists", deep.into_bytes()),
        ("deep objects", nested.into_bytes()),
        ("many members", many.into_bytes()),
        ("huge numbers", numbers.into_bytes()),
        ("twice the same", b"{\"a\":1,\"a\":2}".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
    ];
    for (name, path) in TAKE_A_BODY {
        for (what, body) in &bodies {
            let call = admin.call(method(name), path).header("content-type", "application/json").body(body.clone());
            let answer = call.await;
            assert!(
                (400..500).contains(&answer.status.as_u16()),
                "{name} {path}, {what}: {} {}",
                answer.status,
                answer.text
            );
            assert!(
                !answer.text.contains("line 1") && !answer.text.contains("column"),
                "no parser speaks: {}",
                answer.text
            );
        }
        let call = admin.call(method(name), path).header("content-type", "application/xml").body("<a/>");
        assert_eq!(call.await.expect(415)["detail"][0]["type"], "unsupported_media_type");
        admin.call(method(name), path).header("content-type", "application/json").body("{").await.expect(400);
    }
}

#[tokio::test]
async fn members_of_every_wrong_type_are_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let members = [
        "username",
        "password",
        "email",
        "role",
        "grant_type",
        "scope",
        "session",
        "refresh_token",
        "token",
        "revoke_token",
        "secret_id",
        "name",
        "mount",
        "data",
        "value",
        "ttl",
        "metadata",
        "expected_version",
        "key",
        "version",
        "versions",
        "share",
        "code",
        "others",
        "current",
        "new",
        "disabled",
        "sessions",
        "logins",
        "plugins",
        "client_id",
    ];
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("🦀".repeat(300)),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "": null }),
    ];
    for (name, path) in TAKE_A_BODY {
        for member in members {
            for value in &values {
                let body = json!({ member: value });
                // What holds for every answer is checked where it is received; a lone 200 is fine (`{"session": {}}`).
                let answer = admin.call(method(name), path).json(body).await;
                assert!(
                    answer.status.as_u16() < 500,
                    "{name} {path} {member}={value}: {} {}",
                    answer.status,
                    answer.text
                );
            }
        }
    }
    server.anonymous().get("/sys/health").await.expect(200);
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_its_answer() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let most = 1024 * 1024;
    let overhead = json!({ "secret_id": "kv/~/big", "value": "" }).to_string().len();
    let body = |len: usize| json!({ "secret_id": "kv/~/big", "value": "x".repeat(len - overhead) }).to_string();
    for len in [most + 1, 5 * most, 40 * most] {
        let call = ada.call(Method::POST, "/secrets/create").header("content-type", "application/json");
        call.body(body(len)).await.expect(413);
    }
    let call = ada.call(Method::POST, "/secrets/create").header("content-type", "application/json");
    let status = call.body(body(most)).await.status.as_u16();
    assert!([200, 413, 422].contains(&status), "{status}");
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_body_that_stops_halfway_holds_nobody_up() {
    let server = TestServer::start().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        use tokio::io::AsyncWriteExt;
        let mut stream = raw::connect_tls(&server).await;
        let head = b"POST /api/v1/token/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"username\":";
        stream.write_all(head).await.expect("it listens");
        slow.push(stream);
    }
    let ada = server.login("ada").await;
    ada.get("/users/me").await.expect(200);
    // A client that hangs up harms nobody either.
    drop(slow);
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_done_405() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for path in
        ["/nothing", "/", "", "/token", "/users/a/b/c", "/sys", "/sys/nothing", "/auth", "/SECRETS", "/secrets%2Fkv"]
    {
        let answer = admin.get(path).await;
        assert!([404, 405, 422].contains(&answer.status.as_u16()), "{path}: {}", answer.text);
    }
    for path in ["/users/me", "/secrets", "/sys/settings", "/sys/security"] {
        admin.call(Method::HEAD, path).await.expect(405);
        admin.call(Method::OPTIONS, path).await.expect(405);
        admin.call(Method::TRACE, path).await.expect(405);
        admin.call(method("BREW"), path).await.expect(405);
    }
}

#[tokio::test]
async fn headers_and_urls_are_bounded() {
    let server = TestServer::start().await;
    let ask = async |request: String| raw::exchange(raw::connect_tls(&server).await, request.as_bytes()).await;
    let end = "Host: x\r\nConnection: close\r\n\r\n";
    let many: String = (0..500).fold(String::new(), |mut all, n| {
        let _ = write!(all, "X-{n}: y\r\n");
        all
    });
    let long = "a".repeat(200_000);
    for request in [
        format!("GET /api/v1/sys/health HTTP/1.1\r\n{many}{end}"),
        format!("GET /api/v1/sys/health HTTP/1.1\r\nX: {long}\r\n{end}"),
        format!("GET /api/v1/secrets/{long} HTTP/1.1\r\n{end}"),
        format!("GET /api/v1/secrets?{long} HTTP/1.1\r\n{end}"),
        format!("GET /api/v1/users/me HTTP/1.1\r\nAuthorization: Bearer {long}\r\n{end}"),
        format!("{long} / HTTP/1.1\r\n{end}"),
        "GET /api/v1/sys/health HTTP/9.9\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "GET /api/v1/\u{0} HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let heard = ask(request.clone()).await;
        let status = raw::status(&heard);
        let start: String = request.chars().take(60).collect();
        assert!(status.is_some_and(|status| (400..500).contains(&status)), "{start}: {heard}");
        // What is no request at all is refused in the same shape as one.
        let (head, body) = heard.split_once("\r\n\r\n").expect("a head and a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert!(body["detail"][0]["type"].is_string(), "{start}: {heard}");
        assert!(head.contains(body["request_id"].as_str().expect("an id")), "{start}: {heard}");
    }
    server.anonymous().get("/sys/health").await.expect(200);
}

#[tokio::test]
async fn no_path_leads_out_of_its_place() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    server
        .admin()
        .await
        .post("/secrets/create", json!({ "secret_id": "kv/top", "value": canary("top") }))
        .await
        .expect(200);
    let own = format!("/api/v1/secrets/kv/users/{}", ada.id);
    for path in [
        format!("{own}/../../top"),
        format!("{own}/%2e%2e/%2e%2e/top"),
        format!("{own}%2F..%2F..%2Ftop"),
        format!("{own}/..%2f..%2ftop"),
        format!("{own}/..%5c..%5ctop"),
        format!("{own}/./../../top"),
        format!("{own}//../../top"),
        format!("{own}/..;/..;/top"),
        format!("{own}/%252e%252e/%252e%252e/top"),
        "/api/v1/secrets/kv/~/../../top".to_owned(),
        "/api/v1/secrets/kv/~%2f..%2f..%2ftop".to_owned(),
        "/api/v1/users/../secrets/kv/top".to_owned(),
        "/api/v1/secrets/kv/%EF%BC%8E%EF%BC%8E/top".to_owned(),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            ada.token()
        );
        let heard = raw::exchange(raw::connect_tls(&server).await, request.as_bytes()).await;
        let status = raw::status(&heard);
        assert!(status.is_some_and(|status| [400, 403, 404, 422].contains(&status)), "{path}: {heard}");
        assert!(!heard.contains("canary-top"), "{path}");
    }
}

#[tokio::test]
async fn queries_are_as_strict_as_bodies() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for query in ["limit=1&limit=2", "nothing=1", "limit=%ff", "%00=1", "limit", "=&=&="] {
        let answer = ada.get(&format!("/sessions?{query}")).await;
        assert_eq!(answer.status.as_u16(), 422, "{query}: {}", answer.text);
    }
    for path in ["/users/me?x=1", "/sys/health?x=1"] {
        let status = ada.get(path).await.status.as_u16();
        assert!([200, 422].contains(&status), "{path}");
    }
}

#[tokio::test]
async fn input_is_never_quoted_back() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    // A name, not a secret: a path or a key may stand in the trail.
    let odd = crate::harness::unique("odd");
    let answers = [
        admin
            .post("/users/create", json!({ "username": odd, "email": odd, "role": odd, "password": canary("p") }))
            .await,
        admin.post("/secrets/create", json!({ "secret_id": format!("kv/../{odd}"), "value": canary("v") })).await,
        admin.post("/token/create", json!({ "grant_type": odd })).await,
        admin.post("/sys/setting", json!({ "key": odd, "value": odd })).await,
        admin.post("/sys/security", json!({ "sessions": { "bind": odd } })).await,
        admin.get(&format!("/secrets?prefix={odd}:")).await,
        admin.get(&format!("/nothing/{odd}")).await,
        admin.call(Method::POST, "/users/create").body(format!("{{\"username\": {odd}}}")).await,
    ];
    for answer in answers {
        assert!(answer.status.is_client_error());
        // A member's own name may stand in `loc`; a value may not stand anywhere.
        let words: Vec<Value> =
            answer.body["detail"].as_array().expect("a list").iter().map(|p| p["msg"].clone()).collect();
        assert!(!format!("{words:?}").contains(&odd), "{}", answer.text);
    }
}
