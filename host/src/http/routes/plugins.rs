use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::plugin_inputs::{Delete, Get, List, Put};
use crate::{
    app::App,
    http::{cursor, error::ApiResult, permitted::Permitted, query::PageQuery},
    plugins::{Plugin, PluginPath, Plugins},
};

/// A plugin as it is listed.
#[derive(Serialize, ToSchema)]
#[schema(as = Plugin)]
pub struct PluginView {
    name: String,
    version: String,
    /// `auth` or `secrets`.
    kind: &'static str,
    /// SHA-256 of the file, in hex.
    digest: String,
    bytes: usize,
    /// `shipped`, the key that signed it, or `unsigned`.
    publisher: String,
    #[schema(required, format = DateTime)]
    uploaded_at: Option<String>,
    #[schema(required)]
    uploaded_by: Option<String>,
    /// Keys of the settings of mounts that use it.
    used_by: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ListedPlugins {
    plugins: Vec<PluginView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A plugin with all that its file says.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginDetails)]
pub struct DetailsView {
    #[serde(flatten)]
    plugin: PluginView,
    asks: Asks,
    /// As asked, and at most what the server allows.
    limits: Limits,
    calls: Vec<CallView>,
    /// JSON Schema of a mount's configuration.
    #[schema(value_type = Object)]
    config: Value,
    imports: Vec<ImportView>,
    exports: Vec<String>,
}

/// What it asks for.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginAsks)]
struct Asks {
    http: Vec<HostView>,
    headers: Vec<String>,
    crypto: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginHost)]
struct HostView {
    #[schema(required)]
    host: Option<String>,
    /// JSON Pointer to a URL in the configuration.
    #[schema(required)]
    host_from: Option<String>,
    port: u16,
    why: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginLimits)]
struct Limits {
    memory_bytes: usize,
    cpu_ms: u64,
    wall_ms: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginCall)]
struct CallView {
    path: String,
    operation: String,
    action: String,
    method: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PluginImport)]
struct ImportView {
    interface: String,
    functions: Vec<String>,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedPlugin)]
pub struct Deleted {
    name: String,
    version: String,
}

/// All plugins, shipped and uploaded.
#[utoipa::path(
    get,
    path = "/api/v1/sys/plugins",
    operation_id = "list_plugins",
    tag = "plugins",
    params(PageQuery),
    responses((status = 200, description = "A page of them.", body = ListedPlugins))
)]
pub async fn list(
    State(app): State<App>,
    Permitted(permit, List(page), caller): Permitted<List>,
) -> ApiResult<Json<ListedPlugins>> {
    let after: Option<PluginPath> = cursor::after(&app, &caller, PLUGINS, &page)?;
    let (found, next) = app.plugins.list(&permit, after.as_ref(), page.limit);
    let next_cursor = next.map(|next| cursor::seal(&app, &caller, PLUGINS, &next)).transpose()?;
    Ok(Json(ListedPlugins { plugins: found.iter().map(PluginView::new).collect(), next_cursor }))
}

/// The listing that a cursor is for.
const PLUGINS: &str = "plugins";

/// One plugin, and all that its file says.
#[utoipa::path(
    get,
    path = "/api/v1/sys/plugins/{name}/{version}",
    operation_id = "get_plugin",
    tag = "plugins",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The plugin.", body = DetailsView))
)]
pub async fn get(
    State(plugins): State<Plugins>,
    Permitted(permit, _, _): Permitted<Get>,
) -> ApiResult<Json<DetailsView>> {
    Ok(Json(DetailsView::new(&plugins.get(&permit)?)))
}

/// Uploads a plugin. A name and version stand for the same bytes for ever.
#[utoipa::path(
    put,
    path = "/api/v1/sys/plugins/{name}/{version}",
    operation_id = "upload_plugin",
    tag = "plugins",
    params(("name" = String, Path), ("version" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, description = "It is there, on every node.", body = DetailsView))
)]
pub async fn put(
    State(plugins): State<Plugins>,
    Permitted(permit, input, _): Permitted<Put>,
) -> ApiResult<Json<DetailsView>> {
    Ok(Json(DetailsView::new(&plugins.upload(&permit, input.upload).await?)))
}

/// Deletes an uploaded plugin that no mount uses.
#[utoipa::path(
    delete,
    path = "/api/v1/sys/plugins/{name}/{version}",
    operation_id = "delete_plugin",
    tag = "plugins",
    params(("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "It is gone.", body = Deleted))
)]
pub async fn delete(
    State(plugins): State<Plugins>,
    Permitted(permit, _, _): Permitted<Delete>,
) -> ApiResult<Json<Deleted>> {
    plugins.delete(&permit).await?;
    let path = permit.into_resource();
    Ok(Json(Deleted { name: path.name.into(), version: path.version.to_string() }))
}

impl PluginView {
    fn new(plugin: &Plugin) -> Self {
        let (manifest, uploaded) = (&plugin.found.component.manifest, plugin.found.uploaded());
        Self {
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            kind: manifest.kind.as_str(),
            digest: plugin.found.component.digest.to_string(),
            bytes: plugin.found.bytes(),
            publisher: plugin.found.publisher().to_string(),
            uploaded_at: uploaded.map(|uploaded| uploaded.uploaded_at.to_string()),
            uploaded_by: uploaded.map(|uploaded| uploaded.uploaded_by.to_string()),
            used_by: plugin.used_by.clone(),
        }
    }
}

impl DetailsView {
    fn new(plugin: &Plugin) -> Self {
        let component = &plugin.found.component;
        let (manifest, bounds) = (&component.manifest, component.manifest.bounds());
        let requires = &manifest.requires;
        let http = requires.http.iter().map(|ask| HostView {
            host: ask.host.clone(),
            host_from: ask.host_from.clone(),
            port: ask.port,
            why: ask.why.clone(),
        });
        let calls = manifest.calls.iter().map(|call| CallView {
            path: call.path.clone(),
            operation: call.operation.clone(),
            action: call.action.to_string(),
            method: call.method.as_str(),
        });
        let imports = component.imports.iter().map(|import| ImportView {
            interface: import.interface.clone(),
            functions: import.functions.iter().cloned().collect(),
        });
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            plugin: PluginView::new(plugin),
            asks: Asks {
                http: http.collect(),
                headers: requires.headers.iter().cloned().collect(),
                crypto: requires.crypto.iter().cloned().collect(),
            },
            limits: Limits { memory_bytes: bounds.memory, cpu_ms: millis(bounds.cpu), wall_ms: millis(bounds.wall) },
            calls: calls.collect(),
            config: manifest.config.document().clone(),
            imports: imports.collect(),
            exports: component.exports.iter().cloned().collect(),
        }
    }
}
