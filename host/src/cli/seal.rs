//! `init`, `unseal`, `seal`, `status`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Failure, With, input, output};

#[derive(Args, Debug)]
pub struct Init {
    #[command(flatten)]
    with: With,
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
    with: With,
}

#[derive(Args, Debug)]
pub struct Seal {
    #[command(flatten)]
    with: With,
    /// Only the node that is asked
    #[arg(long)]
    node: bool,
}

#[derive(Args, Debug)]
pub struct Status {
    #[command(flatten)]
    with: With,
}

pub async fn init(arguments: Init) -> Result<(), Failure> {
    let Init { with, code_file, shares, threshold } = arguments;
    output::somebody_listens()?;
    let unreadable = |error| Failure::Usage(format!("{}: cannot be read: {error}", code_file.display()));
    let code = Zeroizing::new(std::fs::read_to_string(&code_file).map_err(unreadable)?);
    let mut body = json!({"code": code.trim()});
    for (name, number) in [("shares", shares), ("threshold", threshold)] {
        if let Some(number) = number {
            body[name] = number.into();
        }
    }
    with.show(&with.anonymous()?.post("sys/init", &body).await?)
}

/// At a terminal the share is typed unseen: who holds one shows it to nobody.
pub async fn unseal(arguments: Unseal) -> Result<(), Failure> {
    let With { target, shape } = arguments.with;
    let client = target.anonymous()?;
    let share = input::hidden("Unseal share")?;
    shape.show(&client.post("sys/unseal", &json!({"share": share.trim()})).await?)
}

pub async fn seal(arguments: Seal) -> Result<(), Failure> {
    let body = if arguments.node { json!({"node": true}) } else { json!({}) };
    arguments.with.show(&arguments.with.client()?.post("sys/seal", &body).await?)
}

/// Tells, and fails while the server is sealed, so that a script can wait for it.
pub async fn status(arguments: Status) -> Result<(), Failure> {
    let status = arguments.with.anonymous()?.get("sys/seal-status").await?;
    arguments.with.show(&status)?;
    let initialized = status["initialized"] != Value::Bool(false);
    if status["sealed"] == Value::Bool(false) { Ok(()) } else { Err(Failure::Sealed { initialized }) }
}
