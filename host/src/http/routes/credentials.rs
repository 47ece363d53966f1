//! What a user can log in with, mount by mount: one's own, or by permission somebody else's.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    user_inputs::named,
    users::{in_path, not_there},
};
use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        form,
        permitted::{Caller, Input, Own, OwnInput, Permitted, Raw},
        query,
        whose::{Theirs, Whose},
    },
    ids::{MountName, Username},
    limits, policy,
    users::{CredentialsPath, NewCredential, Users},
};

/// A segment of `/api/v1/users/{username}/credentials/{mount}/{id}`, decoded once.
fn segment(raw: &Raw, at: usize, member: &'static str) -> Result<String, ApiError> {
    let text = raw.parts.uri.path().split('/').nth(at).unwrap_or_default();
    form::decode(text.as_bytes(), false).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", member]))
}

fn user(raw: &Raw, caller: &Caller) -> Result<Username, ApiError> {
    named(&segment(raw, 4, "username")?, caller, ["path", "username"])
}

fn mount(raw: &Raw) -> Result<MountName, ApiError> {
    let parsed = MountName::parse(&segment(raw, 6, "mount")?);
    parsed.map_err(|error| ApiError::because(Kind::InvalidValue, ["path", "mount"], error.0))
}

fn in_url(raw: &Raw, caller: &Caller) -> Result<CredentialsPath, ApiError> {
    Ok(CredentialsPath { user: user(raw, caller)?, mount: mount(raw)? })
}

/// An id, as a plugin gives them.
fn checked(id: String, place: [&'static str; 2]) -> Result<String, ApiError> {
    match !id.is_empty() && id.len() <= limits::CREDENTIAL_ID_BYTES && !id.contains(char::is_control) {
        true => Ok(id),
        false => Err(ApiError::because(Kind::InvalidValue, place, "must be 1 to 255 bytes of text")),
    }
}

fn is_own(raw: &Raw, caller: &Caller) -> Result<bool, ApiError> {
    Ok(user(raw, caller)? == caller.authenticated.user.username)
}

/// For the trail: by the mount, which is no secret, and without the name.
fn own_resource(mount: &MountName) -> Option<String> {
    Some(format!("users/me/credentials/{mount}"))
}

/// `GET`: the caller's own.
pub struct List(MountName);

impl OwnInput for List {
    const OPERATION: &'static str = "credentials.list";
    const WHOLE: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        mount(&raw).map(Self)
    }

    fn resource(&self) -> Option<String> {
        own_resource(&self.0)
    }
}

impl Theirs for List {
    type Other = ListOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        is_own(raw, caller)
    }
}

pub struct ListOther;

impl Input for ListOther {
    type Action = policy::List;
    type Resource = CredentialsPath;

    const OPERATION: &'static str = "credentials.list";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::List, CredentialsPath), ApiError> {
        Ok((policy::List, in_url(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedCredentials {
    /// Each with an `id`; the rest is the plugin's, and nothing secret. At a mount that proves people
    /// of elsewhere: the `subject`.
    #[schema(value_type = Vec<Object>)]
    credentials: Vec<Value>,
    /// All of them are told at once.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What a user can log in with at a mount.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}/credentials/{mount}",
    operation_id = "list_credentials",
    tag = "users",
    params(("username" = String, Path, description = "`me` is the caller."), ("mount" = String, Path)),
    responses((status = 200, description = "All of them.", body = ListedCredentials))
)]
pub async fn list(State(users): State<Users>, whose: Whose<List>) -> ApiResult<Json<ListedCredentials>> {
    let found = match whose {
        Whose::Own(Own(input, Caller { authenticated, client })) => {
            users.own_credentials(&authenticated.user, &input.0, &client.request).await
        }
        Whose::Other(Permitted(permit, _, caller)) => users.credentials(&permit, &caller.client.request).await,
    };
    Ok(Json(ListedCredentials { credentials: found.map_err(not_there)?, next_cursor: None }))
}

/// `POST`: one more of the caller's own.
pub struct Enroll(MountName, NewCredential);

fn enrolled(raw: Raw) -> Result<NewCredential, ApiError> {
    query::none(&raw.parts)?;
    let Value::Object(mut body) = raw.body.into_value() else { return Err(ApiError::at(Kind::Missing, ["body"])) };
    let id = match body.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(checked(id, ["body", "id"])?),
        Some(_) => return Err(ApiError::at(Kind::WrongType, ["body", "id"])),
    };
    Ok(NewCredential { id, body })
}

impl OwnInput for Enroll {
    const OPERATION: &'static str = "credentials.enroll";
    const TAKES: Takes = Takes::Object;
    const WHOLE: bool = true;
    // Who found a session open must not make a way in that outlives it.
    const STEP_UP: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Ok(Self(mount(&raw)?, enrolled(raw)?))
    }

    fn resource(&self) -> Option<String> {
        own_resource(&self.0)
    }
}

impl Theirs for Enroll {
    type Other = EnrollOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        is_own(raw, caller)
    }
}

