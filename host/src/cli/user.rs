//! `user …` and `role …`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    Failure, With,
    client::{Client, segment},
    complete, exit, input, output,
};
use crate::ids::{Email, RoleName, Username};

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
    Show {
        /// The name of the user; yourself if left out
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: Option<String>,
    },
    /// Make a user; the password is typed unseen, or a line of standard input
    Create {
        /// The name of the user
        #[arg(value_parser = username)]
        username: String,
        /// Its e-mail address, which a program may be without
        #[arg(long, required_unless_present = "machine", value_parser = email)]
        email: Option<String>,
        /// The role it has
        #[arg(long, default_value = "user", value_parser = role_name, add = ArgValueCompleter::new(complete::roles))]
        role: String,
        /// A program: it has credentials and no password
        #[arg(long)]
        machine: bool,
    },
    /// Change what a user is
    Update {
        /// The name of the user
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: String,
        /// Its e-mail address
        #[arg(long)]
        email: Option<String>,
        /// The role it has
        #[arg(long, add = ArgValueCompleter::new(complete::roles))]
        role: Option<String>,
        /// End its sessions, and let it log in no more
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Let it log in again
        #[arg(long)]
        enable: bool,
    },
    /// Change your password, or set somebody's
    Password {
        /// The name of the user; yourself if left out
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: Option<String>,
    },
    /// Remove users; their sessions end at once
    Delete {
        /// The names of the users
        #[arg(required = true, add = ArgValueCompleter::new(complete::users))]
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
    /// What there is
    List {
        /// The name of the user
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: String,
        /// The auth mount
        #[arg(long, default_value = "clients", add = ArgValueCompleter::new(complete::auth_mounts))]
        mount: String,
    },
    /// Make one; what is secret in the answer is shown this once
    Add {
        /// The name of the user
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: String,
        /// The auth mount
        #[arg(long, default_value = "clients", add = ArgValueCompleter::new(complete::auth_mounts))]
        mount: String,
        /// What the mount asks for, a JSON object
        #[arg(long, value_name = "FILE|-")]
        json: Option<std::path::PathBuf>,
        /// Who the user is elsewhere, as the mount's provider knows people: for GitHub, the number of the account
        #[arg(long, value_name = "ID", conflicts_with = "json")]
        subject: Option<String>,
    },
    /// Take one away
    Remove {
        /// The name of the user
        #[arg(add = ArgValueCompleter::new(complete::users))]
        username: String,
        /// Its id
        id: String,
        /// The auth mount
        #[arg(long, default_value = "clients", add = ArgValueCompleter::new(complete::auth_mounts))]
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
            with.show(&with.client()?.get(&format!("users/{}", segment(name)?)).await?)
        }
        Command::Create { username, email, role, machine } => {
            let mut body = json!({"username": username, "role": role});
            if let Some(email) = email {
                body["email"] = email.into();
            }
            let client = with.client()?;
            is_there(&client, &role).await?;
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
            with.show(&with.client()?.post(&path, &Value::Object(body)).await?)
        }
        Command::Password { username } => password(&with, username).await,
        Command::Delete { usernames, yes } => {
            if !yes && !input::confirmed(&format!("Remove {} for good?", usernames.join(", ")))? {
                return Err(Failure::usage("nothing was done: say --yes if you mean it"));
            }
            let client = with.client()?;
            for username in usernames {
                let path = format!("users/{}/delete", segment(&username)?);
                client.post(&path, &json!({})).await.map_err(|refused| refused.about(&username))?;
                exit::say(&format!("{username}: deleted"));
            }
            Ok(())
        }
        Command::Credential(command) => credential(&with, command).await,
    }
}

/// What the server would refuse is refused before anybody types a password.
fn username(text: &str) -> Result<String, &'static str> {
    Username::parse(text).map(String::from).map_err(|error| error.0)
}

fn email(text: &str) -> Result<String, &'static str> {
    Email::parse(text).map(String::from).map_err(|error| error.0)
}

