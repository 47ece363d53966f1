//! What the calls on settings read of a request.

use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    http::{
        body::Takes,
        client_address::ClientAddress,
        error::{ApiError, Kind},
        form,
        permitted::{Caller, Input, Raw},
        query::{self, Page},
    },
    policy,
    settings::{AllSettings, Change, Edit, Key},
};

/// `GET /sys/settings`.
pub struct List(pub Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllSettings;

    const OPERATION: &'static str = "settings.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllSettings), ApiError> {
        Ok((policy::List, AllSettings))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// `GET /sys/setting/{key}` and `GET /sys/setting/{key}:history`.
pub struct Get {
    pub history: bool,
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
pub struct Set(pub Change);

#[derive(Deserialize, ToSchema)]
#[schema(as = SetSetting)]
#[serde(deny_unknown_fields)]
pub struct SetBody {
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
        let from_known_address = is_from_known_address(&raw);
        let SetBody { value, expected_version, dry_run, force, .. } = raw.body.decode()?;
        Ok(Self(Change { edit: Edit::Merge(value), expected: expected_version, dry_run, force, from_known_address }))
    }
}

/// `PUT /sys/setting/{key}`.
pub struct Put(pub Change);

#[derive(Deserialize, ToSchema)]
#[schema(as = PutSetting)]
#[serde(deny_unknown_fields)]
pub struct PutBody {
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
        let from_known_address = is_from_known_address(&raw);
        let PutBody { value, expected_version, dry_run, force } = raw.body.decode()?;
        Ok(Self(Change { edit: Edit::Replace(value), expected: expected_version, dry_run, force, from_known_address }))
    }
}

/// `DELETE /sys/setting/{key}`.
pub struct Delete(pub Change);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuery {
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
        let from_known_address = is_from_known_address(&raw);
        let DeleteQuery { expected_version, dry_run, force } = query::decode(&raw.parts)?;
        Ok(Self(Change { edit: Edit::Delete, expected: expected_version, dry_run, force, from_known_address }))
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
pub struct SetSecurity(pub Change);

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
        let from_known_address = is_from_known_address(&raw);
        let Value::Object(mut body) = raw.body.into_value() else { return Err(ApiError::at(Kind::Missing, ["body"])) };
        let force = match body.remove("force") {
            None => false,
            Some(Value::Bool(force)) => force,
            Some(_) => return Err(ApiError::at(Kind::WrongType, ["body", "force"])),
        };
        Ok(Self(Change {
            edit: Edit::Merge(Value::Object(body)),
            expected: None,
            dry_run: false,
            force,
            from_known_address,
        }))
    }
}

const HISTORY: &str = ":history";

fn in_path(raw: &Raw) -> Result<String, ApiError> {
    let rest = raw.parts.uri.path().strip_prefix("/api/v1/sys/setting/").unwrap_or_default();
    form::decode(rest.as_bytes(), false).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", "key"]))
}

/// A session could be bound to where it comes from.
fn is_from_known_address(raw: &Raw) -> bool {
    let known = raw.parts.extensions.get::<ClientAddress>();
    known.is_some_and(|client| client.address.is_some() && !client.untrusted_forwarding)
}

fn parse(text: &str, place: [&'static str; 2]) -> Result<Key, ApiError> {
    Key::parse(text).map_err(|_| ApiError::at(Kind::UnknownSetting, place))
}
