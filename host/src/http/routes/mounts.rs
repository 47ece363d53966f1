//! How the server and the plugins of its mounts do.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::header, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::mount_inputs::{Get, GetFailures, GetLog, GetMetrics, List, LogQuery, parse};
use crate::{
    app::App,
    http::{
        cursor,
        error::{ApiError, ApiResult, Kind},
        permitted::Permitted,
        query::PageQuery,
    },
    metrics::{Spread, Text},
    runtime::{Failed, Line, Times},
    telemetry::{Telemetry, Watched},
};

/// A mount, and how its plugin does on the node that answers.
///
/// Numbers count from when that node came to know the mount, over changes of plugin and setting.
#[derive(Serialize, ToSchema)]
#[schema(as = Mount)]
pub struct MountView {
    /// `auth` or `secrets`.
    kind: &'static str,
    mount: String,
    plugin: String,
    /// Null: none is live.
    #[schema(required)]
    version: Option<String>,
    #[schema(required)]
    digest: Option<String>,
    /// `ok`, `disabled` or `broken`.
    health: &'static str,
    #[schema(required)]
    reason: Option<String>,
    /// That have ended, however.
    calls: u64,
    succeeded: u64,
    /// At this moment, those that wait for their turn among them.
    running: i64,
    /// Calls that did not succeed: `refused` (an answer like any other), `internal` (the plugin says that the fault is
    /// its own), `trap`, `limit`, `deadline`, `busy`, `resting`, `invalid`, `store`, `abandoned`.
    ended: BTreeMap<&'static str, u64>,
    /// By kind.
    traps: BTreeMap<&'static str, u64>,
    /// Limits that ended calls, by name.
    limits: BTreeMap<&'static str, u64>,
    seconds: PhasesView,
    durations: DurationsView,
    /// What the largest call took.
    memory_peak_bytes: usize,
    /// No instance can be made at present: calls are turned away.
    breaker_open: bool,
}

/// Where the time of all calls went.
#[derive(Serialize, ToSchema)]
#[schema(as = MountSeconds)]
struct PhasesView {
    queue: f64,
    instantiate: f64,
    guest: f64,
    host: f64,
}

/// How long calls took, the queue included.
#[derive(Serialize, ToSchema)]
#[schema(as = MountDurations)]
struct DurationsView {
    /// Seconds.
    sum: f64,
    buckets: Vec<BucketView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MountDurationsBucket)]
struct BucketView {
    /// Seconds; null: all.
    #[schema(required)]
    le: Option<f64>,
    /// Calls that took at most as long.
    count: u64,
}

#[derive(Serialize, ToSchema)]
pub struct ListedMounts {
    mounts: Vec<MountView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// What a plugin logged.
#[derive(Serialize, ToSchema)]
#[schema(as = MountLog)]
pub struct LogView {
    lines: Vec<LineView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MountLogLine)]
struct LineView {
    /// From 1, without a gap. A node that has been started again begins anew.
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    text: String,
    /// Of the plugin.
    version: String,
    request_id: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MountFailures)]
pub struct FailuresView {
    failures: Vec<FailureView>,
}

/// A call that the plugin did not bring to an end.
#[derive(Serialize, ToSchema)]
#[schema(as = MountFailure)]
struct FailureView {
    #[schema(format = DateTime)]
    at: String,
    /// Of the plugin.
    version: String,
    request_id: String,
    /// What the plugin was asked: `engine.handle`.
    call: &'static str,
    reason: String,
    /// Functions of the plugin, innermost first.
    backtrace: Vec<String>,
}

/// Metrics, as Prometheus reads them.
///
/// Of this node, since it started. Policies know them as `sys/metrics`.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "system",
    responses((status = 200, description = "Text, version 0.0.4.", body = String, content_type = "text/plain"))
)]
pub async fn metrics(
    State(telemetry): State<Telemetry>,
    Permitted(permit, ..): Permitted<GetMetrics>,
) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Text::MEDIA_TYPE)], telemetry.metrics(&permit))
}

/// All mounts, and how their plugins do.
#[utoipa::path(
    get,
    path = "/api/v1/sys/mounts",
    operation_id = "list_mounts",
    tag = "plugins",
    params(PageQuery),
    responses((status = 200, description = "A page of them, by kind and name.", body = ListedMounts))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedMounts>> {
    let mut found = app.telemetry.mounts(&permit);
    let after: Option<String> = cursor::after(&app, &caller, MOUNTS, &page)?;
    let after = after.and_then(|last| parse(&last));
    found.retain(|of| after.as_ref().is_none_or(|after| (of.mount.kind, &of.mount.name) > (after.0, &after.1)));
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let last = found.last().filter(|_| more).map(|last| format!("{}/{}", last.mount.kind.as_str(), last.mount.name));
    let next_cursor = last.map(|last| cursor::seal(&app, &caller, MOUNTS, &last)).transpose()?;
    Ok(Json(ListedMounts { mounts: found.into_iter().map(Into::into).collect(), next_cursor }))
}

