use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    session_id: String,
    current: bool,
    device: String,
    #[schema(required)]
    address: Option<String>,
    method: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(required, value_type = Option<String>)]
    scope: Option<Scope>,
    #[schema(required)]
    max_uses: Option<u32>,
    #[schema(required)]
    uses_left: Option<u32>,
    #[schema(required)]
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

#[derive(Serialize, ToSchema)]
pub struct ListedSessions {
    sessions: Vec<SessionView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `GET /sessions`.
pub struct List;

impl OwnInput for List {
    const OPERATION: &'static str = "sessions.list";
    const WHOLE: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// The caller's sessions.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    responses((status = 200, description = "All of them.", body = ListedSessions))
)]
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

/// The session of the token that asks.
#[utoipa::path(
    get,
    path = "/api/v1/sessions/current",
    operation_id = "current_session",
    tag = "sessions",
    responses((status = 200, description = "This session.", body = SessionView))
)]
pub async fn current(Own(_, caller): Own<Current>) -> Json<SessionView> {
    let session = &caller.authenticated.session;
    Json(SessionView::new(Summary::from(&**session), &session.id))
}

/// `POST /sessions/{session_id}/revoke`.
pub struct Revoke(SessionId);

impl OwnInput for Revoke {
    const OPERATION: &'static str = "sessions.revoke";
    const WHOLE: bool = true;
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let name = path::name(&raw.parts, "/api/v1/sessions/", "/revoke", "session_id")?;
        raw.body.decode::<query::Nothing>()?;
        SessionId::parse(&name).map(Self).map_err(|_| ApiError::new(Kind::NotFound))
    }

    fn resource(&self) -> Option<String> {
        Some(format!("sessions/{}", self.0))
    }
}

/// How many sessions have ended.
#[derive(Serialize, ToSchema)]
pub struct Ended {
    ended: usize,
}

/// Ends one of the caller's sessions.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/{session_id}/revoke",
    operation_id = "revoke_session",
    tag = "sessions",
    params(("session_id" = String, Path)),
    responses((status = 200, description = "It has ended.", body = Ended))
)]
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
#[derive(Deserialize, ToSchema)]
#[schema(as = RevokeSessions)]
#[serde(deny_unknown_fields)]
pub struct RevokeMany {
    /// Must be true.
    others: bool,
}

impl OwnInput for RevokeMany {
    const OPERATION: &'static str = "sessions.revoke_others";
    const WHOLE: bool = true;
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

/// What has not ended.
#[derive(Serialize, ToSchema)]
pub struct KeptSessions {
    /// The session that asks, last, after those that it comes from.
    kept: Vec<String>,
}

/// Ends all of the caller's sessions but the one that asks.
///
/// One that was made by another session stays together with that one: it would end with it.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/revoke",
    operation_id = "revoke_sessions",
    tag = "sessions",
    request_body = RevokeMany,
    responses((status = 200, description = "All others have ended.", body = KeptSessions))
)]
pub async fn revoke_many(State(app): State<App>, Own(_, caller): Own<RevokeMany>) -> ApiResult<Json<KeptSessions>> {
    let kept = app.sessions.end_others(&caller.authenticated.session).await?;
    Ok(Json(KeptSessions { kept: kept.iter().map(ToString::to_string).collect() }))
}
