use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::setting_inputs::{Delete, DeleteQuery, Get, GetSecurity, List, Put, PutBody, Set, SetBody, SetSecurity};
use crate::{
    app::App,
    http::{
        cursor,
        error::{ApiError, ApiResult},
        permitted::Permitted,
        query::PageQuery,
    },
    ids::UserId,
    policy::{Permit, Read},
    security,
    settings::{Error, Key, Past, Settings, View},
};

/// A setting as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Setting)]
pub struct SettingView {
    key: String,
    value: Value,
    default: Value,
    description: &'static str,
    /// JSON Schema.
    #[schema(value_type = Object)]
    schema: Value,
    /// 0: never set, or back at its default.
    version: u64,
    #[schema(required, format = DateTime)]
    updated_at: Option<String>,
    #[schema(required, value_type = Option<String>)]
    updated_by: Option<UserId>,
    /// JSON Pointers into the value, of what is never shown.
    secret_members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    state: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ListedSettings {
    settings: Vec<SettingView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What a setting has been.
#[derive(Serialize, ToSchema)]
#[schema(as = SettingHistory)]
pub struct HistoryView {
    key: String,
    versions: Vec<PastView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PastSetting)]
struct PastView {
    version: u64,
    /// Null: it was deleted.
    #[schema(required)]
    value: Option<Value>,
    deleted: bool,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(required, value_type = Option<String>)]
    updated_by: Option<UserId>,
}

/// All settings.
#[utoipa::path(
    get,
    path = "/api/v1/sys/settings",
    operation_id = "list_settings",
    tag = "settings",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = ListedSettings))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedSettings>> {
    let after: Option<String> = cursor::after(&app, &caller, SETTINGS, &page)?;
    let (views, next) = app.settings.list(&permit, after.as_deref(), page.limit).await?;
    let next_cursor = next.map(|next| cursor::seal(&app, &caller, SETTINGS, &next)).transpose()?;
    Ok(Json(ListedSettings { settings: views.into_iter().map(Into::into).collect(), next_cursor }))
}

/// The listing that a cursor is for.
const SETTINGS: &str = "settings";

pub async fn get(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Get>,
) -> ApiResult<Json<Value>> {
    let answer = match input.history {
        true => serde_json::to_value(history(&settings, &permit).await?),
        false => serde_json::to_value(show(&settings, &permit).await?),
    };
    Ok(Json(answer.map_err(ApiError::internal)?))
}

/// One setting.
#[utoipa::path(
    get,
    path = "/api/v1/sys/setting/{key}",
    operation_id = "get_setting",
    tag = "settings",
    params(("key" = String, Path, description = "Percent-encoded: `custom%2Fapps`.")),
    responses((status = 200, description = "The setting.", body = SettingView))
)]
pub async fn show(settings: &Settings, permit: &Permit<Read, Key>) -> ApiResult<SettingView> {
    Ok(settings.get(permit).await?.into())
}

/// What a setting has been.
#[utoipa::path(
    get,
    path = "/api/v1/sys/setting/{key}:history",
    operation_id = "get_setting_history",
    tag = "settings",
    params(("key" = String, Path, description = "Percent-encoded: `custom%2Fapps`.")),
    responses((status = 200, description = "The newest first.", body = HistoryView))
)]
pub async fn history(settings: &Settings, permit: &Permit<Read, Key>) -> ApiResult<HistoryView> {
    Ok(HistoryView::new(permit.resource(), settings.history(permit).await?))
}

/// Merges into a setting (RFC 7396).
#[utoipa::path(
    post,
    path = "/api/v1/sys/setting",
    operation_id = "set_setting",
    tag = "settings",
    request_body = SetBody,
    responses((status = 200, description = "The setting as it is now.", body = SettingView))
)]
pub async fn set(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Set>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

/// Replaces a setting.
#[utoipa::path(
    put,
    path = "/api/v1/sys/setting/{key}",
    operation_id = "put_setting",
    tag = "settings",
    params(("key" = String, Path, description = "Percent-encoded: `custom%2Fapps`.")),
    request_body = PutBody,
    responses((status = 200, description = "The setting as it is now.", body = SettingView))
)]
pub async fn put(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Put>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

/// Puts a setting back to its default.
#[utoipa::path(
    delete,
    path = "/api/v1/sys/setting/{key}",
    operation_id = "delete_setting",
    tag = "settings",
    params(("key" = String, Path, description = "Percent-encoded: `custom%2Fapps`."), DeleteQuery),
    responses((status = 200, description = "The setting as it is now.", body = SettingView))
)]
pub async fn delete(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Delete>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

/// What sessions, passwords, logins and plugins may be at most.
#[utoipa::path(
    get,
    path = "/api/v1/sys/security",
    operation_id = "get_security",
    tag = "settings",
    responses((status = 200, description = "All of it.", body = security::Rules))
)]
pub async fn security(
    State(settings): State<Settings>,
    Permitted(permit, _, _): Permitted<GetSecurity>,
) -> ApiResult<Json<Value>> {
    Ok(Json(settings.get(&permit).await?.value))
}

/// Members to merge (RFC 7396): null is the default.
#[derive(ToSchema)]
#[schema(as = SetSecurity)]
#[expect(dead_code, reason = "only its schema is used; the setting reads the members")]
struct SecurityBody {
    sessions: Option<security::Sessions>,
    passwords: Option<security::Passwords>,
    logins: Option<security::Logins>,
    step_up: Option<security::StepUp>,
    plugins: Option<security::Plugins>,
    mounts: Option<security::Mounts>,
    /// Also if no enabled login can give `admin` then.
    #[schema(nullable = false)]
    force: Option<bool>,
}

/// Merges into it.
#[utoipa::path(
    post,
    path = "/api/v1/sys/security",
    operation_id = "set_security",
    tag = "settings",
    request_body = SecurityBody,
    responses((status = 200, description = "All of it, as it is now.", body = security::Rules))
)]
pub async fn set_security(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<SetSecurity>,
) -> ApiResult<Json<Value>> {
    Ok(Json(settings.change(&permit, input.0).await?.value))
}

impl From<View> for SettingView {
    fn from(view: View) -> Self {
        let View { key, value, default, description, schema, version, updated_at, updated_by, secret_members, state } =
            view;
        let updated_at = updated_at.map(|at| at.to_string());
        Self { key, value, default, description, schema, version, updated_at, updated_by, secret_members, state }
    }
}

impl HistoryView {
    fn new(key: &Key, past: Vec<Past>) -> Self {
        let versions = past.into_iter().map(|past| PastView {
            version: past.version,
            deleted: past.value.is_none(),
            value: past.value,
            updated_at: past.updated_at.to_string(),
            updated_by: past.updated_by,
        });
        Self { key: key.to_string(), versions: versions.collect() }
    }
}

/// What is wrong with a value is wrong with the body's member of that name.
fn of_value(error: Error) -> ApiError {
    match error {
        Error::Invalid(problems) => {
            Error::Invalid(problems.into_iter().map(|problem| problem.below("/value")).collect()).into()
        }
        other => other.into(),
    }
}
