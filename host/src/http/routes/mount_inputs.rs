//! What the calls on mounts, and the one for metrics, read of a request.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::App,
    http::{
        error::{ApiError, Kind},
        form,
        permitted::{Caller, Input, Raw},
        query::{self, Page},
    },
    ids::MountName,
    mount, policy,
    telemetry::{AllMounts, Metrics, MountPath, Part},
};

/// `GET /metrics`.
pub struct GetMetrics;

impl Input for GetMetrics {
    type Action = policy::Read;
    type Resource = Metrics;

    const OPERATION: &'static str = "metrics.read";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, Metrics), ApiError> {
        Ok((policy::Read, Metrics))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `GET /sys/mounts`.
pub struct List(pub Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllMounts;

    const OPERATION: &'static str = "mounts.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllMounts), ApiError> {
        Ok((policy::List, AllMounts))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// `GET /sys/mounts/{kind}/{mount}`.
pub struct Get;

impl Input for Get {
    type Action = policy::Read;
    type Resource = MountPath;

    const OPERATION: &'static str = "mounts.get";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, MountPath), ApiError> {
        Ok((policy::Read, in_path(raw, Part::Whole)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `GET /sys/mounts/{kind}/{mount}/failures`.
pub struct GetFailures;

impl Input for GetFailures {
    type Action = policy::Read;
    type Resource = MountPath;

    const OPERATION: &'static str = "mounts.failures";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, MountPath), ApiError> {
        Ok((policy::Read, in_path(raw, Part::Failures)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// `GET /sys/mounts/{kind}/{mount}/log`.
pub struct GetLog {
    pub after: Option<u64>,
    pub limit: usize,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Lines after this number, from the oldest of them. Left out: the newest lines.
    after: Option<u64>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

impl Input for GetLog {
    type Action = policy::Read;
    type Resource = MountPath;

    const OPERATION: &'static str = "mounts.log";

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Read, MountPath), ApiError> {
        Ok((policy::Read, in_path(raw, Part::Log)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let LogQuery { after, limit } = query::decode(&raw.parts)?;
        Ok(Self { after, limit: Page::new(limit, None)?.limit })
    }
}

/// What cannot be a mount is a thing that is not there.
fn in_path(raw: &Raw, part: Part) -> Result<MountPath, ApiError> {
    let below = raw.parts.uri.path().strip_prefix("/api/v1/sys/mounts/").unwrap_or_default();
    let below = match part {
        Part::Whole => below,
        Part::Log => below.strip_suffix("/log").unwrap_or_default(),
        Part::Failures => below.strip_suffix("/failures").unwrap_or_default(),
    };
    let (kind, name) = parse(below).ok_or_else(|| ApiError::new(Kind::NotFound))?;
    Ok(MountPath { kind, name, part })
}

/// `secrets/kv`, each of the two perhaps percent-encoded.
pub(super) fn parse(text: &str) -> Option<(mount::Kind, MountName)> {
    let (kind, name) = text.split_once('/')?;
    let name = form::decode(name.as_bytes(), false).ok()?;
    let (kind, name) = mount::Kind::of_key(&format!("{kind}/{name}")).map(|(kind, name)| (kind, name.to_owned()))?;
    Some((kind, MountName::parse(&name).ok()?))
}
