//! Query strings: members that are known, each once, as text, numbers or truth.

use axum::http::{Uri, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    error::{ApiError, Kind},
    form,
};
use crate::{limits, problem};

/// The members as text.
pub fn members(parts: &Parts) -> Result<Value, ApiError> {
    form::parse(parts.uri.query().unwrap_or_default().as_bytes(), "query", Kind::InvalidValue)
}

/// The members as a type of ours, which refuses unknown ones (`deny_unknown_fields`).
pub fn decode<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    from_text(members(parts)?, "query")
}

/// All is text here, so what does not fit as text is tried as a number or a truth value.
pub fn from_text<T: DeserializeOwned>(mut members: Value, root: &'static str) -> Result<T, ApiError> {
    // Each turn makes one member something else than text, so there are no more than members.
    loop {
        let problems = match problem::decode(&members) {
            Ok(read) => return Ok(read),
            Err(problems) => problems,
        };
        let mistyped = problems.iter().find(|problem| problem.code == Kind::WrongType.code());
        let Some((member, scalar)) = mistyped.and_then(|problem| {
            let member = members.pointer_mut(&problem.at)?;
            let scalar = scalar(member.as_str()?)?;
            Some((member, scalar))
        }) else {
            return Err(ApiError::problems(root, problems, &members));
        };
        *member = scalar;
    }
}

fn scalar(text: &str) -> Option<Value> {
    match text {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u64>().ok().map(Value::from),
        _ => None,
    }
}

/// The same, before the request is taken apart.
pub fn decode_uri<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    from_text(form::parse(uri.query().unwrap_or_default().as_bytes(), "query", Kind::InvalidValue)?, "query")
}

/// How much of a list is asked for: `limit`, or the default.
pub fn limit(asked: Option<usize>) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(limits::LIST_DEFAULT);
    match (1..=limits::LIST_MOST).contains(&limit) {
        true => Ok(limit),
        false => Err(ApiError::because(Kind::OutOfRange, ["query", "limit"], "must be between 1 and 1000")),
    }
}

/// Which part of a list is asked for.
#[derive(Debug)]
pub struct Page {
    pub limit: usize,
    pub cursor: Option<String>,
}

/// The same, as a query says it that says nothing else.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Page {
    pub fn new(asked: Option<usize>, cursor: Option<String>) -> Result<Self, ApiError> {
        Ok(Self { limit: limit(asked)?, cursor })
    }

    pub fn read(parts: &Parts) -> Result<Self, ApiError> {
        let PageQuery { limit, cursor } = decode(parts)?;
        Self::new(limit, cursor)
    }
}

/// A request that takes no query at all.
#[derive(serde::Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// 422 if there is any query.
pub fn none(parts: &Parts) -> Result<(), ApiError> {
    decode::<Nothing>(parts).map(drop)
}

/// The name of a member that must not be there: a query is logged by everything on its way. Also
/// finds it in a query that is otherwise malformed.
pub fn has_secret(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| form::decode(text.as_bytes(), true).unwrap_or(text.to_owned()));
        (is_secret_name(&name) || is_token(&name) || is_token(&value)).then_some(name)
    })
}

/// For logs and the trail: a path is told, but no segment in which a token stands.
pub fn without_tokens(path: &str) -> String {
    let told = |segment: &str| if is_token(segment) { "[token]".to_owned() } else { segment.to_owned() };
    path.split('/').map(told).collect::<Vec<_>>().join("/")
}

fn is_secret_name(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "access_token",
        "refresh_token",
        "revoke_token",
        "id_token",
        "token",
        "auth_token",
        "root_token",
        "bearer",
        "authorization",
        "password",
        "passwor",
        "passwd",
        "secret",
        "client_secret",
        "api_key",
        "apikey",
        "private_key",
        "credential",
        "credentials",
        "share",
    ];
    NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Our own tokens, secrets of machines and shares, wherever they stand.
fn is_token(text: &str) -> bool {
    ["cof_s_", "cof_r_", "cof_c_", "cof_share_"].iter().any(|kind| text.contains(kind))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct List {
        prefix: String,
        #[serde(default)]
        recursive: bool,
        limit: Option<u16>,
    }

    fn parts(query: &str) -> Parts {
        Request::get(format!("/x?{query}")).body(()).unwrap().into_parts().0
    }

    fn refused(query: &str) -> (String, Value) {
        let error = decode::<List>(&parts(query)).unwrap_err();
        assert_eq!(error.kind().status(), 422);
        let detail = serde_json::to_value(&error.detail()[0]).unwrap();
        (detail["type"].as_str().unwrap().to_owned(), detail["loc"].clone())
    }

    #[test]
    fn numbers_and_truth_are_read_from_text() {
        let list: List = decode(&parts("prefix=12&recursive=true&limit=7")).unwrap();
        assert_eq!(list, List { prefix: "12".into(), recursive: true, limit: Some(7) });
    }

    #[test]
    fn unknown_and_repeated_members_are_refused_by_name() {
        assert_eq!(refused("prefix=a&x=1"), ("unknown_member".into(), json!(["query", "x"])));
        assert_eq!(refused("prefix=a&prefix=b"), ("duplicate_member".into(), json!(["query", "prefix"])));
        assert_eq!(refused(""), ("missing".into(), json!(["query", "prefix"])));
        assert!(none(&parts("a=1")).is_err() && none(&parts("")).is_ok());
    }

    #[test]
    fn what_is_no_number_is_refused_where_one_is_needed() {
        assert_eq!(refused("prefix=a&limit=x"), ("wrong_type".into(), json!(["query", "limit"])));
        assert_eq!(refused("prefix=a&limit=70000"), ("out_of_range".into(), json!(["query", "limit"])));
        assert_eq!(refused("prefix=a&recursive=1"), ("wrong_type".into(), json!(["query", "recursive"])));
        assert_eq!(refused("prefix=%zz"), ("invalid_value".into(), json!(["query", "prefix"])));
    }

    #[test]
    fn a_secret_in_a_query_is_found_by_its_name_or_its_shape() {
        assert_eq!(has_secret("a=1&Access_Token=x").as_deref(), Some("Access_Token"));
        assert_eq!(has_secret("a=%zz&%74oken").as_deref(), Some("token"));
        assert_eq!(has_secret("q=xcof%5Fs_abc").as_deref(), Some("q"));
        assert_eq!(has_secret("q=1&r=cof_share_1").as_deref(), Some("r"));
        assert_eq!(has_secret("secret_id=kv/a&cursor=cof&code=x&state=y"), None);
    }
}