fn role_name(text: &str) -> Result<String, &'static str> {
    RoleName::parse(text).map(String::from).map_err(|error| error.0)
}

/// Whoever may make users need not be let see roles: then the server tells, later.
async fn is_there(client: &Client, role: &str) -> Result<(), Failure> {
    match client.get(&format!("sys/roles/{}", segment(role)?)).await {
        Err(refused) if refused.status() == Some(404) => {
            Err(Failure::missing(format!("{role}: there is no such role")).asked_for("sys/roles"))
        }
        _ => Ok(()),
    }
}

fn limit() -> [(&'static str, String); 1] {
    [("limit", "1000".to_owned())]
}

/// One's own needs the one before; somebody else's is set by permission.
async fn password(with: &With, username: Option<String>) -> Result<(), Failure> {
    let client = with.client()?;
    let (name, body) = match username {
        Some(username) => (segment(&username)?, json!({"new": *input::new_password("New password")?})),
        None => {
            let current = input::hidden("Current password")?;
            ("me".to_owned(), json!({"current": *current, "new": *input::new_password("New password")?}))
        }
    };
    with.show(&client.post(&format!("users/{name}/password"), &body).await?)
}

async fn credential(with: &With, command: Credential) -> Result<(), Failure> {
    let path = |username: &str, mount: &str| {
        Ok::<_, Failure>(format!("users/{}/credentials/{}", segment(username)?, segment(mount)?))
    };
    let client = with.client()?;
    let answer = match command {
        Credential::List { username, mount } => {
            let found = client.get(&path(&username, &mount)?).await.map_err(|refused| elsewhere(refused, &username))?;
            let are_links = found["credentials"][0]["subject"].is_string();
            let columns: &'static [&'static str] =
                if are_links { &["id", "subject"] } else { &["id", "label", "created_at"] };
            return with.list(&found, "credentials", columns);
        }
        Credential::Add { username, mount, json, subject } => {
            output::somebody_listens()?;
            let said = subject.map(|subject| json!({"subject": subject}).to_string().into());
            let body = json.as_deref().map(input::json_object).transpose()?.or(said);
            let body = body.unwrap_or_else(|| "{}".to_owned().into());
            let added = client.written(Method::POST, &path(&username, &mount)?, &body).await;
            added.map_err(|refused| elsewhere(refused, &username))?
        }
        Credential::Remove { username, id, mount } => {
            let gone = client.delete(&format!("{}/{}", path(&username, &mount)?, segment(&id)?), &[]).await;
            gone.map_err(|refused| {
                refused.next(404, || format!("coffer user credential list {username} --mount {mount}"))
            })?
        }
    };
    with.show(&answer)
}

/// Either of the two may be what is not there.
fn elsewhere(failure: Failure, username: &str) -> Failure {
    failure.next(404, || format!("coffer user show {username}, and coffer setting list for the mounts"))
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
    Show {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::roles))]
        name: String,
    },
    /// Make a role, or describe it anew; what it may do is for policies to say
    Put {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::roles))]
        name: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove a role that nobody has
    Delete {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::roles))]
        name: String,
    },
}

pub async fn role(group: Role) -> Result<(), Failure> {
    let Role { with, command } = group;
    let client = with.client()?;
    let path = |name: &str| Ok::<_, Failure>(format!("sys/roles/{}", segment(name)?));
    let answer = match &command {
        RoleCommand::List => {
            let found = client.all("sys/roles", &limit(), &["roles"]).await?;
            return with.list(&found, "roles", &["name", "description", "built_in", "updated_at"]);
        }
        RoleCommand::Show { name } => client.get(&path(name)?).await,
        RoleCommand::Put { name, description } => client.put(&path(name)?, &json!({"description": description})).await,
        RoleCommand::Delete { name } => client.delete(&path(name)?, &[]).await,
    };
    with.show(&answer?)
}
