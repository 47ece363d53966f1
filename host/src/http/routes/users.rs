use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::user_inputs::{ChangePassword, Create, Delete, DeleteNamed, Get, List, Me, OwnChange, Update};
use crate::{
    app::App,
    directory::{Kind as UserKind, User},
    http::{
        cursor,
        error::{ApiError, ApiResult, Kind},
        permitted::{Own, Permitted},
        query::PageQuery,
        whose::Whose,
    },
    ids::Username,
    users::{Error, Users},
};

/// A user as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: String,
    username: String,
    #[schema(required)]
    email: Option<String>,
    /// None: the mappings of auth mounts say what the user may do.
    #[schema(required)]
    role: Option<String>,
    kind: UserKind,
    disabled: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.into(),
            username: user.username.into(),
            email: user.email.map(Into::into),
            role: user.role.map(Into::into),
            kind: user.kind,
            disabled: user.disabled,
            created_at: user.created_at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedUsers {
    users: Vec<UserView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Who there is, in byte order of the names.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "list_users",
    tag = "users",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = ListedUsers))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedUsers>> {
    let after: Option<Username> = cursor::after(&app, &caller, USERS, &page)?;
    let (users, next) = app.users.list(&permit, after.as_ref(), page.limit).await?;
    let next_cursor = next.map(|next| cursor::seal(&app, &caller, USERS, &next)).transpose()?;
    Ok(Json(ListedUsers { users: users.into_iter().map(Into::into).collect(), next_cursor }))
}

/// The listing that a cursor is for.
const USERS: &str = "users";

/// One user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}",
    operation_id = "get_user",
    tag = "users",
    params(("username" = String, Path)),
    responses((status = 200, description = "The user.", body = UserView))
)]
pub async fn get(State(users): State<Users>, Permitted(permit, _, _): Permitted<Get>) -> ApiResult<Json<UserView>> {
    Ok(Json(users.get(&permit).await.map_err(not_there)?.into()))
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

/// Changes a user. Who is disabled or loses a role is logged out everywhere.
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/update",
    operation_id = "update_user",
    tag = "users",
    params(("username" = String, Path)),
    request_body = Update,
    responses((status = 200, description = "The user as it is now.", body = UserView))
)]
pub async fn update(
    State(users): State<Users>,
    Permitted(permit, input, _): Permitted<Update>,
) -> ApiResult<Json<UserView>> {
    Ok(Json(users.update(permit, input.change()).await.map_err(in_path)?.into()))
}

#[derive(Serialize, ToSchema)]
pub struct ChangedPassword {
    #[schema(value_type = String)]
    username: Username,
    /// The session that asked lives on. All others of that user have ended.
    session_kept: bool,
}

/// Changes a password: one's own by the current one, somebody else's by permission.
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/password",
    operation_id = "change_password",
    tag = "users",
    params(("username" = String, Path, description = "`me` is the caller.")),
    request_body = ChangePassword,
    responses((status = 200, description = "It is changed.", body = ChangedPassword))
)]
pub async fn password(State(users): State<Users>, whose: Whose<OwnChange>) -> ApiResult<Json<ChangedPassword>> {
    let (username, session_kept) = match whose {
        Whose::Own(Own(input, caller)) => {
            let change = input.by(&caller);
            let kept = users.change_own_password(&caller.authenticated.session, change).await?;
            (caller.authenticated.user.username, kept)
        }
        Whose::Other(Permitted(permit, input, caller)) => {
            let name = users.set_password(permit, &input.0, &caller.client.request).await.map_err(in_path)?;
            (name, true)
        }
    };
    Ok(Json(ChangedPassword { username, session_kept }))
}

/// Who is no more.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedUser)]
pub struct Deleted {
    #[schema(value_type = String)]
    username: Username,
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
    let username = users.delete(permit, caller.client.request).await.map_err(in_path)?;
    Ok(Json(Deleted { username }))
}

pub async fn delete_named(
    State(users): State<Users>,
    Permitted(permit, _, caller): Permitted<DeleteNamed>,
) -> ApiResult<Json<Deleted>> {
    let username = users.delete(permit, caller.client.request).await?;
    Ok(Json(Deleted { username }))
}

/// What the URL of a GET or a DELETE names, and is not there.
pub fn not_there(error: Error) -> ApiError {
    match error {
        Error::NotFound(_) => ApiError::new(Kind::NotFound),
        other => other.into(),
    }
}

/// What the URL of a POST names, and does not exist.
pub fn in_path(error: Error) -> ApiError {
    match error {
        Error::NotFound(what) => ApiError::at(Kind::Unknown, ["path", what]),
        other => other.into(),
    }
}
