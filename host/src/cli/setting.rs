//! `setting …`: what the server goes by, `security` among it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use reqwest::Method;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Failure, With,
    client::{Client, segment},
    complete, exit, input,
    output::{self, Format},
    policy::Change,
};

#[derive(Args, Debug)]
pub struct Setting {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// All settings
    List,
    /// One setting
    Get {
        /// The setting: security, secrets/kv, auth/password
        #[arg(add = ArgValueCompleter::new(complete::settings))]
        key: String,
    },
    /// What it was before
    History {
        /// The setting: security, secrets/kv, auth/password
        #[arg(add = ArgValueCompleter::new(complete::settings))]
        key: String,
    },
    /// Change some members; what is not named stays as it is
    Set {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        change: Change,
    },
    /// Replace it whole
    Put {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        change: Change,
    },
    /// Back to the default
    Reset {
        /// The setting: security, secrets/kv, auth/password
        #[arg(add = ArgValueCompleter::new(complete::settings))]
        key: String,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Args, Debug)]
struct To {
    /// The setting: security, secrets/kv, auth/password
    #[arg(add = ArgValueCompleter::new(complete::settings))]
    key: String,
    /// Members by their way: sessions.idle=15m, enabled=false. What is secret goes by --json
    #[arg(value_name = "NAME=VALUE", required_unless_present = "json", conflicts_with = "json")]
    members: Vec<String>,
    /// The value, a JSON object
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

pub async fn run(group: Setting) -> Result<(), Failure> {
    let Setting { with, command } = group;
    let client = with.client()?;
    let answer = match &command {
        Command::List => {
            let query = [("limit", "1000".to_owned())];
            let found = client.all("sys/settings", &query, &["settings"]).await?;
            return with.list(&found, "settings", &["key", "version", "updated_at", "value"]);
        }
        Command::Get { key } => client.get(&path(key)?).await,
        Command::History { key } => {
            let found = client.get(&format!("{}:history", path(key)?)).await?;
            let names = &["version", "updated_at", "updated_by", "deleted", "changed"];
            let is_whole = with.shape.field().is_none() && [Format::Json, Format::Yaml].contains(&with.shape.format());
            return if is_whole { with.show(&found) } else { with.list(&told(&found), "versions", names) };
        }
        Command::Set { to, change } => {
            let mut body = json!({"key": to.key});
            change.add_to(&mut body);
            let body = input::with_member(&body, "value", &to.value()?);
            client.written(Method::POST, "sys/setting", &body).await.map_err(|refused| advised(refused, &to.key))
        }
        Command::Put { to, change } => {
            let mut body = json!({});
            change.add_to(&mut body);
            let body = input::with_member(&body, "value", &to.value()?);
            client.written(Method::PUT, &path(&to.key)?, &body).await.map_err(|refused| advised(refused, &to.key))
        }
        Command::Reset { key, change } => client.delete(&path(key)?, &change.query()).await,
    }?;
    if let Some(key) = command.tried() {
        tell_what_would_change(&client, key, &answer).await?;
    }
    if !with.shape.is_table() {
        return with.show(&answer);
    }
    // The schema is long, and a table has no room for it.
    let names = ["key", "value", "version", "updated_at", "updated_by", "state"];
    let told = names.iter().filter(|name| !answer[**name].is_null());
    with.show(&told.map(|name| ((*name).to_owned(), answer[*name].clone())).collect())
}

fn path(key: &str) -> Result<String, Failure> {
    Ok(format!("sys/setting/{}", segment(key)?))
}

/// What it takes stands in its schema; what is in it may have changed meanwhile.
fn advised(failure: Failure, key: &str) -> Failure {
    let is_about_the_value = failure.place().starts_with("body.value");
    let failure = failure.next(409, || format!("coffer setting get {key}, for the version that there is"));
    match is_about_the_value {
        true => failure.next(422, || format!("coffer setting get {key} --field schema, for what it takes")),
        false => failure,
    }
}

impl Command {
    /// Of what it says how it would be, and changes nothing.
    fn tried(&self) -> Option<&str> {
        match self {
            Self::Set { to: To { key, .. }, change }
            | Self::Put { to: To { key, .. }, change }
            | Self::Reset { key, change } => change.dry_run.then_some(key),
            Self::List | Self::Get { .. } | Self::History { .. } => None,
        }
    }
}

async fn tell_what_would_change(client: &Client, key: &str, answer: &Value) -> Result<(), Failure> {
    let now = match client.get(&path(key)?).await {
        Err(refused) if refused.status() == Some(404) => Value::Null,
        found => found?["value"].take(),
    };
    let told = match changes(&now, &answer["value"]) {
        none if none.is_empty() => format!("{key}: nothing would change"),
        changes => {
            let side = |value: &Value| if value.is_null() { "-".to_owned() } else { output::short(value) };
            let lines =
                changes.iter().map(|(name, before, after)| format!("{name}: {} → {}", side(before), side(after)));
            format!("{key}: this would change, and has not: {}", lines.collect::<Vec<_>>().join("; "))
        }
    };
    exit::say(&told);
    Ok(())
}

/// What differs, by name: before, and after.
fn changes(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
    let leaves =
        |value| output::leaves(value).into_iter().filter(|(name, _)| !name.is_empty()).collect::<BTreeMap<_, _>>();
    let (before, after) = (leaves(before), leaves(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let side = |of: &BTreeMap<String, &Value>, name| of.get(name).map_or(Value::Null, |value| Value::clone(value));
    let all = names.into_iter().map(|name| (name.clone(), side(&before, name), side(&after, name)));
    all.filter(|(_, before, after)| before != after).collect()
}

/// A history with what changed from version to version, instead of all that was there each time.
fn told(history: &Value) -> Value {
    let versions = history["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |(at, version): (usize, &Value)| {
        let before = versions.get(at + 1).map_or(&Value::Null, |before| &before["value"]);
        let mut line = version.clone();
        let changed = changes(before, &version["value"]).into_iter().map(|(name, _, after)| (name, after));
        line["changed"] = if version["deleted"] == true { Value::Null } else { changed.collect() };
        line
    };
    json!({"key": history["key"], "versions": versions.iter().enumerate().map(line).collect::<Vec<_>>()})
}

impl To {
    /// In JSON.
    fn value(&self) -> Result<Zeroizing<String>, Failure> {
        if let Some(file) = &self.json {
            return input::json_object(file);
        }
        let mut value = Value::Object(Map::new());
        for member in &self.members {
            let wrong = || Failure::usage(format!("{member}: must be NAME=VALUE"));
            let (way, text) = member.split_once('=').filter(|(way, _)| !way.is_empty()).ok_or_else(wrong)?;
            place(&mut value, way, text).ok_or_else(wrong)?;
        }
        Ok(Zeroizing::new(value.to_string()))
    }
}

/// A text that is JSON is what it says, any other is itself.
fn place(value: &mut Value, way: &str, text: &str) -> Option<()> {
    let at = way.split('.').try_fold(value, |at, name| match name {
        "" => None,
        name => {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            at.as_object_mut().map(|members| members.entry(name).or_insert(Value::Null))
        }
    })?;
    *at = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_tells_what_changed() {
        let versions = json!([
            {"version": 3, "value": {"a": {"b": 2, "c": [1]}}, "deleted": false},
            {"version": 2, "value": null, "deleted": true},
            {"version": 1, "value": {"a": {"b": 1}}, "deleted": false},
        ]);
        let told = told(&json!({"key": "k", "versions": versions}));
        let changed: Vec<&Value> = (0..3).map(|at| &told["versions"][at]["changed"]).collect();
        assert_eq!(changed, [&json!({"a.b": 2, "a.c": [1]}), &Value::Null, &json!({"a.b": 1})]);
        let (now, then) = (json!({"a": {"b": 1, "x": 0}}), json!({"a": {"b": 1, "y": 0}}));
        let names: Vec<_> = changes(&now, &then).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["a.x", "a.y"]);
        assert!(changes(&now, &now).is_empty());
    }

    #[test]
    fn members_are_placed_by_their_way() {
        let to = |members: &[&str]| To {
            key: String::new(),
            members: members.iter().map(|m| (*m).to_owned()).collect(),
            json: None,
        };
        let value =
            to(&["sessions.idle=15m", "sessions.max_per_user=5", "a=null", "b=[1]", "c=x=y", "d=\"5\""]).value();
        let expected =
            json!({"sessions": {"idle": "15m", "max_per_user": 5}, "a": null, "b": [1], "c": "x=y", "d": "5"});
        assert_eq!(serde_json::from_str::<Value>(&value.unwrap()).unwrap(), expected);
        for bad in ["x", "=1", "a..b=1", ".a=1", "a.=1"] {
            assert!(to(&[bad]).value().is_err(), "{bad}");
        }
        assert!(to(&["a=1", "a.b=2"]).value().is_err());
    }
}
