use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    token_bodies::{LoginBody, RenewBody, ResumeBody, RevokeBody},
    token_inputs::{Login, TokenRequest, decode, missing, one_credential, parse_scope, text},
};
use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult, Kind},
        permitted,
        trail::{About, Trail},
    },
    ids::{MountName, Scope},
    login::{self, Attempt, Begun, CLIENTS, Credentials, Program},
    sensitive::Secret,
    session::{self, AnyToken, RefreshToken, Tokens},
};

/// RFC 6749 section 5.1, and which session it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokenView {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// Null for limited and child sessions.
    #[schema(required)]
    refresh_token: Option<String>,
    /// Seconds.
    #[schema(required)]
    refresh_expires_in: Option<u64>,
    #[schema(required, value_type = Option<String>)]
    scope: Option<Scope>,
    session_id: String,
}

impl From<Tokens> for TokenView {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access.reveal().clone(),
            token_type: "Bearer",
            expires_in: tokens.access_expires_in.as_secs(),
            refresh_token: tokens.refresh.map(|token| token.reveal().clone()),
            refresh_expires_in: tokens.refresh_expires_in.map(|span| span.as_secs()),
            scope: tokens.session.scope.clone(),
            session_id: tokens.session.id.to_string(),
        }
    }
}

/// Logs in. `grant_type` picks how.
#[utoipa::path(
    post,
    path = "/api/v1/auth/token/create",
    operation_id = "create_token",
    tag = "tokens",
    request_body(content((LoginBody = "application/json"), (LoginBody = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "A session.", body = TokenView)),
    security((), ("bearer" = []), ("client" = []))
)]
pub async fn create(State(app): State<App>, request: TokenRequest) -> ApiResult<Json<TokenView>> {
    let login = Login::read(&request)?;
    let tokens = match login.grant.as_str() {
        "session" => child(&app, &request, login).await?,
        // As by `renew`: what proves itself is the token that the body is about.
        "refresh_token" => {
            let body: RenewBody = decode(login.credentials)?;
            let asked = Asked { token: body.refresh_token, scope: login.wish.scope, program: login.program };
            renewed(&app, &request, asked).await?
        }
        _ => {
            one_credential(&request.parts)?;
            begin(&app, &request, login).await?
        }
    };
    Ok(Json(tokens.into()))
}

async fn begin(app: &App, request: &TokenRequest, login: Login) -> ApiResult<Tokens> {
    // OAuth's name for it; the mount has another, as any.
    let grant = if login.grant == "client_credentials" { CLIENTS } else { &login.grant };
    let mount = MountName::parse(grant).map_err(|_| ApiError::new(Kind::UnsupportedGrantType))?;
    let trail = permitted::trail(&request.parts)?;
    let Login { wish, credentials, program, .. } = login;
    let credentials = Credentials(credentials);
    let mut attempt = Attempt { mount, credentials, program, wish, client: request.client.clone() };
    trail.known("token.create", Default::default());
    let admitted = app.login.admit(&mut attempt).await?;
    let name = admitted.name().and_then(|name| trail.audit().hash(&name));
    let values = name.map(|name| ("username".to_owned(), name)).into_iter().collect();
    let about = About { values, ..About::tried(Some(format!("auth/{}", attempt.mount))) };
    trail.decided("token.create", Default::default(), about).await?;
    let begun = app.login.begin(attempt, admitted).await?;
    session_of(begun, &trail)
}

/// The session, or what is to be done before there is one.
fn session_of(begun: Begun, trail: &Trail) -> ApiResult<Tokens> {
    match begun {
        Begun::Session(tokens) => {
            trail.made(&tokens.session);
            Ok(*tokens)
        }
        Begun::Challenge(asked) => Err(ApiError::challenge(json!({
            "id": asked.id.reveal(),
            "kind": asked.kind,
            "details": asked.details,
            "expires_in": asked.expires_in.as_secs(),
            "interval": asked.interval.map(|interval| interval.as_secs()),
        }))),
    }
}

/// Goes on with a login that was answered `challenge_required`.
///
/// Besides `challenge_id` it takes what the challenge asked for.
#[utoipa::path(
    post,
    path = "/api/v1/auth/token/resume",
    operation_id = "resume_token",
    tag = "tokens",
    request_body(content((ResumeBody = "application/json"), (ResumeBody = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "A session.", body = TokenView)),
    security(())
)]
pub async fn resume(State(app): State<App>, request: TokenRequest) -> ApiResult<Json<TokenView>> {
    one_credential(&request.parts)?;
    let mut answer = request.members("challenge_id")?;
    let id = text(&mut answer, "challenge_id")?.ok_or_else(|| missing("challenge_id"))?;
    let trail = permitted::trail(&request.parts)?;
    trail.known("token.resume", Default::default());
    // A challenge that there is not is nothing to be recorded before: anybody can make them up.
    app.login.check_waiting(&id, &request.client).await?;
    trail.decided("token.resume", Default::default(), About::tried(None)).await?;
    let begun = app.login.resume(&id, answer, &request.client).await?;
    Ok(Json(session_of(begun, &trail)?.into()))
}

