//! How commands talk to a server: HTTPS, one address, one token, no redirects.
//!
//! `Target::client` speaks for whoever is logged in (`COFFER_TOKEN`, or the session that `login`
//! saved, renewed when it is near its end), `Target::anonymous` for nobody. A command sends one
//! request for each thing it must know: a token may be good for one alone.

use std::{error::Error, io, path::PathBuf, time::Duration};

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Method, Url, header, redirect};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    Failure,
    saved::{self, Lock, Saved, Session},
};
use crate::{address::is_loopback_host, sensitive::Secret};

/// Where the server is. The token comes from the environment or a file: arguments are for all to see.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// Address of the server; that of the last login, or https://127.0.0.1:8200
    #[arg(long, env = "COFFER_ADDR", value_name = "URL", global = true)]
    pub address: Option<String>,
    /// PEM file of the authority to trust, instead of the one pinned by login or the system's
    #[arg(long, env = "COFFER_CACERT", value_name = "FILE", global = true)]
    pub ca_cert: Option<PathBuf>,
}

const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// Sealing waits for the whole store; nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(90);
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    holder: Holder,
}

/// Whose token goes along.
#[derive(Debug)]
enum Holder {
    Nobody,
    /// `COFFER_TOKEN`: ours to use, not to renew.
    Given(Secret<String>),
    Saved(Box<Mutex<Saved>>),
}

impl Target {
    /// Speaks for who is logged in.
    pub fn client(&self) -> Result<Client, Failure> {
        let given = std::env::var("COFFER_TOKEN").ok().map(|token| token.trim().to_owned());
        self.client_with(given.filter(|token| !token.is_empty()))
    }

    /// The same, whatever `COFFER_TOKEN` is.
    pub fn client_of_saved(&self) -> Result<Client, Failure> {
        self.client_with(None)
    }

    fn client_with(&self, given: Option<String>) -> Result<Client, Failure> {
        let saved = self.saved()?;
        let http = self.http(&saved)?;
        let address = saved.address.clone();
        let holder = match given {
            Some(token) => Holder::Given(Secret::new(token)),
            None if saved.session.is_some() => Holder::Saved(Box::new(Mutex::new(saved))),
            None => {
                let nobody = Failure::nobody(&format!("nobody is logged in at {address}"));
                // A login elsewhere would help nobody here.
                let told = self.address.is_some() && std::env::var("COFFER_ADDR").ok() != self.address;
                let login = || format!("coffer login --address {address}");
                return Err(if told { nobody.next(401, login) } else { nobody });
            }
        };
        Ok(Client { http, address, holder })
    }

    /// Speaks for nobody.
    pub fn anonymous(&self) -> Result<Client, Failure> {
        self.anonymous_at(&self.saved()?)
    }

    /// The same, with what has been learned of the server since.
    pub fn anonymous_at(&self, saved: &Saved) -> Result<Client, Failure> {
        Ok(Client { http: self.http(saved)?, address: saved.address.clone(), holder: Holder::Nobody })
    }

    /// What is known of this server, if only its address.
    pub fn saved(&self) -> Result<Saved, Failure> {
        let address = self.address()?;
        Ok(Saved::load(&address)?.unwrap_or_else(|| Saved::new(&address)))
    }

