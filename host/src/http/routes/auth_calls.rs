//! Calls that auth mounts have besides logins: `GET /auth/github/groups`. In `openapi.json` they are what the manifests
//! of the shipped plugins say.

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::{
    auth_inputs::{ByGet, ByPost},
    types::{Types, pascal},
};
use crate::{
    app::App,
    catalog::{self, CallSpec, Kind, Manifest, Method},
    http::{
        error::{ApiError, ApiResult},
        permitted::Permitted,
    },
    login,
};

pub async fn get(State(app): State<App>, asked: Permitted<ByGet>) -> ApiResult<Json<Map<String, Value>>> {
    let Permitted(permit, ByGet(query), caller) = asked;
    let who = (&caller.authenticated.user, &caller.client);
    Ok(Json(app.login.own_call(&permit, (Method::Get, &query), who).await.map_err(of_query)?))
}

pub async fn post(State(app): State<App>, asked: Permitted<ByPost>) -> ApiResult<Json<Map<String, Value>>> {
    let Permitted(permit, ByPost(body), caller) = asked;
    let who = (&caller.authenticated.user, &caller.client);
    Ok(Json(app.login.own_call(&permit, (Method::Post, &body), who).await?))
}

/// What does not fit stood in the query.
fn of_query(error: login::Error) -> ApiError {
    match error {
        login::Error::Invalid(problems) => ApiError::problems("query", problems, &Value::Null),
        other => other.into(),
    }
}

/// Path items by their paths.
pub fn paths(types: &mut Types) -> Map<String, Value> {
    let shipped = catalog::shipped();
    let manifests = shipped.iter().filter_map(|(_, wasm)| catalog::inspect(wasm).ok()).map(|found| found.manifest);
    let mut items = Map::new();
    for manifest in manifests.filter(|manifest| manifest.kind == Kind::Auth) {
        for call in manifest.calls.iter().filter(|call| call.path.is_empty()) {
            let item = items.entry(format!("/api/v1/auth/{{mount}}/{}", call.operation)).or_insert_with(|| json!({}));
            item[call.method.as_str().to_ascii_lowercase()] = operation(types, &manifest, call);
        }
    }
    items
}

fn operation(types: &mut Types, manifest: &Manifest, call: &CallSpec) -> Value {
    let method = call.method.as_str().to_ascii_lowercase();
    let any = || json!({"type": "object"});
    let name = format!("{}{}", pascal(manifest.name.as_str()), pascal(&call.operation));
    let answer = types.name(format!("{name}Result"), call.response.clone().unwrap_or_else(any));
    let mut operation = json!({
        "tags": ["plugins"],
        "summary": format!("`{}`, of mounts of the plugin `{}`. Needs `{}`.", call.operation, manifest.name, call.action.as_str()),
        "operationId": format!("{method}_auth_{}", call.operation.replace('-', "_")),
        "parameters": [{"name": "mount", "in": "path", "required": true, "schema": {"type": "string"}}],
        "responses": {
            "200": {
                "description": "What the plugin tells.",
                "content": {"application/json": {"schema": answer}},
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    });
    if call.method == Method::Post {
        let schema = types.name(name, call.request.clone().unwrap_or_else(any));
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}
