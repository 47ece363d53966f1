//! `login`, `logout`, `whoami`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Failure, With, challenge,
    client::{self, Client, Target},
    exit, input, pin,
    saved::{self, Lock, Saved, Session},
};

const PASSWORD: &str = "password";

#[derive(Args, Debug)]
pub struct Login {
    #[command(flatten)]
    with: With,
    /// Your name; asked for if left out
    #[arg(short, long, visible_alias = "user")]
    username: Option<String>,
    /// The auth mount to log in by, such as github: in a browser, if nothing else is said
    #[arg(short, long, value_name = "MOUNT", default_value = PASSWORD)]
    method: String,
    /// By a token, typed unseen or from standard input; for --method
    #[arg(long, conflicts_with_all = ["username", "device"])]
    token: bool,
    /// By a code that is entered on another device; for --method
    #[arg(long, conflicts_with = "username")]
    device: bool,
    /// Something else that the method wants, typed unseen or from standard input; several times if need be
    #[arg(long, value_name = "NAME")]
    ask: Vec<String>,
    /// Trust the authority of the server's certificate if it has this SHA-256 fingerprint
    #[arg(long, value_name = "FINGERPRINT")]
    pin: Option<String>,
    /// Address, certificate, name and password from the file that a dev server wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin", "username", "address", "ca_cert", "method"])]
    ready_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Logout {
    #[command(flatten)]
    with: With,
    /// Forget the session here even if it cannot be ended at the server
    #[arg(long)]
    forget: bool,
}

#[derive(Args, Debug)]
pub struct Whoami {
    #[command(flatten)]
    with: With,
}

/// Asks for a session and saves it. What the server was trusted by is saved with it, so that the
/// commands that follow need not be told.
pub async fn login(arguments: Login) -> Result<(), Failure> {
    arguments.make_sense()?;
    let (target, told) = match &arguments.ready_file {
        Some(path) => ready(path)?,
        None => (arguments.with.target.clone(), None),
    };
    let mut known = target.saved()?;
    known.ca_cert = trusted(&target, &known, arguments.pin.as_deref()).await?;
    let (username, body) = credentials(&arguments, told, &known)?;
    let client = target.anonymous_at(&known)?;
    let again = || "coffer login, with the right name and password".to_owned();
    let how = || "coffer login --help".to_owned();
    let begun = client.post("auth/token/create", &body).await;
    drop(body);
    let ended = challenge::settle(&client, begun).await;
    let answer = match arguments.method == PASSWORD {
        true => ended.map_err(|refused| refused.next(400, again)),
        false => ended,
    }
    .map_err(|refused| refused.next(422, how))?;
    let session = Session::from_answer(&answer).ok_or_else(Failure::no_coffer)?;
    let username = match username {
        Some(username) => Some(username),
        // Who that is here, only the server knows.
        None => called(&client.speaking_for(&session.access_token)).await,
    };
    (known.username, known.session) = (username, Some(session.clone()));
    let kept = keep(&known).await;
    // One that nobody knows the tokens of any more would live on for its whole time.
    let forgotten = match &kept {
        Ok(before) => before.as_ref(),
        Err(_) => Some(&session),
    };
    if let Some(forgotten) = forgotten {
        drop(client.post("token/revoke", &revocation(forgotten)).await);
    }
    kept?;
    exit::say(&format!("Logged in at {}. The session renews itself; `coffer logout` ends it.", known.address));
    arguments.with.show(&json!({
        "address": known.address,
        "username": known.username,
        "session_id": answer["session_id"],
        "expires_in": answer["expires_in"],
        "refresh_expires_in": answer["refresh_expires_in"],
    }))
}

impl Login {
    fn make_sense(&self) -> Result<(), Failure> {
        let by = if self.token { "token" } else { "device" };
        match self.method == PASSWORD && (self.token || self.device) {
            true => Err(Failure::usage(format!(
                "--{by} is for another method than a password: say --method github --{by}, or whatever your auth mount is called"
            ))),
            false => Ok(()),
        }
    }
}

/// What the method is shown, and the name if one was told.
fn credentials(arguments: &Login, told: Option<Told>, known: &Saved) -> Result<(Option<String>, Value), Failure> {
    let Login { username, method, token, device, ask, .. } = arguments;
    let mut body = json!({"grant_type": method});
    let mut named = None;
    if method == PASSWORD || username.is_some() {
        let (username, password) = match told {
            Some(told) => told,
            None => (name(username.clone(), known)?, input::hidden("Password")?),
        };
        body["username"] = username.as_str().into();
        body["password"] = password.as_str().into();
        named = Some(username);
    }
    if *token {
        body["token"] = input::hidden("Token")?.as_str().into();
    }
    if *device {
        body["device"] = true.into();
    }
    for name in ask {
        body[name.as_str()] = input::hidden(name)?.as_str().into();
    }
    Ok((named, body))
}

async fn called(client: &Client) -> Option<String> {
    client.get("users/me").await.ok()?["username"].as_str().map(str::to_owned)
}

/// Answers the session that was there before.
async fn keep(known: &Saved) -> Result<Option<Session>, Failure> {
    let lock = Lock::take(&known.address).await?;
    let before = Saved::load(&known.address)?.and_then(|saved| saved.session);
    known.save(&lock)?;
    saved::set_last_address(&known.address)?;
    Ok(before)
}

/// What to trust besides the system's authorities: what was told, what was pinned before, or what
/// the server shows if somebody vouches for it.
async fn trusted(target: &Target, known: &Saved, pin: Option<&str>) -> Result<Option<String>, Failure> {
    if let Some(pem) = target.told_authority()? {
        return Ok(Some(pem));
    }
    if let Some(pin) = pin {
        let shown = pin::shown_by(&known.address).await?;
        let fingerprint = pin::fingerprint(&shown).unwrap_or_default();
        return match pin::is_fingerprint(pin, &fingerprint) {
            true => Ok(Some(shown)),
            false => Err(Failure::unreachable(format!("its authority has another fingerprint: SHA256:{fingerprint}"))),
        };
    }
    let asked = target.anonymous_at(known)?.get("sys/seal-status").await;
    match asked {
        Err(Failure::Unreachable { cause, is_untrusted: true }) if known.ca_cert.is_none() => {
            ask(known, cause).await.map(Some)
        }
        Err(error @ Failure::Unreachable { .. }) => Err(error),
        // Whatever else it says, it is the one that was asked for.
        _ => Ok(known.ca_cert.clone()),
    }
}

/// Only of a server on this machine: of another, somebody in between could show what they like.
async fn ask(known: &Saved, cause: String) -> Result<String, Failure> {
    if !client::is_loopback(&known.address) {
        return Err(Failure::untrusted(cause));
    }
    let shown = pin::shown_by(&known.address).await?;
    let fingerprint = pin::fingerprint(&shown).unwrap_or_default();
    exit::say(&format!("No authority that this machine knows vouches for {}.", known.address));
    exit::say(&format!("The fingerprint of its own is SHA256:{fingerprint}; a dev server prints it when it starts."));
    match input::confirmed("Trust it from now on?")? {
        true => Ok(shown),
        false => Err(Failure::untrusted(format!("{cause}; if that is right: --pin SHA256:{fingerprint}"))),
    }
}

fn name(told: Option<String>, known: &Saved) -> Result<String, Failure> {
    let name = match (told, &known.username) {
        (Some(name), _) => name,
        (None, Some(before)) => match input::visible(&format!("Username [{before}]"))? {
            none if none.is_empty() => before.clone(),
            name => name,
        },
        (None, None) => input::visible("Username")?,
    };
    if name.is_empty() { Err(Failure::usage("no username; give one with --username")) } else { Ok(name) }
}

type Told = (String, Zeroizing<String>);

/// What a dev server tells whoever may read its file.
fn ready(path: &Path) -> Result<(Target, Option<Told>), Failure> {
    let ready = input::json(path)?;
    let text = |name: &str| {
        let missing = || Failure::usage(format!("{}: has no {name}", path.display()));
        ready[name].as_str().map(str::to_owned).ok_or_else(missing)
    };
    let target = Target { address: Some(text("url")?), ca_cert: Some(PathBuf::from(text("ca_cert")?)) };
    Ok((target, Some((text("admin_username")?, Zeroizing::new(text("admin_password")?)))))
}

fn revocation(session: &Session) -> Value {
    let token = session.refresh_token.as_ref().unwrap_or(&session.access_token);
    json!({"revoke_token": token.reveal()})
}

/// Ends the session, and forgets it when it has ended.
pub async fn logout(arguments: Logout) -> Result<(), Failure> {
    let Logout { with, forget } = arguments;
    let address = with.target.address()?;
    let lock = Lock::take(&address).await?;
    let Some(mut saved) = Saved::load(&address)?.filter(|saved| saved.session.is_some()) else {
        exit::say(&format!("Nobody is logged in at {address}."));
        return Ok(());
    };
    let session = saved.session.take();
    let body = session.as_ref().map(revocation).unwrap_or_default();
    let ended = match with.target.anonymous_at(&saved) {
        Ok(client) => client.post("token/revoke", &body).await.map(drop),
        Err(error) => Err(error),
    };
    match ended {
        Err(error) if !forget => Err(error),
        ended => {
            saved.save(&lock)?;
            let told = if ended.is_ok() { "Logged out of" } else { "Forgot the session, which has not ended, at" };
            exit::say(&format!("{told} {address}."));
            Ok(())
        }
    }
}

pub async fn whoami(arguments: Whoami) -> Result<(), Failure> {
    let With { target, shape } = arguments.with;
    let client = target.client()?;
    let mut told = client.get("users/me").await?;
    told["address"] = client.address().into();
    // A token that was good for one use has none left for this.
    if let Ok(session) = client.get("sessions/current").await {
        told["session"] = session;
    }
    if shape.is_table() {
        let session = told["session"].take();
        for name in ["session_id", "expires_at", "scope", "uses_left"] {
            if !session[name].is_null() {
                told[name] = session[name].clone();
            }
        }
        told.as_object_mut().map(|members| members.remove("session"));
    }
    shape.show(&told)
}
