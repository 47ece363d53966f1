use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, read};
use crate::catalog::{Component, Publisher};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The component: NAME-VERSION.wasm
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn inspect(arguments: &Arguments) -> Result<Value, Failure> {
    let (wasm, component) = read(&arguments.file)?;
    Ok(told(&arguments.file, wasm.len() as u64, &component))
}

/// What an operator would want to know.
pub(super) fn told(file: &Path, bytes: u64, component: &Component) -> Value {
    let manifest = &component.manifest;
    let requires = &manifest.requires;
    let hosts = requires.http.iter().map(|ask| {
        let host = ask.host.clone().or_else(|| ask.host_from.as_ref().map(|at| format!("of {at} in the config")));
        json!({"host": host, "port": ask.port, "why": ask.why})
    });
    let bounds = manifest.bounds();
    json!({
        "file": file,
        "name": manifest.name,
        "version": manifest.version,
        "kind": manifest.kind.as_str(),
        "bytes": bytes,
        "digest": component.digest.as_str(),
        "publisher": component.signer.map_or(Publisher::Unsigned, Publisher::Key),
        "asks": {"http": hosts.collect::<Vec<_>>(), "headers": requires.headers, "crypto": requires.crypto},
        "limits": {"memory_bytes": bounds.memory, "cpu_ms": bounds.cpu.as_millis() as u64, "wall_ms": bounds.wall.as_millis() as u64},
        "verbs": manifest.calls.iter().map(|call| format!("{} {}", call.method.as_str(), call.operation)).collect::<Vec<_>>(),
        "config": manifest.config.document(),
        "imports": component.imports.iter().map(|import| import.interface.as_str()).collect::<Vec<_>>(),
        "exports": component.exports,
    })
}
