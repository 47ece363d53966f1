//! Secrets in URLs: `/secrets/kv/apps/db:history`, or `/secrets:history?secret_id=kv/apps/db`.
//!
//! The path is decoded once and then split, so `%2F` is a `/` and nothing is decoded twice.

use axum::http::{Uri, request::Parts};
use serde_json::Value;

use super::{
    error::{ApiError, Kind},
    form, query,
};
use crate::ids::{Folder, SecretPath};

/// Where secrets stand.
pub const SECRETS: &str = "/api/v1/secrets";

/// What a URL below `/api/v1/secrets` names: a secret, and perhaps a verb.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub id: SecretPath,
    pub verb: Option<String>,
    /// What the query says besides `secret_id`: an object of strings.
    pub query: Value,
}

/// Which of the calls that go by GET a URL means. A glance only: what it names is read, and
/// refused, after it is known who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Everything that the caller may list.
    All,
    Folder,
    Secret,
    Verb,
}

pub fn shape(uri: &Uri) -> Shape {
    let rest = uri.path().strip_prefix(SECRETS).unwrap_or_default();
    let asks = |name: &str| {
        uri.query().unwrap_or_default().split('&').any(|pair| pair.split_once('=').map_or(pair, |(n, _)| n) == name)
    };
    match rest {
        _ if rest.contains(':') || rest.to_ascii_lowercase().contains("%3a") => Shape::Verb,
        "" | "/" if asks("secret_id") => Shape::Secret,
        "" | "/" if asks("prefix") => Shape::Folder,
        "" | "/" => Shape::All,
        _ => Shape::Secret,
    }
}

/// Reads either form. What is no path, or no query, is 422.
pub fn target(parts: &Parts) -> Result<Target, ApiError> {
    let mut query = query::members(parts)?;
    let asked = query.as_object_mut().and_then(|members| members.remove("secret_id"));
    let (text, verb) = split(below(parts)?);
    let (id, place) = match (text, asked) {
        (text, None) if text.is_empty() => (text, ["query", "secret_id"]),
        (text, None) => (text, ["path", "secret_id"]),
        (text, Some(Value::String(asked))) if text.is_empty() => (asked, ["query", "secret_id"]),
        (_, Some(_)) => {
            let msg = "does not go with a secret in the path: give one of the two";
            return Err(ApiError::because(Kind::InvalidValue, ["query", "secret_id"], msg));
        }
    };
    let verb = verb.map(check_verb).transpose()?;
    let id = secret_id(&id, place)?;
    Ok(Target { id, verb, query })
}

/// A secret's id from wherever it was named.
pub fn secret_id(text: &str, place: [&'static str; 2]) -> Result<SecretPath, ApiError> {
    if text.is_empty() {
        return Err(ApiError::at(Kind::Missing, place));
    }
    SecretPath::parse(text).map_err(|error| ApiError::because(Kind::InvalidValue, place, error.0))
}

/// A `prefix`: a folder, with or without a `/` at its end.
pub fn folder(text: &str) -> Result<Folder, ApiError> {
    let place = ["query", "prefix"];
    Folder::parse(text).map_err(|error| ApiError::because(Kind::InvalidValue, place, error.0))
}

/// One name in a path of ours, decoded: `/users/{username}`.
pub fn name(parts: &Parts, before: &str, after: &str, member: &'static str) -> Result<String, ApiError> {
    let raw = parts.uri.path().strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap_or_default();
    form::decode(raw.as_bytes(), false).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", member]))
}

/// What stands after `/api/v1/secrets` and its `/`, decoded.
fn below(parts: &Parts) -> Result<String, ApiError> {
    let rest = parts.uri.path().strip_prefix(SECRETS).unwrap_or_default();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    form::decode(rest.as_bytes(), false).map_err(|_| {
        ApiError::because(Kind::InvalidValue, ["path", "secret_id"], "must be UTF-8, percent-encoded where needed")
    })
}

fn split(mut text: String) -> (String, Option<String>) {
    match text.rfind(':') {
        Some(at) => {
            let verb = text.split_off(at);
            (text, Some(verb[1..].to_owned()))
        }
        None => (text, None),
    }
}

/// `[a-z][a-z0-9_-]{0,62}`. Which verbs there are is the engine's to say.
fn check_verb(verb: String) -> Result<String, ApiError> {
    let first = verb.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let rest = verb.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    match first && rest && verb.len() <= 63 {
        true => Ok(verb),
        false => Err(ApiError::because(
            Kind::InvalidValue,
            ["path", "verb"],
            "must be 1 to 63 of a-z 0-9 _ -, and begin with a letter",
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;

    fn read(rest: &str) -> Result<Target, ApiError> {
        target(&Request::get(format!("{SECRETS}{rest}")).body(()).unwrap().into_parts().0)
    }

    fn named(rest: &str) -> (String, Option<String>) {
        let target = read(rest).unwrap();
        (target.id.to_string(), target.verb)
    }

    #[test]
    fn both_forms_name_the_same_secret() {
        for rest in
            ["/kv/apps/db", "/kv%2Fapps%2Fdb", "/kv%2fapps/d%62", "?secret_id=kv/apps/db", "?secret_id=kv%2Fapps%2Fdb"]
        {
            assert_eq!(named(rest), ("kv/apps/db".into(), None), "{rest}");
        }
        for rest in ["/kv/a:history", "/kv%2Fa%3Ahistory", ":history?secret_id=kv/a", "/:history?secret_id=kv/a"] {
            assert_eq!(named(rest), ("kv/a".into(), Some("history".into())), "{rest}");
        }
        assert_eq!(named("/kv/%D0%B8%D0%BC%D1%8F").0, "kv/имя");
        assert_eq!(named("/kv/a+b").0, "kv/a+b");
        assert_eq!(read("/kv/a?version=3").unwrap().query, json!({"version": "3"}));
    }

    #[test]
    fn nothing_is_decoded_twice_and_no_variant_is_normalised() {
        let bad = [
            "",
            "/",
            "/kv",
            "/kv/",
            "/kv/a/",
            "/kv//a",
            "/kv/./a",
            "/kv/../a",
            "/kv/%2e%2e/a",
            "/kv/a%252Fb",
            "/kv/a%00",
            "/kv/%ff",
            "/kv/a%",
            "/kv/a%zz",
            "/kv/a:b:history",
            "/kv/a:",
            "/kv/a:His",
            "/kv/a:h%20",
            "/:history",
            "//kv/a",
            "/kv/a%5Cb",
            "/kv/ca%CC%81",
            "/%20kv/a",
            "?secret_id=",
            "?secret_id=kv/a:history",
            "/kv/a?secret_id=kv/a",
        ];
        for rest in bad {
            let error = read(rest).unwrap_err();
            assert_eq!(error.kind().status(), 422, "{rest}");
            assert!(!error.detail()[0].loc.is_empty(), "{rest}");
        }
    }

    #[test]
    fn a_name_in_a_path_is_decoded_once() {
        let parts = Request::get("/api/v1/users/a%40b.c/update").body(()).unwrap().into_parts().0;
        assert_eq!(name(&parts, "/api/v1/users/", "/update", "username").unwrap(), "a@b.c");
    }
}
