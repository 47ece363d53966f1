use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::lease_inputs::{
    Forget, List, ListOther, ListQuery, Renew, RenewBody, Revoke, RevokeMany, RevokeOwn, Show, is_whole, requester,
};
use crate::{
    app::App,
    http::{
        cursor,
        error::{ApiError, ApiResult, Kind},
        permitted::{Caller, Own, Permitted},
        whose::Whose,
    },
    ids::SessionId,
    lease::{Asker, Filter, Lease, Page, Place, Requester, Scope, Selection, State as Condition},
    secrets,
    span::Span,
};

/// Something that a secrets engine has lent.
#[derive(Serialize, ToSchema)]
#[schema(as = Lease)]
pub struct LeaseView {
    lease_id: String,
    /// What it was lent for: `db/creds/app`. Of what an auth method left, `auth/` and its mount.
    secret_id: String,
    #[schema(required)]
    user_id: Option<String>,
    /// Null of what a call has announced that did not end well, or has not ended yet.
    #[schema(required)]
    session_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    renewed_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: String,
    /// No renewal goes beyond it.
    #[schema(format = DateTime)]
    max_expires_at: String,
    renewable: bool,
    state: Condition,
    /// Revocations that failed, …
    failures: u32,
    /// … what the last one failed of, and when it is tried again.
    #[schema(required)]
    reason: Option<String>,
    #[schema(required, format = DateTime)]
    again_at: Option<String>,
}

impl From<Lease> for LeaseView {
    fn from(lease: Lease) -> Self {
        Self {
            lease_id: lease.id.into(),
            secret_id: lease.path.strip_prefix("secrets/").map_or(lease.path.clone(), str::to_owned),
            user_id: lease.user.map(Into::into),
            session_id: lease.session.map(Into::into),
            created_at: lease.made_at.to_string(),
            renewed_at: lease.renewed_at.map(|at| at.to_string()),
            expires_at: lease.expires_at.to_string(),
            max_expires_at: lease.max_expires_at.to_string(),
            renewable: lease.renewable,
            state: lease.state,
            failures: lease.failures,
            reason: lease.reason,
            again_at: lease.again_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedLeases {
    leases: Vec<LeaseView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What is lent: to the caller, or by permission to somebody else, or below a folder.
#[utoipa::path(
    get,
    path = "/api/v1/leases",
    operation_id = "list_leases",
    tag = "leases",
    params(ListQuery),
    responses((status = 200, description = "A page of it.", body = ListedLeases))
)]
pub async fn list(State(app): State<App>, whose: Whose<List>) -> ApiResult<Json<ListedLeases>> {
    match whose {
        Whose::Own(Own(input, caller)) => {
            let (user, session) = (caller.authenticated.user.id.clone(), &caller.authenticated.session.id);
            let session = (!is_whole(&caller)).then(|| session.clone());
            listed(&app, &caller, requester(&caller, true), Selection::User(user), session, input).await
        }
        Whose::Other(Permitted(permit, ListOther(input), caller)) => {
            let of = of(&app, permit.into_resource()).await?.ok_or_else(|| ApiError::new(Kind::NotFound))?;
            listed(&app, &caller, requester(&caller, false), of, None, input).await
        }
    }
}

fn asker(caller: &Caller) -> Asker {
    let secrets::Asker { request, name, address, headers, .. } = caller.asker();
    Asker { request, name: Some(name), address, headers }
}

/// Whose they are. None: nobody's.
async fn of(app: &App, scope: Scope) -> ApiResult<Option<Selection>> {
    Ok(match scope {
        Scope::User(name) => app.leases.user(&name).await?.map(Selection::User),
        Scope::Session(id) => Some(Selection::Session(id)),
        Scope::Below(folder) => Some(Selection::Below(folder)),
    })
}

async fn listed(
    app: &App,
    caller: &Caller,
    by: Requester<'_>,
    of: Selection,
    session: Option<SessionId>,
    input: List,
) -> ApiResult<Json<ListedLeases>> {
    let below = input.below(caller)?;
    let listing = format!("leases\n{of:?}\n{below:?}\n{:?}\n{session:?}", input.state);
    let after: Option<Place> = cursor::after(app, caller, &listing, &input.page)?;
    let filter = Filter { state: input.state, below, session };
    let Page { leases, next } = app.leases.list(&of, &filter, by, after, input.page.limit).await?;
    let next_cursor = next.map(|next| cursor::seal(app, caller, &listing, &next)).transpose()?;
    Ok(Json(ListedLeases { leases: leases.into_iter().map(Into::into).collect(), next_cursor }))
}

/// One lease: the caller's own, or by permission somebody else's.
#[utoipa::path(
    get,
    path = "/api/v1/leases/{lease_id}",
    operation_id = "read_lease",
    tag = "leases",
    params(("lease_id" = String, Path)),
    responses((status = 200, description = "How it is.", body = LeaseView))
)]
pub async fn show(State(app): State<App>, whose: Whose<Show>) -> ApiResult<Json<LeaseView>> {
    let asked = whose.split();
    Ok(Json(app.leases.show(&asked.id, asked.requester()).await?.into()))
}

