use std::collections::BTreeSet;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Map, Value, json};

use super::{Named, advised, parse, path, verb, versions::before_newest};
use crate::{
    cli::{Failure, With, client::Client, complete},
    ids::SecretPath,
};

#[derive(Args, Debug)]
pub struct Diff {
    #[command(flatten)]
    named: Named,
    /// Another secret to compare with
    #[arg(value_name = "OTHER", value_parser = parse, conflicts_with_all = ["from", "to"], add = ArgValueCompleter::new(complete::secrets))]
    other: Option<SecretPath>,
    /// The older version; the one before the newest if left out
    #[arg(long, value_name = "VERSION")]
    from: Option<u64>,
    /// The newer version; the newest if left out
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Show the values as well
    #[arg(long)]
    show: bool,
}

pub async fn diff(with: &With, diff: Diff) -> Result<(), Failure> {
    let Diff { named: Named { secret }, other, from, to, show } = diff;
    let client = with.client()?;
    let (old, new) = match &other {
        Some(other) => (data(&client, &secret, None).await?, data(&client, other, None).await?),
        None => {
            let from = match from {
                Some(from) => from,
                None => previous(&client, &secret).await?,
            };
            (data(&client, &secret, Some(from)).await?, data(&client, &secret, to).await?)
        }
    };
    let columns: &[&str] = if show { &["member", "change", "from", "to"] } else { &["member", "change"] };
    with.list(&json!({"differences": differences(&old, &new, show)}), "differences", columns)
}

async fn data(client: &Client, secret: &SecretPath, version: Option<u64>) -> Result<Map<String, Value>, Failure> {
    let query: Vec<_> = version.iter().map(|version| ("version", version.to_string())).collect();
    let read = client.get_with(&path(secret)?, &query).await.map_err(|refused| advised(refused, secret))?;
    Ok(read["data"].as_object().cloned().unwrap_or_default())
}

async fn previous(client: &Client, secret: &SecretPath) -> Result<u64, Failure> {
    let history = client.get(&verb(secret, "history")?).await.map_err(|refused| advised(refused, secret))?;
    before_newest(&history).ok_or_else(|| Failure::usage(format!("{secret} has one version that can be read")))
}

fn differences(old: &Map<String, Value>, new: &Map<String, Value>, show: bool) -> Vec<Value> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let change = match (old.get(name), new.get(name)) {
            (None, _) => "added",
            (_, None) => "removed",
            (before, after) if before == after => return None,
            _ => "changed",
        };
        let mut line = json!({"member": name, "change": change});
        if show {
            line["from"] = old.get(name).cloned().unwrap_or_default();
            line["to"] = new.get(name).cloned().unwrap_or_default();
        }
        Some(line)
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_tells_no_value_unless_it_is_asked_for() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let (old, new) = (object(json!({"a": 1, "b": 2, "c": 3})), object(json!({"a": 1, "b": 4, "d": 5})));
        let told = json!(differences(&old, &new, false));
        let expected = [("b", "changed"), ("c", "removed"), ("d", "added")];
        assert_eq!(told, json!(expected.map(|(member, change)| json!({"member": member, "change": change}))));
        assert_eq!(differences(&old, &new, true)[0], json!({"member": "b", "change": "changed", "from": 2, "to": 4}));
        assert!(differences(&old, &old, true).is_empty());
    }
}
