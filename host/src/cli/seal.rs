//! `init`, `unseal`, `seal`, `status`.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Failure, client::Target, exit};

#[derive(Args, Debug)]
pub struct Init {
    #[command(flatten)]
    target: Target,
    /// The file with the code that the server wrote into its data folder when it started
    #[arg(long, value_name = "FILE")]
    code_file: PathBuf,
    /// Into how many shares the root key is split: 5 if only the other is given. A store that is
    /// unsealed by a key file has none
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=255))]
    shares: Option<u8>,
    /// How many of them unseal: 3 if only the other is given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=255))]
    threshold: Option<u8>,
}

#[derive(Args, Debug)]
pub struct Unseal {
    #[command(flatten)]
    target: Target,
}

#[derive(Args, Debug)]
pub struct Seal {
    #[command(flatten)]
    target: Target,
    /// Only the node that is asked
    #[arg(long)]
    node: bool,
}

#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    target: Target,
}

/// A share is some hundred characters.
const SHARE_BYTES: u64 = 4096;

pub async fn init(arguments: Init) -> Result<(), Failure> {
    let Init { target, code_file, shares, threshold } = arguments;
    let unreadable = |error| Failure::Usage(format!("{}: cannot be read: {error}", code_file.display()));
    let code = Zeroizing::new(std::fs::read_to_string(&code_file).map_err(unreadable)?);
    let mut body = json!({"code": code.trim()});
    for (name, number) in [("shares", shares), ("threshold", threshold)] {
        if let Some(number) = number {
            body[name] = number.into();
        }
    }
    exit::show(&target.client()?.post("sys/init", &body).await?)
}

pub async fn unseal(arguments: Unseal) -> Result<(), Failure> {
    let client = arguments.target.client()?;
    let share = read_share()?;
    let status = client.post("sys/unseal", &json!({"share": share.trim()})).await?;
    exit::show(&status)
}

pub async fn seal(arguments: Seal) -> Result<(), Failure> {
    let body = if arguments.node { json!({"node": true}) } else { json!({}) };
    exit::show(&arguments.target.client()?.post("sys/seal", &body).await?)
}

/// Tells, and fails while the server is sealed, so that a script can wait for it.
pub async fn status(arguments: Status) -> Result<(), Failure> {
    let status = arguments.target.client()?.get("sys/seal-status").await?;
    exit::show(&status)?;
    if status["sealed"] == Value::Bool(false) { Ok(()) } else { Err(Failure::Sealed) }
}

/// One line of standard input: an argument would stand in the history and in the process list.
fn read_share() -> Result<Zeroizing<String>, Failure> {
    let input = io::stdin().lock();
    if input.is_terminal() {
        let mut told = io::stderr();
        write!(told, "Unseal share (it will be visible): ").and_then(|()| told.flush())?;
    }
    // Large enough from the start: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(SHARE_BYTES as usize));
    input.take(SHARE_BYTES).read_line(&mut line)?;
    match line.trim() {
        "" => Err(Failure::Usage("no share came on standard input".to_owned())),
        _ => Ok(line),
    }
}
