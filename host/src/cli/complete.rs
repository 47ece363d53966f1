//! `completion`, and what it completes by asking the server.

use std::{ffi::OsStr, io, time::Duration};

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::{CompleteEnv, engine::CompletionCandidate, env::Shells};
use serde_json::Value;

use super::{
    Arguments, Failure,
    client::{Client, Target},
    output,
};
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

/// The names in a list of the server's: its path, the list, and which member of each the name is.
fn named(
    current: &OsStr,
    path: &str,
    list: &'static str,
    name: fn(&Value) -> Option<String>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let query = [("limit", MOST.to_owned())];
    let found = asked(async { saved()?.get_with(path, &query).await }).unwrap_or_default();
    let names = found[list].as_array().into_iter().flatten().filter_map(name);
    let mut names: Vec<String> = names.filter(|name| name.starts_with(current)).collect();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn member(entry: &Value, name: &str) -> Option<String> {
    entry[name].as_str().map(str::to_owned)
}

pub fn users(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "users", "users", |user| member(user, "username"))
}

pub fn roles(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sys/roles", "roles", |role| member(role, "name"))
}

pub fn policies(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sys/policies", "policies", |policy| member(policy, "name"))
}

pub fn settings(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sys/settings", "settings", |setting| member(setting, "key"))
}

pub fn auth_mounts(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sys/settings", "settings", |setting| {
        Some(member(setting, "key")?.strip_prefix("auth/")?.to_owned())
    })
}

pub fn mounts(current: &OsStr) -> Vec<CompletionCandidate> {
    let name = |mount: &Value| Some(format!("{}/{}", member(mount, "kind")?, member(mount, "mount")?));
    named(current, "sys/mounts", "mounts", name)
}

pub fn plugins(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sys/plugins", "plugins", |plugin| member(plugin, "name"))
}

/// One's own.
pub fn sessions(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "sessions", "sessions", |session| member(session, "session_id"))
}

/// One's own.
pub fn leases(current: &OsStr) -> Vec<CompletionCandidate> {
    named(current, "leases", "leases", |lease| member(lease, "lease_id"))
}

/// What the server says, if it does so soon.
fn asked(asking: impl Future<Output = Result<Value, Failure>>) -> Option<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await.ok()?.ok() })
}

/// With the saved session: what `COFFER_TOKEN` has may be good for one use.
fn saved() -> Result<Client, Failure> {
    let address = std::env::var("COFFER_ADDR").ok().filter(|address| !address.is_empty());
    let ca_cert = std::env::var_os("COFFER_CACERT").filter(|path| !path.is_empty()).map(Into::into);
    Target { address, ca_cert }.client_of_saved()
}

fn candidates(current: &OsStr, secrets: bool) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let Some(found) = asked(listed(current)) else { return Vec::new() };
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

/// One page of the folder that has been typed.
async fn listed(current: &str) -> Result<Value, Failure> {
    let client = saved()?;
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
