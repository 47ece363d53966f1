use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Failure, With, component_at, failed, read, wrong};
use crate::{
    catalog::{Component, Kind},
    ids::MountName,
};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The component, NAME-VERSION.wasm; or the folder of a plugin, which has the one that its plugin.toml names
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Enable it here; a mount that has it already is upgraded
    #[arg(long, value_name = "NAME", value_parser = |text: &str| MountName::parse(text))]
    mount: Option<MountName>,
    /// The mount's configuration, in JSON
    #[arg(long, value_name = "FILE", requires = "mount")]
    config: Option<PathBuf>,
    /// A host that it asks for and may speak to
    #[arg(long, value_name = "HOST:PORT", requires = "mount")]
    allow_http: Vec<String>,
    /// A header that it asks for and may see
    #[arg(long, value_name = "NAME", requires = "mount")]
    allow_header: Vec<String>,
    /// One of the host's functions that an upgrade asks for
    #[arg(long, value_name = "NAME", requires = "mount")]
    allow_crypto: Vec<String>,
}

pub async fn install(with: &With, arguments: &Arguments) -> Result<Value, Failure> {
    let (wasm, component) = read(&component_at(&arguments.file)?)?;
    let client = with.client()?;
    let setting = arguments.setting(&component)?;
    let path = format!("sys/plugins/{}/{}", component.manifest.name, component.manifest.version);
    // There already, because it was sent before, is as good as sent now.
    let plugin = match client.get(&path).await {
        Ok(there) if there["digest"] == component.digest.as_str() => there,
        Ok(_) => {
            return Err(failed(
                "the server has this version already, and it is another file: raise `version` in plugin.toml, and build",
            ));
        }
        Err(error) if matches!(error.status(), Some(403 | 404)) => {
            client.put_bytes(&path, &wasm, "application/wasm").await?
        }
        Err(error) => return Err(error),
    };
    match setting {
        None => Ok(plugin),
        Some(setting) => client.post("sys/setting", &setting).await,
    }
}

impl Arguments {
    /// What enables it, and leaves alone what is not named.
    fn setting(&self, component: &Component) -> Result<Option<Value>, Failure> {
        let Some(mount) = &self.mount else { return Ok(None) };
        let manifest = &component.manifest;
        let kind = match manifest.kind {
            Kind::Auth => "auth",
            Kind::Secrets => "secrets",
        };
        let mut value = json!({"plugin": manifest.name, "version": manifest.version});
        if let Some(file) = &self.config {
            let text = std::fs::read(file).map_err(|error| wrong(file, &format!("cannot be read: {error}")))?;
            value["config"] = serde_json::from_slice(&text).map_err(|_| wrong(file, "is not JSON"))?;
        }
        let lists = [("http", &self.allow_http), ("headers", &self.allow_header), ("crypto", &self.allow_crypto)];
        let given = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let grant: Map<String, Value> = given.map(|(name, names)| (name.to_owned(), json!(names))).collect();
        if !grant.is_empty() {
            value["grant"] = Value::Object(grant);
        }
        Ok(Some(json!({"key": format!("{kind}/{mount}"), "value": value})))
    }
}
