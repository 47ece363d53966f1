//! `completion`, and what it completes by asking the server.

use std::{ffi::OsStr, io, time::Duration};

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::{CompleteEnv, engine::CompletionCandidate, env::Shells};
use serde_json::Value;

use super::{Arguments, Failure, client::Target, output};
use crate::ids::Folder;

#[derive(Args, Debug)]
pub struct Completion {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// What the scripts call us with.
const VARIABLE: &str = "_COFFER_COMPLETE";

/// Somebody waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST: &str = "200";

/// The script to source: `source <(coffer completion bash)`.
pub fn completion(arguments: &Completion) -> Result<(), Failure> {
    let shell = format!("{:?}", arguments.shell).to_lowercase();
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell) {
        shell.write_registration(VARIABLE, "coffer", "coffer", "coffer", &mut script)?;
    }
    output::put(&String::from_utf8(script).map_err(io::Error::other)?)
}

/// Answers a shell that completes, if it is one who asks.
pub fn answered() -> bool {
    let arguments = std::env::args_os();
    let dir = std::env::current_dir().ok();
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).try_complete(arguments, dir.as_deref()).unwrap_or(true)
}

/// Secrets, and the folders on the way to them.
pub fn secrets(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, true)
}

pub fn folders(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, false)
}

fn candidates(current: &OsStr, secrets: bool) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asking = async { tokio::time::timeout(PATIENCE, listed(current)).await.ok()?.ok() };
    let Some(found) = runtime.block_on(asking) else { return Vec::new() };
    let of = |name: &str| found[name].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = of("folders").iter().filter_map(|folder| folder.as_str().map(str::to_owned)).collect();
    if secrets {
        ids.extend(of("secrets").iter().filter_map(|entry| entry["secret_id"].as_str().map(str::to_owned)));
    }
    let typed = current.rsplit_once('/').map_or("", |(folder, _)| folder);
    // The server tells whose folder `~` is; what was typed stays as it was.
    let own = typed.split('/').nth(1) == Some("~");
    let back = |id: String| match own {
        true => {
            let parts: Vec<&str> = id.splitn(4, '/').collect();
            format!("{}/~/{}", parts[0], parts.last().copied().unwrap_or_default())
        }
        false => id,
    };
    ids.into_iter().map(back).filter(|id| id.starts_with(current)).map(CompletionCandidate::new).collect()
}

/// One page of the folder that has been typed, asked for with the saved session: what
/// `COFFER_TOKEN` has may be good for one use.
async fn listed(current: &str) -> Result<Value, Failure> {
    let address = std::env::var("COFFER_ADDR").ok().filter(|address| !address.is_empty());
    let ca_cert = std::env::var_os("COFFER_CACERT").filter(|path| !path.is_empty()).map(Into::into);
    let client = Target { address, ca_cert }.client_of_saved()?;
    let mut query = vec![("limit", MOST.to_owned())];
    if let Some((folder, _)) = current.rsplit_once('/') {
        let folder = Folder::parse(folder).map_err(|error| Failure::usage(error.0))?;
        query.push(("prefix", folder.to_string()));
        return client.get_with("secrets", &query).await;
    }
    // All mounts: what lies in them is not asked for yet.
    let mut found = client.get_with("secrets", &query).await?;
    let ids: Vec<Value> =
        ["secrets", "folders"].iter().flat_map(|list| found[*list].as_array().cloned().unwrap_or_default()).collect();
    let mounts = ids.iter().filter_map(|id| id.as_str().or(id["secret_id"].as_str())?.split('/').next());
    let mounts: std::collections::BTreeSet<String> = mounts.map(|mount| format!("{mount}/")).collect();
    found["folders"] = mounts.into_iter().map(Value::from).collect();
    found["secrets"] = Value::Null;
    Ok(found)
}
