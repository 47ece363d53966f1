//! Over real sockets on loopback: what a peer sees that is slow, rude or many.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::get};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    body::{self, Takes},
    certificate::Certificates,
    client_address::{ClientAddress, Proxies},
    dev_certificate,
    error::ApiError,
    layers::{self, Bounds},
    listen::{Caps, Deadlines, Listener, Options},
};
use crate::{clock::Clock, config::ClientAddressHeader};

/// Longer than anything here should take, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    ca: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    tokens: Arc<Mutex<Vec<String>>>,
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
    _dir: TempDir,
}

struct Setup {
    tls: bool,
    deadlines: Deadlines,
    caps: Caps,
    trusted: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self { tls: true, deadlines: Deadlines::default(), caps: Caps::default(), trusted: "192.0.2.0/24" }
    }
}

impl Setup {
    async fn start(self) -> Server {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let files = dev_certificate::ensure(dir.path(), &Clock::system()).unwrap();
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let [begun, done] = [(), ()].map(|()| Arc::new(AtomicUsize::new(0)));
        let go_on = Arc::new(Notify::new());
        let ended = tokens.clone();
        let options = Options {
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            tls: self.tls.then(|| Certificates::load(&files.pair, &files.pair).unwrap()),
            proxies: Proxies::new([self.trusted.parse().unwrap()], ClientAddressHeader::XForwardedFor),
            deadlines: self.deadlines,
            caps: self.caps,
            on_plain_token: Arc::new(move |token| {
                ended.lock().unwrap().push(token.reveal().clone());
                Box::pin(async {})
            }),
        };
        let routes = routes(begun.clone(), done.clone(), go_on.clone());
        let listener = Listener::bind(options).await.unwrap();
        let (address, (stop, stopped)) = (listener.addresses()[0], oneshot::channel());
        let app = layers::around(routes, Bounds::new(Clock::system(), None));
        let serving = tokio::spawn(listener.serve(app, async { drop(stopped.await) }));
        Server { address, ca: files.ca, stop: Some(stop), serving, tokens, begun, done, go_on, _dir: dir }
    }
}

fn routes(begun: Arc<AtomicUsize>, done: Arc<AtomicUsize>, go_on: Arc<Notify>) -> Router {
    let wait = async move || {
        begun.fetch_add(1, Ordering::SeqCst);
        go_on.notified().await;
        done.fetch_add(1, Ordering::SeqCst);
        "waited"
    };
    let take = async |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        body::read(&parts, body, Takes::Object).await.map(|members| members.into_value().to_string())
    };
    let whence = async |request: Request| format!("{:?}", request.extensions().get::<ClientAddress>().unwrap().address);
    Router::new()
        .route("/", get(async || "hello").post(take))
        .route("/closed", get(async || "").post(async || ApiError::new(super::error::Kind::Unauthenticated)))
        .route("/wait", get(wait))
        .route("/whence", get(whence))
}

impl Server {
    fn client(&self, change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&self.ca).unwrap()).unwrap();
        change(reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(PATIENCE)).build().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are and reads until the server closes.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        until_closed(&mut stream).await
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("the server closes");
    // A reset is an end as well, for whoever is thrown out.
    drop(ended);
    String::from_utf8(read).unwrap()
}