    pub fn address(&self) -> Result<String, Failure> {
        let told = self.address.clone().or_else(saved::last_address);
        let text = told.as_deref().unwrap_or(DEFAULT_ADDRESS).trim_end_matches('/');
        let refuse = |told: &str| Err(Failure::usage(format!("the address {told}")));
        let Ok(url) = Url::parse(text) else { return refuse("must be a URL, such as https://127.0.0.1:8200") };
        if url.scheme() != "https" || url.host().is_none() {
            return refuse("must begin with https://");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return refuse("must be of a server and nothing else");
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }

    /// What --ca-cert or `COFFER_CACERT` names, read.
    pub fn told_authority(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.ca_cert else { return Ok(None) };
        let unreadable = |error| Failure::usage(format!("{}: cannot be read: {error}", path.display()));
        let pem = std::fs::read_to_string(path).map_err(unreadable)?;
        authorities(&pem)
            .map(|_| Some(pem))
            .ok_or_else(|| Failure::usage(format!("{}: holds no certificate in PEM form", path.display())))
    }

    fn http(&self, saved: &Saved) -> Result<reqwest::Client, Failure> {
        // Chosen by whoever comes first in a process, so that it is chosen already is no failure.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&saved.address) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = self.told_authority()?.or_else(|| saved.ca_cert.clone()) {
            let damaged = || Failure::usage("the pinned certificate is damaged: coffer login --ca-cert FILE");
            builder = builder.tls_certs_only(authorities(&pem).ok_or_else(damaged)?);
        }
        // What can go wrong here is whom to trust: there may be no authority on this machine.
        builder.build().map_err(|error| Failure::untrusted(told(&saved.address, &error)))
    }
}

/// At least one, or nothing.
fn authorities(pem: &str) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|found| !found.is_empty())
}

pub fn is_loopback(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.host_str().is_some_and(is_loopback_host))
}

/// One name in a path: `users/{name}/update`.
pub fn segment(name: &str) -> Result<String, Failure> {
    // Whoever reads a URL takes these for a step up, however they are encoded.
    match name {
        "" | "." | ".." => Err(Failure::usage(format!("{name:?} is no name"))),
        name => Ok(utf8_percent_encode(name, ENCODED).to_string()),
    }
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone)]
struct Call<'a> {
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, String)],
    body: Body<'a>,
}

impl Call<'_> {
    /// Its path, and the names in its query: values are nobody's business.
    fn what(&self) -> String {
        let names: Vec<&str> = self.query.iter().map(|(name, _)| *name).collect();
        let names = names.join("&");
        if names.is_empty() { self.path.to_owned() } else { format!("{}?{names}", self.path) }
    }
}

