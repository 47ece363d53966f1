use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, ApiResult, Kind},
        form,
        permitted::{Caller, Input, Permitted, Raw},
        query,
    },
    ids::UserId,
    limits, policy,
    settings::{AllSettings, Change, Edit, Error, Key, Past, Settings, View},
};

/// A setting as it is shown.
#[derive(Serialize)]
pub struct SettingView {
    key: String,
    value: Value,
    default: Value,
    description: &'static str,
    schema: Value,
    version: u64,
    updated_at: Option<String>,
    updated_by: Option<UserId>,
    secret_members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Value>,
}

#[derive(Serialize)]
pub struct ListedSettings {
    settings: Vec<SettingView>,
    next_cursor: Option<String>,
}

/// What a setting has been.
#[derive(Serialize)]
pub struct HistoryView {
    key: String,
    versions: Vec<PastView>,
}

#[derive(Serialize)]
struct PastView {
    version: u64,
    value: Option<Value>,
    deleted: bool,
    updated_at: String,
    updated_by: Option<UserId>,
}

pub async fn list(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<List>,
) -> ApiResult<Json<ListedSettings>> {
    let (views, next_cursor) = settings.list(&permit, input.cursor.as_deref(), input.limit).await?;
    Ok(Json(ListedSettings { settings: views.into_iter().map(Into::into).collect(), next_cursor }))
}

pub async fn get(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Get>,
) -> ApiResult<Json<Value>> {
    let answer = match input.history {
        true => serde_json::to_value(HistoryView::new(permit.resource(), settings.history(&permit).await?)),
        false => serde_json::to_value(SettingView::from(settings.get(&permit).await?)),
    };
    Ok(Json(answer.map_err(ApiError::internal)?))
}

pub async fn set(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Set>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

pub async fn put(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Put>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

pub async fn delete(
    State(settings): State<Settings>,
    Permitted(permit, input, _): Permitted<Delete>,
) -> ApiResult<Json<SettingView>> {
    Ok(Json(settings.change(&permit, input.0).await.map_err(of_value)?.into()))
}

pub async fn security(
    State(settings): State<Settings>,
    Permitted(permit, _, _): Permitted<GetSecurity>,
) -> ApiResult<Json<Value>> {
    Ok(Json(settings.get(&permit).await?.value))
}

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

/// `GET /sys/settings`.
pub struct List {
    cursor: Option<String>,
    limit: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Input for List {
    type Action = policy::List;
    type Resource = AllSettings;

    const OPERATION: &'static str = "settings.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllSettings), ApiError> {
        Ok((policy::List, AllSettings))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let ListQuery { limit, cursor } = query::decode(&raw.parts)?;
        let limit = limit.unwrap_or(limits::LIST_DEFAULT);
        match (1..=limits::LIST_MOST).contains(&limit) {
            true => Ok(Self { cursor, limit }),
            false => Err(ApiError::because(Kind::OutOfRange, ["query", "limit"], "must be between 1 and 1000")),
        }
    }
}

/// `GET /sys/setting/{key}` and `GET /sys/setting/{key}:history`.
pub struct Get {
    history: bool,
}

impl Input for Get {
    type Action = policy::Read;
    type Resource = Key;

    const OPERATION: &'static str = "settings.get";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, Key), ApiError> {
        let text = in_path(raw)?;
        let key = text.strip_suffix(HISTORY).unwrap_or(&text);
        // A key that cannot be is a thing that is not there.
        Key::parse(key).map(|key| (policy::Read, key)).map_err(|_| ApiError::new(Kind::NotFound))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        Ok(Self { history: in_path(&raw)?.ends_with(HISTORY) })
    }
}

/// `POST /sys/setting`.
pub struct Set(Change);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody {
    #[serde(rename = "key")]
    _key: String,
    value: Value,
    expected_version: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

impl Input for Set {
    type Action = policy::Update;
    type Resource = Key;

    const OPERATION: &'static str = "settings.set";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Update, Key), ApiError> {
        match raw.body.get("key") {
            Some(Value::String(key)) => Ok((policy::Update, parse(key, ["body", "key"])?)),
            Some(_) => Err(ApiError::at(Kind::WrongType, ["body", "key"])),
            None => Err(ApiError::at(Kind::Missing, ["body", "key"])),
        }
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let SetBody { value, expected_version, dry_run, force, .. } = raw.body.decode()?;
        Ok(Self(Change { edit: Edit::Merge(value), expected: expected_version, dry_run, force }))
    }
}

/// `PUT /sys/setting/{key}`.
pub struct Put(Change);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    value: Value,
    expected_version: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

impl Input for Put {
    type Action = policy::Update;
    type Resource = Key;

    const OPERATION: &'static str = "settings.put";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Update, Key), ApiError> {
        Ok((policy::Update, parse(&in_path(raw)?, ["path", "key"])?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let PutBody { value, expected_version, dry_run, force } = raw.body.decode()?;
        Ok(Self(Change { edit: Edit::Replace(value), expected: expected_version, dry_run, force }))
    }
}

/// `DELETE /sys/setting/{key}`.
pub struct Delete(Change);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    expected_version: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
}

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = Key;

    const OPERATION: &'static str = "settings.delete";
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, Key), ApiError> {
        let key = Key::parse(&in_path(raw)?).map_err(|_| ApiError::new(Kind::NotFound))?;
        Ok((policy::Delete, key))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let DeleteQuery { expected_version, dry_run, force } = query::decode(&raw.parts)?;
        Ok(Self(Change { edit: Edit::Delete, expected: expected_version, dry_run, force }))
    }
}

/// `GET /sys/security`.
pub struct GetSecurity;

impl Input for GetSecurity {
    type Action = policy::Read;
    type Resource = Key;

    const OPERATION: &'static str = "security.get";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, Key), ApiError> {
        Ok((policy::Read, Key::Security))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `POST /sys/security`: the document itself is the body, and `force` beside it.
pub struct SetSecurity(Change);

impl Input for SetSecurity {
    type Action = policy::Update;
    type Resource = Key;

    const OPERATION: &'static str = "security.set";
    const TAKES: Takes = Takes::Object;
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Update, Key), ApiError> {
        Ok((policy::Update, Key::Security))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let Value::Object(mut body) = raw.body.into_value() else { return Err(ApiError::at(Kind::Missing, ["body"])) };
        let force = match body.remove("force") {
            None => false,
            Some(Value::Bool(force)) => force,
            Some(_) => return Err(ApiError::at(Kind::WrongType, ["body", "force"])),
        };
        Ok(Self(Change { edit: Edit::Merge(Value::Object(body)), expected: None, dry_run: false, force }))
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

const HISTORY: &str = ":history";

fn in_path(raw: &Raw) -> Result<String, ApiError> {
    let rest = raw.parts.uri.path().strip_prefix("/api/v1/sys/setting/").unwrap_or_default();
    form::decode(rest.as_bytes(), false).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", "key"]))
}

fn parse(text: &str, place: [&'static str; 2]) -> Result<Key, ApiError> {
    Key::parse(text).map_err(|_| ApiError::at(Kind::UnknownSetting, place))
}