pub struct EnrollOther(NewCredential);

impl Input for EnrollOther {
    type Action = policy::Put;
    type Resource = CredentialsPath;

    const OPERATION: &'static str = "credentials.enroll";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Put, CredentialsPath), ApiError> {
        // What has an id may be there already, and is then replaced.
        let names_one = raw.body.get("id").is_some_and(|id| !id.is_null());
        let action = if names_one { policy::Put::Either } else { policy::Put::Create };
        Ok((action, in_url(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        enrolled(raw).map(Self)
    }
}

/// Adds a credential. Besides `id`, which puts it in the place of another, its members are what the
/// mount's plugin takes. At a mount that proves people of elsewhere it is `subject`, who the user is
/// there, and nobody's own call: whoever proves to be that logs in as this user from then on.
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/credentials/{mount}",
    operation_id = "enroll_credential",
    tag = "users",
    params(("username" = String, Path, description = "`me` is the caller."), ("mount" = String, Path)),
    request_body(content = Object, description = "What the plugin takes, and perhaps `id`; or `subject`, at a mount that proves people of elsewhere."),
    responses((status = 200, description = "What the plugin tells once: a secret that it made, or nothing. Of a `subject`: the `id` of the link.", body = Object))
)]
pub async fn enroll(State(users): State<Users>, whose: Whose<Enroll>) -> ApiResult<Json<Map<String, Value>>> {
    let told = match whose {
        Whose::Own(Own(Enroll(mount, new), Caller { authenticated, client })) => {
            users.enroll_own(&authenticated.session, &mount, &new, &client.request).await
        }
        Whose::Other(Permitted(permit, input, caller)) => users.enroll(&permit, &input.0, &caller.client.request).await,
    };
    Ok(Json(told.map_err(in_path)?))
}

/// `DELETE …/{id}`: of the caller's own.
pub struct Remove(MountName, String);

fn removed(raw: &Raw) -> Result<String, ApiError> {
    query::none(&raw.parts)?;
    checked(segment(raw, 7, "id")?, ["path", "id"])
}

impl OwnInput for Remove {
    const OPERATION: &'static str = "credentials.remove";
    const WHOLE: bool = true;
    const STEP_UP: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Ok(Self(mount(&raw)?, removed(&raw)?))
    }

    fn resource(&self) -> Option<String> {
        own_resource(&self.0)
    }
}

impl Theirs for Remove {
    type Other = RemoveOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        is_own(raw, caller)
    }
}

pub struct RemoveOther(String);

impl Input for RemoveOther {
    type Action = policy::Delete;
    type Resource = CredentialsPath;

    const OPERATION: &'static str = "credentials.remove";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Delete, CredentialsPath), ApiError> {
        Ok((policy::Delete, in_url(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        removed(&raw).map(Self)
    }
}

#[derive(Serialize, ToSchema)]
pub struct RemovedCredential {
    removed: bool,
}

/// Takes a credential away, and ends the sessions of its user. A `subject` that is let go may be
/// linked anew, to anybody.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}/credentials/{mount}/{id}",
    operation_id = "remove_credential",
    tag = "users",
    params(
        ("username" = String, Path, description = "`me` is the caller, whose session lives on."),
        ("mount" = String, Path),
        ("id" = String, Path)
    ),
    responses((status = 200, description = "It is gone.", body = RemovedCredential))
)]
pub async fn remove(State(users): State<Users>, whose: Whose<Remove>) -> ApiResult<Json<RemovedCredential>> {
    let done = match whose {
        Whose::Own(Own(Remove(mount, id), Caller { authenticated, client })) => {
            users.remove_own(&authenticated.session, &mount, &id, &client.request).await
        }
        Whose::Other(Permitted(permit, input, caller)) => users.remove(&permit, &input.0, &caller.client.request).await,
    };
    done.map_err(not_there)?;
    Ok(Json(RemovedCredential { removed: true }))
}
