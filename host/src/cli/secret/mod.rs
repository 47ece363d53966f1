//! `secret …`: everything that can be done with secrets.
//!
//! One more command is one more variant here, and a function that takes the `With` of the group.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{Failure, With, client::segment, complete, exit, input};
use crate::ids::SecretPath;

mod copy;
mod diff;
mod list;
mod put;
mod read;
mod versions;

#[derive(Args, Debug)]
pub struct Secret {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write a new version, or the first; values are read or typed, never arguments
    Put(put::Put),
    /// Read a secret, or an older version of it
    Get(read::Get),
    /// What is in a folder, or everything you may list
    List(list::List),
    /// The same as a tree
    Tree(list::Tree),
    /// Mark the newest version deleted; `undelete` brings it back
    Delete(versions::Delete),
    /// Bring a deleted version back
    Undelete(versions::Undelete),
    /// All versions there are
    History(read::History),
    /// A new version with the data of an old one
    Restore(versions::Restore),
    /// A new version with the data of the one before the newest
    Rollback(versions::Rollback),
    /// Remove the data of versions for good
    Destroy(versions::Destroy),
    /// Remove a secret with all its versions for good
    Purge(versions::Purge),
    /// Show or change what is known of a secret besides its data
    Metadata(read::Metadata),
    /// Copy the newest version, with its metadata and its end
    Cp(copy::Copy),
    /// Copy, and delete what was copied
    Mv(copy::Copy),
    /// What differs between two versions, or two secrets; values are shown on demand only
    Diff(diff::Diff),
}

/// Which secret: `kv/apps/web/db`, or `kv/~/mail` for your own.
#[derive(Args, Clone, Debug)]
struct Named {
    /// A secret: kv/apps/web/db
    #[arg(value_name = "SECRET", value_parser = parse, add = ArgValueCompleter::new(complete::secrets))]
    secret: SecretPath,
}

pub async fn run(group: Secret) -> Result<(), Failure> {
    let Secret { with, command } = group;
    match command {
        Command::Put(arguments) => put::put(&with, arguments).await,
        Command::Get(arguments) => read::get(&with, arguments).await,
        Command::List(arguments) => list::list(&with, arguments).await,
        Command::Tree(arguments) => list::tree(&with, arguments).await,
        Command::Delete(arguments) => versions::delete(&with, arguments).await,
        Command::Undelete(arguments) => versions::undelete(&with, arguments).await,
        Command::History(arguments) => read::history(&with, arguments).await,
        Command::Restore(arguments) => versions::restore(&with, arguments).await,
        Command::Rollback(arguments) => versions::rollback(&with, arguments).await,
        Command::Destroy(arguments) => versions::destroy(&with, arguments).await,
        Command::Purge(arguments) => versions::purge(&with, arguments).await,
        Command::Metadata(arguments) => read::metadata(&with, arguments).await,
        Command::Cp(arguments) => copy::copy(&with, arguments, false).await,
        Command::Mv(arguments) => copy::copy(&with, arguments, true).await,
        Command::Diff(arguments) => diff::diff(&with, arguments).await,
    }
}

/// As the server has it: what it would refuse is refused here, with the reason.
pub fn parse(text: &str) -> Result<SecretPath, &'static str> {
    SecretPath::parse(text).map_err(|error| error.0)
}

/// Where a secret stands below `/api/v1`: its id is one segment.
pub fn path(secret: &SecretPath) -> Result<String, Failure> {
    Ok(format!("secrets/{}", segment(&secret.to_string())?))
}

fn verb(secret: &SecretPath, verb: &str) -> Result<String, Failure> {
    Ok(format!("{}:{verb}", path(secret)?))
}

/// What to type when a secret is not there, or has changed meanwhile.
pub fn advised(failure: Failure, secret: &SecretPath) -> Failure {
    failure
        .next(404, || format!("coffer secret list {}", secret.folder()))
        .next(409, || format!("coffer secret history {secret}, for the version that there is"))
}

/// `NAME=VALUE` of what is no secret.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE"),
    }
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
}

/// `none` removes the end.
fn ttl(text: &str) -> Value {
    match (text, text.parse::<u64>()) {
        ("none", _) => Value::Null,
        (_, Ok(seconds)) => seconds.into(),
        (text, _) => text.into(),
    }
}

/// Said twice where nobody can be asked: by `--yes`, or not at all.
fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    match yes || input::confirmed(question)? {
        true => Ok(()),
        false => Err(Failure::usage("nothing was done: say --yes if you mean it")),
    }
}

/// How a secret stands, on the side.
fn remark(secret: &Value) {
    let until = secret["expires_at"].as_str().map(|until| format!(", until {until}")).unwrap_or_default();
    let id = secret["secret_id"].as_str().unwrap_or_default();
    exit::say(&format!("{id}: version {}{until}", secret["version"]));
    for warning in secret["warnings"].as_array().into_iter().flatten() {
        exit::say(&format!("warning: {}", warning.as_str().unwrap_or_default()));
    }
}
