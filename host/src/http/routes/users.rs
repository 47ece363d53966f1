use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    directory::User,
    http::{
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        path,
        permitted::{Caller, Input, Own, OwnInput, Permitted, Raw},
        query,
    },
    ids::{Email, RoleName, Username},
    policy,
    sensitive::Secret,
    users::{NewUser, UserPath, Users},
};

/// A user as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: String,
    username: String,
    #[schema(required)]
    email: Option<String>,
    role: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Makes a user.
#[utoipa::path(
    post,
    path = "/api/v1/users/create",
    operation_id = "create_user",
    tag = "users",
    request_body = Create,
    responses((status = 200, description = "The new user.", body = UserView))
)]
pub async fn create(
    State(users): State<Users>,
    Permitted(permit, input, caller): Permitted<Create>,
) -> ApiResult<Json<UserView>> {
    let new = input.named(permit.resource(), &caller);
    Ok(Json(users.create(permit, new).await?.into()))
}

/// Removes a user and ends its sessions.
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/delete",
    operation_id = "delete_user",
    tag = "users",
    params(("username" = String, Path)),
    responses((status = 200, description = "It is gone.", body = Deleted))
)]
pub async fn delete(
    State(users): State<Users>,
    Permitted(permit, _, caller): Permitted<Delete>,
) -> ApiResult<Json<Deleted>> {
    users.delete(permit, caller.client.request).await.map(|username| Json(Deleted { username })).map_err(Into::into)
}

pub async fn delete_named(
    State(users): State<Users>,
    Permitted(permit, _, caller): Permitted<DeleteNamed>,
) -> ApiResult<Json<Deleted>> {
    users.delete(permit, caller.client.request).await.map(|username| Json(Deleted { username })).map_err(Into::into)
}

/// The caller.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    operation_id = "current_user",
    tag = "users",
    responses((status = 200, description = "The caller.", body = UserView))
)]
pub async fn me(Own(_, caller): Own<Me>) -> Json<UserView> {
    Json(caller.authenticated.user.into())
}

/// Who is no more.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedUser)]
pub struct Deleted {
    #[schema(value_type = String)]
    username: Username,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.into(),
            username: user.username.into(),
            email: user.email.map(Into::into),
            role: user.role.into(),
            created_at: user.created_at.to_string(),
        }
    }
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
#[serde(deny_unknown_fields)]
pub struct Create {
    #[serde(rename = "username")]
    #[schema(value_type = String)]
    _username: Username,
    #[schema(value_type = String, format = Email)]
    email: Email,
    #[schema(value_type = String)]
    role: RoleName,
    #[schema(value_type = String, format = Password)]
    password: Secret<String>,
}

impl Create {
    fn named(self, path: &UserPath, caller: &Caller) -> NewUser {
        let Self { email, role, password, .. } = self;
        NewUser { username: path.0.clone(), email: Some(email), role, password, request: caller.client.request.clone() }
    }
}

impl Input for Create {
    type Action = policy::Create;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.create";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Create, UserPath), ApiError> {
        Ok((policy::Create, UserPath(in_body(raw)?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode()
    }

    fn values(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("role".to_owned(), self.role.to_string())])
    }
}

/// `POST /users/{username}/delete`.
pub struct Delete;

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.delete";
    const TAKES: Takes = Takes::ObjectOrNothing;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, UserPath), ApiError> {
        let name = path::name(&raw.parts, "/api/v1/users/", "/delete", "username")?;
        Ok((policy::Delete, UserPath(username(&name, ["path", "username"])?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode::<query::Nothing>().map(|_| Self)
    }
}

/// `POST /users/delete` with the name in the body.
pub struct DeleteNamed;

/// Its body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "username")]
    _username: Username,
}

impl Input for DeleteNamed {
    type Action = policy::Delete;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.delete";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, UserPath), ApiError> {
        Ok((policy::Delete, UserPath(in_body(raw)?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode::<Named>().map(|_| Self)
    }
}

/// `GET /users/me`.
pub struct Me;

impl OwnInput for Me {
    const OPERATION: &'static str = "users.me";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

fn in_body(raw: &Raw) -> Result<Username, ApiError> {
    match raw.body.get("username") {
        Some(serde_json::Value::String(name)) => username(name, ["body", "username"]),
        Some(_) => Err(ApiError::at(Kind::WrongType, ["body", "username"])),
        None => Err(ApiError::at(Kind::Missing, ["body", "username"])),
    }
}

fn username(text: &str, place: [&'static str; 2]) -> Result<Username, ApiError> {
    Username::parse(text).map_err(|error| ApiError::because(Kind::InvalidValue, place, error.0))
}
