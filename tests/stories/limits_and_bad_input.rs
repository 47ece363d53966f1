//! Bad input is a clear error: never a 500, never a panic (the end of each story looks for one in the log).
//! What is bad at every operation alike is in `grid::malformed`.

use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, canary, raw};

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method")
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
