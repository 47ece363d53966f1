//! `session …` and `token …`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::{Failure, With, client::segment, complete, exit, input, output};

#[derive(Args, Debug)]
pub struct Session {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Subcommand, Debug)]
enum SessionCommand {
    /// Your sessions, or somebody's
    List {
        /// Of this user instead of you
        #[arg(long, alias = "username", add = ArgValueCompleter::new(complete::users))]
        user: Option<String>,
    },
    /// The session that asks
    Current,
    /// End sessions: by their ids, all of yours but this one, or all of somebody's
    Revoke {
        /// Their ids
        #[arg(required_unless_present_any = ["others", "user"], add = ArgValueCompleter::new(complete::sessions))]
        ids: Vec<String>,
        /// All of yours but this one
        #[arg(long, conflicts_with = "ids")]
        others: bool,
        /// All of this user's
        #[arg(long, alias = "username", conflicts_with_all = ["ids", "others"], add = ArgValueCompleter::new(complete::users))]
        user: Option<String>,
    },
}

pub async fn session(group: Session) -> Result<(), Failure> {
    let Session { with, command } = group;
    let client = with.client()?;
    match command {
        SessionCommand::List { user } => {
            let mut query = vec![];
            query.extend(user.map(|user| ("username", user)));
            let found = client.all("sessions", &query, &["sessions"]).await?;
            let names = &["session_id", "device", "address", "created_at", "last_used_at", "expires_at", "current"];
            with.list(&found, "sessions", names)
        }
        SessionCommand::Current => with.show(&client.get("sessions/current").await?),
        SessionCommand::Revoke { ids, others, user } => {
            if others || user.is_some() {
                let body = user.map_or_else(|| json!({"others": true}), |user| json!({"username": user}));
                return with.show(&client.post("sessions/revoke", &body).await?);
            }
            for id in &ids {
                let ended = client.post(&format!("sessions/{}/revoke", segment(id)?), &json!({})).await;
                ended.map_err(|refused| refused.about(id))?;
            }
            with.show(&json!({"ended": ids.len()}))
        }
    }
}

#[derive(Args, Debug)]
pub struct Token {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand, Debug)]
enum TokenCommand {
    /// A token that can do less than you and ends no later: --field access_token for it alone
    Create(Create),
    /// What a token stands for; it is typed unseen, or a line of standard input
    Introspect,
    /// End the session of a token; it is typed unseen, or a line of standard input
    Revoke,
    /// A new pair of tokens for the saved session, whether or not it is time
    Renew,
}

#[derive(Args, Debug)]
struct Create {
    /// What it may do: "read:secrets/kv/apps list:secrets/kv"
    #[arg(long)]
    scope: Option<String>,
    /// How long: 90s, 15m, 24h, 7d
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// How often
    #[arg(long, value_name = "NUMBER", conflicts_with = "one_time")]
    max_uses: Option<u32>,
    /// Once
    #[arg(long)]
    one_time: bool,
    /// From this network only: 10.0.0.0/8; again for more
    #[arg(long, value_name = "NETWORK", conflicts_with = "bind")]
    from: Vec<String>,
    /// From the address that this command asks from only
    #[arg(long)]
    bind: bool,
}

pub async fn token(group: Token) -> Result<(), Failure> {
    let Token { with, command } = group;
    match command {
        TokenCommand::Create(create) => {
            output::somebody_listens()?;
            with.show(&with.client()?.post("auth/token/create", &create.body()).await?)
        }
        TokenCommand::Introspect => {
            let client = with.client()?;
            let token = input::hidden("Token")?;
            with.show(&client.post("token/introspect", &json!({"token": token.trim()})).await?)
        }
        TokenCommand::Revoke => {
            // Whoever holds it may end it.
            let client = with.anonymous()?;
            let token = input::hidden("Token")?;
            with.show(&client.post("token/revoke", &json!({"revoke_token": token.trim()})).await?)
        }
        TokenCommand::Renew => {
            with.client()?.renew_now().await?;
            exit::say("Renewed.");
            Ok(())
        }
    }
}

impl Create {
    fn body(&self) -> Value {
        let mut session = json!({});
        if let Some(ttl) = &self.ttl {
            session["ttl"] = ttl.parse::<u64>().map_or_else(|_| ttl.as_str().into(), Value::from);
        }
        if let Some(uses) = self.max_uses {
            session["max_uses"] = uses.into();
        }
        if self.one_time {
            session["one_time"] = true.into();
        }
        if self.bind {
            session["bind"] = "caller".into();
        }
        if !self.from.is_empty() {
            session["bind"] = "list".into();
            session["addresses"] = json!(self.from);
        }
        let mut body = json!({"grant_type": "session", "session": session});
        if let Some(scope) = &self.scope {
            body["scope"] = scope.as_str().into();
        }
        body
    }
}
