use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::{Ending, Link, Verified},
    barrier::{SealKind, SealStatus},
    http::{
        body::{self, Takes},
        error::{ApiError, ApiResult},
        permitted::{self, Caller, Input, Permitted, Raw},
        query,
        trail::{About, Trail},
    },
    ids::RequestId,
    operate::{Operate, Shares, SysPath},
    policy,
    sensitive::Secret,
};

/// How the store is locked.
#[derive(Serialize, ToSchema)]
#[schema(as = SealStatus)]
pub struct StatusView {
    initialized: bool,
    sealed: bool,
    #[schema(required)]
    kind: Option<SealKind>,
    shares: u8,
    threshold: u8,
    /// Shares given so far.
    progress: u8,
}

impl From<SealStatus> for StatusView {
    fn from(status: SealStatus) -> Self {
        Self {
            initialized: status.initialized,
            sealed: status.sealed,
            kind: status.kind,
            shares: status.shares,
            threshold: status.threshold,
            progress: status.progress,
        }
    }
}

/// Is the store locked?
#[utoipa::path(
    get,
    path = "/api/v1/sys/seal-status",
    operation_id = "seal_status",
    tag = "system",
    responses((status = 200, description = "How the store is locked.", body = StatusView)),
    security(())
)]
pub async fn status(State(operate): State<Operate>, request: Request) -> ApiResult<Json<StatusView>> {
    public(&request)?;
    Ok(Json(operate.status().await?.into()))
}

/// Whether this server can serve.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthView {
    initialized: bool,
    sealed: bool,
    ready: bool,
    /// The same as `X-Request-Id`.
    request_id: Option<String>,
}

/// Can requests be served? What load balancers go by.
#[utoipa::path(
    get,
    path = "/api/v1/sys/health",
    operation_id = "health",
    tag = "system",
    responses(
        (status = 200, description = "They can.", body = HealthView),
        (status = 503, description = "They cannot.", body = HealthView)
    ),
    security(())
)]
pub async fn health(State(operate): State<Operate>, request: Request) -> ApiResult<(StatusCode, Json<HealthView>)> {
    public(&request)?;
    let health = operate.health().await;
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = HealthView {
        initialized: health.initialised,
        sealed: health.sealed,
        ready: health.ready,
        request_id: request.extensions().get::<RequestId>().map(ToString::to_string),
    };
    Ok((status, Json(answer)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Init)]
#[serde(deny_unknown_fields)]
struct InitBody {
    /// What the server wrote into its data folder when it started.
    #[schema(value_type = String, format = Password)]
    code: Secret<String>,
    /// 5 if left out. Only where shares unseal.
    shares: Option<u8>,
    /// 3 if left out.
    threshold: Option<u8>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Initialized)]
pub struct InitView {
    /// Shown once. None where a key file or the environment unseals.
    shares: Vec<String>,
    root_token: Option<String>,
}

/// Makes the store, once.
#[utoipa::path(
    post,
    path = "/api/v1/sys/init",
    operation_id = "init",
    tag = "system",
    request_body = InitBody,
    responses((status = 200, description = "The store is made and unsealed.", body = InitView)),
    security(())
)]
pub async fn init(State(operate): State<Operate>, request: Request) -> ApiResult<Json<InitView>> {
    let (InitBody { code, shares, threshold }, trail) = anonymous(request, "sys.init").await?;
    operate.check_code(code.reveal()).await?;
    tried(&trail, "sys.init").await?;
    let shares = match (shares, threshold) {
        (None, None) => None,
        (shares, threshold) => Some(Shares { shares: shares.unwrap_or(5), threshold: threshold.unwrap_or(3) }),
    };
    let made = operate.init(code.reveal(), shares).await?;
    let shares = made.shares.iter().map(|share| share.reveal().clone()).collect();
    Ok(Json(InitView { shares, root_token: made.root_token.map(|token| token.reveal().clone()) }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Unseal)]
#[serde(deny_unknown_fields)]
struct UnsealBody {
    #[schema(value_type = String, format = Password)]
    share: Secret<String>,
}

/// Gives one share.
#[utoipa::path(
    post,
    path = "/api/v1/sys/unseal",
    operation_id = "unseal",
    tag = "system",
    request_body = UnsealBody,
    responses((status = 200, description = "The share is right.", body = StatusView)),
    security(())
)]
pub async fn unseal(State(operate): State<Operate>, request: Request) -> ApiResult<Json<StatusView>> {
    let (UnsealBody { share }, trail) = anonymous(request, "sys.unseal").await?;
    operate.recognise(&share, true).await?;
    tried(&trail, "sys.unseal").await?;
    Ok(Json(operate.unseal(&share).await?.into()))
}

