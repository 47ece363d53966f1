//! What the calls on sessions read of a request.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::user_inputs::named;
use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, Kind},
        path,
        permitted::{Caller, Input, OwnInput, Raw},
        query::{self, Page},
        whose::Theirs,
    },
    ids::{SessionId, Username},
    policy,
    session::Summary,
    users::SessionsPath,
};

/// `GET /sessions`, of the caller's own.
pub struct List(pub Page);

/// Where a list goes on: after the session made then.
#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub i64, pub String);

impl Place {
    pub fn of(summary: &Summary) -> Self {
        Self(summary.created_at.millis(), summary.id.to_string())
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Somebody else's, by permission.
    #[serde(rename = "username")]
    #[param(rename = "username")]
    _username: Option<String>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    cursor: Option<String>,
}

fn page(raw: &Raw) -> Result<Page, ApiError> {
    let ListQuery { limit, cursor, .. } = query::decode(&raw.parts)?;
    Page::new(limit, cursor)
}

/// Whom `?username=` names.
fn asked(raw: &Raw, caller: &Caller) -> Result<Option<Username>, ApiError> {
    match query::members(&raw.parts)?.get("username") {
        Some(Value::String(name)) => named(name, caller, ["query", "username"]).map(Some),
        _ => Ok(None),
    }
}

impl OwnInput for List {
    const OPERATION: &'static str = "sessions.list";
    const WHOLE: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        page(&raw).map(Self)
    }
}

impl Theirs for List {
    type Other = ListOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        Ok(asked(raw, caller)?.is_none_or(|name| name == caller.authenticated.user.username))
    }
}

/// `GET /sessions?username=`.
pub struct ListOther(pub Page);

impl Input for ListOther {
    type Action = policy::List;
    type Resource = SessionsPath;

    const OPERATION: &'static str = "sessions.list";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::List, SessionsPath), ApiError> {
        let name = asked(raw, caller)?.ok_or_else(|| ApiError::at(Kind::Missing, ["query", "username"]))?;
        Ok((policy::List, SessionsPath(name)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        page(&raw).map(Self)
    }
}

/// `GET /sessions/current`.
pub struct Current;

impl OwnInput for Current {
    const OPERATION: &'static str = "sessions.current";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `POST /sessions/{session_id}/revoke`, of the caller's own.
pub struct Revoke(pub SessionId);

fn in_path(raw: &Raw) -> Result<SessionId, ApiError> {
    let name = path::name(&raw.parts, "/api/v1/sessions/", "/revoke", "session_id")?;
    SessionId::parse(&name).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", "session_id"]))
}

fn nothing(raw: Raw) -> Result<SessionId, ApiError> {
    query::none(&raw.parts)?;
    let id = in_path(&raw)?;
    raw.body.decode::<query::Nothing>().map(|_| id)
}

impl OwnInput for Revoke {
    const OPERATION: &'static str = "sessions.revoke";
    const WHOLE: bool = true;
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        nothing(raw).map(Self)
    }

    fn resource(&self) -> Option<String> {
        Some(format!("sessions/{}", self.0))
    }
}

impl Theirs for Revoke {
    type Other = RevokeOther;

    /// Whose it is must be looked up. Whoever may end others' learns that it is there; anybody else
    /// is refused alike for one that is somebody's and for one that is not.
    async fn is_own(raw: &Raw, caller: &Caller, app: &App) -> Result<bool, ApiError> {
        let found = app.sessions.get(&in_path(raw)?).await?;
        Ok(found.is_some_and(|session| session.user == caller.authenticated.user.id))
    }
}

/// The same for somebody else's, by permission.
pub struct RevokeOther;

impl Input for RevokeOther {
    type Action = policy::Delete;
    type Resource = SessionId;

    const OPERATION: &'static str = "sessions.revoke";
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, SessionId), ApiError> {
        Ok((policy::Delete, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        nothing(raw).map(|_| Self)
    }
}

/// `POST /sessions/revoke`: all of the caller's others, or all of one user.
#[derive(Deserialize, ToSchema)]
#[schema(as = RevokeSessions)]
#[serde(deny_unknown_fields)]
pub struct RevokeMany {
    /// True: all of the caller's but the one that asks.
    others: Option<bool>,
    /// All of this user's, by permission; of the caller's own name, this one among them.
    username: Option<String>,
}

/// The caller's own.
pub enum RevokeOwn {
    Others,
    All,
}

fn one_of(raw: Raw) -> Result<RevokeMany, ApiError> {
    query::none(&raw.parts)?;
    let read: RevokeMany = raw.body.decode()?;
    let wrong = |msg| Err(ApiError::because(Kind::InvalidValue, ["body", "others"], msg));
    match (read.others, &read.username) {
        (Some(_), Some(_)) => wrong("does not go with username"),
        (Some(false), None) => wrong("must be true"),
        (None, None) => Err(ApiError::at(Kind::Missing, ["body", "others"])),
        _ => Ok(read),
    }
}

fn in_body(raw: &Raw, caller: &Caller) -> Result<Option<Username>, ApiError> {
    match raw.body.get("username") {
        Some(Value::String(name)) => named(name, caller, ["body", "username"]).map(Some),
        _ => Ok(None),
    }
}

impl OwnInput for RevokeOwn {
    const OPERATION: &'static str = "sessions.revoke_many";
    const WHOLE: bool = true;
    const TAKES: Takes = Takes::Object;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Ok(if one_of(raw)?.others == Some(true) { Self::Others } else { Self::All })
    }
}

impl Theirs for RevokeOwn {
    type Other = RevokeAllOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        Ok(in_body(raw, caller)?.is_none_or(|name| name == caller.authenticated.user.username))
    }
}

/// All of somebody else's, by permission.
pub struct RevokeAllOther;

impl Input for RevokeAllOther {
    type Action = policy::Delete;
    type Resource = SessionsPath;

    const OPERATION: &'static str = "sessions.revoke_many";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Delete, SessionsPath), ApiError> {
        let name = in_body(raw, caller)?.ok_or_else(|| ApiError::at(Kind::Missing, ["body", "username"]))?;
        Ok((policy::Delete, SessionsPath(name)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        one_of(raw).map(|_| Self)
    }
}
