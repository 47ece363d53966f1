use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::App,
    audit::Link,
    barrier::{SealKind, SealStatus},
    http::{
        body::{self, Takes},
        error::{ApiError, ApiResult},
        permitted::{self, Caller, Input, Permitted, Raw},
        query,
        trail::About,
    },
    operate::{Operate, Shares, SysPath},
    policy,
    sensitive::Secret,
};

/// How the store is locked.
#[derive(Serialize)]
pub struct StatusView {
    initialized: bool,
    sealed: bool,
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

pub async fn status(State(operate): State<Operate>, request: Request) -> ApiResult<Json<StatusView>> {
    public(&request)?;
    Ok(Json(operate.status().await?.into()))
}

/// 200 where requests can be served, 503 where they cannot: what load balancers go by.
pub async fn health(State(operate): State<Operate>, request: Request) -> ApiResult<(StatusCode, Json<Value>)> {
    public(&request)?;
    let health = operate.health().await;
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({"initialized": health.initialised, "sealed": health.sealed, "ready": health.ready});
    Ok((status, Json(answer)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InitBody {
    code: Secret<String>,
    shares: Option<u8>,
    threshold: Option<u8>,
}

#[derive(Serialize)]
pub struct InitView {
    shares: Vec<String>,
    root_token: String,
}

pub async fn init(State(operate): State<Operate>, request: Request) -> ApiResult<Json<InitView>> {
    let InitBody { code, shares, threshold } = anonymous(request, "sys.init").await?;
    let shares = match (shares, threshold) {
        (None, None) => None,
        (shares, threshold) => Some(Shares { shares: shares.unwrap_or(5), threshold: threshold.unwrap_or(3) }),
    };
    let made = operate.init(code.reveal(), shares).await?;
    let shares = made.shares.iter().map(|share| share.reveal().clone()).collect();
    Ok(Json(InitView { shares, root_token: made.root_token.reveal().clone() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsealBody {
    share: Secret<String>,
}

pub async fn unseal(State(operate): State<Operate>, request: Request) -> ApiResult<Json<StatusView>> {
    let UnsealBody { share } = anonymous(request, "sys.unseal").await?;
    Ok(Json(operate.unseal(&share).await?.into()))
}

/// `POST /sys/seal`.
#[derive(Deserialize)]
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

pub async fn seal(
    State(operate): State<Operate>,
    Permitted(permit, input, _): Permitted<Seal>,
) -> ApiResult<Json<StatusView>> {
    operate.seal(&permit, input.node).await?;
    Ok(Json(operate.status().await?.into()))
}

/// `POST /sys/audit/verify`: lines of a trail and where those before them ended, or `end` and
/// the chains of all of them.
#[derive(Deserialize)]
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

pub async fn verify_audit(
    State(operate): State<Operate>,
    Permitted(permit, input, _): Permitted<VerifyAudit>,
) -> ApiResult<Json<Value>> {
    let VerifyAudit { lines, from, end, seen } = input;
    let answer = match end {
        true => serde_json::to_value(operate.verify_end(&permit, from, &seen).await?),
        false => serde_json::to_value(operate.verify(&permit, &lines, from).await?),
    };
    Ok(Json(answer.map_err(ApiError::internal)?))
}

/// Nobody is asked who they are, and nothing is recorded of it.
fn public(request: &Request) -> ApiResult<()> {
    query::decode_uri::<query::Nothing>(request.uri())?;
    if let Some(trail) = request.extensions().get::<crate::http::trail::Trail>() {
        trail.public();
    }
    Ok(())
}

/// A call that proves itself by what is in its body.
async fn anonymous<T: serde::de::DeserializeOwned>(request: Request, operation: &'static str) -> ApiResult<T> {
    let (parts, body) = request.into_parts();
    let trail = permitted::trail(&parts)?;
    trail.known(operation, Default::default());
    let body = body::read(&parts, body, Takes::Object).await?;
    query::none(&parts)?;
    let read = body.decode()?;
    let about = About { decision: Some("tried".to_owned()), ..About::default() };
    trail.decided(operation, Default::default(), about).await?;
    Ok(read)
}
