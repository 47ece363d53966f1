use axum::{
    Json,
    extract::{Request, State},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::seal::{anonymous, tried};
use crate::{
    app::App,
    barrier::Ceremony,
    http::{
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        permitted::{Caller, Input, Permitted, Raw},
        query,
    },
    operate::{Bring, Brought, Operate, SysPath},
    policy,
    sensitive::Secret,
};

/// `POST /sys/rotate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {}

impl Input for Rotate {
    type Action = policy::Manage;
    type Resource = SysPath;

    const OPERATION: &'static str = "sys.rotate";
    const TAKES: Takes = Takes::ObjectOrNothing;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Manage, SysPath), ApiError> {
        Ok((policy::Manage, SysPath("rotate")))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode()
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Rotated)]
pub struct RotatedView {
    /// Of the key that values are encrypted under from now on.
    term: u32,
}

/// Another key for all values to come; what is stored stays readable.
#[utoipa::path(
    post,
    path = "/api/v1/sys/rotate",
    operation_id = "rotate",
    tag = "system",
    responses((status = 200, description = "There is another key.", body = RotatedView))
)]
pub async fn rotate(
    State(operate): State<Operate>,
    Permitted(permit, Rotate {}, _): Permitted<Rotate>,
) -> ApiResult<Json<RotatedView>> {
    Ok(Json(RotatedView { term: operate.rotate(&permit).await? }))
}

/// `POST /sys/rekey`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// One of the shares of now.
    #[schema(value_type = String, format = Password)]
    share: Secret<String>,
    /// Of the attempt that this share goes to; left out with the first.
    nonce: Option<String>,
    /// How many new shares, said with the first one. 5 if left out.
    shares: Option<u8>,
    /// 3 if left out.
    threshold: Option<u8>,
}

impl Input for Rekey {
    type Action = policy::Manage;
    type Resource = SysPath;

    const OPERATION: &'static str = "sys.rekey";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Manage, SysPath), ApiError> {
        Ok((policy::Manage, SysPath("rekey")))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let input: Self = raw.body.decode()?;
        match input.nonce.is_some() && (input.shares.is_some() || input.threshold.is_some()) {
            true => Err(ApiError::because(Kind::InvalidValue, ["body", "nonce"], "goes without shares and threshold")),
            false => Ok(input),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Rekeyed)]
pub struct RekeyView {
    /// For the next share.
    nonce: String,
    progress: u8,
    threshold: u8,
    /// The new ones, shown once, with the share that completed the attempt. Those of before are worth nothing then.
    #[schema(required)]
    shares: Option<Vec<String>>,
}

/// One share for another root key: needs a permit and shares.
#[utoipa::path(
    post,
    path = "/api/v1/sys/rekey",
    operation_id = "rekey",
    tag = "system",
    request_body = Rekey,
    responses((status = 200, description = "The share is right.", body = RekeyView))
)]
pub async fn rekey(
    State(operate): State<Operate>,
    Permitted(permit, input, _): Permitted<Rekey>,
) -> ApiResult<Json<RekeyView>> {
    let Rekey { share, nonce, shares, threshold } = input;
    let ceremony = Ceremony::Rekey { shares: shares.unwrap_or(5), threshold: threshold.unwrap_or(3) };
    let bring = nonce.map_or(Bring::First(ceremony), Bring::More);
    let Brought { nonce, progress, threshold, made } = operate.rekey(&permit, bring, &share).await?;
    let shares = made.map(|shares| shares.iter().map(|share| share.reveal().clone()).collect());
    Ok(Json(RekeyView { nonce, progress, threshold, shares }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GenerateRoot)]
#[serde(deny_unknown_fields)]
struct GenerateRootBody {
    /// A share; or the key itself, where a key unseals.
    #[schema(value_type = String, format = Password)]
    share: Secret<String>,
    /// Of the attempt that this share goes to; left out with the first.
    nonce: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GeneratedRoot)]
pub struct GenerateRootView {
    /// For the next share.
    nonce: String,
    progress: u8,
    threshold: u8,
    /// Told to whoever brings the last share. Good for a day.
    #[schema(required)]
    root_token: Option<String>,
}

/// One share for a root token.
#[utoipa::path(
    post,
    path = "/api/v1/sys/generate-root",
    operation_id = "generate_root",
    tag = "system",
    request_body = GenerateRootBody,
    responses((status = 200, description = "The share is right.", body = GenerateRootView)),
    security(())
)]
pub async fn generate_root(State(operate): State<Operate>, request: Request) -> ApiResult<Json<GenerateRootView>> {
    let (GenerateRootBody { share, nonce }, trail) = anonymous(request, "sys.generate_root").await?;
    operate.recognise(&share, false).await?;
    tried(&trail, "sys.generate_root").await?;
    let bring = nonce.map_or(Bring::First(Ceremony::RootToken), Bring::More);
    let Brought { nonce, progress, threshold, made } = operate.generate_root(bring, &share).await?;
    let root_token = made.map(|token| token.reveal().clone());
    Ok(Json(GenerateRootView { nonce, progress, threshold, root_token }))
}
