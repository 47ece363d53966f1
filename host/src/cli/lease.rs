//! `lease …`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, With, client::segment};

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
        #[arg(long, value_name = "FOLDER")]
        prefix: Option<String>,
        /// Of this user instead of you
        #[arg(long)]
        user: Option<String>,
        /// active, revoking, failing or unresolved
        #[arg(long)]
        state: Option<String>,
    },
    /// How a lease is
    Show {
        /// Its id
        id: String,
    },
    /// Prolong a lease, as far as its engine and its session let you
    Renew {
        /// Its id
        id: String,
        /// From now on: 90s, 15m, 24h, 7d; as long as it was first given if left out
        #[arg(long, value_name = "DURATION")]
        increment: Option<String>,
    },
    /// Give back: leases by their ids, or all below a folder, of a session or of a user
    Revoke {
        /// Their ids
        #[arg(required_unless_present_any = ["prefix", "session", "user"])]
        ids: Vec<String>,
        /// All below this folder
        #[arg(long, value_name = "FOLDER", conflicts_with_all = ["ids", "session", "user"])]
        prefix: Option<String>,
        /// All of this session
        #[arg(long, value_name = "ID", conflicts_with_all = ["ids", "user"])]
        session: Option<String>,
        /// All of this user
        #[arg(long, conflicts_with = "ids")]
        user: Option<String>,
    },
}

pub async fn lease(group: Lease) -> Result<(), Failure> {
    let Lease { with, command } = group;
    let client = with.client()?;
    let advised = |failure: Failure| failure.next(404, || "coffer lease list".to_owned());
    match command {
        Command::List { prefix, user, state } => {
            let mut query = vec![];
            query.extend(prefix.map(|prefix| ("prefix", prefix)));
            query.extend(user.map(|user| ("username", user)));
            query.extend(state.map(|state| ("state", state)));
            let found = client.all("leases", &query, &["leases"]).await?;
            with.list(&found, "leases", &["lease_id", "secret_id", "state", "expires_at", "max_expires_at", "reason"])
        }
        Command::Show { id } => {
            let shown = client.get(&format!("leases/{}", segment(&id)?)).await;
            with.show(&shown.map_err(advised)?)
        }
        Command::Renew { id, increment } => {
            let mut body = json!({});
            if let Some(increment) = increment {
                body["increment"] = increment.parse::<u64>().map_or_else(|_| increment.into(), Value::from);
            }
            let renewed = client.post(&format!("leases/{}/renew", segment(&id)?), &body).await;
            with.show(&renewed.map_err(advised)?)
        }
        Command::Revoke { ids, prefix, session, user } => {
            let all = [("prefix", prefix), ("session_id", session), ("username", user)];
            if let Some((name, Some(value))) = all.into_iter().find(|(_, value)| value.is_some()) {
                return with.show(&client.post("leases/revoke", &json!({ name: value })).await?);
            }
            for id in &ids {
                let gone = client.post(&format!("leases/{}/revoke", segment(id)?), &json!({})).await;
                gone.map_err(|refused| advised(refused.about(id)))?;
            }
            with.show(&json!({"revoked": ids.len()}))
        }
    }
}
