use std::{collections::BTreeSet, time::Duration};

use semver::Version;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Auth, CredentialSpec, Error, Method, RequestSchema, Schema, credential, header, size::Size, verb::fixed_action,
};
use crate::{
    ids::{Action, PluginName},
    limits,
    problem::{self, Problem},
    runtime::{Bounds, Grant, HostGrant},
};

/// `plugin.toml`: what a plugin is and what it asks for.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub name: PluginName,
    pub version: Version,
    pub kind: Kind,
    /// Interfaces that it exports besides those that its kind demands, as far as it names them.
    pub exports: BTreeSet<String>,
    /// Only of auth methods.
    pub auth: Auth,
    pub requires: Requires,
    pub calls: Vec<CallSpec>,
    pub config: Schema,
    pub(super) credentials: Vec<CredentialSpec>,
    limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Auth,
    Secrets,
}

/// What it asks for; importing more is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    pub crypto: BTreeSet<String>,
    pub http: Vec<HttpAsk>,
    /// Request headers, in lower case.
    pub headers: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAsk {
    #[serde(default)]
    pub host: Option<String>,
    /// JSON Pointer to a URL in the configuration.
    #[serde(default)]
    pub host_from: Option<String>,
    #[serde(default = "https")]
    pub port: u16,
    /// For the operator who grants it.
    pub why: String,
}

fn https() -> u16 {
    443
}

/// Where a request may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    Host(&'a str),
    FromConfig(&'a str),
}

impl HttpAsk {
    pub fn target(&self) -> Target<'_> {
        match (&self.host, &self.host_from) {
            (Some(host), _) => Target::Host(host),
            (None, pointer) => Target::FromConfig(pointer.as_deref().unwrap_or_default()),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Limits {
    memory: Option<Size>,
    cpu_ms: Option<u64>,
    wall_ms: Option<u64>,
}

/// A verb beyond the plain six.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallSpec {
    /// `{key}`: any path; "": the mount itself.
    pub path: String,
    pub operation: String,
    pub action: Action,
    pub method: Method,
    /// JSON Schemas, in line.
    #[serde(default)]
    pub request: Option<Value>,
    #[serde(default)]
    pub response: Option<Value>,
    #[serde(skip)]
    checked: Option<RequestSchema>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    plugin: Head,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    requires: Requires,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    calls: Vec<CallSpec>,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    credentials: Vec<CredentialSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: PluginName,
    version: Version,
    kind: Kind,
    api: String,
    #[serde(default)]
    exports: BTreeSet<String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Secrets => "secrets",
        }
    }
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let table: Value = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::Manifest(format!("is not TOML at line {line}"))
        })?;
        let mut written: Written = problem::decode(&table).map_err(Error::Invalid)?;
        let mut problems = check(&written);
        problems.extend(compile(&mut written.calls));
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let config = Schema::new(written.config, "/config").map_err(|problem| Error::Invalid(vec![problem]))?;
        let problems = credential::check(&written.credentials, config.write_only());
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        Ok(Self {
            name: written.plugin.name,
            version: written.plugin.version,
            kind: written.plugin.kind,
            exports: written.plugin.exports,
            auth: written.auth.unwrap_or_default(),
            requires: written.requires,
            calls: written.calls,
            config,
            credentials: written.credentials,
            limits: written.limits,
        })
    }

    /// Against the schema of the mount's configuration.
    pub fn check_config(&self, config: &Value) -> Result<(), Vec<Problem>> {
        self.config.check(config)
    }

    /// What it asks for, with the hosts that `config` names. Not yet what it gets.
    pub fn asked(&self, config: &Value) -> Grant {
        let host = |ask: &HttpAsk| match ask.target() {
            Target::Host(host) => {
                Some(HostGrant { host: host.to_ascii_lowercase(), port: ask.port, ..HostGrant::default() })
            }
            Target::FromConfig(pointer) => config.pointer(pointer).and_then(Value::as_str).and_then(host_of),
        };
        Grant {
            crypto: self.requires.crypto.clone(),
            http: self.requires.http.iter().filter_map(host).collect(),
            headers: self.requires.headers.clone(),
        }
    }

    /// What a call may use up: as asked, and never more than the server allows.
    pub fn bounds(&self) -> Bounds {
        let plain = Bounds::default();
        let millis = |asked: Option<u64>, plain| asked.map_or(plain, Duration::from_millis);
        Bounds {
            memory: self.limits.memory.map_or(plain.memory, |size| size.0).min(limits::PLUGIN_MEMORY),
            cpu: millis(self.limits.cpu_ms, plain.cpu).min(limits::PLUGIN_CPU),
            wall: millis(self.limits.wall_ms, plain.wall).min(limits::PLUGIN_WALL),
            ..plain
        }
    }

    /// The verb that a request names, if the manifest has it.
    pub fn call(&self, operation: &str, method: Method, path_is_mount: bool) -> Option<&CallSpec> {
        let fits = |call: &&CallSpec| {
            call.operation == operation && call.method == method && call.path.is_empty() == path_is_mount
        };
        self.calls.iter().find(fits)
    }
}