/// The listing that a cursor is for.
const MOUNTS: &str = "mounts";

/// One mount, and how its plugin does.
#[utoipa::path(
    get,
    path = "/api/v1/sys/mounts/{kind}/{mount}",
    operation_id = "get_mount",
    tag = "plugins",
    params(("kind" = String, Path, description = "`auth` or `secrets`."), ("mount" = String, Path)),
    responses((status = 200, description = "The mount.", body = MountView))
)]
pub async fn get(
    State(telemetry): State<Telemetry>,
    Permitted(permit, ..): Permitted<Get>,
) -> ApiResult<Json<MountView>> {
    Ok(Json(telemetry.mount(&permit).ok_or_else(not_there)?.into()))
}

/// The last lines that a mount's plugin logged on the node that answers, oldest first.
///
/// What a call was given is blanked out in its lines as far as it can be found.
#[utoipa::path(
    get,
    path = "/api/v1/sys/mounts/{kind}/{mount}/log",
    operation_id = "get_mount_log",
    tag = "plugins",
    params(("kind" = String, Path, description = "`auth` or `secrets`."), ("mount" = String, Path), LogQuery),
    responses((status = 200, description = "The lines.", body = LogView))
)]
pub async fn log(
    State(telemetry): State<Telemetry>,
    Permitted(permit, GetLog { after, limit }, _): Permitted<GetLog>,
) -> ApiResult<Json<LogView>> {
    let mut lines = telemetry.log(&permit).ok_or_else(not_there)?;
    match after {
        Some(after) => lines.retain(|line| line.number > after),
        None => drop(lines.drain(..lines.len().saturating_sub(limit))),
    }
    lines.truncate(limit);
    Ok(Json(LogView { lines: lines.into_iter().map(Into::into).collect() }))
}

/// The last calls of a mount's plugin that failed on the node that answers, oldest first.
///
/// What the plugin refused did not fail.
#[utoipa::path(
    get,
    path = "/api/v1/sys/mounts/{kind}/{mount}/failures",
    operation_id = "get_mount_failures",
    tag = "plugins",
    params(("kind" = String, Path, description = "`auth` or `secrets`."), ("mount" = String, Path)),
    responses((status = 200, description = "The failures.", body = FailuresView))
)]
pub async fn failures(
    State(telemetry): State<Telemetry>,
    Permitted(permit, ..): Permitted<GetFailures>,
) -> ApiResult<Json<FailuresView>> {
    let failures = telemetry.failures(&permit).ok_or_else(not_there)?;
    Ok(Json(FailuresView { failures: failures.into_iter().map(Into::into).collect() }))
}

fn not_there() -> ApiError {
    ApiError::new(Kind::NotFound)
}

impl From<Watched> for MountView {
    fn from(watched: Watched) -> Self {
        let Watched { mount, condition, stats } = watched;
        let (version, digest) =
            condition.live.map(|(version, digest)| (version.to_string(), digest.to_string())).unzip();
        Self {
            kind: mount.kind.as_str(),
            mount: mount.name.to_string(),
            plugin: mount.spec.plugin.to_string(),
            version,
            digest,
            health: condition.health.as_str(),
            reason: condition.reason,
            calls: stats.calls,
            succeeded: stats.succeeded,
            running: stats.running,
            ended: stats.ended,
            traps: stats.traps,
            limits: stats.limits,
            seconds: stats.time.into(),
            durations: stats.spread.into(),
            memory_peak_bytes: stats.memory,
            breaker_open: stats.resting,
        }
    }
}

impl From<Times> for PhasesView {
    fn from(time: Times) -> Self {
        Self {
            queue: time.queue.as_secs_f64(),
            instantiate: time.instantiate.as_secs_f64(),
            guest: time.guest.as_secs_f64(),
            host: time.host.as_secs_f64(),
        }
    }
}

impl From<Spread> for DurationsView {
    fn from(spread: Spread) -> Self {
        let buckets = spread.cumulative().map(|(le, count)| BucketView { le, count }).collect();
        Self { sum: spread.sum.as_secs_f64(), buckets }
    }
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        let Line { number, at, request, version, level, text } = line;
        Self { number, at: at.to_string(), level, text, version: version.to_string(), request_id: request }
    }
}

impl From<Failed> for FailureView {
    fn from(failed: Failed) -> Self {
        let Failed { at, request, version, export, why, frames } = failed;
        let (at, version) = (at.to_string(), version.to_string());
        Self { at, version, request_id: request, call: export, reason: why, backtrace: frames }
    }
}
