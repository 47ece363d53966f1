//! `lease …`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{Failure, With, client::segment, complete};

#[derive(Args, Debug)]
pub struct Lease {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// What is lent: to you, to somebody else, or below a folder
    List {
        /// To everybody, below this folder of secrets; "" for all
        #[arg(long, value_name = "FOLDER", add = ArgValueCompleter::new(complete::folders))]
        prefix: Option<String>,
        /// Of this user instead of you
        #[arg(long, alias = "username", add = ArgValueCompleter::new(complete::users))]
        user: Option<String>,
        /// That are in this state
        #[arg(long, value_parser = ["active", "revoking", "failing", "unresolved"])]
        state: Option<String>,
    },
    /// How a lease is
    Show {
        /// Its id
        #[arg(add = ArgValueCompleter::new(complete::leases))]
        id: String,
    },
    /// Prolong a lease, as far as its engine and its session let you
    Renew {
        /// Its id
        #[arg(add = ArgValueCompleter::new(complete::leases))]
        id: String,
        /// From now on: 90s, 15m, 24h, 7d; as long as it was first given if left out
        #[arg(long, value_name = "DURATION")]
        increment: Option<String>,
    },
    /// Strike off a lease that its engine cannot take back: what it stands for stays outside, for you to end
    Forget {
        /// Its id
        #[arg(add = ArgValueCompleter::new(complete::leases))]
        id: String,
    },
    /// Give back: leases by their ids, or all below a folder, of a session or of a user
    Revoke {
        /// Their ids
        #[arg(required_unless_present_any = ["prefix", "session", "user"], add = ArgValueCompleter::new(complete::leases))]
        ids: Vec<String>,
        /// All below this folder
        #[arg(long, value_name = "FOLDER", conflicts_with_all = ["ids", "session", "user"], add = ArgValueCompleter::new(complete::folders))]
        prefix: Option<String>,
        /// All of this session
        #[arg(long, value_name = "ID", conflicts_with_all = ["ids", "user"])]
        session: Option<String>,
        /// All of this user
        #[arg(long, alias = "username", conflicts_with = "ids", add = ArgValueCompleter::new(complete::users))]
        user: Option<String>,
    },
}

pub async fn lease(group: Lease) -> Result<(), Failure> {
    let Lease { with, command } = group;
    let client = with.client()?;
    match command {
        Command::List { prefix, user, state } => {
            let mut query = vec![];
            query.extend(prefix.map(|prefix| ("prefix", prefix)));
            query.extend(user.map(|user| ("username", user)));
            query.extend(state.map(|state| ("state", state)));
            let found = client.all("leases", &query, &["leases"]).await?;
            with.list(&found, "leases", &["lease_id", "secret_id", "state", "expires_at", "max_expires_at", "reason"])
        }
        Command::Show { id } => with.show(&client.get(&format!("leases/{}", segment(&id)?)).await?),
        Command::Renew { id, increment } => {
            let mut body = json!({});
            if let Some(increment) = increment {
                body["increment"] = increment.parse::<u64>().map_or_else(|_| increment.into(), Value::from);
            }
            with.show(&client.post(&format!("leases/{}/renew", segment(&id)?), &body).await?)
        }
        Command::Forget { id } => {
            with.show(&client.post(&format!("leases/{}/forget", segment(&id)?), &json!({})).await?)
        }
        Command::Revoke { ids, prefix, session, user } => {
            let all = [("prefix", prefix), ("session_id", session), ("username", user)];
            if let Some((name, Some(value))) = all.into_iter().find(|(_, value)| value.is_some()) {
                return with.show(&client.post("leases/revoke", &json!({ name: value })).await?);
            }
            for id in &ids {
                let gone = client.post(&format!("leases/{}/revoke", segment(id)?), &json!({})).await;
                gone.map_err(|refused| refused.about(id))?;
            }
            with.show(&json!({"revoked": ids.len()}))
        }
    }
}
