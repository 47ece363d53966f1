//! `user …` and `role …`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Failure, With, client::segment, exit, input};

#[derive(Args, Debug)]
pub struct User {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// All users
    List,
    /// One user, or yourself
    Show { username: Option<String> },
    /// Make a user; the password is typed unseen, or a line of standard input
    Create {
        username: String,
        #[arg(long)]
        email: Option<String>,
        #[arg(long, default_value = "user")]
        role: String,
        /// A program: it has credentials and no password
        #[arg(long)]
        machine: bool,
    },
    /// Change what a user is
    Update {
        username: String,
        #[arg(long)]
        email: Option<String>,
        #[arg(long)]
        role: Option<String>,
        /// End its sessions, and let it log in no more
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        #[arg(long)]
        enable: bool,
    },
    /// Change your password, or set somebody's
    Password { username: Option<String> },
    /// Remove users; their sessions end at once
    Delete {
        #[arg(required = true)]
        usernames: Vec<String>,
        /// Ask nothing
        #[arg(short, long)]
        yes: bool,
    },
    /// What a user logs in with at an auth mount
    #[command(subcommand)]
    Credential(Credential),
}

#[derive(Subcommand, Debug)]
enum Credential {
    List {
        username: String,
        #[arg(long, default_value = "clients")]
        mount: String,
    },
    /// Make one; what is secret in the answer is shown this once
    Add {
        username: String,
        #[arg(long, default_value = "clients")]
        mount: String,
        /// What the mount asks for, a JSON object
        #[arg(long, value_name = "FILE|-")]
        json: Option<std::path::PathBuf>,
    },
    Remove {
        username: String,
        id: String,
        #[arg(long, default_value = "clients")]
        mount: String,
    },
}

const USERS: &[&str] = &["username", "role", "email", "kind", "disabled", "created_at"];

pub async fn user(group: User) -> Result<(), Failure> {
    let User { with, command } = group;
    match command {
        Command::List => with.list(&with.client()?.all("users", &limit(), &["users"]).await?, "users", USERS),
        Command::Show { username } => {
            let name = username.as_deref().unwrap_or("me");
            with.show(&with.client()?.get(&format!("users/{}", segment(name)?)).await.map_err(listed)?)
        }
        Command::Create { username, email, role, machine } => {
            let mut body = json!({"username": username, "role": role});
            if let Some(email) = email {
                body["email"] = email.into();
            }
            let client = with.client()?;
            let password = if machine { None } else { Some(input::new_password("Password")?) };
            match &password {
                None => body["kind"] = "machine".into(),
                Some(password) => body["password"] = password.as_str().into(),
            }
            with.show(&client.post("users/create", &body).await?)
        }
        Command::Update { username, email, role, disable, enable } => {
            let mut body = Map::new();
            body.extend(email.map(|email| ("email".to_owned(), email.into())));
            body.extend(role.map(|role| ("role".to_owned(), role.into())));
            body.extend((disable || enable).then(|| ("disabled".to_owned(), disable.into())));
            if body.is_empty() {
                return Err(Failure::usage("nothing to change: say --email, --role, --disable or --enable"));
            }
            let path = format!("users/{}/update", segment(&username)?);
            with.show(&with.client()?.post(&path, &Value::Object(body)).await.map_err(listed)?)
        }
        Command::Password { username } => password(&with, username).await,
        Command::Delete { usernames, yes } => {
            if !yes && !input::confirmed(&format!("Remove {} for good?", usernames.join(", ")))? {
                return Err(Failure::usage("nothing was done: say --yes if you mean it"));
            }
            let client = with.client()?;
            for username in usernames {
                let path = format!("users/{}/delete", segment(&username)?);
                client.post(&path, &json!({})).await.map_err(|refused| listed(refused.about(&username)))?;
                exit::say(&format!("{username}: deleted"));
            }
            Ok(())
        }
        Command::Credential(command) => credential(&with, command).await,
    }
}

fn listed(failure: Failure) -> Failure {
    failure.next(404, || "coffer user list".to_owned())
}

fn limit() -> [(&'static str, String); 1] {
    [("limit", "1000".to_owned())]
}

/// One's own needs the one before; somebody else's is set by permission.
async fn password(with: &With, username: Option<String>) -> Result<(), Failure> {
    let client = with.client()?;
    let (path, body) = match username {
        Some(username) => {
            let new = input::new_password("New password")?;
            (format!("users/{}/password", segment(&username)?), json!({"new": *new}))
        }
        None => {
            let me = client.get("users/me").await?;
            let path = format!("users/{}/password", segment(me["username"].as_str().unwrap_or_default())?);
            let current = input::hidden("Current password")?;
            let new = input::new_password("New password")?;
            (path, json!({"current": *current, "new": *new}))
        }
    };
    with.show(&client.post(&path, &body).await.map_err(listed)?)
}

async fn credential(with: &With, command: Credential) -> Result<(), Failure> {
    let path = |username: &str, mount: &str| {
        Ok::<_, Failure>(format!("users/{}/credentials/{}", segment(username)?, segment(mount)?))
    };
    let client = with.client()?;
    let answer = match command {
        Credential::List { username, mount } => client.get(&path(&username, &mount)?).await?,
        Credential::Add { username, mount, json } => {
            let body = json.as_deref().map(input::json).transpose()?.unwrap_or_else(|| json!({}));
            client.post(&path(&username, &mount)?, &body).await?
        }
        Credential::Remove { username, id, mount } => {
            client.delete(&format!("{}/{}", path(&username, &mount)?, segment(&id)?), &[]).await?
        }
    };
    with.show(&answer)
}

#[derive(Args, Debug)]
pub struct Role {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Subcommand, Debug)]
enum RoleCommand {
    /// All roles
    List,
    /// One role
    Show { name: String },
    /// Make a role, or describe it anew; what it may do is for policies to say
    Put {
        name: String,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove a role that nobody has
    Delete { name: String },
}

pub async fn role(group: Role) -> Result<(), Failure> {
    let Role { with, command } = group;
    let client = with.client()?;
    let path = |name: &str| Ok::<_, Failure>(format!("sys/roles/{}", segment(name)?));
    let advised = |failure: Failure| failure.next(404, || "coffer role list".to_owned());
    let answer = match &command {
        RoleCommand::List => {
            let found = client.all("sys/roles", &limit(), &["roles"]).await?;
            return with.list(&found, "roles", &["name", "description", "built_in", "updated_at"]);
        }
        RoleCommand::Show { name } => client.get(&path(name)?).await,
        RoleCommand::Put { name, description } => client.put(&path(name)?, &json!({"description": description})).await,
        RoleCommand::Delete { name } => client.delete(&path(name)?, &[]).await,
    };
    with.show(&answer.map_err(advised)?)
}
