use axum::{
    Json,
    extract::{Request, State},
    handler::Handler,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secret_inputs::{Create, Delete, List, ListAll, Patch, Put, Read, VerbByGet, VerbByPost};
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

pub async fn put(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Put>) -> Object {
    Ok(Json(secrets.handle(&permit, input.0, &caller.asker()).await?))
}

pub async fn patch(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Patch>) -> Object {
    Ok(Json(secrets.handle(&permit, input.0, &caller.asker()).await?))
}

pub async fn delete(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Delete>) -> Object {
    Ok(Json(secrets.handle(&permit, input.0, &caller.asker()).await.map_err(of_query)?))
}

async fn read(State(secrets): State<Secrets>, Permitted(permit, input, caller): Permitted<Read>) -> Object {
    Ok(Json(secrets.handle(&permit, input.0, &caller.asker()).await.map_err(of_query)?))
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

#[derive(Serialize)]
pub struct ListedSecrets {
    secrets: Vec<Map<String, Value>>,
    folders: Vec<String>,
    next_cursor: Option<String>,
}

async fn list(
    State(secrets): State<Secrets>,
    Permitted(permit, input, caller): Permitted<List>,
) -> ApiResult<Json<ListedSecrets>> {
    Ok(Json(secrets.list(&permit, &input.0, &caller.asker()).await?.into()))
}

async fn list_all(State(secrets): State<Secrets>, input: permitted::Own<ListAll>) -> ApiResult<Json<ListedSecrets>> {
    let permitted::Own(page, caller) = input;
    Ok(Json(secrets.list_all(&caller.authenticated.caller, &page.0, &caller.asker()).await?.into()))
}

impl From<Listing> for ListedSecrets {
    fn from(listing: Listing) -> Self {
        Self { secrets: listing.secrets, folders: listing.folders, next_cursor: listing.next_cursor }
    }
}

/// The query of a listing.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(rename = "prefix")]
    pub(super) _prefix: Option<String>,
    #[serde(default)]
    pub(super) recursive: bool,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
}
