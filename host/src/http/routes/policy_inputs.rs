//! What the calls on policies read of a request.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::user_inputs::username;
use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, Kind},
        path,
        permitted::{Caller, Input, Raw},
        query::{self, Page},
    },
    ids::{Action, Folder, MountName, PolicyName},
    policy::{self, AllPolicies, Change, PolicyPath},
    users::{ExplainPath, Question},
};

/// `GET /sys/policies`.
pub struct List(pub Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllPolicies;

    const OPERATION: &'static str = "policies.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllPolicies), ApiError> {
        Ok((policy::List, AllPolicies))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// `GET /sys/policies/{name}`.
pub struct Get;

impl Input for Get {
    type Action = policy::Read;
    type Resource = PolicyPath;

    const OPERATION: &'static str = "policies.get";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, PolicyPath), ApiError> {
        Ok((policy::Read, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `PUT /sys/policies/{name}`.
pub struct Put(pub Change);

#[derive(Deserialize, ToSchema)]
#[schema(as = PutPolicy)]
#[serde(deny_unknown_fields)]
pub struct PutBody {
    /// Policies in Cedar.
    text: String,
    expected_version: Option<u64>,
    /// Try it, store nothing.
    #[serde(default)]
    dry_run: bool,
    /// Even if whoever does it could not take it back.
    #[serde(default)]
    force: bool,
}

impl Input for Put {
    type Action = policy::Put;
    type Resource = PolicyPath;

    const OPERATION: &'static str = "policies.put";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Put, PolicyPath), ApiError> {
        Ok((policy::Put::Either, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let PutBody { text, expected_version, dry_run, force } = raw.body.decode()?;
        Ok(Self(Change { text: Some(text), expected: expected_version, dry_run, force }))
    }

    fn values(&self) -> BTreeMap<String, String> {
        told(&self.0)
    }
}

/// `DELETE /sys/policies/{name}`.
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
    type Resource = PolicyPath;

    const OPERATION: &'static str = "policies.delete";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, PolicyPath), ApiError> {
        Ok((policy::Delete, in_path(raw)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let DeleteQuery { expected_version, dry_run, force } = query::decode(&raw.parts)?;
        Ok(Self(Change { text: None, expected: expected_version, dry_run, force }))
    }

    fn values(&self) -> BTreeMap<String, String> {
        told(&self.0)
    }
}

/// `POST /sys/policies/explain`.
pub struct Explain(pub Question);

#[derive(Deserialize, ToSchema)]
#[schema(as = ExplainPolicies)]
#[serde(deny_unknown_fields)]
pub struct ExplainBody {
    #[schema(value_type = String, example = "read")]
    action: Action,
    /// As policies write it: below `secrets`, `auth` or `sys`. `secrets/kv/~` is the own folder of whom it is asked about.
    #[schema(example = "secrets/kv/apps/web/db")]
    path: String,
    /// Of a call that has one.
    #[serde(default)]
    verb: String,
    /// Somebody just logged in. Left out: the session that asks, with its scope.
    username: Option<String>,
    /// By which auth mount. Left out: as the session that asks.
    #[schema(value_type = Option<String>)]
    method: Option<MountName>,
    /// From where. Left out: as the session that asks.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
}

impl Input for Explain {
    type Action = policy::Read;
    type Resource = ExplainPath;

    const OPERATION: &'static str = "policies.explain";
    const TAKES: Takes = Takes::Object;

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, ExplainPath), ApiError> {
        Ok((policy::Read, ExplainPath))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let ExplainBody { action, path, verb, username: named, method, address } = raw.body.decode()?;
        check_place(&path).map_err(|msg| ApiError::because(Kind::InvalidValue, ["body", "path"], msg))?;
        let username = named.map(|name| username(&name, ["body", "username"])).transpose()?;
        Ok(Self(Question { username, action, path, verb, method, address }))
    }

    fn values(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("action".to_owned(), self.0.action.to_string())])
    }
}

/// Is it a place that there can be? `secrets/kv/~` is the own folder of whom the question is about.
fn check_place(path: &str) -> Result<(), &'static str> {
    match path.split_once('/') {
        Some(("secrets", below)) if !below.ends_with('/') => Folder::parse(below).map(drop).map_err(|error| error.0),
        Some(("auth" | "sys", _)) if policy::is_canonical(path) => Ok(()),
        None if ["secrets", "auth", "sys"].contains(&path) => Ok(()),
        Some(("secrets" | "auth" | "sys", _)) => Err("must be a path without a / at its ends, as in secrets/kv/apps"),
        _ => Err("must begin with secrets/, auth/ or sys/, as in secrets/kv/apps"),
    }
}

fn in_path(raw: &Raw) -> Result<PolicyPath, ApiError> {
    let name = path::name(&raw.parts, "/api/v1/sys/policies/", "", "name")?;
    let parsed = PolicyName::parse(&name);
    parsed.map(PolicyPath).map_err(|error| ApiError::because(Kind::InvalidValue, ["path", "name"], error.0))
}

fn told(change: &Change) -> BTreeMap<String, String> {
    [("forced", change.force), ("dry_run", change.dry_run)]
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(name, _)| (name.to_owned(), "true".to_owned()))
        .collect()
}
