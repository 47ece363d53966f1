//! What a file of calls can ask, and how it becomes what the server would ask.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    catalog::{Kind, Manifest, Method},
    ids::{Folder, MountName, SecretPath},
    limits,
    runtime::{Fault, types::GuestError},
    span::Span,
};

/// One thing to do: exactly one of `operation`, `login`, `resume`, `refresh`, `enroll`, `verify`, `credentials`,
/// `remove`, `tick`, `renew` and `revoke`, or nothing but `advance`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) operation: Option<String>,
    /// Of a verb that the manifest has by both methods.
    method: Option<Method>,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default)]
    body: Option<Value>,
    /// Credentials: it is a login.
    login: Option<Map<String, Value>>,
    /// What the client says to the last challenge.
    resume: Option<Map<String, Value>>,
    /// The session of the last login is renewed.
    #[serde(default)]
    refresh: bool,
    /// A credential of `user`'s.
    enroll: Option<Map<String, Value>>,
    verify: Option<Map<String, Value>>,
    /// Those that `user` has are listed.
    #[serde(default)]
    credentials: bool,
    /// The one of this `id`, or all.
    #[serde(default)]
    remove: bool,
    pub(super) id: Option<String>,
    #[serde(default)]
    tick: bool,
    /// The last lease, by so much.
    renew: Option<Span>,
    #[serde(default)]
    revoke: bool,
    /// Whom credentials name, or who asks.
    pub(super) user: Option<String>,
    /// The clock is moved, before all else.
    pub(super) advance: Option<Span>,
    /// These members stand in the answer.
    pub(super) answer: Option<Value>,
    /// It refuses, with this code.
    pub(super) error: Option<String>,
}

/// What is asked of the plugin.
pub(super) enum Question<'a> {
    Operation(&'a str),
    Login(&'a Map<String, Value>),
    Resume(&'a Map<String, Value>),
    Refresh,
    Enroll(&'a Map<String, Value>),
    Verify(&'a Map<String, Value>),
    Credentials,
    Remove,
    Tick,
    Renew(u64),
    Revoke,
    Nothing,
}

impl Asked {
    pub(super) fn question(&self) -> Result<Question<'_>, &'static str> {
        let seconds = |span: &Span| u64::try_from(span.duration().as_secs()).unwrap_or_default();
        let all = [
            self.operation.as_deref().map(Question::Operation),
            self.login.as_ref().map(Question::Login),
            self.resume.as_ref().map(Question::Resume),
            self.refresh.then_some(Question::Refresh),
            self.enroll.as_ref().map(Question::Enroll),
            self.verify.as_ref().map(Question::Verify),
            self.credentials.then_some(Question::Credentials),
            self.remove.then_some(Question::Remove),
            self.tick.then_some(Question::Tick),
            self.renew.as_ref().map(|span| Question::Renew(seconds(span))),
            self.revoke.then_some(Question::Revoke),
        ];
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(question), None) => Ok(question),
            (None, _) if self.advance.is_some() => Ok(Question::Nothing),
            (None, _) => Err("asks nothing: it has to have an operation, a login, advance or the like"),
            _ => Err("asks more than one thing at once"),
        }
    }

    /// As the server has it before it asks an engine: how it comes, and its body. What the server would refuse itself
    /// is refused here, so that a test that passes is no promise that it breaks.
    pub(super) fn request(&self, operation: &str, manifest: &Manifest) -> Result<(bool, Map<String, Value>), Amiss> {
        let body = match &self.body {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(body)) => body.clone(),
            Some(_) => return Err(amiss("its body is no JSON object, and the server takes no other")),
        };
        if manifest.kind == Kind::Secrets {
            self.path_is_one(operation, manifest)?;
        }
        match operation {
            "list" | "create" | "read" | "update" | "patch" | "delete" if manifest.kind == Kind::Auth => {
                Err(amiss("an auth method is asked only for what stands in [[calls]] of plugin.toml"))
            }
            "list" => Ok((true, with_page(body))),
            "read" => Ok((true, as_query(body)?)),
            "delete" => Ok((false, as_query(body)?)),
            "create" | "update" | "patch" => Ok((false, with_data(body))),
            verb => self.verb(verb, body, manifest),
        }
    }

    fn verb(
        &self,
        verb: &str,
        body: Map<String, Value>,
        manifest: &Manifest,
    ) -> Result<(bool, Map<String, Value>), Amiss> {
        // A verb of a secret is one of a path; an auth method may have some of the mount itself.
        let on_mount = manifest.kind == Kind::Auth && self.path.is_empty();
        let methods = [Method::Post, Method::Get].into_iter().filter(|by| self.method.is_none_or(|only| only == *by));
        let mut found = methods.filter_map(|method| manifest.call(verb, method, on_mount));
        let call = found.next().ok_or_else(|| {
            amiss("plugin.toml has no [[calls]] for it: the server answers 404 or 405, and the plugin is not asked")
        })?;
        let by_get = call.method == Method::Get;
        let body = if by_get { as_query(body)? } else { body };
        call.check(&body).map_err(|problems| {
            let (code, message) = ("invalid".to_owned(), String::new());
            Amiss::Refused(Fault::Refused(GuestError { code, message, problems, retry_after: None }))
        })?;
        Ok((by_get, body))
    }

    fn path_is_one(&self, operation: &str, manifest: &Manifest) -> Result<(), Amiss> {
        let mount = MountName::parse(manifest.name.as_str()).map_err(|error| amiss(error.0))?;
        let parsed = match operation {
            "list" => Folder::parse(&format!("{mount}/{}", self.path)).map(drop),
            _ => SecretPath::new(mount, &self.path).map(drop),
        };
        parsed.map_err(|error| amiss(&format!("the server has no such path: {}", error.0)))
    }
}

/// Why a call does not get as far as the plugin.
pub(super) enum Amiss {
    /// The file asks what cannot be asked.
    Said(String),
    /// The server refuses it, as it says.
    Refused(Fault),
}

fn amiss(why: &str) -> Amiss {
    Amiss::Said(why.to_owned())
}

/// What comes in a URL is text, and null does not come.
fn as_query(body: Map<String, Value>) -> Result<Map<String, Value>, Amiss> {
    let text = |(name, value): (String, Value)| match value {
        Value::String(_) => Ok((name, value)),
        Value::Number(_) | Value::Bool(_) => Ok((name, json!(value.to_string()))),
        _ => Err(amiss("it comes in a URL, where there are texts, numbers and truth values only")),
    };
    body.into_iter().filter(|(_, value)| !value.is_null()).map(text).collect()
}

/// `value` is short for data with one member.
fn with_data(mut body: Map<String, Value>) -> Map<String, Value> {
    if !body.contains_key("data")
        && let Some(value) = body.remove("value")
    {
        body.insert("data".to_owned(), json!({"value": value}));
    }
    body
}

/// What the server says in every list.
fn with_page(mut body: Map<String, Value>) -> Map<String, Value> {
    body.entry("recursive").or_insert(json!(false));
    body.entry("limit").or_insert(json!(limits::LIST_DEFAULT));
    body
}
