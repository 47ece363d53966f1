//! `policy …`: texts in Cedar, and why something is allowed or not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{
    Failure, With,
    client::segment,
    complete, exit, input,
    output::{self, Format},
};

#[derive(Args, Debug)]
pub struct Policy {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// All policies, without their texts
    List,
    /// The text of one
    Show {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::policies))]
        name: String,
    },
    /// Put a text in force, if all of them together are sound
    Put {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::policies))]
        name: String,
        /// The text; standard input if left out
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
        #[command(flatten)]
        change: Change,
    },
    /// Take a text out of force
    Delete {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::policies))]
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Would it be allowed, by which policy, and if not, why; and who can do it
    Explain(Explain),
}

/// How something is changed that has versions and can lock people out.
#[derive(Args, Clone, Debug)]
pub struct Change {
    /// Only if this is the version there is; 0 if there must be none
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<u64>,
    /// Say what would come of it, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Even if nobody could log in as admin any more
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
struct Explain {
    /// What is done
    #[arg(value_parser = ["read", "list", "create", "update", "delete", "use", "manage"])]
    action: String,
    /// What it is done to: secrets/kv/apps/web/db
    path: String,
    /// For this user, just logged in; else for you, as you are
    #[arg(long, alias = "username", add = ArgValueCompleter::new(complete::users))]
    user: Option<String>,
    /// A verb of an engine
    #[arg(long)]
    verb: Option<String>,
    /// As logged in by this auth mount
    #[arg(long, add = ArgValueCompleter::new(complete::auth_mounts))]
    method: Option<String>,
    /// As asked from this address
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
}

impl Change {
    pub fn add_to(&self, body: &mut Value) {
        if let Some(version) = self.if_version {
            body["expected_version"] = version.into();
        }
        for (name, _) in [("dry_run", self.dry_run), ("force", self.force)].iter().filter(|(_, says)| *says) {
            body[*name] = true.into();
        }
    }

    pub fn query(&self) -> Vec<(&'static str, String)> {
        let mut query: Vec<_> = self.if_version.iter().map(|n| ("expected_version", n.to_string())).collect();
        let says = [("dry_run", self.dry_run), ("force", self.force)];
        query.extend(says.iter().filter(|(_, says)| *says).map(|(name, _)| (*name, "true".to_owned())));
        query
    }
}

pub async fn run(group: Policy) -> Result<(), Failure> {
    let Policy { with, command } = group;
    let client = with.client()?;
    let path = |name: &str| Ok::<_, Failure>(format!("sys/policies/{}", segment(name)?));
    let changed =
        |failure: Failure, name: &str| failure.next(409, || format!("coffer policy show {name}, for what is there"));
    match command {
        Command::List => {
            let query = [("limit", "1000".to_owned())];
            let found = client.all("sys/policies", &query, &["policies"]).await?;
            with.list(&found, "policies", &["name", "version", "built_in", "updated_at", "updated_by"])
        }
        Command::Show { name } => {
            let found = client.get(&path(&name)?).await?;
            match (with.shape.field(), with.shape.format(), found["text"].as_str()) {
                (None, Format::Table | Format::Raw, Some(text)) => {
                    exit::say(&format!("{name}: version {}", found["version"]));
                    let end = if text.ends_with('\n') { "" } else { "\n" };
                    output::raw(&format!("{text}{end}"))
                }
                _ => with.show(&found),
            }
        }
        Command::Put { name, file, change } => {
            let text = input::file(&file)?;
            let mut body = json!({"text": *text});
            change.add_to(&mut body);
            let put = client.put(&path(&name)?, &body).await.map_err(|refused| changed(refused, &name))?;
            if !with.shape.is_table() {
                return with.show(&put);
            }
            let done = if change.dry_run { "is sound, and not in force" } else { "is in force" };
            exit::say(&format!("{name}: version {} {done}", put["version"]));
            Ok(())
        }
        Command::Delete { name, change } => {
            let deleted = client.delete(&path(&name)?, &change.query()).await;
            with.show(&deleted.map_err(|refused| changed(refused, &name))?)
        }
        Command::Explain(explain) => {
            let mut body = json!({"action": explain.action, "path": explain.path});
            let told = [
                ("username", explain.user),
                ("verb", explain.verb),
                ("method", explain.method),
                ("address", explain.from),
            ];
            for (name, value) in told {
                if let Some(value) = value {
                    body[name] = value.into();
                }
            }
            with.show(&client.post("sys/policies/explain", &body).await?)
        }
    }
}
