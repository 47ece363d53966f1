//! HTTPS only; and whom to believe about the client's address.

use serde_json::json;

use crate::harness::{Seal, TestServer, canary, raw};

fn plain(server: &TestServer, path: &str) -> String {
    format!("http://{}/api/v1{path}", server.address())
}

#[tokio::test]
async fn plain_http_is_refused_without_a_redirect() {
    let server = TestServer::start().await;
    for path in ["/sys/health", "/secrets/kv/x", "/nothing"] {
        let answer = reqwest::Client::new().get(plain(&server, path)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 400);
        assert!(!answer.headers().contains_key("location"));
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert!(body["detail"].is_array() && body["request_id"].is_string(), "{body}");
    }
    let body = json!({ "username": "ada", "password": canary("plain") });
    let answer =
        reqwest::Client::new().post(plain(&server, "/token/create")).json(&body).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 400);
}

#[tokio::test]
async fn a_token_that_came_in_the_clear_is_ended() {
    let server = TestServer::start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let call = reqwest::Client::new().get(plain(&server, "/users/me")).bearer_auth(ada.token());
    assert_eq!(call.send().await.expect("an answer").status().as_u16(), 400);
    crate::harness::eventually("the token has ended", || async {
        (ada.get("/users/me").await.status == 401).then_some(())
    })
    .await;
    let body = json!({ "refresh_token": ada.refresh_token() });
    server.anonymous().post("/token/renew", body).await.expect_oauth(400, "invalid_grant");
    other.get("/users/me").await.expect(200);
    // Junk in the clear ends nobody.
    let junk = reqwest::Client::new().get(plain(&server, "/users/me")).bearer_auth("cof_s_a_b_c");
    assert_eq!(junk.send().await.expect("an answer").status().as_u16(), 400);
}

#[tokio::test]
async fn nobody_says_that_it_is_https_but_a_trusted_proxy() {
    let server = TestServer::start().await;
    let call = reqwest::Client::new().get(plain(&server, "/sys/health")).header("x-forwarded-proto", "https");
    assert_eq!(call.send().await.expect("an answer").status().as_u16(), 400);
}

#[tokio::test]
async fn behind_a_trusted_proxy_plain_http_is_accepted_and_the_address_believed() {
    let trusted = vec![toml::Value::from("127.0.0.0/8")];
    let builder = TestServer::builder().seal(Seal::KeyFile).config("listener.trusted_proxies", trusted);
    let builder = builder.config("listener.plaintext", true);
    let server = builder.config("listener.client_address_header", "x-forwarded-for").start().await;
    let http = reqwest::Client::new();
    let ask = |path: &str| http.get(plain(&server, path));
    assert_eq!(ask("/sys/seal-status").send().await.expect("an answer").status().as_u16(), 400, "it must say https");
    let https = ask("/sys/seal-status").header("x-forwarded-proto", "https").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(https.send().await.expect("an answer").status().as_u16(), 200);
    for proto in ["http", "https, http", "gopher"] {
        let call = ask("/sys/seal-status").header("x-forwarded-proto", proto);
        assert_eq!(call.send().await.expect("an answer").status().as_u16(), 400, "{proto}");
    }
}

#[tokio::test]
async fn a_header_from_anybody_is_no_address() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    // Bound to the caller through what may be a proxy: better refused than bound to the proxy.
    let body = json!({ "username": "ada", "password": ada.password, "session": { "bind": "caller" } });
    let call = server.anonymous().post("/token/create", body).header("x-forwarded-for", "192.0.2.1");
    call.await.expect(422);
    ada.get("/users/me").header("x-forwarded-for", "192.0.2.1").await.expect(200);
}

#[tokio::test]
async fn two_requests_are_never_taken_for_one() {
    let server = TestServer::start().await;
    // Two lengths, a length and chunks, a bent chunk header: what smugglers use.
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: +5\r\n\r\nhello",
    ] {
        let request = format!("POST /api/v1/token/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}");
        let heard = raw::exchange(raw::connect_tls(&server).await, request.as_bytes()).await;
        let statuses = heard.matches("HTTP/1.1 ").count();
        assert!(statuses <= 1, "{head:?}: {heard}");
        assert!(
            raw::status(&heard).is_none_or(|status| (400..500).contains(&status) || status == 501),
            "{head:?}: {heard}"
        );
    }
    server.login("ada").await;
}
