//! `audit verify`: the trail against the keys that only a server has, so the server is asked,
//! chunk by chunk.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
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

/// How often the end is looked at again when the trail has grown meanwhile.
const ENDS: usize = 10;

pub async fn verify(arguments: Verify) -> Result<(), Failure> {
    let mut walk = Walk { client: arguments.target.client()?, last: Value::Null, seen: BTreeSet::new(), whole: 0 };
    let Some((newest, older)) = arguments.files.split_last() else { return Ok(()) };
    for path in older {
        Reading::open(path)?.pass(&mut walk).await?;
    }
    let mut newest = Reading::open(newest)?;
    newest.pass(&mut walk).await?;
    // Our own questions are recorded as well, so a trail that is being written grows under us:
    // what is missing at its end may just have come.
    for _ in 1..ENDS {
        match walk.end().await {
            Err(Failure::Broken(_)) if newest.pass(&mut walk).await? > 0 => {}
            ended => return ended,
        }
    }
    walk.end().await
}

/// A file of the trail, read up to where it ends by now.
struct Reading {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    number: u64,
}

impl Reading {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), lines: BufReader::new(file).lines(), number: 1 })
    }

    /// Verifies what there is beyond the last pass; says how many lines that was.
    async fn pass(&mut self, walk: &mut Walk) -> Result<u64, Failure> {
        let mut passed = 0;
        loop {
            let (chunk, is_last) = chunk(&mut self.lines).map_err(|error| unreadable(&self.path, &error))?;
            if !chunk.is_empty() {
                let (path, number) = (self.path.display(), self.number);
                walk.step(&chunk, |index: u64| format!("{path}:{}", number + index)).await?;
            }
            passed += chunk.len() as u64;
            self.number += chunk.len() as u64;
            if is_last {
                return Ok(passed);
            }
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{}: cannot be read: {error}", path.display()))
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
        let verified = self.client.post("sys/audit/verify", &json!({"lines": lines, "from": self.last})).await?;
        if let Some(index) = verified["broken"]["index"].as_u64() {
            return Err(Failure::Broken(format!("{}: {}", place(index), why(&verified))));
        }
        self.whole += verified["whole"].as_u64().unwrap_or(0);
        let chains = verified["chains"].as_array().into_iter().flatten();
        self.seen.extend(chains.filter_map(|chain| chain.as_str().map(str::to_owned)));
        self.last = verified["last"].clone();
        Ok(())
    }

    /// Is anything missing after the last line?
    async fn end(&self) -> Result<(), Failure> {
        let body = json!({"end": true, "from": self.last, "seen": self.seen});
        let ending = self.client.post("sys/audit/verify", &body).await?;
        if ending["broken"].is_object() {
            return Err(Failure::Broken(format!("after the last line: {}", why(&ending))));
        }
        exit::show(&json!({"whole": self.whole, "chains": self.seen, "elsewhere": ending["elsewhere"]}))
    }
}

fn why(found: &Value) -> &str {
    found["broken"]["why"].as_str().unwrap_or("it is broken")
}

/// The next lines, as many as go in one request, and whether there were no more.
fn chunk(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> std::io::Result<(Vec<String>, bool)> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while bytes < CHUNK_BYTES && chunk.len() < CHUNK_LINES {
        let Some(line) = lines.next().transpose()? else { return Ok((chunk, true)) };
        bytes += line.len();
        chunk.push(line);
    }
    Ok((chunk, false))
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
            let (chunk, is_last) = chunk(&mut lines).unwrap();
            assert!(chunk.iter().map(String::len).sum::<usize>() <= CHUNK_BYTES + 1000);
            sizes.push(chunk.len());
            if is_last {
                break;
            }
        }
        assert_eq!(sizes.iter().sum::<usize>(), 10_000);
    }
}
