//! `rotate`, `rekey`, `generate-root`: what is done to keys, the latter two share by share.

use clap::Args;
use serde_json::json;

use super::{Failure, With, exit, input, output};

#[derive(Args, Debug)]
pub struct Rotate {
    #[command(flatten)]
    with: With,
}

#[derive(Args, Debug)]
pub struct Rekey {
    #[command(flatten)]
    with: With,
    /// Of the attempt that this share goes to; left out with the first share
    #[arg(long)]
    nonce: Option<String>,
    /// How many new shares, said with the first one; 5 if left out
    #[arg(long, conflicts_with = "nonce", value_parser = clap::value_parser!(u8).range(1..=255))]
    shares: Option<u8>,
    /// How many of them unseal; 3 if left out
    #[arg(long, conflicts_with = "nonce", value_parser = clap::value_parser!(u8).range(1..=255))]
    threshold: Option<u8>,
}

#[derive(Args, Debug)]
pub struct GenerateRoot {
    #[command(flatten)]
    with: With,
    /// Of the attempt that this share goes to; left out with the first share
    #[arg(long)]
    nonce: Option<String>,
}

pub async fn rotate(arguments: Rotate) -> Result<(), Failure> {
    let with = arguments.with;
    with.show(&with.client()?.post("sys/rotate", &json!({})).await?)
}

/// What comes with the last share is shown this once.
pub async fn rekey(arguments: Rekey) -> Result<(), Failure> {
    let Rekey { with, nonce, shares, threshold } = arguments;
    let client = with.client()?;
    output::somebody_listens()?;
    let share = input::hidden("Unseal share")?;
    let mut body = json!({"share": share.trim()});
    for (name, number) in [("shares", shares), ("threshold", threshold)] {
        if let Some(number) = number {
            body[name] = number.into();
        }
    }
    if let Some(nonce) = nonce {
        body["nonce"] = nonce.into();
    }
    let answer = client.post("sys/rekey", &body).await?;
    if answer["shares"].is_null() {
        more("rekey", &answer);
    }
    with.show(&answer)
}

pub async fn generate_root(arguments: GenerateRoot) -> Result<(), Failure> {
    let GenerateRoot { with, nonce } = arguments;
    let client = with.anonymous()?;
    output::somebody_listens()?;
    let share = input::hidden("Unseal share")?;
    let mut body = json!({"share": share.trim()});
    if let Some(nonce) = nonce {
        body["nonce"] = nonce.into();
    }
    let answer = client.post("sys/generate-root", &body).await?;
    if answer["root_token"].is_null() {
        more("generate-root", &answer);
    }
    with.show(&answer)
}

fn more(command: &str, answer: &serde_json::Value) {
    let nonce = answer["nonce"].as_str().unwrap_or_default();
    exit::say(&format!(
        "{} of {} shares; the next: coffer {command} --nonce {nonce}",
        answer["progress"], answer["threshold"]
    ));
}
