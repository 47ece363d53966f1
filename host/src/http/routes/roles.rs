use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::not_there;
use crate::{
    app::App,
    directory::Role,
    http::{
        body::Takes,
        cursor,
        error::{ApiError, ApiResult, Kind},
        path,
        permitted::{Caller, Input, Permitted, Raw},
        query::{self, Page, PageQuery},
    },
    ids::RoleName,
    limits, policy,
    users::{AllRoles, RolePath, Users},
};

/// A role as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Role)]
pub struct RoleView {
    name: String,
    description: String,
    /// Always there, and not to be changed.
    built_in: bool,
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    #[schema(required, format = DateTime)]
    updated_at: Option<String>,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        Self {
            built_in: Role::is_built_in(&role.name),
            name: role.name.into(),
            description: role.description,
            created_at: role.created_at.map(|time| time.to_string()),
            updated_at: role.updated_at.map(|time| time.to_string()),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedRoles {
    roles: Vec<RoleView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `GET /sys/roles`.
pub struct List(Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllRoles;

    const OPERATION: &'static str = "roles.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllRoles), ApiError> {
        Ok((policy::List, AllRoles))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// All roles.
#[utoipa::path(
    get,
    path = "/api/v1/sys/roles",
    operation_id = "list_roles",
    tag = "policies",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = ListedRoles))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedRoles>> {
    let after: Option<RoleName> = cursor::after(&app, &caller, ROLES, &page)?;
    let (roles, next) = app.users.list_roles(&permit, after.as_ref(), page.limit).await?;
    let next_cursor = next.map(|next| cursor::seal(&app, &caller, ROLES, &next)).transpose()?;
    Ok(Json(ListedRoles { roles: roles.into_iter().map(Into::into).collect(), next_cursor }))
}

/// The listing that a cursor is for.
const ROLES: &str = "roles";

/// `GET /sys/roles/{name}`.
pub struct Get;

impl Input for Get {
    type Action = policy::Read;
    type Resource = RolePath;

    const OPERATION: &'static str = "roles.get";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, RolePath), ApiError> {
        Ok((policy::Read, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// One role.
#[utoipa::path(
    get,
    path = "/api/v1/sys/roles/{name}",
    operation_id = "get_role",
    tag = "policies",
    params(("name" = String, Path)),
    responses((status = 200, description = "The role.", body = RoleView))
)]
pub async fn get(State(users): State<Users>, Permitted(permit, ..): Permitted<Get>) -> ApiResult<Json<RoleView>> {
    Ok(Json(users.role(&permit).await.map_err(not_there)?.into()))
}

/// `PUT /sys/roles/{name}`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PutRole)]
#[serde(deny_unknown_fields)]
pub struct Put {
    #[serde(default)]
    description: String,
}

impl Input for Put {
    type Action = policy::Put;
    type Resource = RolePath;

    const OPERATION: &'static str = "roles.put";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Put, RolePath), ApiError> {
        Ok((policy::Put::Either, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let read: Self = raw.body.decode()?;
        let (text, place) = (&read.description, ["body", "description"]);
        if text.len() > limits::ROLE_DESCRIPTION_BYTES {
            return Err(ApiError::because(Kind::OutOfRange, place, "must be at most 1024 bytes long"));
        }
        match text.contains(char::is_control) {
            true => Err(ApiError::because(Kind::InvalidValue, place, "must be one line of text")),
            false => Ok(read),
        }
    }
}

/// Makes a role. What it may do is for policies to say.
#[utoipa::path(
    put,
    path = "/api/v1/sys/roles/{name}",
    operation_id = "put_role",
    tag = "policies",
    params(("name" = String, Path)),
    request_body = Put,
    responses((status = 200, description = "The role.", body = RoleView))
)]
pub async fn put(State(users): State<Users>, Permitted(permit, input, _): Permitted<Put>) -> ApiResult<Json<RoleView>> {
    Ok(Json(users.put_role(&permit, input.description).await?.into()))
}

/// `DELETE /sys/roles/{name}`.
pub struct Delete;

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = RolePath;

    const OPERATION: &'static str = "roles.delete";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, RolePath), ApiError> {
        Ok((policy::Delete, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// What is no more.
#[derive(Serialize, ToSchema)]
pub struct DeletedRole {
    #[schema(value_type = String)]
    name: RoleName,
}

/// Removes a role that nobody has and nothing names.
#[utoipa::path(
    delete,
    path = "/api/v1/sys/roles/{name}",
    operation_id = "delete_role",
    tag = "policies",
    params(("name" = String, Path)),
    responses((status = 200, description = "It is gone.", body = DeletedRole))
)]
pub async fn delete(
    State(users): State<Users>,
    Permitted(permit, ..): Permitted<Delete>,
) -> ApiResult<Json<DeletedRole>> {
    let name = users.delete_role(&permit).await.map_err(not_there)?;
    Ok(Json(DeletedRole { name }))
}

fn in_path(raw: &Raw) -> Result<RolePath, ApiError> {
    let name = path::name(&raw.parts, "/api/v1/sys/roles/", "", "name")?;
    let parsed = RoleName::parse(&name);
    parsed.map(RolePath).map_err(|error| ApiError::because(Kind::InvalidValue, ["path", "name"], error.0))
}
