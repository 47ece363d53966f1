//! A caller: who it is, how it asks, and what holds for every answer it gets.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, RwLock};

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::leaks::Secrets;

/// Calls that need no record: anybody may ask them at any rate, and they tell nothing that anybody owns.
const UNRECORDED: [&str; 4] = ["/sys/health", "/sys/seal-status", "/openapi.json", "/docs"];

/// One request that was answered.
#[derive(Clone)]
pub struct Seen {
    pub id: String,
    pub what: String,
    pub status: u16,
}

/// What the clients of one server share: where it is (it may come back elsewhere) and what went over the wire.
pub struct Link {
    at: RwLock<(reqwest::Client, String)>,
    pub secrets: Arc<Secrets>,
    pub seen: Mutex<Vec<Seen>>,
}

impl Link {
    pub fn new(http: reqwest::Client, url: String) -> Self {
        Self { at: RwLock::new((http, url)), secrets: Arc::default(), seen: Mutex::default() }
    }

    pub fn moved(&self, http: reqwest::Client, url: String) {
        *self.at.write().expect("nobody panics here") = (http, url);
    }

    pub fn url(&self) -> String {
        self.at.read().expect("nobody panics here").1.clone()
    }

    fn http(&self) -> reqwest::Client {
        self.at.read().expect("nobody panics here").0.clone()
    }
}

/// Whoever calls: with a token or without.
#[derive(Clone)]
pub struct Client {
    link: Arc<Link>,
    /// From another address than the others.
    http: Option<reqwest::Client>,
    /// The access token.
    pub token: Option<String>,
    /// The whole answer of the login.
    pub session: Value,
    pub username: String,
    pub password: String,
    pub id: String,
}

impl Client {
    pub fn anonymous(link: Arc<Link>) -> Self {
        let none = String::new;
        Self { link, http: None, token: None, session: Value::Null, username: none(), password: none(), id: none() }
    }

    /// The same caller by another way.
    pub fn by(&self, http: reqwest::Client) -> Self {
        Self { http: Some(http), ..self.clone() }
    }

