//! Plugins that would speak to somebody else than their grant names, or hand him what is not his.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::hostile::mount;
use crate::harness::guests::fetcher;
use crate::harness::{Client, TestServer, canary};

/// Path and `authorization`.
type Call = (String, Option<String>);

/// Somebody on loopback, and what he was asked.
struct Somebody {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Call>>>,
}

impl Somebody {
    /// Sends whoever asks for `/away` to that place.
    async fn start(away: &str) -> Self {
        let asked = Arc::<Mutex<Vec<Call>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = (asked.clone(), away.to_owned());
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Call> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panics here"))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

type Told = (Arc<Mutex<Vec<Call>>>, String);

async fn answer(State((asked, away)): State<Told>, request: Request) -> (StatusCode, [(&'static str, String); 1]) {
    let path = request.uri().path().to_owned();
    let told = request.headers().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    asked.lock().expect("nobody panics here").push((path.clone(), told));
    match path.as_str() {
        "/away" => (StatusCode::FOUND, [("location", away)]),
        _ => (StatusCode::OK, [("x-nothing", String::new())]),
    }
}

const VERB: &str = "[[calls]]\npath = \"{key}\"\noperation = \"fetch\"\naction = \"use\"\nmethod = \"POST\"\n";

fn asks(host: &str, port: u16) -> String {
    format!("[[requires.http]]\nhost = \"{host}\"\nport = {port}\nwhy = \"to look\"\n")
}

async fn fetch(admin: &Client, name: &str, url: &str) -> Value {
    admin.post(&format!("/secrets/{name}/x:fetch"), json!({ "u": url })).await.expect(200)
}

#[tokio::test]
async fn nothing_private_is_reached_under_any_name_of_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let inner = Somebody::start("").await;
    let port = inner.address.port();
    // A grant without a network opens nothing private, whatever stands in it.
    let hosts =
        ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.0.0.1", "169.254.169.254"];
    let asked: String = hosts.iter().map(|host| asks(host, port)).collect();
    let grant: Vec<_> = hosts.iter().map(|host| format!("http://{host}:{port}")).collect();
    let value = json!({ "grant": { "http": grant } });
    mount(&admin, ("secrets", "prober"), &format!("{VERB}{asked}"), &fetcher(false), value).await.expect(200);
    for host in hosts {
        assert!(fetch(&admin, "prober", &format!("http://{host}:{port}/x")).await["code"].is_string(), "{host}");
    }
    // Other ways to write the same: refused before anybody resolves them.
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "a@127.0.0.1", "127.0.0.1%00", "[::]"]
    {
        assert!(fetch(&admin, "prober", &format!("http://{host}:{port}/x")).await["code"].is_string(), "{host}");
    }
    for url in ["https://localhost/x", "file:///etc/passwd", "gopher://127.0.0.1/x", "//127.0.0.1/x", "", "http://"] {
        assert!(fetch(&admin, "prober", url).await["code"].is_string(), "{url}");
    }
    assert!(inner.asked().is_empty());
}

#[tokio::test]
async fn a_place_that_was_named_by_another_is_not_gone_to() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let victim = Somebody::start("").await;
    let friend = Somebody::start(&victim.url("/secret")).await;
    let value = json!({ "grant": { "http": [format!("http://{} 127.0.0.0/8", friend.address)] } });
    let more = format!("{VERB}{}", asks("127.0.0.1", friend.address.port()));
    mount(&admin, ("secrets", "follower"), &more, &fetcher(false), value).await.expect(200);
    assert_eq!(fetch(&admin, "follower", &friend.url("/here")).await["status"], 200);
    // It is told of the redirect, and nobody follows it.
    assert_eq!(fetch(&admin, "follower", &friend.url("/away")).await["status"], 302);
    assert_eq!(friend.asked().len(), 2);
    // Another port is another host.
    assert_eq!(fetch(&admin, "follower", &victim.url("/secret")).await["code"], "denied");
    assert!(victim.asked().is_empty());
    // What was not asked for is not granted either.
    let more = json!({ "grant": { "http": [format!("http://{} 127.0.0.0/8", victim.address)] } });
    admin.post("/sys/setting", json!({ "key": "secrets/follower", "value": more })).await.expect(422);
}

#[tokio::test]
async fn a_credential_goes_to_its_own_host_and_to_no_other() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (owner, other) = (Somebody::start("").await, Somebody::start("").await);
    let token = canary("token");
    server.keep_secret(&token);
    let (a, b) = (owner.address.port(), other.address.port());
    let more = format!(
        "{VERB}{}{}[[credentials]]\nfrom = \"/token\"\nhosts = [\"127.0.0.1:{a}\"]\nplace = \"bearer\"\n\
         [config]\ntype = \"object\"\n[config.properties.token]\ntype = \"string\"\nwriteOnly = true\n",
        asks("127.0.0.1", a),
        asks("127.0.0.1", b),
    );
    let grant = [a, b].map(|port| format!("http://127.0.0.1:{port} 127.0.0.0/8"));
    let value = json!({ "config": { "token": token }, "grant": { "http": grant } });
    mount(&admin, ("secrets", "carrier"), &more, &fetcher(true), value).await.expect(200);
    let sent = fetch(&admin, "carrier", &owner.url("/own")).await;
    let got = owner.asked();
    // Over a wire that anybody can read it goes nowhere at all; if it goes, then to its owner.
    match &sent["code"] {
        Value::Null => assert_eq!(got[0].1, Some(format!("Bearer {token}"))),
        code => assert!(got.is_empty() && code.is_string(), "{got:?}"),
    }
    assert!(fetch(&admin, "carrier", &other.url("/stolen")).await["code"].is_string());
    assert!(other.asked().iter().all(|(_, credential)| credential.is_none()));
}