/// `POST /sys/seal`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// This node alone, until it is unsealed or started anew.
    #[serde(default)]
    node: bool,
}

impl Input for Seal {
    type Action = policy::Manage;
    type Resource = SysPath;

    const OPERATION: &'static str = "sys.seal";
    const TAKES: Takes = Takes::ObjectOrNothing;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Manage, SysPath), ApiError> {
        Ok((policy::Manage, SysPath("seal")))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode()
    }
}

/// Locks the store, or this node alone.
#[utoipa::path(
    post,
    path = "/api/v1/sys/seal",
    operation_id = "seal",
    tag = "system",
    request_body = Seal,
    responses((status = 200, description = "It is locked.", body = StatusView))
)]
pub async fn seal(
    State(operate): State<Operate>,
    Permitted(permit, input, _): Permitted<Seal>,
) -> ApiResult<Json<StatusView>> {
    operate.seal(&permit, input.node).await?;
    Ok(Json(operate.status().await?.into()))
}

/// `POST /sys/audit/verify`: lines of a trail and where those before them ended, or `end` and
/// the chains of all of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAudit {
    #[serde(default)]
    lines: Vec<String>,
    from: Option<Link>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    seen: BTreeSet<String>,
}

impl Input for VerifyAudit {
    type Action = policy::Read;
    type Resource = SysPath;

    const OPERATION: &'static str = "sys.audit.verify";
    const TAKES: Takes = Takes::Object;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, SysPath), ApiError> {
        Ok((policy::Read, SysPath("audit")))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode()
    }
}

/// What was found: of lines, or with `end` of where they end.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AuditFound {
    Lines(Verified),
    End(Ending),
}

/// Verifies lines of an audit trail, chunk by chunk.
#[utoipa::path(
    post,
    path = "/api/v1/sys/audit/verify",
    operation_id = "verify_audit",
    tag = "system",
    request_body = VerifyAudit,
    responses((status = 200, description = "What was found.", body = AuditFound))
)]
pub async fn verify_audit(
    State(operate): State<Operate>,
    Permitted(permit, input, _): Permitted<VerifyAudit>,
) -> ApiResult<Json<AuditFound>> {
    let VerifyAudit { lines, from, end, seen } = input;
    Ok(Json(match end {
        true => AuditFound::End(operate.verify_end(&permit, from, &seen).await?),
        false => AuditFound::Lines(operate.verify(&permit, &lines, from).await?),
    }))
}

/// Nobody is asked who they are, and nothing is recorded of it.
pub(in crate::http) fn public(request: &Request) -> ApiResult<()> {
    query::decode_uri::<query::Nothing>(request.uri())?;
    if let Some(trail) = request.extensions().get::<crate::http::trail::Trail>() {
        trail.public();
    }
    Ok(())
}

/// A call that proves itself by what is in its body. Until that is looked at, it is one of those that anybody can make
/// any number of.
pub(super) async fn anonymous<T: serde::de::DeserializeOwned>(
    request: Request,
    operation: &'static str,
) -> ApiResult<(T, Trail)> {
    let (parts, body) = request.into_parts();
    let trail = permitted::trail(&parts)?;
    trail.known(operation, Default::default());
    let body = body::read(&parts, body, Takes::Object).await?;
    query::none(&parts)?;
    Ok((body.decode()?, trail))
}

/// What proves the call is known: from here on something may change.
pub(super) async fn tried(trail: &Trail, operation: &'static str) -> ApiResult<()> {
    trail.decided(operation, Default::default(), About::tried(None)).await
}
