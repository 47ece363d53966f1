use axum::{
    Json,
    extract::{Request, State},
    handler::Handler,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::{
    secret_inputs::{Create, Delete, List, ListAll, Patch, Put, Read, VerbByGet, VerbByPost},
    secret_shapes::{ChangedSecret, DeletedSecret, ListedSecret, NewSecret, PatchSecret, PutSecret, Secret},
};
use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult, Kind},
        path,
        permitted::{self, Permitted},
    },
    secrets::{Error, Listing, Secrets},
};

type Object = ApiResult<Json<Map<String, Value>>>;

/// `GET /secrets…` is three calls: what the URL names says which.
pub async fn get(State(app): State<App>, request: Request) -> Response {
    match path::shape(request.uri()) {
        path::Shape::All => list_all.call(request, app).await,
        path::Shape::Folder => list.call(request, app).await,
        path::Shape::Verb => verb_by_get.call(request, app).await,
        path::Shape::Secret => read.call(request, app).await,
    }
}

/// Only verbs are posted to a secret.
pub async fn verb(State(app): State<App>, request: Request) -> Response {
    verb_by_post.call(request, app).await
}

/// Makes a secret that is not there yet.
#[utoipa::path(
    post,
    path = "/api/v1/secrets/create",
    operation_id = "create_secret",
    tag = "secrets",
    request_body = NewSecret,
    responses((status = 200, description = "Its first version.", body = ChangedSecret))
)]
pub async fn create(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Create>) -> Object {
    match secrets.handle(&permit, input.operation, &caller.asker()).await {
        // Mount and secret are named in the body here, not in the URL.
        Err(Error::NoMount) => Err(ApiError::at(Kind::Unknown, ["body", input.mount])),
        Err(Error::Refused(refusal)) if refusal.code == "exists" => {
            Err(ApiError::at(Kind::AlreadyExists, ["body", input.name]))
        }
        other => Ok(Json(other?)),
    }
}

/// A new version, or the first.
#[utoipa::path(
    put,
    path = "/api/v1/secrets/{secret_id}",
    operation_id = "put_secret",
    tag = "secrets",
    params(("secret_id" = String, Path, description = "Percent-encoded: `kv%2Fapps%2Fdb`.")),
    request_body = PutSecret,
    responses((status = 200, description = "The version that it made.", body = ChangedSecret))
)]
pub async fn put(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Put>) -> Object {
    let done = secrets.handle(&permit, input.0, &caller.asker()).await;
    Ok(Json(done.map_err(|error| ApiError::from(error).instead("GET, PATCH, DELETE"))?))
}

/// Merges into the newest version (RFC 7396).
#[utoipa::path(
    patch,
    path = "/api/v1/secrets/{secret_id}",
    operation_id = "patch_secret",
    tag = "secrets",
    params(("secret_id" = String, Path, description = "Percent-encoded: `kv%2Fapps%2Fdb`.")),
    request_body(content((PatchSecret = "application/json"), (PatchSecret = "application/merge-patch+json"))),
    responses((status = 200, description = "The newest version.", body = ChangedSecret))
)]
pub async fn patch(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Patch>) -> Object {
    let done = secrets.handle(&permit, input.0, &caller.asker()).await;
    Ok(Json(done.map_err(|error| ApiError::from(error).instead("GET, PUT, DELETE"))?))
}

/// Marks the newest version deleted: it can be brought back.
#[utoipa::path(
    delete,
    path = "/api/v1/secrets/{secret_id}",
    operation_id = "delete_secret",
    tag = "secrets",
    params(("secret_id" = String, Path, description = "Percent-encoded: `kv%2Fapps%2Fdb`."), ("expected_version" = Option<u64>, Query, description = "If the newest version is another: 409.")),
    responses((status = 200, description = "It is deleted.", body = DeletedSecret))
)]
pub async fn delete(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Delete>) -> Object {
    let done = secrets.handle(&permit, input.0, &caller.asker()).await;
    Ok(Json(done.map_err(|error| of_query(error).instead("GET, PUT, PATCH"))?))
}

/// The newest version, or an older one.
#[utoipa::path(
    get,
    path = "/api/v1/secrets/{secret_id}",
    operation_id = "read_secret",
    tag = "secrets",
    params(("secret_id" = String, Path, description = "Percent-encoded: `kv%2Fapps%2Fdb`."), ("version" = Option<u64>, Query, description = "The newest if left out.")),
    responses((status = 200, description = "The secret.", body = Secret))
)]
pub async fn read(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Read>) -> Object {
    let done = secrets.handle(&permit, input.0, &caller.asker()).await;
    Ok(Json(done.map_err(|error| of_query(error).instead("PUT, PATCH, DELETE"))?))
}

async fn verb_by_get(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<VerbByGet>) -> Object {
    Ok(Json(secrets.verb(&permit, input.0, &caller.asker()).await.map_err(of_query)?))
}

async fn verb_by_post(
    State(secrets): State<Secrets>,
    Permitted(permit, input, caller): Permitted<VerbByPost>,
) -> Object {
    Ok(Json(secrets.verb(&permit, input.0, &caller.asker()).await?))
}

/// What an engine has against a request that it was told by its query.
fn of_query(error: Error) -> ApiError {
    match error {
        Error::Refused(refusal) if refusal.code == "invalid" && !refusal.problems.is_empty() => {
            ApiError::problems("query", refusal.problems, &Value::Null)
        }
        other => other.into(),
    }
}

#[derive(Serialize, ToSchema)]
pub struct ListedSecrets {
    #[schema(value_type = Vec<ListedSecret>)]
    secrets: Vec<Map<String, Value>>,
    folders: Vec<String>,
    #[schema(required)]
    next_cursor: Option<String>,
    /// Mounts that are missing, because they cannot be listed at present. Only without `prefix`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// What lies below a folder; without `prefix`, everything that the caller may list.
#[utoipa::path(
    get,
    path = "/api/v1/secrets",
    operation_id = "list_secrets",
    tag = "secrets",
    params(ListQuery),
    responses((status = 200, description = "A page of it.", body = ListedSecrets))
)]
pub async fn list(
    State(secrets): State<Secrets>,
    Permitted(permit, input, caller): Permitted<List>,
) -> ApiResult<Json<ListedSecrets>> {
    let listed = secrets.list(&permit, &input.0, &caller.asker()).await;
    // Of an engine without lists: there is nothing else to do with a folder.
    Ok(Json(listed.map_err(|error| ApiError::from(error).instead(""))?.into()))
}

async fn list_all(State(secrets): State<Secrets>, input: permitted::Own<ListAll>) -> ApiResult<Json<ListedSecrets>> {
    let permitted::Own(page, caller) = input;
    Ok(Json(secrets.list_all(&caller.authenticated.caller, &page.0, &caller.asker()).await?.into()))
}

impl From<Listing> for ListedSecrets {
    fn from(listing: Listing) -> Self {
        let Listing { secrets, folders, next_cursor, warnings } = listing;
        Self { secrets, folders, next_cursor, warnings }
    }
}

/// The query of a listing.
#[derive(Deserialize, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(rename = "prefix")]
    /// A folder: `kv/apps/`.
    pub(super) _prefix: Option<String>,
    #[serde(default)]
    pub(super) recursive: bool,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
}
