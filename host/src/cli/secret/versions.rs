use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{Named, advised, confirm, parse, path, verb};
use crate::{
    cli::{Failure, With, complete, exit},
    ids::SecretPath,
};

#[derive(Args, Debug)]
pub struct Delete {
    /// Secrets: kv/apps/web/db
    #[arg(value_name = "SECRET", value_parser = parse, required = true, add = ArgValueCompleter::new(complete::secrets))]
    secrets: Vec<SecretPath>,
    /// Only if this is the newest version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

#[derive(Args, Debug)]
pub struct Undelete {
    #[command(flatten)]
    named: Named,
    /// Another than the newest
    #[arg(long)]
    version: Option<u64>,
}

#[derive(Args, Debug)]
pub struct Restore {
    #[command(flatten)]
    named: Named,
    /// The version whose data it will have
    #[arg(value_name = "VERSION", required_unless_present = "option")]
    version: Option<u64>,
    /// The same, as other commands have it
    #[arg(id = "option", long = "version", value_name = "VERSION", conflicts_with = "version")]
    option: Option<u64>,
}

#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    named: Named,
}

#[derive(Args, Debug)]
pub struct Destroy {
    #[command(flatten)]
    named: Named,
    /// Which versions: 1 2 3, or 1,2,3
    #[arg(value_name = "VERSION", required_unless_present = "option", value_delimiter = ',')]
    versions: Vec<u64>,
    /// The same, as an option
    #[arg(
        id = "option",
        long = "versions",
        value_name = "VERSIONS",
        value_delimiter = ',',
        conflicts_with = "versions"
    )]
    option: Vec<u64>,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

#[derive(Args, Debug)]
pub struct Purge {
    /// Secrets: kv/apps/web/db
    #[arg(value_name = "SECRET", value_parser = parse, required = true, add = ArgValueCompleter::new(complete::secrets))]
    secrets: Vec<SecretPath>,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

pub async fn delete(with: &With, delete: Delete) -> Result<(), Failure> {
    let client = with.client()?;
    let query: Vec<_> = delete.if_version.iter().map(|version| ("expected_version", version.to_string())).collect();
    let mut deleted = Vec::new();
    for secret in &delete.secrets {
        let answer = client.delete(&path(secret)?, &query).await.map_err(|refused| advised(refused, secret))?;
        exit::say(&format!("{secret}: deleted; `coffer secret undelete {secret}` brings it back"));
        deleted.push(answer);
    }
    tell(with, "deleted", deleted)
}

/// What came of one, or of each.
fn tell(with: &With, name: &str, mut answers: Vec<Value>) -> Result<(), Failure> {
    match (with.shape.is_table(), answers.as_mut_slice()) {
        (true, _) => Ok(()),
        (false, [one]) => with.show(&one.take()),
        (false, _) => with.show(&json!({name: answers})),
    }
}

pub async fn undelete(with: &With, undelete: Undelete) -> Result<(), Failure> {
    let body = undelete.version.map_or_else(|| json!({}), |version| json!({"version": version}));
    change(with, &undelete.named.secret, "undelete", &body).await
}

pub async fn restore(with: &With, restore: Restore) -> Result<(), Failure> {
    change(with, &restore.named.secret, "restore", &json!({"version": restore.version.or(restore.option)})).await
}

pub async fn rollback(with: &With, rollback: Rollback) -> Result<(), Failure> {
    let secret = &rollback.named.secret;
    let history = with.client()?.get(&verb(secret, "history")?).await.map_err(|refused| advised(refused, secret))?;
    let version = before_newest(&history)
        .ok_or_else(|| Failure::usage(format!("{secret} has no version before the newest that can be read")))?;
    change(with, secret, "restore", &json!({"version": version})).await
}

/// The last that can be read, before the newest.
pub fn before_newest(history: &Value) -> Option<u64> {
    let versions = history["versions"].as_array()?.iter().skip(1);
    let readable = |version: &&Value| version["deleted_at"].is_null() && version["destroyed"] == Value::Bool(false);
    versions.into_iter().find(readable)?["version"].as_u64()
}

pub async fn destroy(with: &With, destroy: Destroy) -> Result<(), Failure> {
    let Destroy { named: Named { secret }, mut versions, option, yes } = destroy;
    versions.extend(option);
    confirm(yes, &format!("Remove the data of {} versions of {secret} for good?", versions.len()))?;
    change(with, &secret, "destroy", &json!({"versions": versions})).await
}

pub async fn purge(with: &With, purge: Purge) -> Result<(), Failure> {
    let Purge { secrets, yes } = purge;
    let names: Vec<String> = secrets.iter().map(SecretPath::to_string).collect();
    confirm(yes, &format!("Remove {} with all versions for good?", names.join(", ")))?;
    let client = with.client()?;
    let mut purged = Vec::new();
    for secret in &secrets {
        let answer = client.post(&verb(secret, "purge")?, &json!({})).await;
        purged.push(answer.map_err(|refused| advised(refused.about(secret), secret))?);
        exit::say(&format!("{secret}: purged"));
    }
    tell(with, "purged", purged)
}

async fn change(with: &With, secret: &SecretPath, name: &str, body: &Value) -> Result<(), Failure> {
    let answer = with.client()?.post(&verb(secret, name)?, body).await;
    with.show(&answer.map_err(|refused| advised(refused, secret))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_goes_to_the_last_version_that_can_be_read() {
        let version = |number: u64, deleted: Option<&str>, destroyed: bool| json!({"version": number, "deleted_at": deleted, "destroyed": destroyed});
        let history = |versions: Vec<Value>| json!({"versions": versions});
        let all = vec![
            version(5, None, false),
            version(4, Some("2026"), false),
            version(3, None, true),
            version(2, None, false),
            version(1, None, false),
        ];
        assert_eq!(before_newest(&history(all)), Some(2));
        assert_eq!(before_newest(&history(vec![version(1, None, false)])), None);
        assert_eq!(before_newest(&json!({})), None);
    }
}
