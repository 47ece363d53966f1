//! Plugins that would speak to somebody else than their grant names, or hand him what is not his.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::hostile::mount;
use crate::harness::github::serve_secured;
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
    /// The same over TLS, vouched for by whom the file says.
    async fn secured(folder: &Path) -> (Self, String) {
        let asked = Arc::<Mutex<Vec<Call>>>::default();
        let router = Router::new().fallback(answer).with_state((asked.clone(), String::new()));
        let (address, authority) = serve_secured(router, folder).await;
        (Self { address, asked }, std::fs::read_to_string(authority).expect("a certificate"))
    }

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

/// What a mount with a credential `token` for the first of these ports asks for, and its setting.
fn carrier(token: &str, scheme: &str, [own, other]: [u16; 2]) -> (String, Value) {
    let more = format!(
        "{VERB}{}{}[[credentials]]\nfrom = \"/token\"\nhosts = [\"localhost:{own}\"]\nplace = \"bearer\"\n\
         [config]\ntype = \"object\"\n[config.properties.token]\ntype = \"string\"\nwriteOnly = true\n",
        asks("localhost", own),
        asks("localhost", other),
    );
    let grant = [own, other].map(|port| format!("{scheme}localhost:{port} 127.0.0.0/8"));
    (more, json!({ "config": { "token": token }, "grant": { "http": grant } }))
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
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a folder of its own"));
    let (owner, one) = Somebody::secured(dirs[0].path()).await;
    let (other, two) = Somebody::secured(dirs[1].path()).await;
    let authorities = dirs[0].path().join("both.pem");
    std::fs::write(&authorities, one + &two).expect("it can be written");
    let server = TestServer::builder().env("COFFER_PLUGINS__CA", authorities.to_str().expect("UTF-8")).start().await;
    let admin = server.admin().await;
    let token = canary("token");
    server.keep_secret(&token);
    let (a, b) = (owner.address.port(), other.address.port());
    let (more, value) = carrier(&token, "", [a, b]);
    mount(&admin, ("secrets", "carrier"), &more, &fetcher(true), value.clone()).await.expect(200);
    mount(&admin, ("secrets", "plain"), &more, &fetcher(false), value).await.expect(200);
    // Its owner gets it, once, and so the guest has asked with it.
    assert_eq!(fetch(&admin, "carrier", &format!("https://localhost:{a}/own")).await["status"], 200);
    assert_eq!(owner.asked(), [("/own".to_owned(), Some(format!("Bearer {token}")))]);
    // The other host is there and may be asked, but not with it: then nothing is sent at all.
    assert_eq!(fetch(&admin, "plain", &format!("https://localhost:{b}/asked")).await["status"], 200);
    assert_eq!(other.asked(), [("/asked".to_owned(), None)]);
    let urls = [
        format!("https://localhost:{b}/stolen"),
        format!("https://localhost:{a}@localhost:{b}/stolen"),
        format!("https://localhost:{b}/stolen#localhost:{a}"),
        format!("https://localhost:{b}/stolen?host=localhost:{a}"),
        format!("https://127.0.0.1:{b}/stolen"),
    ];
    for url in urls {
        assert!(fetch(&admin, "carrier", &url).await["code"].is_string(), "{url}");
        assert_eq!((other.asked(), owner.asked()), (vec![], vec![]), "{url}");
    }
    // Nor has the owner got it from who asked without.
    assert_eq!(fetch(&admin, "plain", &format!("https://localhost:{a}/bare")).await["status"], 200);
    assert_eq!(owner.asked(), [("/bare".to_owned(), None)]);
}

#[tokio::test]
async fn over_a_wire_that_anybody_can_read_a_credential_goes_nowhere() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (owner, other) = (Somebody::start("").await, Somebody::start("").await);
    let token = canary("token");
    server.keep_secret(&token);
    let (more, value) = carrier(&token, "http://", [owner.address.port(), other.address.port()]);
    mount(&admin, ("secrets", "carrier"), &more, &fetcher(true), value.clone()).await.expect(200);
    mount(&admin, ("secrets", "plain"), &more, &fetcher(false), value).await.expect(200);
    let url = format!("http://localhost:{}/own", owner.address.port());
    assert_eq!(fetch(&admin, "plain", &url).await["status"], 200);
    assert_eq!(owner.asked(), [("/own".to_owned(), None)]);
    assert!(fetch(&admin, "carrier", &url).await["code"].is_string());
    assert!(owner.asked().is_empty() && other.asked().is_empty());
}
