//! What calls of auth mounts read of a request.

use axum::http::request::Parts;
use serde_json::{Map, Value};

use crate::{
    app::App,
    catalog::Method,
    http::{
        body::Takes,
        error::{ApiError, Kind},
        form,
        permitted::{Caller, Input, Raw},
        query,
    },
    ids::MountName,
    limits,
    login::OwnPath,
    policy,
};

pub struct ByGet(pub Map<String, Value>);
pub struct ByPost(pub Map<String, Value>);

const ABOVE: &str = "/api/v1/auth/";

impl Input for ByGet {
    type Action = policy::Verb;
    type Resource = OwnPath;

    const OPERATION: &'static str = "auth.call";

    fn target(raw: &Raw, _: &Caller, app: &App) -> Result<(policy::Verb, OwnPath), ApiError> {
        let of = named(&raw.parts)?;
        Ok((app.login.own_action(&of, Method::Get), of))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        members(query::members(&raw.parts)?).map(Self)
    }
}

impl Input for ByPost {
    type Action = policy::Verb;
    type Resource = OwnPath;

    const OPERATION: &'static str = "auth.call";
    const TAKES: Takes = Takes::ObjectOrNothing;
    /// It rules how people log in.
    const POWERFUL: bool = true;

    fn target(raw: &Raw, _: &Caller, app: &App) -> Result<(policy::Verb, OwnPath), ApiError> {
        let of = named(&raw.parts)?;
        Ok((app.login.own_action(&of, Method::Post), of))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        members(raw.body.into_value()).map(Self)
    }
}

/// The mount that a URL names: `/api/v1/auth/{mount}/…`.
pub fn mount(parts: &Parts) -> Result<MountName, ApiError> {
    let below = parts.uri.path().strip_prefix(ABOVE).unwrap_or_default();
    let name = below.split('/').next().unwrap_or_default();
    let text = form::decode(name.as_bytes(), false).map_err(|_| invalid("mount", "must be UTF-8"))?;
    MountName::parse(&text).map_err(|error| invalid("mount", error.0))
}

/// Decoded once, then split; the last segment is what is done.
fn named(parts: &Parts) -> Result<OwnPath, ApiError> {
    let mount = mount(parts)?;
    let below = parts.uri.path().strip_prefix(ABOVE).unwrap_or_default();
    let (_, rest) = below.split_once('/').unwrap_or_default();
    let text = form::decode(rest.as_bytes(), false).map_err(|_| invalid("path", "must be UTF-8"))?;
    let is_plain = |segment: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
        segment.bytes().all(plain) && !matches!(segment, "" | "." | "..") && segment.len() <= limits::SEGMENT_BYTES
    };
    let segments: Vec<&str> = text.split('/').collect();
    if segments.len() > limits::PATH_SEGMENTS
        || text.len() > limits::PATH_BYTES
        || !segments.iter().all(|s| is_plain(s))
    {
        return Err(invalid("path", "must be segments of letters, digits and . _ @ + -"));
    }
    let (path, operation) = text.rsplit_once('/').unwrap_or(("", &text));
    Ok(OwnPath { mount, path: path.to_owned(), operation: operation.to_owned() })
}

fn members(value: Value) -> Result<Map<String, Value>, ApiError> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(ApiError::at(Kind::WrongType, ["body"])),
    }
}

fn invalid(member: &'static str, why: &'static str) -> ApiError {
    ApiError::because(Kind::InvalidValue, ["path", member], why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(String, String, String)> {
        let (parts, ()) = axum::http::Request::get(format!("/api/v1/auth/{path}")).body(()).unwrap().into_parts();
        named(&parts).ok().map(|of| (of.mount.to_string(), of.path, of.operation))
    }

    #[test]
    fn the_last_segment_is_what_is_done() {
        let told = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(read("github/groups"), told("github", "", "groups"));
        assert_eq!(read("ldap/a%2Fb/sync"), told("ldap", "a/b", "sync"));
        for bad in
            ["github/", "github//x", "github/../x", "github/a%2F..%2Fx", "github/%ff", "GITHUB/x", "me/x", "x/a%20b"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