#[derive(Clone)]
enum Body<'a> {
    None,
    Json(&'a Value),
    /// JSON as somebody wrote it.
    Written(&'a str),
    Bytes(&'a [u8], &'static str),
}

impl Client {
    /// `path` is below `/api/v1`.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(Call { method: Method::GET, path, query, body: Body::None }).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Call { method: Method::POST, path, query: &[], body: Body::Json(body) }).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Call { method: Method::PUT, path, query: &[], body: Body::Json(body) }).await
    }

    pub async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.send(Call { method: Method::DELETE, path, query, body: Body::None }).await
    }

    /// JSON as somebody wrote it: read and written again, its numbers might be others.
    pub async fn written(&self, method: Method, path: &str, json: &str) -> Result<Value, Failure> {
        self.send(Call { method, path, query: &[], body: Body::Written(json) }).await
    }

    /// An upload.
    pub async fn put_bytes(&self, path: &str, bytes: &[u8], media_type: &'static str) -> Result<Value, Failure> {
        self.send(Call { method: Method::PUT, path, query: &[], body: Body::Bytes(bytes, media_type) }).await
    }

    /// All pages of a listing, put together: what `lists` names of each, and nothing else.
    pub async fn all(&self, path: &str, query: &[(&str, String)], lists: &[&str]) -> Result<Value, Failure> {
        let mut whole: Vec<Vec<Value>> = vec![Vec::new(); lists.len()];
        let mut query = query.to_vec();
        loop {
            let mut page = self.get_with(path, &query).await?;
            for (name, into) in lists.iter().zip(&mut whole) {
                into.extend(page[*name].as_array_mut().map(std::mem::take).unwrap_or_default());
            }
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            query.retain(|(name, _)| *name != "cursor");
            query.push(("cursor", cursor.to_owned()));
        }
        Ok(lists.iter().zip(whole).map(|(name, list)| ((*name).to_owned(), Value::Array(list))).collect())
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same server, spoken to by whoever holds this token.
    pub fn speaking_for(&self, token: &Secret<String>) -> Self {
        Self { http: self.http.clone(), address: self.address.clone(), holder: Holder::Given(token.clone()) }
    }

    /// Renews the saved session, whether or not it is time.
    pub async fn renew_now(&self) -> Result<(), Failure> {
        let Holder::Saved(saved) = &self.holder else {
            return Err(Failure::usage("COFFER_TOKEN is renewed by whoever gave it; only what login saved is ours"));
        };
        let mut saved = saved.lock().await;
        let held = saved.session.clone().map(|session| session.access_token).unwrap_or_default();
        self.renew(&mut saved, &held).await.map(drop)
    }

    async fn send(&self, call: Call<'_>) -> Result<Value, Failure> {
        let token = self.token().await?;
        match self.once(&call, token.as_ref()).await {
            // It ended before its time, by idling for one; what is refused so has done nothing.
            Err(refused) if refused.status() == Some(401) && refused.kind() == "invalid_token" => {
                match (&self.holder, token) {
                    (Holder::Saved(saved), Some(old)) => {
                        let new = self.renew(&mut *saved.lock().await, &old).await?;
                        self.once(&call, Some(&new)).await
                    }
                    _ => Err(refused),
                }
            }
            answered => answered,
        }
    }

    async fn once(&self, call: &Call<'_>, token: Option<&Secret<String>>) -> Result<Value, Failure> {
        let lost = |error: reqwest::Error| unreachable(&self.address, &error.without_url());
        let mut request = self.http.request(call.method.clone(), format!("{}/api/v1/{}", self.address, call.path));
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        request = match call.body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::Written(text) => request.header(header::CONTENT_TYPE, "application/json").body(text.to_owned()),
            Body::Bytes(bytes, media_type) => request.header(header::CONTENT_TYPE, media_type).body(bytes.to_vec()),
        };
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let text = response.bytes().await.map_err(lost)?;
        let body = serde_json::from_slice(&text).unwrap_or(Value::Null);
        match status.is_success() {
            true if body.is_object() => Ok(body),
            true => Err(Failure::no_coffer()),
            false => Err(Failure::refused(status.as_u16(), &body).wait(wait).asked_for(call.what())),
        }
    }

    async fn token(&self) -> Result<Option<Secret<String>>, Failure> {
        let saved = match &self.holder {
            Holder::Nobody => return Ok(None),
            Holder::Given(token) => return Ok(Some(token.clone())),
            Holder::Saved(saved) => saved,
        };
        let mut saved = saved.lock().await;
        let Some(session) = saved.session.clone() else { return Ok(None) };
        if !session.is_near_end() || session.refresh_token.is_none() {
            return Ok(Some(session.access_token));
        }
        self.renew(&mut saved, &session.access_token).await.map(Some)
    }

    /// The access token that came after `old`: from whoever was faster, or from the server.
    async fn renew(&self, saved: &mut Saved, old: &Secret<String>) -> Result<Secret<String>, Failure> {
        let over = || Failure::nobody(&format!("the session at {} is over", self.address));
        let lock = Lock::take(&self.address).await?;
        let newest = Saved::load(&self.address)?.ok_or_else(over)?;
        let session = newest.session.clone().ok_or_else(over)?;
        // Somebody else has logged in here meanwhile: what we began is not theirs to go on with.
        if newest.username != saved.username {
            return Err(over());
        }
        *saved = newest;
        if session.access_token.reveal() != old.reveal() && !session.is_near_end() {
            return Ok(session.access_token);
        }
        let Some(refresh) = &session.refresh_token else { return Err(over()) };
        let body = json!({"refresh_token": refresh.reveal()});
        let call = Call { method: Method::POST, path: "token/renew", query: &[], body: Body::Json(&body) };
        let renewed = match self.once(&call, None).await {
            Ok(answer) => Session::from_answer(&answer).ok_or_else(Failure::no_coffer)?,
            Err(refused) if refused.kind() == "invalid_grant" => {
                saved.session = None;
                saved.save(&lock)?;
                return Err(over());
            }
            Err(other) => return Err(other),
        };
        let token = renewed.access_token.clone();
        saved.session = Some(renewed);
        saved.save(&lock)?;
        Ok(token)
    }
}

