use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequest, Request, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::token_inputs::{TokenRequest, decode};
use crate::{
    app::App,
    audit::Who,
    directory::User,
    http::{
        bearer,
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        permitted::{self, Own, OwnInput, Raw},
        query,
        trail::About,
    },
    ids::Scope,
    login::{Introspected, Program},
    sensitive::Secret,
    session::{AnyToken, Session},
};

/// `POST /token/introspect`.
#[derive(Deserialize, ToSchema)]
#[schema(as = Introspection)]
#[serde(deny_unknown_fields)]
pub struct Introspect {
    #[schema(value_type = String, format = Password)]
    token: Secret<String>,
    #[serde(default, rename = "token_type_hint")]
    _hint: Option<String>,
    /// A machine that asks without a session. Or HTTP Basic.
    #[serde(default, rename = "client_id")]
    _client_id: Option<String>,
    #[serde(default, rename = "client_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    _client_secret: Option<Secret<String>>,
}

impl Introspect {
    /// A token names its session to everybody.
    fn session(&self) -> Option<String> {
        let token = AnyToken::parse(self.token.reveal()).ok()?;
        Some(format!("sessions/{}", token.session()))
    }
}

impl OwnInput for Introspect {
    const OPERATION: &'static str = "token.introspect";
    const TAKES: Takes = Takes::ObjectOrForm;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let shows_secret = ["client_id", "client_secret"].iter().any(|member| raw.body.get(member).is_some());
        if shows_secret {
            return Err(ApiError::new(Kind::TwoCredentials));
        }
        raw.body.decode()
    }

    fn resource(&self) -> Option<String> {
        self.session()
    }
}

/// Who asks: a session, or a machine that shows its secret (RFC 7662 section 2.1).
pub enum Asking {
    Session(Box<Own<Introspect>>),
    Program(Box<(TokenRequest, Program, Introspect)>),
}

impl FromRequest<App> for Asking {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let has_token = bearer::token(&parts)?.is_some();
        let request = Request::from_parts(parts, body);
        if has_token {
            return Own::from_request(request, app).await.map(|own| Self::Session(Box::new(own)));
        }
        let request = TokenRequest::from_request(request, app).await?;
        let mut body = match request.body.clone().into_value() {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        let program = request.program(&mut body)?.ok_or_else(|| ApiError::new(Kind::Unauthenticated))?;
        let input = decode(body)?;
        Ok(Self::Program(Box::new((request, program, input))))
    }
}

/// RFC 7662. Somebody else's token is as good as none.
#[derive(Serialize, Default, ToSchema)]
#[schema(as = Introspected)]
pub struct IntrospectView {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    uses_left: Option<u32>,
}

/// What a token is (RFC 7662).
///
/// For a session, or a machine that shows its secret: of one's own tokens, of sessions that one began for others, and
/// with permission of all.
#[utoipa::path(
    post,
    path = "/api/v1/token/introspect",
    operation_id = "introspect_token",
    tag = "tokens",
    request_body(content((Introspect = "application/json"), (Introspect = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "What it is.", body = IntrospectView)),
    security(("bearer" = []), ("client" = []))
)]
pub async fn introspect(State(app): State<App>, asking: Asking) -> ApiResult<Json<IntrospectView>> {
    let found = match asking {
        Asking::Session(own) => {
            let Own(input, caller) = *own;
            app.login.introspect(input.token.reveal(), &caller.authenticated).await?
        }
        Asking::Program(asked) => by_program(&app, *asked).await?,
    };
    Ok(Json(found.map(Into::into).unwrap_or_default()))
}

async fn by_program(
    app: &App,
    (request, program, input): (TokenRequest, Program, Introspect),
) -> ApiResult<Introspected> {
    let trail = permitted::trail(&request.parts)?;
    trail.known(Introspect::OPERATION, Who::default());
    // Whoever it is not is one refusal among many.
    let machine = app.login.proven(&program, &request.client).await?;
    let who = Who { user: Some(machine.id.clone()), ..Who::default() };
    let about = About::own(input.session());
    trail.decided(Introspect::OPERATION, who, about).await?;
    Ok(app.login.introspect_for(input.token.reveal(), &machine, &request.client).await?)
}

impl From<(Arc<Session>, User)> for IntrospectView {
    fn from((session, user): (Arc<Session>, User)) -> Self {
        Self {
            active: true,
            scope: session.scope.clone(),
            username: Some(user.username.into()),
            sub: Some(user.id.into()),
            token_type: Some("Bearer"),
            exp: Some(session.expires_at.millis() / 1000),
            iat: Some(session.created_at.millis() / 1000),
            session_id: Some(session.id.to_string()),
            uses_left: session.uses_left,
        }
    }
}