async fn child(app: &App, request: &TokenRequest, login: Login) -> ApiResult<Tokens> {
    if let Some(name) = login.credentials.keys().next() {
        return Err(ApiError::at(Kind::UnknownMember, ["body".into(), crate::http::json::told(name)]));
    }
    if login.program.is_some() {
        return Err(ApiError::new(Kind::TwoCredentials));
    }
    let caller = permitted::authenticated(&request.parts, app).await?;
    let trail = permitted::trail(&request.parts)?;
    trail.decided("token.create", permitted::who(&caller.authenticated), About::own(None)).await?;
    let tokens = app.login.child(&caller.authenticated, login.wish, request.client.clone()).await?;
    trail.about(format!("sessions/{}", tokens.session.id));
    Ok(tokens)
}

/// A new pair of tokens for a refresh token.
#[utoipa::path(
    post,
    path = "/api/v1/token/renew",
    operation_id = "renew_token",
    tag = "tokens",
    request_body(content((RenewBody = "application/json"), (RenewBody = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "The new pair.", body = TokenView)),
    security((), ("client" = []))
)]
pub async fn renew(State(app): State<App>, request: TokenRequest) -> ApiResult<Json<TokenView>> {
    let mut body = request.members("refresh_token")?;
    let program = request.program(&mut body)?;
    let RenewBody { refresh_token: token, scope, .. } = decode(body)?;
    let scope = scope.filter(|scope| !scope.is_empty()).map(|scope| parse_scope(&scope)).transpose()?;
    Ok(Json(renewed(&app, &request, Asked { token, scope, program }).await?.into()))
}

/// A renewal, by the program that began the session if one did.
struct Asked {
    token: Secret<String>,
    scope: Option<Scope>,
    program: Option<Program>,
}

async fn renewed(app: &App, request: &TokenRequest, asked: Asked) -> ApiResult<Tokens> {
    // Junk costs nothing, and is told no more than a token that is no longer good.
    let token = RefreshToken::parse(asked.token.reveal()).map_err(|_| ApiError::new(Kind::InvalidGrant))?;
    let trail = permitted::trail(&request.parts)?;
    trail.known("token.renew", Default::default());
    // Nor does one that nobody was given: anybody can make them up.
    let known = app.login.session_of(&AnyToken::Refresh(token.clone())).await?;
    let session = known.ok_or_else(|| ApiError::new(Kind::InvalidGrant))?;
    let about = About::tried(Some(format!("sessions/{session}")));
    trail.decided("token.renew", Default::default(), about).await?;
    match app.login.renew(&token, asked.scope, asked.program.as_ref(), &request.client).await {
        Ok(tokens) => {
            trail.made(&tokens.session);
            Ok(tokens)
        }
        Err(error) => {
            if let login::Error::Session(session::Error::Reuse(session)) = &error {
                trail.made(session);
            }
            Err(error.into())
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Revoked {
    revoked: bool,
}

/// Ends the session of a token.
///
/// 200 for whatever token: who asks learns nothing of it (RFC 7009 section 2.2).
#[utoipa::path(
    post,
    path = "/api/v1/token/revoke",
    operation_id = "revoke_token",
    tag = "tokens",
    request_body(content((RevokeBody = "application/json"), (RevokeBody = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "The token is good no more.", body = Revoked)),
    security(())
)]
pub async fn revoke(State(app): State<App>, request: TokenRequest) -> ApiResult<Json<Revoked>> {
    let mut body = request.members("revoke_token")?;
    let program = request.program(&mut body)?;
    let RevokeBody { revoke_token, .. } = decode(body)?;
    let trail = permitted::trail(&request.parts)?;
    trail.known("token.revoke", Default::default());
    // Nobody has to say which program asks; who does is to prove it (RFC 7009 section 2.1).
    if let Some(program) = &program {
        app.login.proven(program, &request.client).await?;
    }
    // One that nobody was given ends nothing, and anybody can make them up.
    if let Ok(token) = AnyToken::parse(revoke_token.reveal())
        && let Some(session) = app.login.session_of(&token).await?
    {
        let about = About::tried(Some(format!("sessions/{session}")));
        trail.decided("token.revoke", Default::default(), about).await?;
        app.login.end_by_token(revoke_token.reveal()).await?;
    }
    Ok(Json(Revoked { revoked: true }))
}