/// Prolongs a lease, as far as its engine and its session let it.
#[utoipa::path(
    post,
    path = "/api/v1/leases/{lease_id}/renew",
    operation_id = "renew_lease",
    tag = "leases",
    params(("lease_id" = String, Path)),
    request_body(content = RenewBody),
    responses((status = 200, description = "What holds from now on.", body = LeaseView))
)]
pub async fn renew(State(app): State<App>, whose: Whose<Renew>) -> ApiResult<Json<LeaseView>> {
    let asked = whose.split();
    let (increment, asker) = (asked.input.map(Span::duration), asker(&asked.caller));
    Ok(Json(app.leases.renew(&asked.id, increment, asked.requester(), &asker).await?.into()))
}

/// What has been revoked at once, and what will be very soon.
#[derive(Serialize, ToSchema)]
#[schema(as = RevokedLeases)]
pub struct Revoked {
    revoked: usize,
    revoking: usize,
}

/// Revokes a lease now. If its engine cannot, the refusal says so, and it is tried again until it can.
#[utoipa::path(
    post,
    path = "/api/v1/leases/{lease_id}/revoke",
    operation_id = "revoke_lease",
    tag = "leases",
    params(("lease_id" = String, Path)),
    responses((status = 200, description = "It is gone.", body = Revoked))
)]
pub async fn revoke(State(app): State<App>, whose: Whose<Revoke>) -> ApiResult<Json<Revoked>> {
    let asked = whose.split();
    app.leases.revoke(&asked.id, asked.requester(), &asked.caller.client.request).await?;
    Ok(Json(Revoked { revoked: 1, revoking: 0 }))
}

/// Strikes off a lease that its engine cannot take back, for good: what it stands for stays outside, for you to end.
#[utoipa::path(
    post,
    path = "/api/v1/leases/{lease_id}/forget",
    operation_id = "forget_lease",
    tag = "leases",
    params(("lease_id" = String, Path)),
    responses((status = 200, description = "How it was.", body = LeaseView))
)]
pub async fn forget(State(app): State<App>, Permitted(permit, ..): Permitted<Forget>) -> ApiResult<Json<LeaseView>> {
    Ok(Json(app.leases.forget(permit.resource(), Requester::other(permit.caller())).await?.into()))
}

/// Has many revoked: below a folder, of a session, or of a user. It is done soon after the answer.
#[utoipa::path(
    post,
    path = "/api/v1/leases/revoke",
    operation_id = "revoke_leases",
    tag = "leases",
    request_body = RevokeMany,
    responses((status = 200, description = "They are being revoked.", body = Revoked))
)]
pub async fn revoke_many(State(app): State<App>, whose: Whose<RevokeOwn>) -> ApiResult<Json<Revoked>> {
    let (of, caller, own) = match whose {
        Whose::Own(Own(RevokeOwn(Some(session)), caller)) => (Selection::Session(session), caller, true),
        Whose::Own(Own(RevokeOwn(None), caller)) => {
            (Selection::User(caller.authenticated.user.id.clone()), caller, true)
        }
        Whose::Other(Permitted(permit, _, caller)) => {
            let of = of(&app, permit.into_resource()).await?;
            (of.ok_or_else(|| ApiError::at(Kind::Unknown, ["body", "username"]))?, caller, false)
        }
    };
    Ok(Json(Revoked { revoked: 0, revoking: app.leases.revoke_all(&of, requester(&caller, own)).await? }))
}
