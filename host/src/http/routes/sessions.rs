use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        path,
        permitted::{Own, OwnInput, Raw},
        query,
    },
    ids::{Scope, SessionId},
    session::Summary,
};

/// A session as its user sees it.
#[derive(Serialize)]
pub struct SessionView {
    session_id: String,
    current: bool,
    device: String,
    address: Option<String>,
    method: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    scope: Option<Scope>,
    max_uses: Option<u32>,
    uses_left: Option<u32>,
    parent: Option<String>,
}

impl SessionView {
    fn new(summary: Summary, current: &SessionId) -> Self {
        Self {
            current: summary.id == *current,
            session_id: summary.id.to_string(),
            device: summary.device,
            address: summary.address.map(|address| address.to_string()),
            method: summary.method.to_string(),
            created_at: summary.created_at.to_string(),
            last_used_at: summary.last_used.to_string(),
            expires_at: summary.expires_at.to_string(),
            scope: summary.scope,
            max_uses: summary.max_uses,
            uses_left: summary.uses_left,
            parent: summary.parent.map(|id| id.to_string()),
        }
    }
}

#[derive(Serialize)]
pub struct ListedSessions {
    sessions: Vec<SessionView>,
    next_cursor: Option<String>,
}

/// `GET /sessions`.
pub struct List;

impl OwnInput for List {
    const OPERATION: &'static str = "sessions.list";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

pub async fn list(State(app): State<App>, Own(_, caller): Own<List>) -> ApiResult<Json<ListedSessions>> {
    let current = &caller.authenticated.session.id;
    let found = app.sessions.list(&caller.authenticated.user.id).await?;
    let sessions = found.into_iter().map(|summary| SessionView::new(summary, current)).collect();
    Ok(Json(ListedSessions { sessions, next_cursor: None }))
}

/// `GET /sessions/current`.
pub struct Current;

impl OwnInput for Current {
    const OPERATION: &'static str = "sessions.current";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

pub async fn current(Own(_, caller): Own<Current>) -> Json<SessionView> {
    let session = &caller.authenticated.session;
    Json(SessionView::new(Summary::from(&**session), &session.id))
}

/// `POST /sessions/{session_id}/revoke`.
pub struct Revoke(SessionId);

impl OwnInput for Revoke {
    const OPERATION: &'static str = "sessions.revoke";
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let name = path::name(&raw.parts, "/api/v1/sessions/", "/revoke", "session_id")?;
        raw.body.decode::<query::Nothing>()?;
        SessionId::parse(&name).map(Self).map_err(|_| ApiError::new(Kind::NotFound))
    }
}

#[derive(Serialize)]
pub struct Ended {
    ended: usize,
}

pub async fn revoke(State(app): State<App>, Own(input, caller): Own<Revoke>) -> ApiResult<Json<Ended>> {
    let own = app.sessions.list(&caller.authenticated.user.id).await?;
    // Somebody else's session is as good as none.
    if !own.iter().any(|summary| summary.id == input.0) {
        return Err(ApiError::new(Kind::NotFound));
    }
    app.sessions.end(&input.0).await?;
    Ok(Json(Ended { ended: 1 }))
}

/// `POST /sessions/revoke` with `{"others": true}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeMany {
    others: bool,
}

impl OwnInput for RevokeMany {
    const OPERATION: &'static str = "sessions.revoke_others";
    const TAKES: Takes = Takes::Object;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let read: Self = raw.body.decode()?;
        match read.others {
            true => Ok(read),
            false => Err(ApiError::because(Kind::InvalidValue, ["body", "others"], "must be true")),
        }
    }
}

pub async fn revoke_many(State(app): State<App>, Own(_, caller): Own<RevokeMany>) -> ApiResult<Json<Ended>> {
    let current = &caller.authenticated.session.id;
    let others = app.sessions.list(&caller.authenticated.user.id).await?;
    let mut ended = 0;
    for summary in others.iter().filter(|summary| summary.id != *current) {
        app.sessions.end(&summary.id).await?;
        ended += 1;
    }
    Ok(Json(Ended { ended }))
}
