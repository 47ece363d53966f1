use std::time::UNIX_EPOCH;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{advised, parse, path};
use crate::{
    cli::{Failure, With, client::Client, complete, exit},
    clock::Clock,
    ids::{Folder, SecretPath},
};

#[derive(Args, Debug)]
pub struct Copy {
    /// A secret; with --recursive, a folder
    #[arg(value_name = "FROM", add = ArgValueCompleter::new(complete::secrets))]
    from: String,
    /// A secret, or a folder that ends in /
    #[arg(value_name = "TO", add = ArgValueCompleter::new(complete::secrets))]
    to: String,
    /// Everything in the folder FROM, to the folder TO
    #[arg(short, long)]
    recursive: bool,
    /// Over what is there: it gets a new version
    #[arg(long)]
    force: bool,
}

/// Only the newest version goes along: older ones stay where they are, of a moved secret too, until
/// that is purged.
pub async fn copy(with: &With, copy: Copy, moves: bool) -> Result<(), Failure> {
    let client = with.client()?;
    let pairs = pairs(&client, &copy).await?;
    let mut done = Vec::new();
    for (from, to) in &pairs {
        let version = one(&client, from, to, copy.force).await?;
        if moves {
            let only = [("expected_version", version.to_string())];
            let deleted = client.delete(&path(from)?, &only).await;
            let kept = |refused: Failure| advised(refused, from);
            deleted.map_err(kept).inspect_err(|_| exit::say(&format!("{from} was copied to {to}, but not deleted")))?;
        }
        exit::say(&format!("{from} → {to}"));
        done.push(json!({"from": from.to_string(), "to": to.to_string()}));
    }
    if with.shape.is_table() { Ok(()) } else { with.show(&json!({if moves { "moved" } else { "copied" }: done})) }
}

type Pair = (SecretPath, SecretPath);

/// From where to where, all of it known before anything is written.
async fn pairs(client: &Client, copy: &Copy) -> Result<Vec<Pair>, Failure> {
    let wrong = |text: &str, told: &str| Failure::usage(format!("{text}: {told}"));
    let secret = |text: &str| parse(text).map_err(|told| wrong(text, told));
    if !copy.recursive {
        let from = secret(&copy.from)?;
        let name = from.path().rsplit('/').next().unwrap_or_default();
        let to = secret(&if copy.to.ends_with('/') { format!("{}{name}", copy.to) } else { copy.to.clone() })?;
        return if from == to { Err(wrong(&copy.to, "is where it is already")) } else { Ok(vec![(from, to)]) };
    }
    let folder = |text: &str| Folder::parse(text).map_err(|error| wrong(text, error.0));
    let (from, to) = (folder(&copy.from)?, folder(&copy.to)?);
    if to.to_string().starts_with(&from.to_string()) || from.to_string().starts_with(&to.to_string()) {
        return Err(wrong(&copy.to, "must not be within the other folder"));
    }
    let query = [("prefix", from.to_string()), ("recursive", "true".to_owned()), ("limit", "1000".to_owned())];
    let found = client.all("secrets", &query, &["secrets"]).await?;
    let ids = found["secrets"].as_array().into_iter().flatten().filter_map(|entry| entry["secret_id"].as_str());
    // The server tells whose folder `~` is: what is below is counted from its end.
    let depth = from.to_string().matches('/').count() + usize::from(from.path().starts_with('~'));
    let pairs: Vec<Pair> = ids
        .map(|id| {
            let below = id.splitn(depth + 1, '/').last().unwrap_or_default();
            Ok((secret(id)?, secret(&format!("{to}{below}"))?))
        })
        .collect::<Result<_, Failure>>()?;
    if pairs.is_empty() { Err(wrong(&copy.from, "there is nothing in it")) } else { Ok(pairs) }
}

/// Answers the version that was copied.
async fn one(client: &Client, from: &SecretPath, to: &SecretPath, force: bool) -> Result<u64, Failure> {
    let read = client.get(&path(from)?).await.map_err(|refused| advised(refused, from))?;
    let mut body = json!({"data": read["data"], "metadata": read["metadata"]});
    match read["expires_at"].as_str() {
        Some(end) => body["ttl"] = remaining(end)?.into(),
        None if force => body["ttl"] = Value::Null,
        None => {}
    }
    let written = match force {
        true => client.put(&path(to)?, &body).await,
        false => {
            body["secret_id"] = to.to_string().into();
            client.post("secrets/create", &body).await
        }
    };
    written.map_err(|refused| match refused.kind() {
        "already_exists" => refused.next(422, || "the same with --force, for a new version of it".to_owned()),
        _ => refused,
    })?;
    read["version"].as_u64().ok_or_else(|| Failure::usage("an engine without versions cannot be copied from"))
}

/// Whole seconds from now, so that the copy ends no later.
fn remaining(end: &str) -> Result<u64, Failure> {
    let end = humantime::parse_rfc3339(end).ok().and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    let end = end.and_then(|end| i64::try_from(end.as_millis()).ok());
    let left = end.map_or(0, |end| end - Clock::system().now().millis()) / 1000;
    let left = u64::try_from(left).ok().filter(|left| *left > 0);
    left.ok_or_else(|| Failure::usage("it ends before it could be copied"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_ends_no_later_than_what_it_was_copied_from() {
        let at = |millis: i64| Clock::system().now().after(std::time::Duration::ZERO).millis() + millis;
        let text = |millis: i64| crate::clock::Timestamp::from_millis(at(millis)).to_string();
        let left = remaining(&text(90_500)).unwrap();
        assert!((89..=90).contains(&left), "{left}");
        assert!(remaining(&text(-1)).is_err());
        assert!(remaining("soon").is_err());
    }
}
