use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    session_inputs::{Current, List, ListQuery, Place, Revoke, RevokeMany, RevokeOwn},
    users::not_there,
};
use crate::{
    app::App,
    http::{
        cursor,
        error::ApiResult,
        permitted::{Caller, Own, Permitted},
        query::Page,
        whose::Whose,
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

/// A user's sessions, oldest first: the caller's own, or by permission somebody else's.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(ListQuery),
    responses((status = 200, description = "A page of them.", body = ListedSessions))
)]
pub async fn list(State(app): State<App>, whose: Whose<List>) -> ApiResult<Json<ListedSessions>> {
    match whose {
        Whose::Own(Own(List(page), caller)) => {
            let user = &caller.authenticated.user.id;
            let found = app.sessions.list(user).await?;
            listed(&app, &caller, found, (user.as_str(), page))
        }
        Whose::Other(Permitted(permit, input, caller)) => {
            let found = app.users.sessions_of(&permit).await.map_err(not_there)?;
            listed(&app, &caller, found, (permit.resource().0.as_str(), input.0))
        }
    }
}

fn listed(
    app: &App,
    caller: &Caller,
    mut found: Vec<Summary>,
    (of, page): (&str, Page),
) -> ApiResult<Json<ListedSessions>> {
    let listing = format!("sessions\n{of}");
    found.sort_by_key(Place::of);
    if let Some(after) = cursor::after::<Place>(app, caller, &listing, &page)? {
        found.retain(|summary| Place::of(summary) > after);
    }
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let last = found.last().filter(|_| more).map(Place::of);
    let next_cursor = last.map(|last| cursor::seal(app, caller, &listing, &last)).transpose()?;
    let current = &caller.authenticated.session.id;
    let sessions = found.into_iter().map(|summary| SessionView::new(summary, current)).collect();
    Ok(Json(ListedSessions { sessions, next_cursor }))
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

/// How many sessions have ended.
#[derive(Serialize, ToSchema)]
pub struct Ended {
    ended: usize,
}

/// Ends a session: one of the caller's, or by permission somebody else's.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/{session_id}/revoke",
    operation_id = "revoke_session",
    tag = "sessions",
    params(("session_id" = String, Path)),
    responses((status = 200, description = "It has ended.", body = Ended))
)]
pub async fn revoke(State(app): State<App>, whose: Whose<Revoke>) -> ApiResult<Json<Ended>> {
    match whose {
        Whose::Own(Own(input, _)) => app.sessions.end(&input.0).await?,
        Whose::Other(Permitted(permit, ..)) => app.users.end_session(&permit).await.map_err(not_there)?,
    }
    Ok(Json(Ended { ended: 1 }))
}

/// Ends all of the caller's sessions but the one that asks, or by permission all of somebody's.
///
/// One that was made by another session stays together with that one: it would end with it.
#[utoipa::path(
    post,
    path = "/api/v1/sessions/revoke",
    operation_id = "revoke_sessions",
    tag = "sessions",
    request_body = RevokeMany,
    responses((status = 200, description = "They have ended.", body = Ended))
)]
pub async fn revoke_many(State(app): State<App>, whose: Whose<RevokeOwn>) -> ApiResult<Json<Ended>> {
    let ended = match whose {
        Whose::Own(Own(RevokeOwn::Others, caller)) => {
            app.users.end_other_sessions(&caller.authenticated.session).await?
        }
        Whose::Own(Own(RevokeOwn::All, caller)) => app.users.end_own_sessions(&caller.authenticated.user).await?,
        Whose::Other(Permitted(permit, ..)) => app.users.end_sessions(&permit).await?,
    };
    Ok(Json(Ended { ended }))
}
