//! `audit verify`: the trail against the keys that only a server has, so the server is asked,
//! chunk by chunk.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Client, Target},
    exit,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Is the trail as it was written? Says where it is not
    Verify(Verify),
}

#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    target: Target,
    /// The trail, oldest file first where it was rotated
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What goes in one request: below what a server takes of bytes and of members.
const CHUNK_BYTES: usize = 512 * 1024;
const CHUNK_LINES: usize = 4096;

pub async fn verify(arguments: Verify) -> Result<(), Failure> {
    let mut walk = Walk { client: arguments.target.client()?, last: Value::Null, seen: BTreeSet::new(), whole: 0 };
    for path in &arguments.files {
        let unreadable = |error| Failure::Usage(format!("{}: cannot be read: {error}", path.display()));
        let mut lines = BufReader::new(File::open(path).map_err(unreadable)?).lines();
        let mut number = 1;
        loop {
            let chunk = chunk(&mut lines).map_err(unreadable)?;
            if chunk.is_empty() {
                break;
            }
            let place = |index: u64| format!("{}:{}", path.display(), number + index);
            walk.step(&chunk, place).await?;
            number += chunk.len() as u64;
        }
    }
    walk.end().await
}

struct Walk {
    client: Client,
    /// Where the verification stands: the server's to read, ours to carry.
    last: Value,
    seen: BTreeSet<String>,
    whole: u64,
}

impl Walk {
    async fn step(&mut self, lines: &[String], place: impl Fn(u64) -> String) -> Result<(), Failure> {
        let answer = self.client.post("sys/audit/verify", &json!({"lines": lines, "from": self.last})).await?;
        let verified = &answer["verified"];
        if let Some(index) = verified["broken"]["index"].as_u64() {
            return Err(Failure::Broken(format!("{}: {}", place(index), why(verified))));
        }
        self.whole += verified["whole"].as_u64().unwrap_or(0);
        let chains = verified["chains"].as_array().into_iter().flatten();
        self.seen.extend(chains.filter_map(|chain| chain.as_str().map(str::to_owned)));
        self.last = verified["last"].clone();
        Ok(())
    }

    /// Is anything missing after the last line?
    async fn end(self) -> Result<(), Failure> {
        let body = json!({"lines": [], "from": self.last, "ends": self.seen});
        let answer = self.client.post("sys/audit/verify", &body).await?;
        let ending = &answer["ending"];
        if ending["broken"].is_object() {
            return Err(Failure::Broken(format!("after the last line: {}", why(ending))));
        }
        exit::show(&json!({"whole": self.whole, "chains": self.seen, "elsewhere": ending["elsewhere"]}))
    }
}

fn why(found: &Value) -> &str {
    found["broken"]["why"].as_str().unwrap_or("it is broken")
}

/// The next lines, as many as go in one request.
fn chunk(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> std::io::Result<Vec<String>> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while bytes < CHUNK_BYTES && chunk.len() < CHUNK_LINES {
        let Some(line) = lines.next().transpose()? else { break };
        bytes += line.len();
        chunk.push(line);
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_trail_is_cut_and_nothing_is_lost() {
        let line = "x".repeat(1000);
        let mut lines = std::iter::repeat_n(line, 10_000).map(Ok);
        let mut sizes = Vec::new();
        loop {
            let chunk = chunk(&mut lines).unwrap();
            if chunk.is_empty() {
                break;
            }
            assert!(chunk.iter().map(String::len).sum::<usize>() <= CHUNK_BYTES + 1000);
            sizes.push(chunk.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 10_000);
    }
}