async fn reaches(count: &AtomicUsize, number: usize) {
    let reached = async {
        while count.load(Ordering::SeqCst) < number {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

fn brief(change: impl FnOnce(&mut Deadlines)) -> Deadlines {
    let mut deadlines = Deadlines { close: Duration::from_millis(50), ..Deadlines::default() };
    change(&mut deadlines);
    deadlines
}

const BRIEF: Duration = Duration::from_millis(100);

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls_of_our_own_authority() {
    let server = Setup::default().start().await;
    for (client, version) in [
        (server.client(|b| b.http1_only()), reqwest::Version::HTTP_11),
        (server.client(|b| b), reqwest::Version::HTTP_2),
    ] {
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("https://{host}:{}/", server.address.port());
            let response = client.get(url).send().await.unwrap();
            assert_eq!((response.version(), response.status().as_u16()), (version, 200));
            assert_eq!(response.headers()["x-request-id"].len(), 32);
            assert_eq!(response.text().await.unwrap(), "hello");
        }
    }
    let stranger = reqwest::Client::builder().tls_certs_only([]).no_proxy().build();
    assert!(stranger.unwrap().get(server.url("/")).send().await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn plain_http_is_told_so_and_its_token_is_ended() {
    let server = Setup::default().start().await;
    let answer = server
        .raw("POST /api HTTP/1.1\r\nhost: x\r\nauthorization: Bearer cof_s_a\r\ncontent-length: 2\r\n\r\n{}")
        .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && !head.contains("location"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["detail"][0]["type"], "plain_http");
    assert!(head.contains(body["request_id"].as_str().unwrap()));
    assert_eq!(*server.tokens.lock().unwrap(), ["cof_s_a"]);

    server
        .raw("GET / HTTP/1.1\r\nauthorization: Bearer a\r\nauthorization: bearer b\r\nAuthorization: Basic c\r\n\r\n")
        .await;
    assert_eq!(*server.tokens.lock().unwrap(), ["cof_s_a", "a", "b"]);
    assert_eq!(server.raw("\0\0\0\0").await, "");
    server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_too_little_is_closed() {
    let deadlines = brief(|d| (d.handshake, d.headers) = (BRIEF, BRIEF));
    let server = Setup { deadlines, ..Setup::default() }.start().await;
    assert_eq!(server.raw("").await, "");
    assert_eq!(server.raw("\x16\x03\x01").await, "");
    server.stop().await;

    let server = Setup { deadlines, tls: false, trusted: "127.0.0.0/8", ..Setup::default() }.start().await;
    assert_eq!(server.raw("").await, "");
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut lines = 0;
    // A line now and then does not prolong it.
    while lines < 1000 && stream.write_all(b"x-a: b\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        lines += 1;
    }
    assert!(lines < 1000, "still open");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_longer_than_headers_may_take_and_then_closed() {
    let deadlines = brief(|d| (d.headers, d.idle) = (Duration::from_millis(60), Duration::from_millis(400)));
    let server = Setup { deadlines, tls: false, trusted: "127.0.0.0/8", ..Setup::default() }.start().await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-proto: https\r\n\r\n";
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert_ne!(timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap(), 0);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    until_closed(&mut stream).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_in_time() {
    let deadlines = brief(|d| d.body = BRIEF);
    let server = Setup { deadlines, tls: false, trusted: "127.0.0.0/8", ..Setup::default() }.start().await;
    let head = "host: x\r\nx-forwarded-proto: https\r\ncontent-type: application/json\r\ncontent-length: 9";
    for (path, status) in [("/", 408), ("/closed", 401)] {
        let answer = server.raw(&format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n{{")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_drained_so_that_its_sender_sees_the_answer() {
    let server = Setup::default().start().await;
    for client in [server.client(|b| b.http1_only()), server.client(|b| b)] {
        for (path, status) in [("/", 413), ("/closed", 401)] {
            let request = client.post(server.url(path)).header("content-type", "application/json");
            let response = request.body(vec![b' '; 20 << 20]).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            let body: Value = response.json().await.unwrap();
            assert!(body["request_id"].is_string());
        }
        assert_eq!(client.get(server.url("/")).send().await.unwrap().status().as_u16(), 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn who_asks_first_is_not_made_to_send_what_is_too_large() {
    let server = Setup { tls: false, trusted: "127.0.0.0/8", ..Setup::default() }.start().await;
    let head = "host: x\r\nx-forwarded-proto: https\r\ncontent-type: application/json\r\nexpect: 100-continue";
    let answer = server.raw(&format!("POST / HTTP/1.1\r\n{head}\r\ncontent-length: 2000000\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn one_block_of_addresses_has_only_so_many_connections() {
    let server = Setup { caps: Caps { connections: 10, per_block: 2 }, ..Setup::default() }.start().await;
    let first = server.connect().await;
    let _second = server.connect().await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    drop(first);
    let client = server.client(|b| b);
    let again = async { while client.get(server.url("/")).send().await.is_err() {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn behind_a_proxy_only_it_is_heard_and_only_when_its_client_came_by_https() {
    let server = Setup { tls: false, trusted: "127.0.0.0/8", ..Setup::default() }.start().await;
    let ask = async |lines: &str| {
        let head =
            format!("GET /whence HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer t\r\n{lines}\r\n");
        server.raw(&head).await
    };
    let good = ask("x-forwarded-proto: https\r\nx-forwarded-for: 6.6.6.6, 203.0.113.7\r\n").await;
    assert!(good.starts_with("HTTP/1.1 200 ") && good.contains("Some(203.0.113.7)"), "{good}");
    assert!(server.tokens.lock().unwrap().is_empty());
    for lines in ["", "x-forwarded-proto: http\r\n", "x-forwarded-proto: https\r\nx-forwarded-proto: https\r\n"] {
        let bad = ask(lines).await;
        assert!(bad.starts_with("HTTP/1.1 400 ") && bad.contains("plain_http"), "{bad}");
    }
    assert_eq!(server.tokens.lock().unwrap().len(), 3);
    server.stop().await;

    let server = Setup { tls: false, ..Setup::default() }.start().await;
    let untrusted = server.raw("GET /whence HTTP/1.1\r\nhost: x\r\nx-forwarded-proto: https\r\n\r\n").await;
    assert!(untrusted.starts_with("HTTP/1.1 400 "), "{untrusted}");
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut server = Setup::default().start().await;
    let requests: Vec<_> = [server.client(|b| b.http1_only()), server.client(|b| b)]
        .map(|client| tokio::spawn(client.get(server.url("/wait")).send()))
        .into();
    reaches(&server.begun, 2).await;
    server.stop.take().unwrap().send(()).unwrap();
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
    server.go_on.notify_waiters();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "waited");
    }
    timeout(PATIENCE, server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let deadlines = brief(|d| d.drain = BRIEF);
    let mut server = Setup { deadlines, ..Setup::default() }.start().await;
    let _request = tokio::spawn(server.client(|b| b).get(server.url("/wait")).send());
    reaches(&server.begun, 1).await;
    server.stop.take().unwrap().send(()).unwrap();
    timeout(PATIENCE, server.serving).await.unwrap().unwrap();
    assert_eq!(server.done.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_begun_is_finished_though_the_client_hangs_up() {
    let server = Setup::default().start().await;
    for (round, client) in [server.client(|b| b.http1_only()), server.client(|b| b)].into_iter().enumerate() {
        let request = tokio::spawn(client.get(server.url("/wait")).send());
        reaches(&server.begun, round + 1).await;
        request.abort();
        drop(client);
        assert!(request.await.unwrap_err().is_cancelled());
        server.go_on.notify_one();
        reaches(&server.done, round + 1).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_has_no_body_and_no_effect() {
    let server = Setup::default().start().await;
    for client in [server.client(|b| b.http1_only()), server.client(|b| b)] {
        let response = client.head(server.url("/wait")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET".parse().unwrap()));
    }
    assert_eq!(server.begun.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_member_that_comes_twice_is_refused_over_the_wire() {
    let server = Setup::default().start().await;
    let response = server.client(|b| b).post(server.url("/")).body(r#"{"a":1,"a":2}"#).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 422);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["detail"][0]["loc"], serde_json::json!(["body", "a"]));
    server.stop().await;
}
