//! `setting …`: what the server goes by, `security` among it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Failure, With, client::segment, input, policy::Change};

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
        key: String,
    },
    /// What it was before
    History {
        /// The setting: security, secrets/kv, auth/password
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
        key: String,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Args, Debug)]
struct To {
    /// The setting: security, secrets/kv, auth/password
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
    let path = |key: &str| Ok::<_, Failure>(format!("sys/setting/{}", segment(key)?));
    let answer = match &command {
        Command::List => {
            let query = [("limit", "1000".to_owned())];
            let found = client.all("sys/settings", &query, &["settings"]).await?;
            return with.list(&found, "settings", &["key", "version", "updated_at", "value"]);
        }
        Command::Get { key } => client.get(&path(key)?).await,
        Command::History { key } => client.get(&format!("{}:history", path(key)?)).await,
        Command::Set { to, change } => {
            let mut body = json!({"key": to.key, "value": to.value()?});
            change.add_to(&mut body);
            client.post("sys/setting", &body).await
        }
        Command::Put { to, change } => {
            let mut body = json!({"value": to.value()?});
            change.add_to(&mut body);
            client.put(&path(&to.key)?, &body).await
        }
        Command::Reset { key, change } => client.delete(&path(key)?, &change.query()).await,
    };
    let answer = answer.map_err(|refused| refused.next(404, || "coffer setting list".to_owned()))?;
    match (&command, with.shape.is_table()) {
        // The schema is long, and a table has no room for it.
        (Command::Get { .. } | Command::Set { .. } | Command::Put { .. }, true) => {
            let names = ["key", "value", "version", "updated_at", "updated_by", "state"];
            let told = names.iter().filter(|name| !answer[**name].is_null());
            with.show(&told.map(|name| ((*name).to_owned(), answer[*name].clone())).collect())
        }
        _ => with.show(&answer),
    }
}

impl To {
    fn value(&self) -> Result<Value, Failure> {
        if let Some(file) = &self.json {
            return input::json(file);
        }
        let mut value = Value::Object(Map::new());
        for member in &self.members {
            let wrong = || Failure::usage(format!("{member}: must be NAME=VALUE"));
            let (way, text) = member.split_once('=').filter(|(way, _)| !way.is_empty()).ok_or_else(wrong)?;
            place(&mut value, way, text).ok_or_else(wrong)?;
        }
        Ok(value)
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
        assert_eq!(value.unwrap(), expected);
        for bad in ["x", "=1", "a..b=1", ".a=1", "a.=1"] {
            assert!(to(&[bad]).value().is_err(), "{bad}");
        }
        assert!(to(&["a=1", "a.b=2"]).value().is_err());
    }
}