impl CallSpec {
    /// Before the plugin is asked: against what its manifest says that it takes.
    pub fn check(&self, body: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        match (&self.checked, self.method) {
            (None, _) => Ok(()),
            (Some(schema), Method::Get) => schema.check_query(body),
            (Some(schema), Method::Post) => schema.check(&Value::Object(body.clone())),
        }
    }
}

/// Gets what the calls take ready to be checked.
fn compile(calls: &mut [CallSpec]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (at, call) in calls.iter_mut().enumerate() {
        match call.request.clone().map(RequestSchema::new).transpose() {
            Ok(schema) => call.checked = schema,
            Err(why) => found.push(Problem::new(format!("/calls/{at}/request"), "invalid_value", why)),
        }
    }
    found
}

/// Host and port of `https://host[:port]/…`; anything else is nobody's host.
pub(super) fn host_of(url: &str) -> Option<HostGrant> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let grant = || HostGrant { host: host.to_ascii_lowercase(), port, ..HostGrant::default() };
    (!host.is_empty() && host.chars().all(plain)).then(grant)
}

#[cfg(test)]
mod page;

const CRYPTO: [&str; 10] = [
    "password-hash",
    "aes256-gcm",
    "aes256-gcm-siv",
    "chacha20-poly1305",
    "hmac-sha256",
    "ed25519",
    "ecdsa-p256",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
];

/// What a plugin may export besides what its kind demands.
const EXPORTS: [&str; 4] = ["credentials", "engine", "leases", "maintenance"];

/// The plain six are the host's, whatever a manifest says.
const PLAIN: [&str; 6] = ["create", "read", "update", "patch", "delete", "list"];

/// `auth/<mount>/browser` and `auth/<mount>/callback` are the host's own.
const OF_LOGINS: [&str; 2] = ["browser", "callback"];

fn check(written: &Written) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut wrong = |at: String, message: &'static str| found.push(Problem::new(at, "invalid_value", message));
    if written.plugin.api != "1.0" {
        wrong("/plugin/api".to_owned(), "must be 1.0");
    }
    if written.plugin.kind == Kind::Secrets && written.auth.is_some() {
        wrong("/auth".to_owned(), "is for auth methods");
    }
    if written.plugin.exports.iter().any(|name| !EXPORTS.contains(&name.as_str())) {
        wrong("/plugin/exports".to_owned(), "must name engine, leases, credentials or maintenance");
    }
    for name in written.requires.crypto.iter().filter(|name| !CRYPTO.contains(&name.as_str())) {
        let known = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        wrong(problem::pointer("/requires/crypto", if known { name } else { "" }), "is not offered");
    }
    for (at, ask) in written.requires.http.iter().enumerate() {
        if ask.host.is_some() == ask.host_from.is_some() {
            wrong(format!("/requires/http/{at}"), "must name either host or host_from");
        }
    }
    let asks = &written.requires;
    if asks.http.len() > limits::MANIFEST_ASKS || asks.headers.len() > limits::MANIFEST_ASKS {
        wrong("/requires".to_owned(), "asks for too much");
    }
    for (at, why) in asks.headers.iter().filter_map(|name| header::refused(name)) {
        wrong(at, why);
    }
    if written.calls.len() > limits::MANIFEST_CALLS {
        wrong("/calls".to_owned(), "has too many entries");
    }
    let mut seen = BTreeSet::new();
    for (at, call) in written.calls.iter().enumerate() {
        if let Some(message) = check_call(call) {
            wrong(format!("/calls/{at}"), message);
        }
        if written.plugin.kind == Kind::Auth && call.path.is_empty() && OF_LOGINS.contains(&call.operation.as_str()) {
            wrong(format!("/calls/{at}"), "has the name of a page that the host has for logins");
        }
        if !seen.insert((&call.path, &call.operation, call.method)) {
            wrong(format!("/calls/{at}"), "is there twice");
        }
    }
    found
}

fn check_call(call: &CallSpec) -> Option<&'static str> {
    let mut letters = call.operation.bytes();
    let named = letters.next().is_some_and(|b| b.is_ascii_lowercase())
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && call.operation.len() <= 32;
    let fixed = fixed_action(&call.operation, call.method);
    let schemas = [&call.request, &call.response];
    if !named {
        Some("must have an operation of at most 32 of a-z 0-9 - _")
    } else if PLAIN.contains(&call.operation.as_str()) {
        Some("names one of the plain operations")
    } else if !matches!(call.path.as_str(), "" | "{key}") {
        Some("must have the path {key}, or an empty one for the mount itself")
    } else if fixed.is_some_and(|action| action != call.action) {
        Some("has another action than the host has fixed for this operation")
    } else if fixed.is_none() && !matches!(call.action, Action::Use | Action::Manage) {
        Some("must have the action use or manage")
    } else if schemas.iter().any(|schema| schema.as_ref().is_some_and(|schema| !schema.is_object())) {
        Some("must have its schemas in line")
    } else {
        None
    }
}
