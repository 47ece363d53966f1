//! TLS, and what may be done to a listener.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::harness::{Seal, TestServer, eventually, raw};

#[tokio::test]
async fn the_certificate_is_that_of_the_ready_file_and_no_other() {
    let server = TestServer::start().await;
    let stranger = TestServer::builder().seal(Seal::KeyFile).prepare().await;
    let url = format!("{}/api/v1/sys/health", server.url());
    assert_eq!(server.http().get(&url).send().await.expect("an answer").status().as_u16(), 200);
    assert!(stranger.http().get(&url).send().await.is_err(), "another authority is not believed");
    let by_name = url.replace("127.0.0.1", "localhost");
    assert_eq!(server.http().get(&by_name).send().await.expect("an answer").status().as_u16(), 200);
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let server = TestServer::start().await;
    let answer = server.http().get(format!("{}/api/v1/sys/health", server.url())).send().await.expect("an answer");
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    let stream = raw::connect_tls(&server).await;
    let heard = raw::exchange(stream, b"GET /api/v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(raw::status(&heard), Some(200), "{heard}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_and_holds_nobody_up() {
    let server = TestServer::start().await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(raw::connect(&server).await);
    }
    server.login("ada").await;
    let mut byte = [0];
    let closed = async { matches!(idle[0].read(&mut byte).await, Ok(0) | Err(_)) };
    assert!(tokio::time::timeout(Duration::from_secs(15), closed).await.expect("closed in time"));
}

#[tokio::test]
async fn junk_instead_of_a_handshake_is_closed() {
    let server = TestServer::start().await;
    for junk in [&b"\x16\x03\x01\xff\xff"[..], &[0; 4096], b"\x80\x80\x01\x03\x01", b"SSH-2.0-x\r\n"] {
        let stream = raw::connect(&server).await;
        let heard = tokio::time::timeout(Duration::from_secs(15), raw::exchange(stream, junk)).await;
        assert!(heard.is_ok(), "closed in time");
    }
    server.login("ada").await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let server = TestServer::builder().seal(Seal::KeyFile).start().await;
    let before = server.http();
    let url = format!("{}/api/v1/sys/seal-status", server.url());
    assert!(before.get(&url).send().await.is_ok());
    server.renew_certificate();
    server.signal(rustix::process::Signal::HUP);
    eventually("the new certificate is served", || async {
        let answer = server.http().get(&url).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    // Half a renewal changes nothing.
    std::fs::write(server.dir().join("tls.key"), "no key").expect("the test's folder is writable");
    server.signal(rustix::process::Signal::HUP);
    for _ in 0..5 {
        assert!(server.http().get(&url).send().await.is_ok());
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_once() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": "many readers at once" })).await.expect(200);
    let calls: Vec<_> = (0..200).map(|_| tokio::spawn(ada.get("/secrets/kv/~/x").into_future())).collect();
    for call in calls {
        call.await.expect("an answer").expect(200);
    }
}
