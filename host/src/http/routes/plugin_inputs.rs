//! What the calls on plugins read of a request.

use std::{collections::BTreeMap, sync::Arc};

use semver::Version;

use crate::{
    app::App,
    http::{
        body::{Received, Room, Takes},
        error::{ApiError, Kind},
        form,
        permitted::{Caller, Input, Raw},
        query::{self, Page},
    },
    ids::PluginName,
    plugins::{AllPlugins, PluginPath, Upload},
    policy,
};

/// `GET /sys/plugins`.
pub struct List(pub Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllPlugins;

    const OPERATION: &'static str = "plugins.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllPlugins), ApiError> {
        Ok((policy::List, AllPlugins))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// `GET /sys/plugins/{name}/{version}`.
pub struct Get;

impl Input for Get {
    type Action = policy::Read;
    type Resource = PluginPath;

    const OPERATION: &'static str = "plugins.get";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, PluginPath), ApiError> {
        // A name that cannot be is a thing that is not there.
        Ok((policy::Read, in_path(raw).map_err(|_| ApiError::new(Kind::NotFound))?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `PUT /sys/plugins/{name}/{version}`.
pub struct Put {
    pub upload: Upload,
    _room: Room,
}

impl Input for Put {
    type Action = policy::Create;
    type Resource = PluginPath;

    const OPERATION: &'static str = "plugins.upload";
    const TAKES: Takes = Takes::Upload("application/wasm");
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Create, PluginPath), ApiError> {
        Ok((policy::Create, in_path(raw)?))
    }

    fn read(mut raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        match raw.parts.extensions.remove::<Received>() {
            Some(Received { bytes, room }) => Ok(Self { upload: Upload::new(Arc::from(&*bytes)), _room: room }),
            None => Err(ApiError::at(Kind::Missing, ["body"])),
        }
    }

    fn values(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("digest".to_owned(), self.upload.digest.to_string())])
    }
}

/// `DELETE /sys/plugins/{name}/{version}`.
pub struct Delete;

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = PluginPath;

    const OPERATION: &'static str = "plugins.delete";
    const POWERFUL: bool = true;
    const STEP_UP: bool = true;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, PluginPath), ApiError> {
        Ok((policy::Delete, in_path(raw).map_err(|_| ApiError::new(Kind::NotFound))?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

fn in_path(raw: &Raw) -> Result<PluginPath, ApiError> {
    let rest = raw.parts.uri.path().strip_prefix("/api/v1/sys/plugins/").unwrap_or_default();
    let (name, version) = rest.split_once('/').unwrap_or((rest, ""));
    let decoded = |text: &str, member| {
        form::decode(text.as_bytes(), false).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", member]))
    };
    parse(&decoded(name, "name")?, &decoded(version, "version")?)
}

fn parse(name: &str, version: &str) -> Result<PluginPath, ApiError> {
    let name =
        PluginName::parse(name).map_err(|error| ApiError::because(Kind::InvalidValue, ["path", "name"], error.0))?;
    let version = Some(version)
        .filter(|version| version.len() <= crate::limits::MOUNT_BYTES)
        .and_then(|version| Version::parse(version).ok())
        .ok_or_else(|| ApiError::because(Kind::InvalidValue, ["path", "version"], "must be a version like 1.2.3"))?;
    Ok(PluginPath { name, version })
}
