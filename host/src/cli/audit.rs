//! `audit verify`: the trail against the keys that only a server has, so the server is asked,
//! chunk by chunk.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, With, client::Client, exit};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Is the trail as it was written? Says where it is not
    Verify(Verify),
}

#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    with: With,
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
    let Verify { with, files } = arguments;
    let mut walk = Walk { client: with.client()?, last: Value::Null, seen: BTreeSet::new(), whole: 0 };
    let Some((newest, older)) = files.split_last() else { return Ok(()) };
    for path in older {
        let mut file = Reading::open(path)?;
        file.pass(&mut walk).await?;
        file.last(&mut walk).await?;
    }
    let mut newest = Reading::open(newest)?;
    newest.pass(&mut walk).await?;
    // Our own questions are recorded as well, so a trail that is being written grows under us:
    // what is missing at its end may just have come, or be on its way.
    let mut ended = walk.end().await;
    for _ in 1..ENDS {
        let may_grow = matches!(ended, Err(Failure::Broken(_)));
        if !may_grow || (newest.pass(&mut walk).await? == 0 && newest.lines.unfinished.is_empty()) {
            break;
        }
        ended = walk.end().await;
    }
    if ended.is_ok() && !newest.lines.unfinished.is_empty() {
        let place = format!("{}:{}", newest.path.display(), newest.number);
        exit::say(&format!("{place}: the last line is not finished, and was left out: it may be being written"));
    }
    with.show(&ended?)
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
        let lines = Lines { from: BufReader::new(file), unfinished: Vec::new() };
        Ok(Self { path: path.to_owned(), lines, number: 1 })
    }

    /// Verifies what there is beyond the last pass; says how many lines that was.
    async fn pass(&mut self, walk: &mut Walk) -> Result<u64, Failure> {
        let mut passed = 0;
        loop {
            let (chunk, is_last) = chunk(&mut self.lines).map_err(|error| unreadable(&self.path, &error))?;
            passed += chunk.len() as u64;
            self.step(walk, &chunk).await?;
            if is_last {
                return Ok(passed);
            }
        }
    }

    /// Of a file that has been closed, the last line counts however it ends.
    async fn last(&mut self, walk: &mut Walk) -> Result<(), Failure> {
        let line = text(std::mem::take(&mut self.lines.unfinished)).map_err(|error| unreadable(&self.path, &error))?;
        if line.is_empty() { Ok(()) } else { self.step(walk, &[line]).await }
    }

    async fn step(&mut self, walk: &mut Walk, lines: &[String]) -> Result<(), Failure> {
        if !lines.is_empty() {
            let (path, number) = (self.path.display(), self.number);
            walk.step(lines, |index: u64| format!("{path}:{}", number + index)).await?;
        }
        self.number += lines.len() as u64;
        Ok(())
    }
}

/// Lines that have an end. What has none yet is kept until the rest of it has come.
struct Lines<R> {
    from: R,
    unfinished: Vec<u8>,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.from.read_until(b'\n', &mut self.unfinished) {
            Ok(_) if self.unfinished.pop_if(|last| *last == b'\n').is_some() => {
                Some(text(std::mem::take(&mut self.unfinished)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

fn text(line: Vec<u8>) -> io::Result<String> {
    String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is no text"))
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
    async fn end(&self) -> Result<Value, Failure> {
        let body = json!({"end": true, "from": self.last, "seen": self.seen});
        let ending = self.client.post("sys/audit/verify", &body).await?;
        if ending["broken"].is_object() {
            return Err(Failure::Broken(format!("after the last line: {}", why(&ending))));
        }
        Ok(json!({"whole": self.whole, "chains": self.seen, "elsewhere": ending["elsewhere"]}))
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
    fn a_line_that_is_being_written_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trail");
        std::fs::write(&path, "one\ntw").unwrap();
        let mut lines = Reading::open(&path).unwrap().lines;
        let mut read = || chunk(&mut lines).unwrap();
        assert_eq!(read(), (vec!["one".to_owned()], true));
        assert_eq!(read(), (vec![], true));
        let append = |text: &str| {
            let mut file = File::options().append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        append("o");
        assert_eq!(read(), (vec![], true));
        append("\nthree\n");
        assert_eq!(read(), (vec!["two".to_owned(), "three".to_owned()], true));
        append("\n");
        assert_eq!(read(), (vec![String::new()], true), "an empty line is one all the same");
    }

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
