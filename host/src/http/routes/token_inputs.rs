//! What of a body of the token endpoints is ours, and what is the auth plugin's.

use axum::{
    extract::{FromRequest, Request},
    http::request::Parts,
};
use serde_json::{Map, Value};

use crate::{
    app::App,
    http::{
        bearer,
        body::{self, Members, Takes},
        error::{ApiError, ApiResult, Kind},
        permitted, query,
    },
    ids::Scope,
    login::{Client, Program, SessionWish, Wish},
    problem,
    sensitive::Secret,
};

/// A body of the token endpoints: JSON or a form, from a client that may have said which it is.
pub struct TokenRequest {
    pub parts: Parts,
    pub body: Members,
    pub client: Client,
}

/// What is ours in the body of a login; the rest is the plugin's.
pub struct Login {
    pub grant: String,
    pub wish: Wish,
    pub program: Option<Program>,
    pub credentials: Map<String, Value>,
}

impl FromRequest<App> for TokenRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = body::read(&parts, body, Takes::ObjectOrForm).await?;
        query::none(&parts)?;
        let client = permitted::client(&parts)?;
        Ok(Self { parts, body, client })
    }
}

impl TokenRequest {
    /// The body; one that is empty lacks `first`.
    pub fn members(&self, first: &'static str) -> ApiResult<Map<String, Value>> {
        match self.body.clone().into_value() {
            Value::Object(body) => Ok(body),
            _ => Err(missing(first)),
        }
    }

    /// Which program asks: by the body or by HTTP Basic, not both (RFC 6749 section 2.3).
    pub fn program(&self, body: &mut Map<String, Value>) -> ApiResult<Option<Program>> {
        let (id, secret) = (text(body, "client_id")?, text(body, "client_secret")?);
        let basic = bearer::client(&self.parts)?;
        match (basic, id, secret) {
            (None, None, None) => Ok(None),
            (Some(bearer::Client { id, secret }), None, None) => Ok(Some(Program { id, secret })),
            (None, Some(id), Some(secret)) => Ok(Some(Program { id, secret: Secret::new(secret) })),
            (Some(_), ..) => Err(ApiError::new(Kind::TwoCredentials)),
            // Half of it proves nothing.
            (None, ..) => Err(ApiError::new(Kind::InvalidClient)),
        }
    }
}

impl Login {
    pub fn read(request: &TokenRequest) -> ApiResult<Self> {
        let mut body = request.members("grant_type")?;
        let grant = text(&mut body, "grant_type")?;
        let scope = text(&mut body, "scope")?.map(|scope| parse_scope(&scope)).transpose()?;
        let program = request.program(&mut body)?;
        let session = body.remove("session").filter(|session| !session.is_null());
        // What is renewed stays as it was begun: who wishes for less must not believe to have it.
        if session.is_some() && grant.as_deref() == Some("refresh_token") {
            return Err(ApiError::because(Kind::UnknownMember, ["body", "session"], "is not known with refresh_token"));
        }
        let session = match session {
            None => SessionWish::default(),
            Some(value) => problem::decode(&value).map_err(|problems| {
                let below = problems.into_iter().map(|problem| problem.below("/session")).collect();
                ApiError::problems("body", below, &Value::Null)
            })?,
        };
        // The user's document says so in one place.
        if let Some(password) = body.remove("passwor")
            && body.insert("password".to_owned(), password).is_some()
        {
            let msg = "means the same as password: give one of the two";
            return Err(ApiError::because(Kind::InvalidValue, ["body", "passwor"], msg));
        }
        let grant = match grant {
            Some(grant) => grant,
            None if body.contains_key("username") && body.contains_key("password") => "password".to_owned(),
            None => return Err(missing("grant_type")),
        };
        Ok(Self { grant, wish: Wish { scope, session }, program, credentials: body })
    }
}

/// A login stands on its own: a token beside it would be a second credential.
pub fn one_credential(parts: &Parts) -> ApiResult<()> {
    match bearer::token(parts)? {
        Some(_) => Err(ApiError::new(Kind::TwoCredentials)),
        None => Ok(()),
    }
}

/// A member that is text; forms send what they leave empty.
pub fn text(body: &mut Map<String, Value>, name: &'static str) -> ApiResult<Option<String>> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(ApiError::at(Kind::WrongType, ["body", name])),
    }
}

pub fn parse_scope(text: &str) -> ApiResult<Scope> {
    Scope::parse(text).map_err(|_| ApiError::new(Kind::InvalidScope))
}

pub fn decode<T: serde::de::DeserializeOwned>(members: Map<String, Value>) -> ApiResult<T> {
    let value = Value::Object(members);
    problem::decode(&value).map_err(|problems| ApiError::problems("body", problems, &value))
}

pub fn missing(name: &'static str) -> ApiError {
    ApiError::at(Kind::Missing, ["body", name])
}
