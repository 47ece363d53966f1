//! `plugin logs`, `plugin failures`: what the plugin of a mount said, and how it failed.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::super::{
    Failure, With,
    client::{Client, segment},
    complete,
    output::{plain, put, text},
};

/// Which mount.
#[derive(Args, Debug)]
pub(super) struct Mount {
    /// secrets/kv, auth/github; the name alone where only one mount has it
    #[arg(add = ArgValueCompleter::new(complete::mounts))]
    mount: String,
}

#[derive(Args, Debug)]
pub(super) struct Logs {
    #[command(flatten)]
    mount: Mount,
    /// Go on with what is logged from now on
    #[arg(long, short)]
    follow: bool,
    /// At most so many of the last lines
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    lines: u32,
}

/// Between two looks for new lines.
const LOOK: Duration = Duration::from_millis(500);

/// In one request.
const MOST: u64 = 1000;

impl Mount {
    /// Below `sys/mounts`.
    pub(super) async fn path(&self, client: &Client) -> Result<String, Failure> {
        let (kind, name) = match self.mount.split_once('/') {
            Some((kind, name)) => (kind.to_owned(), name.to_owned()),
            None => self.search(client).await?,
        };
        Ok(format!("{}/{}/{}", super::MOUNTS, segment(&kind)?, segment(&name)?))
    }

    async fn search(&self, client: &Client) -> Result<(String, String), Failure> {
        let all = client.all(super::MOUNTS, &[], &["mounts"]).await?;
        let named = |mount: &&Value| mount["mount"] == self.mount.as_str();
        let found: Vec<&Value> = all["mounts"].as_array().into_iter().flatten().filter(named).collect();
        match found[..] {
            [one] => Ok((text(&one["kind"]), self.mount.clone())),
            [] => Err(Failure::missing(format!("{}: there is no such mount", self.mount)).asked_for(super::MOUNTS)),
            _ => Err(Failure::usage(format!("{0}: there are auth/{0} and secrets/{0}", self.mount))),
        }
    }
}

pub(super) async fn logs(with: &With, arguments: &Logs) -> Result<(), Failure> {
    let client = with.client()?;
    let path = format!("{}/log", arguments.mount.path(&client).await?);
    let told = client.get_with(&path, &[("limit", arguments.lines.to_string())]).await;
    let told = told?;
    if !arguments.follow {
        return if with.shape.is_table() { print(with, &told) } else { with.show(&told) };
    }
    print(with, &told)?;
    let mut after = last(&told).unwrap_or(0);
    loop {
        tokio::time::sleep(LOOK).await;
        let query = [("after", after.to_string()), ("limit", MOST.to_string())];
        let mut told = client.get_with(&path, &query).await?;
        if last(&told).is_none() {
            // Another server process counts from 1 again; of this one, the last is still there.
            let newest = client.get_with(&path, &[("limit", "1".to_owned())]).await?;
            if last(&newest).is_none_or(|newest| newest >= after) {
                continue;
            }
            told = client.get_with(&path, &[("after", "0".to_owned()), ("limit", MOST.to_string())]).await?;
        }
        print(with, &told)?;
        after = last(&told).unwrap_or(after);
    }
}

fn last(told: &Value) -> Option<u64> {
    told["lines"].as_array()?.last()?["number"].as_u64()
}

/// A line for each; for programs, a JSON object a line.
fn print(with: &With, told: &Value) -> Result<(), Failure> {
    let line = |line: &Value| match with.shape.is_table() {
        false => format!("{line}\n"),
        true => {
            let [at, level, said] = ["at", "level", "text"].map(|name| text(&line[name]));
            format!("{at} {level:<5} {}\n", plain(&said))
        }
    };
    put(&told["lines"].as_array().into_iter().flatten().map(line).collect::<String>())
}

pub(super) async fn failures(with: &With, mount: &Mount) -> Result<(), Failure> {
    let client = with.client()?;
    let told = client.get(&format!("{}/failures", mount.path(&client).await?)).await?;
    if !with.shape.is_table() {
        return with.show(&told);
    }
    let failures = told["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
    if failures.is_empty() {
        super::super::exit::say("none that this node remembers");
    }
    let shown: Vec<String> = failures.iter().map(shown).collect();
    put(&shown.join("\n"))
}

fn shown(failure: &Value) -> String {
    let [at, call, version, request] = ["at", "call", "version", "request_id"].map(|name| text(&failure[name]));
    let mut shown = format!("{at} {call} {version} request {request}\n  {}\n", plain(&text(&failure["reason"])));
    for frame in failure["backtrace"].as_array().unwrap_or(&vec![json!("")]).iter().filter(|frame| **frame != "") {
        shown += &format!("    at {}\n", plain(&text(frame)));
    }
    shown
}
