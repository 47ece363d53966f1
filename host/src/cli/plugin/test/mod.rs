//! `coffer plugin test`: calls from a file, asked of the real component as the server asks them.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, component_at, failed, read, wrong};
use crate::problem;

mod asked;
mod bench;

use asked::Asked;
use bench::Bench;

#[derive(Args, Debug)]
pub struct Arguments {
    /// The component, NAME-VERSION.wasm; or the folder of a plugin, which has the one that its plugin.toml names
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is asked of it, in JSON: a list of calls and of what they are to answer
    #[arg(value_name = "CALLS")]
    calls: Option<PathBuf>,
    /// A mount's configuration, in JSON
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub async fn test(arguments: &Arguments) -> Result<Value, Failure> {
    let (wasm, component) = read(&component_at(&arguments.file)?)?;
    let config = match &arguments.config {
        Some(path) => json_of(path)?,
        None => json!({}),
    };
    let asked: Vec<Asked> = match &arguments.calls {
        Some(path) => problem::decode(&json_of(path)?).map_err(|problems| {
            let first = problems.first().map(|problem| format!("{} {}", problem.at, problem.message));
            wrong(path, &first.unwrap_or_default())
        })?,
        None => Vec::new(),
    };
    let mut bench = Bench::new(wasm.into(), &component, config).await?;
    let notes = bench.check().await?;
    for (at, asked) in asked.iter().enumerate() {
        bench.ask(asked).await.map_err(|why| failed(format!("call {at}: {why}{}", bench.said())))?;
    }
    Ok(json!({"plugin": component.manifest.name, "notes": notes, "calls": asked.len(), "failed": 0}))
}

fn json_of(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read(path).map_err(|error| wrong(path, &format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| wrong(path, &format!("is not JSON at line {}", error.line())))
}
