//! A GitHub Enterprise Server on loopback: the part of its REST API and of its OAuth that a login needs, with the
//! shapes, statuses, headers and errors that GitHub documents.
//!
//! The bodies are those of GitHub's published description (`tests/fixtures/github`), about the people of a test.
//! It holds whoever asks to GitHub's own rules: a user agent, scopes, PKCE, codes that are good once, an OAuth app
//! that proves itself by HTTP Basic for one call and by a field of a form for another.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::config::Certificate;
use super::{Builder, TestServer};

pub const CLIENT_ID: &str = "Iv1.8a61f9b3a7aba766";

/// The server, until it is dropped.
pub struct GitHub {
    pub port: u16,
    host: String,
    address: IpAddr,
    authority: PathBuf,
    world: Arc<Mutex<World>>,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

/// What there is at this GitHub.
#[derive(Default)]
pub struct World {
    base: String,
    pub client_secret: String,
    pub users: BTreeMap<u64, String>,
    pub orgs: BTreeMap<u64, String>,
    /// Slug and organisation.
    pub teams: BTreeMap<u64, (String, u64)>,
    /// `active` or `pending`, by organisation or team and user.
    pub in_orgs: BTreeMap<(u64, u64), &'static str>,
    pub in_teams: BTreeMap<(u64, u64), &'static str>,
    pub tokens: BTreeMap<String, Token>,
    /// Organisations that want tokens authorised by their own login.
    pub saml: Vec<u64>,
    /// Everything is answered with this.
    pub trouble: Option<(u16, Vec<(&'static str, String)>)>,
    /// Its API answers with 502, and its OAuth does not.
    pub deaf: bool,
    codes: BTreeMap<String, Grant>,
    devices: BTreeMap<String, Option<u64>>,
    /// Method and path, as they came.
    pub asked: Vec<String>,
}

#[derive(Clone)]
pub struct Token {
    pub user: u64,
    /// None: a fine-grained one.
    pub scopes: Option<&'static str>,
    /// The OAuth app that it was given to.
    pub app: Option<String>,
    /// Authorised for organisations that want that.
    pub authorised: bool,
}

/// A code, and what it was given for.
struct Grant {
    user: u64,
    redirect: String,
    challenge: String,
}

impl GitHub {
    /// Ada (1) is in acme (7) and its team platform (42), and was invited to initech (8).
    pub async fn start() -> Self {
        Self::start_at("localhost", IpAddr::from([127, 0, 0, 1])).await
    }

    /// At an address of this machine that servers besides dev ones may reach.
    pub async fn start_at(host: &str, address: IpAddr) -> Self {
        let dir = tempfile::Builder::new().prefix("coffer-github-").tempdir().expect("a folder of its own");
        let tls = Certificate::make_for(dir.path(), &[address]);
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut world = World {
            base: format!("https://{host}:{port}"),
            client_secret: super::canary("client-secret"),
            ..World::default()
        };
        world.users.insert(1, "ada".to_owned());
        world.orgs.extend([(7, "acme".to_owned()), (8, "initech".to_owned())]);
        world.teams.extend([(42, ("platform".to_owned(), 7)), (43, ("staff".to_owned(), 8))]);
        world.in_orgs.extend([((7, 1), "active"), ((8, 1), "pending")]);
        world.in_teams.insert((42, 1), "active");
        let world = Arc::new(Mutex::new(world));
        let router = Router::new().fallback(answer).with_state(world.clone());
        let task = tokio::spawn(serve(listener, acceptor(&tls), router));
        Self { port, host: host.to_owned(), address, authority: tls.authority, world, task, _dir: dir }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panics here")
    }

    /// A server that trusts this GitHub's certificate.
    pub fn known_to(&self, server: Builder) -> Builder {
        server.env("COFFER_PLUGINS__CA", self.authority.to_str().expect("UTF-8"))
    }

    /// The setting of a mount that logs in here; `more` is merged over it.
    pub fn setting(&self, more: Value) -> Value {
        let mut value = json!({
            "plugin": "github",
            "config": { "base_url": self.world().base },
            "grant": { "http": [format!("{}:{} {}/32", self.host, self.port, self.address)] },
            "provision": true,
            "roles": { "team:42": { "give": ["user"], "label": "acme/platform" } },
        });
        merge(&mut value, more);
        value
    }

    /// The same with an OAuth app.
    pub fn with_app(&self, more: Value) -> Value {
        let secret = self.world().client_secret.clone();
        let mut value = self.setting(json!({ "config": { "client_id": CLIENT_ID, "client_secret": secret } }));
        merge(&mut value, more);
        value
    }

    /// A classic personal token that may read organisations.
    pub fn token(&self, server: &TestServer, user: u64) -> String {
        self.token_like(server, "ghp", Token { user, scopes: Some("read:org"), app: None, authorised: false })
    }

    pub fn token_like(&self, server: &TestServer, kind: &str, token: Token) -> String {
        let text = format!("{kind}_{}", coffer::ids::random_base62(36));
        server.keep_secret(&text);
        self.world().tokens.insert(text.clone(), token);
        text
    }

    /// What a browser does in which this user is logged in at GitHub: asks for the page, says yes, and is sent back.
    /// Answers where to.
    pub async fn authorise(&self, url: &str, user: u64) -> Result<String, String> {
        let (page, query) = url.split_once('?').expect("a query");
        let asked = pairs(query);
        let mut world = self.world();
        assert_eq!(page, format!("{}/login/oauth/authorize", world.base));
        let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
        assert_eq!((get("client_id").as_str(), get("response_type").as_str()), (CLIENT_ID, "code"));
        if get("code_challenge_method") != "S256" || get("code_challenge").len() != 43 {
            return Err("GitHub asks for S256".to_owned());
        }
        let code = hex::encode(coffer::ids::random::<10>());
        let (redirect, state) = (get("redirect_uri"), get("state"));
        let grant = Grant { user, redirect: redirect.clone(), challenge: get("code_challenge") };
        world.codes.insert(code.clone(), grant);
        Ok(format!("{redirect}?code={code}&state={state}"))
    }

    /// Somebody types the code of a device into GitHub's page.
    pub fn enter(&self, user_code: &str, user: u64) {
        let mut world = self.world();
        let device = world.devices.get_mut(user_code).expect("a code that was given out");
        *device = Some(user);
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What GitHub publishes as its answer, about somebody or something else.
fn like(answer: &str, about: Value) -> Value {
    static ANSWERS: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("../fixtures/github/answers.json")).expect("JSON"));
    let mut value = ANSWERS[answer].clone();
    assert!(value.is_object(), "GitHub publishes {answer}");
    merge(&mut value, about);
    value
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn acceptor(tls: &Certificate) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&tls.certificate).expect("a file").flatten().collect();
    let key = PrivateKeyDer::from_pem_file(&tls.key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// Answers on loopback, over TLS, by a certificate that it makes in this folder: where, and who vouches for it.
pub async fn serve_secured(router: Router, folder: &Path) -> (SocketAddr, PathBuf) {
    let tls = Certificate::make(folder);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, acceptor(&tls), router));
    (address, tls.authority)
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What is answered: a status, a body, and headers besides those of every answer.
type Told = (u16, Value, Vec<(&'static str, String)>);

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock().expect("nobody panics here");
    world.asked.push(format!("{method} {}", uri.path()));
    let asked =
        Asked { method, path: uri.path().to_owned(), query: pairs(uri.query().unwrap_or_default()), headers, body };
    let (status, body, more) = match (world.trouble.clone(), asked.header("user-agent")) {
        (Some((status, headers)), _) => (status, troubled(status, &headers), headers),
        (None, "") => refusal(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
        ),
        (None, _) if asked.path.starts_with("/login/") => world.oauth(&asked),
        (None, _) if world.deaf => refusal(502, "Server Error"),
        (None, _) if asked.path == "/api/graphql" => world.graphql(&asked),
        (None, _) => world.rest(&asked),
    };
    let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    response = response.header("content-type", "application/json; charset=utf-8");
    response = response.header("x-github-request-id", hex::encode(coffer::ids::random::<8>()));
    response = response.header("x-github-media-type", "github.v3; format=json");
    for (name, value) in more {
        response = response.header(name, value);
    }
    response.body(Body::from(body.to_string())).expect("an answer")
}

struct Asked {
    method: Method,
    path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn form(&self) -> BTreeMap<String, String> {
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded");
        pairs(std::str::from_utf8(&self.body).expect("a form"))
    }
}

impl World {
    fn rest(&self, asked: &Asked) -> Told {
        let Some(path) = asked.path.strip_prefix("/api/v3/") else { return not_found() };
        let parts: Vec<&str> = path.split('/').collect();
        if let ("POST", ["applications", id, "token"]) = (asked.method.as_str(), &parts[..]) {
            return self.check_token(asked, id);
        }
        assert_eq!(asked.header("x-github-api-version"), "2022-11-28");
        assert_eq!(asked.header("accept"), "application/vnd.github+json");
        let Some(token) = asked.header("authorization").strip_prefix("Bearer ") else {
            return refusal(401, "Requires authentication");
        };
        let Some(token) = self.tokens.get(token) else { return refusal(401, "Bad credentials") };
        let (status, body, mut more) = self.of_token(asked, &parts, token);
        if let Some(scopes) = token.scopes {
            more.push(("x-oauth-scopes", scopes.to_owned()));
        }
        if let Some(app) = &token.app {
            more.push(("x-oauth-client-id", app.clone()));
        }
        more.push(("x-ratelimit-limit", "5000".to_owned()));
        more.push(("x-ratelimit-remaining", "4987".to_owned()));
        (status, body, more)
    }

    fn of_token(&self, asked: &Asked, parts: &[&str], token: &Token) -> Told {
        let reads_orgs = token.scopes.is_none_or(|scopes| scopes.contains("read:org"));
        let id = |text: &str| text.parse::<u64>().unwrap_or_default();
        match parts {
            ["user"] => ok(self.user(token.user)),
            ["user", account] if self.users.contains_key(&id(account)) => ok(self.user(id(account))),
            ["user", "memberships", "orgs"] | ["user", "orgs"] if !reads_orgs => {
                refusal(403, "You need at least read:org scope or user scope to list your organizations.")
            }
            ["user", "memberships", "orgs"] => {
                let wanted = asked.query.get("state").map(String::as_str);
                let own = self.in_orgs.iter().filter(|((org, user), state)| {
                    *user == token.user && wanted.is_none_or(|wanted| wanted == **state) && self.is_open(*org, token)
                });
                let all = own.map(|((org, user), state)| self.membership(*org, *user, state)).collect();
                self.partial(asked, token, all)
            }
            ["user", "orgs"] => {
                let own = self.in_orgs.iter().filter(|((org, user), state)| {
                    *user == token.user && **state == "active" && self.is_open(*org, token)
                });
                self.partial(asked, token, own.map(|((org, _), _)| self.org(*org)).collect())
            }
            ["user", "teams"] if !reads_orgs => not_found(),
            ["user", "teams"] => {
                let own = self
                    .in_teams
                    .iter()
                    .filter(|((team, user), _)| *user == token.user && self.is_open(self.teams[team].1, token));
                self.partial(asked, token, own.map(|((team, _), _)| self.team(*team)).collect())
            }
            ["organizations", org, ..] if !self.is_open(id(org), token) => self.sso(id(org)),
            ["organizations", org] if self.orgs.contains_key(&id(org)) => ok(like("organization", self.org(id(org)))),
            ["organizations", org, "memberships", login]
                if self.in_orgs.get(&(id(org), token.user)) != Some(&"active") =>
            {
                let (org, login) = (self.orgs.get(&id(org)).map_or("", String::as_str), *login);
                refusal(403, &format!("You must be a member of {org} to see membership information for {login}."))
            }
            ["organizations", org, "memberships", login] => match self.in_orgs.get(&(id(org), self.named(login))) {
                Some(state) => ok(self.membership(id(org), self.named(login), state)),
                None => not_found(),
            },
            ["organizations", _, "team", team, "memberships", login] => {
                match self.in_teams.get(&(id(team), self.named(login))) {
                    Some(state) => {
                        let url = format!("{}/api/v3/teams/{team}/memberships/{login}", self.base);
                        ok(like("team_membership", json!({ "url": url, "role": "member", "state": state })))
                    }
                    None => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// The queries that are asked: whose teams, and what there is to be mapped.
    fn graphql(&self, asked: &Asked) -> Told {
        let token = asked.header("authorization").strip_prefix("Bearer ").and_then(|token| self.tokens.get(token));
        let Some(token) = token else { return refusal(401, "Bad credentials") };
        let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
        let query = body["query"].as_str().expect("a query");
        if query.contains("viewer { organizations(first: 50, after: $after)") {
            return self.viewers(token, body["variables"]["after"].as_str());
        }
        assert!(query.contains("organization(login: $org)") && query.contains("userLogins: [$login]"), "{query}");
        let text = |name: &str| body["variables"][name].as_str().unwrap_or_default().to_owned();
        let Some((org, _)) = self.orgs.iter().find(|(_, login)| **login == text("org")) else {
            return ok(
                json!({ "data": { "organization": null }, "errors": [{ "type": "NOT_FOUND", "path": ["organization"] }] }),
            );
        };
        let user = self.named(&text("login"));
        let from = text("after").parse::<usize>().unwrap_or_default();
        let own: Vec<u64> = self
            .teams
            .iter()
            .filter(|(team, (_, of))| of == org && self.in_teams.get(&(**team, user)) == Some(&"active"))
            .map(|(team, _)| *team)
            .collect();
        let nodes: Vec<Value> = own.iter().skip(from).take(100).map(|team| json!({ "databaseId": team })).collect();
        let end = from + nodes.len();
        let page = json!({ "hasNextPage": end < own.len(), "endCursor": end.to_string() });
        ok(json!({ "data": { "organization": { "teams": { "nodes": nodes, "pageInfo": page } } } }))
    }

    /// The organisations of a token's own user, 50 at a time, each with its teams.
    fn viewers(&self, token: &Token, after: Option<&str>) -> Told {
        let from = after.and_then(|after| after.parse::<usize>().ok()).unwrap_or_default();
        let own = self.in_orgs.iter().filter(|((_, user), state)| *user == token.user && **state == "active");
        let own: Vec<u64> = own.map(|((org, _), _)| *org).collect();
        let nodes: Vec<Value> = own
            .iter()
            .skip(from)
            .take(50)
            .map(|org| {
                let teams = self.teams.iter().filter(|(_, (_, of))| of == org);
                let teams: Vec<Value> =
                    teams.map(|(id, (slug, _))| json!({ "databaseId": id, "slug": slug })).take(100).collect();
                let info = json!({ "hasNextPage": false, "endCursor": null });
                json!({ "databaseId": org, "login": self.orgs[org], "teams": { "nodes": teams, "pageInfo": info } })
            })
            .collect();
        let end = from + nodes.len();
        let page = json!({ "hasNextPage": end < own.len(), "endCursor": end.to_string() });
        ok(json!({ "data": { "viewer": { "organizations": { "nodes": nodes, "pageInfo": page } } } }))
    }

    /// `POST /applications/{client_id}/token`, by the app's own id and secret.
    fn check_token(&self, asked: &Asked, id: &str) -> Told {
        let basic = STANDARD.encode(format!("{CLIENT_ID}:{}", self.client_secret));
        if id != CLIENT_ID || asked.header("authorization") != format!("Basic {basic}") {
            return refusal(401, "Bad credentials");
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let shown = body["access_token"].as_str().unwrap_or_default();
        match self.tokens.get(shown).filter(|token| token.app.as_deref() == Some(id)) {
            None => not_found(),
            Some(token) => ok(like(
                "checked_token",
                json!({
                    "token": "", "token_last_eight": &shown[shown.len() - 8..], "app": { "client_id": id },
                    "scopes": ["read:org"], "expires_at": null, "user": self.user(token.user),
                }),
            )),
        }
    }

    /// Errors of OAuth come with 200, as GitHub sends them.
    fn oauth(&mut self, asked: &Asked) -> Told {
        let form = asked.form();
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let wrong = |error: &str| {
            ok(json!({ "error": error, "error_description": "…", "error_uri": "https://docs.github.com/apps" }))
        };
        assert_eq!(asked.header("accept"), "application/json");
        if get("client_id") != CLIENT_ID {
            return not_found();
        }
        if asked.path == "/login/device/code" {
            let user_code = format!("WDJB-{}", coffer::ids::random_base62(4).to_uppercase());
            self.devices.insert(user_code.clone(), None);
            return ok(json!({
                "device_code": format!("device{user_code}"), "user_code": user_code,
                "verification_uri": format!("{}/login/device", self.base), "expires_in": 900, "interval": 1,
            }));
        }
        if get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code" {
            let code = get("device_code").strip_prefix("device").unwrap_or_default();
            return match self.devices.get(code).copied() {
                None => wrong("incorrect_device_code"),
                Some(None) => wrong("authorization_pending"),
                Some(Some(user)) => {
                    self.devices.remove(code);
                    self.given(user)
                }
            };
        }
        if get("client_secret") != self.client_secret {
            return wrong("incorrect_client_credentials");
        }
        // Good once.
        let Some(grant) = self.codes.remove(get("code")) else { return wrong("bad_verification_code") };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, get("code_verifier").as_bytes());
        if get("redirect_uri") != grant.redirect {
            return wrong("redirect_uri_mismatch");
        }
        if URL_SAFE_NO_PAD.encode(digest) != grant.challenge {
            return wrong("bad_verification_code");
        }
        self.given(grant.user)
    }

    fn given(&mut self, user: u64) -> Told {
        let text = format!("gho_{}", coffer::ids::random_base62(36));
        let token = Token { user, scopes: Some("read:org"), app: Some(CLIENT_ID.to_owned()), authorised: false };
        self.tokens.insert(text.clone(), token);
        ok(json!({ "access_token": text, "scope": "read:org", "token_type": "bearer" }))
    }

    fn named(&self, login: &str) -> u64 {
        self.users.iter().find(|(_, known)| known.as_str() == login).map_or(0, |(id, _)| *id)
    }

    fn user(&self, id: u64) -> Value {
        let login = &self.users[&id];
        let url = format!("{}/api/v3/users/{login}", self.base);
        like(
            "user",
            json!({ "login": login, "id": id, "url": url, "name": "Ada Lovelace", "email": "ada@example.com" }),
        )
    }

    fn org(&self, id: u64) -> Value {
        let login = &self.orgs[&id];
        like("orgs", json!({ "login": login, "id": id, "url": format!("{}/api/v3/orgs/{login}", self.base) }))
    }

    fn membership(&self, org: u64, user: u64, state: &str) -> Value {
        let url = format!("{}/api/v3/orgs/{}/memberships/{}", self.base, self.orgs[&org], self.users[&user]);
        let (org, user) = (self.org(org), self.user(user));
        like("memberships", json!({ "url": url, "state": state, "role": "member", "organization": org, "user": user }))
    }

    fn team(&self, id: u64) -> Value {
        let (slug, org) = &self.teams[&id];
        like("teams", json!({ "id": id, "name": slug, "slug": slug, "organization": self.org(*org) }))
    }

    fn is_open(&self, org: u64, token: &Token) -> bool {
        token.authorised || !self.saml.contains(&org)
    }

    /// A list that leaves out what the token is not authorised for, and says so.
    fn partial(&self, asked: &Asked, token: &Token, all: Vec<Value>) -> Told {
        let mut told = paged(asked, &self.base, all);
        let is_in = |org: &&u64| self.in_orgs.contains_key(&(**org, token.user)) && !token.authorised;
        let left_out: Vec<String> = self.saml.iter().filter(is_in).map(u64::to_string).collect();
        if !left_out.is_empty() {
            told.2.push(("x-github-sso", format!("partial-results; organizations={}", left_out.join(","))));
        }
        told
    }

    fn sso(&self, org: u64) -> Told {
        let login = self.orgs.get(&org).cloned().unwrap_or_default();
        let url = format!(
            "{}/orgs/{login}/sso?authorization_request=AZSCKtL4U8yX1H3sCQIVnVgmjmon5fWxks5YrqhJgah0b2tlbl9pZM4EuMz4",
            self.base
        );
        let mut told = refusal(
            403,
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
        );
        told.2.push(("x-github-sso", format!("required; url={url}")));
        told
    }
}

/// One page, and where the others are (RFC 8288).
fn paged(asked: &Asked, base: &str, all: Vec<Value>) -> Told {
    let number = |name: &str, or: usize| asked.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    let last = all.len().div_ceil(size).max(1);
    let some: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let mut others = Vec::new();
    for (rel, number, is_there) in [
        ("prev", page.wrapping_sub(1), page > 1),
        ("next", page + 1, page < last),
        ("last", last, page < last),
        ("first", 1, page > 1),
    ] {
        if is_there {
            let mut query = asked.query.clone();
            query.insert("page".to_owned(), number.to_string());
            let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            others.push(format!("<{base}{}?{}>; rel=\"{rel}\"", asked.path, query.join("&")));
        }
    }
    let more = if others.is_empty() { Vec::new() } else { vec![("link", others.join(", "))] };
    (200, Value::Array(some), more)
}

fn ok(body: Value) -> Told {
    (200, body, Vec::new())
}

/// As GitHub words it: a 403 without any header is one of its secondary limits.
fn troubled(status: u16, headers: &[(&'static str, String)]) -> Value {
    let docs = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api";
    match status {
        403 | 429 if headers.is_empty() => json!({
            "documentation_url": format!("{docs}#about-secondary-rate-limits"),
            "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        }),
        403 | 429 => json!({ "documentation_url": docs, "message": "API rate limit exceeded for user ID 1." }),
        _ => json!({ "message": "Service unavailable." }),
    }
}

fn not_found() -> Told {
    refusal(404, "Not Found")
}

fn refusal(status: u16, message: &str) -> Told {
    let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string() });
    (status, body, Vec::new())
}

/// Of a query or a form.
pub fn pairs(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}