fn unreachable(address: &str, error: &reqwest::Error) -> Failure {
    match is_untrusted(error) {
        true => Failure::untrusted(told(address, error)),
        false => Failure::unreachable(told(address, error)),
    }
}

/// What stands at the end of the chain is what happened, be it that a certificate is not trusted.
fn told(address: &str, error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(before) = cause.source() {
        cause = before;
    }
    format!("{address}: {cause}")
}

/// TLS did not take the certificate. What an I/O error is made of stands in no chain: it speaks for itself.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let within = within.map(|within| within as &(dyn Error + 'static));
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
        || within.or_else(|| error.source()).is_some_and(is_untrusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str) -> Target {
        Target { address: Some(address.to_owned()), ca_cert: None }
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear() {
        for address in ["http://127.0.0.1:8200", "127.0.0.1:8200", "", "https://", "https://u:p@h", "https://h?x"] {
            assert!(matches!(target(address).address(), Err(Failure::Usage(_))), "{address}");
        }
        assert_eq!(target("https://Example.com:8200/").address().unwrap(), "https://example.com:8200");
    }

    #[test]
    fn an_authority_that_is_none_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nx")] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let target = Target { ca_cert: Some(file.clone()), ..target("https://localhost:1") };
            let saved = Saved::new("https://localhost:1");
            assert!(matches!(target.anonymous_at(&saved), Err(Failure::Usage(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_exit_code_of_its_own() {
        let client = Target::default().anonymous_at(&Saved::new("https://127.0.0.1:1")).unwrap();
        let failure = client.get("sys/health").await.unwrap_err();
        assert_eq!(failure.number(), 3, "{failure}");
    }

    /// Who answers there says so with a certificate of its own making, or in the clear.
    async fn listening(tls: Option<tokio_rustls::TlsAcceptor>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            match tls {
                Some(tls) => drop(tls.accept(stream).await),
                None => drop(tokio::io::AsyncWriteExt::write_all(&mut stream, b"certificate certificate").await),
            }
        });
        address
    }

    #[tokio::test]
    async fn only_a_certificate_that_is_not_trusted_asks_for_trust() {
        let [key, other] = std::array::from_fn(|_| rcgen::KeyPair::generate().unwrap());
        let made = |key| rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(key).unwrap();
        let (shown, other) = (made(&key), made(&other));
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        for (tls, is_untrusted) in [(Some(tls), true), (None, false)] {
            let saved = Saved { ca_cert: Some(other.pem()), ..Saved::new(&listening(tls).await) };
            let failure = Target::default().anonymous_at(&saved).unwrap().get("sys/health").await.unwrap_err();
            match failure {
                Failure::Unreachable { is_untrusted: found, cause } => assert_eq!(found, is_untrusted, "{cause}"),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_name_in_a_path_is_one_segment() {
        assert_eq!(segment("a/b?c#d e%é").unwrap(), "a%2Fb%3Fc%23d%20e%25%C3%A9");
        assert_eq!(segment("kv/~/tls.crt").unwrap(), "kv%2F~%2Ftls.crt");
        for bad in ["", ".", ".."] {
            assert!(segment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_is_reached_without_a_proxy() {
        for (address, is) in [
            ("https://127.0.0.1:8200", true),
            ("https://localhost", true),
            ("https://[::1]:1", true),
            ("https://[::ffff:127.0.0.1]:1", true),
            ("https://127.0.0.1.example.com", false),
            ("https://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(address), is, "{address}");
        }
    }
}