    /// The same caller with another access token.
    pub fn with_token(&self, token: &str) -> Self {
        self.link.secrets.add(token);
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same caller at another server.
    pub fn through(&self, link: Arc<Link>) -> Self {
        Self { link, ..self.clone() }
    }

    /// The same caller with the tokens of this answer.
    pub fn with_session(&self, session: Value) -> Self {
        let token = session["access_token"].as_str().expect("an access token").to_owned();
        Self { session, ..self.with_token(&token) }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().expect("this client is logged in")
    }

    pub fn refresh_token(&self) -> String {
        self.session["refresh_token"].as_str().expect("a refresh token").to_owned()
    }

    pub fn session_id(&self) -> String {
        self.session["session_id"].as_str().expect("a session id").to_owned()
    }

    /// A child session of this one.
    pub async fn child(&self, scope: Option<&str>, session: Value) -> Answer {
        let mut body = json!({ "grant_type": "session", "session": session });
        if let Some(scope) = scope {
            body["scope"] = scope.into();
        }
        self.post("/token/create", body).await
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    pub fn put(&self, path: &str, body: Value) -> Call {
        self.call(Method::PUT, path).json(body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    /// `application/x-www-form-urlencoded`.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        let noted = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        self.link.secrets.note(path, &Value::Object(noted));
        let mut call = self.call(Method::POST, path);
        call.request = call.request.form(fields);
        call
    }

    /// `path` is below `/api/v1`, or a whole URL.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let base = self.link.url();
        let url = match path.starts_with("https://") || path.starts_with("http://") {
            true => path.to_owned(),
            // Where everybody who scrapes looks for it.
            false if path.starts_with("/metrics") => format!("{base}{path}"),
            false => format!("{base}/api/v1{path}"),
        };
        let http = self.http.clone().unwrap_or_else(|| self.link.http());
        let mut request = http.request(method.clone(), url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Call { link: self.link.clone(), request, method, path: path.to_owned() }
    }
}

/// A request that has not been sent; `.await` sends it.
pub struct Call {
    link: Arc<Link>,
    request: reqwest::RequestBuilder,
    method: Method,
    path: String,
}

impl Call {
    pub fn json(mut self, body: Value) -> Self {
        self.link.secrets.note(&self.path, &body);
        self.request = self.request.json(&body);
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn query(mut self, members: &[(&str, &str)]) -> Self {
        self.request = self.request.query(members);
        self
    }

    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// The answer, or nothing where the connection broke.
    pub async fn attempt(self) -> Option<Answer> {
        let what = format!("{} {}", self.method, self.path);
        let response = self.request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { what, status, headers, body, text };
        answer.holds_for_all(&self.method, &self.path);
        self.link.secrets.note(&self.path, &answer.body);
        let path = self.path.split('?').next().unwrap_or_default();
        if !UNRECORDED.iter().any(|unrecorded| path.ends_with(unrecorded)) {
            let seen = Seen { id: answer.request_id(), what: answer.what.clone(), status: status.as_u16() };
            self.link.seen.lock().expect("nobody panics here").push(seen);
        }
        Some(answer)
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let what = format!("{} {}", self.method, self.path);
        Box::pin(async move { self.attempt().await.unwrap_or_else(|| panic!("{what}: no answer")) })
    }
}

/// What came back.
pub struct Answer {
    what: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `Null` where it is no JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
        self.body
    }

    /// Whatever it says: a page.
    #[track_caller]
    pub fn expect_status(self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
    }

    /// A refusal that names this place and this type, perhaps among others.
    #[track_caller]
    pub fn expect_problem<const N: usize>(self, status: u16, loc: [&str; N], kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
        let found = self.problems().iter().any(|(at, of)| at == &loc && of == kind);
        assert!(found, "{}: no {kind} at {loc:?} in {}", self.what, self.text);
        self.body
    }

    /// A refusal that names this place.
    #[track_caller]
    pub fn expect_at<const N: usize>(self, status: u16, loc: [&str; N]) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
        let found = self.problems().iter().any(|(at, _)| at == &loc);
        assert!(found, "{}: nothing at {loc:?} in {}", self.what, self.text);
        self.body
    }

    /// A refusal of this type, wherever.
    #[track_caller]
    pub fn expect_type(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
        let found = self.problems().iter().any(|(_, of)| of == kind);
        assert!(found, "{}: no {kind} in {}", self.what, self.text);
        self.body
    }

    /// What stays the same when the same question is asked twice: all but the request id.
    pub fn likeness(&self) -> (u16, Value) {
        let mut body = self.body.clone();
        if let Value::Object(members) = &mut body {
            members.remove("request_id");
        }
        (self.status.as_u16(), body)
    }

    /// OAuth's errors (RFC 6749 §5.2) beside our own shape.
    #[track_caller]
    pub fn expect_oauth(self, status: u16, error: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text);
        assert_eq!(self.body["error"], error, "{}: {}", self.what, self.text);
        assert!(self.body["error_description"].is_string(), "{}: {}", self.what, self.text);
        self.body
    }

    /// 401, and how to do better.
    #[track_caller]
    pub fn expect_unauthorized(self) -> Value {
        assert_eq!(self.status.as_u16(), 401, "{}: {}", self.what, self.text);
        self.body
    }

    #[track_caller]
    pub fn expect_forbidden(self) -> Value {
        assert_eq!(self.status.as_u16(), 403, "{}: {}", self.what, self.text);
        self.body
    }

    pub fn request_id(&self) -> String {
        self.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// Place and type of each problem.
    fn problems(&self) -> Vec<(Vec<String>, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let problems = self.body["detail"].as_array().cloned().unwrap_or_default();
        let place = |problem: &Value| problem["loc"].as_array().map(|loc| loc.iter().map(text).collect());
        problems.iter().map(|problem| (place(problem).unwrap_or_default(), text(&problem["type"]))).collect()
    }

    fn holds_for_all(&self, method: &Method, path: &str) {
        let say = format!("{}: {} {}", self.what, self.status, self.text);
        assert!(self.status != StatusCode::INTERNAL_SERVER_ERROR, "nothing a client sends makes a 500: {say}");
        let id = self.request_id();
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "a request id: {id:?} {say}");
        assert_eq!(self.headers.get("cache-control").map(|v| v.as_bytes()), Some(b"no-store".as_slice()), "{say}");
        if *method == Method::HEAD || ["/docs", "/metrics"].contains(&path) {
            return;
        }
        // Pages for people, whatever they say; a click leads elsewhere.
        let page = path.split('?').next().unwrap_or_default();
        if ["/browser", "/callback"].iter().any(|end| page.ends_with(end)) && page.contains("/auth/") {
            let is_page = self.headers.get("content-type").is_some_and(|kind| kind == "text/html; charset=utf-8");
            assert!(is_page || self.status == StatusCode::SEE_OTHER || self.body.is_object(), "{say}");
            return;
        }
        assert!(self.body.is_object(), "always an object: {say}");
        // Health tells in its own words, whatever it is.
        if self.status.as_u16() >= 400 && !path.ends_with("/sys/health") {
            assert_eq!(self.body["request_id"], id.as_str(), "{say}");
            let problems = self.body["detail"].as_array().unwrap_or_else(|| panic!("detail is a list: {say}"));
            assert!(!problems.is_empty(), "{say}");
            for problem in problems {
                let loc = problem["loc"].as_array().unwrap_or_else(|| panic!("loc is a list: {say}"));
                let first = loc.first().map(|place| place.as_str().unwrap_or_default());
                assert!(first.is_none_or(|place| ["body", "query", "path", "header"].contains(&place)), "{say}");
                assert!(problem["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{say}");
                assert!(problem["type"].as_str().is_some_and(|of| !of.is_empty()), "{say}");
            }
        }
        let has = |name: &str| self.headers.contains_key(name);
        match self.status.as_u16() {
            401 => assert!(has("www-authenticate"), "{say}"),
            // A place becomes free when somebody frees it: nobody knows when.
            429 if ["too_many_sessions", "too_many_leases"]
                .iter()
                .any(|kind| self.body["detail"][0]["type"] == *kind) =>
            {
                assert!(!has("retry-after"), "{say}");
            }
            429 | 503 if !path.ends_with("/sys/health") => assert!(has("retry-after"), "{say}"),
            405 => assert!(has("allow"), "{say}"),
            _ => {}
        }
    }
}
