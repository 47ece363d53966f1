//! What an acknowledgement is worth: a child writes under load and says what was acknowledged,
//! and is killed at a moment it does not choose. Then the file is opened again and searched.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{Batch, Entry, Error, Expect, Key, Range, Storage, Version, Write, open};
use crate::{
    clock::{Clock, Timestamp},
    ids, limits,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const URL: &str = "COFFER_TEST_KILL_URL";
const ROUND: &str = "COFFER_TEST_KILL_ROUND";
/// For a longer run by hand.
const ROUNDS: &str = "COFFER_TEST_KILL_ROUNDS";

fn entry(value: String) -> Entry {
    Entry { value: value.into_bytes(), version: Version::random(), expires_at: None }
}

fn ours(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn say(line: &str) {
    // In one write, so that a kill does not cut it.
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

/// Two entries that belong together, large enough that the log is emptied into the file often.
async fn write_pairs(storage: Storage, name: String) {
    for n in 0_u32.. {
        let value = format!("{name}/{n}/{}", "x".repeat(3000));
        let put = |half| (format!("pair/{name}/{n:09}/{half}"), Write::Put(entry(value.clone())));
        let expects = vec![(format!("pair/{name}/{n:09}/a"), Expect::Absent)];
        storage.apply(Batch { expects, writes: vec![put("a"), put("b")] }, NOW).await.expect("stored");
        say(&format!("pair/{name}/{n:09}/"));
    }
}

async fn count(storage: Storage) {
    loop {
        let found = storage.get(&["count".to_owned()], NOW).await.expect("told").pop().flatten();
        let next = found.as_ref().map_or(0, number) + 1;
        let expect = found.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
        let writes = vec![("count".to_owned(), Write::Put(entry(next.to_string())))];
        match storage.apply(Batch { expects: vec![("count".to_owned(), expect)], writes }, NOW).await {
            Ok(()) => say(&format!("count {next}")),
            Err(Error::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn number(entry: &Entry) -> u64 {
    std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the test below"]
async fn writes_until_it_is_killed() {
    let (Some(url), Some(round)) = (ours(URL), ours(ROUND)) else { return };
    let storage = open(&url, Clock::system()).await.expect("the lock died with its holder");
    let mut tasks = JoinSet::new();
    for task in 0..12 {
        tasks.spawn(write_pairs(storage.clone(), format!("{round}-{task}")));
    }
    for _ in 0..2 {
        tasks.spawn(count(storage.clone()));
    }
    tasks.join_all().await;
}

fn child(test: &str, url: &str, round: usize) -> Child {
    let this = std::env::current_exe().expect("a test has a file");
    // Too large a file is an error like any other, not the end.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(this);
    command.args(["--exact", &format!("storage::kill::{test}"), "--ignored", "--nocapture"]);
    command.env(URL, url).env(ROUND, round.to_string()).stdout(Stdio::piped());
    command.spawn().expect("a child")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_to_a_kill() {
    let rounds = ours(ROUNDS).and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("coffer.db").display());
    let (mut pairs, mut highest) = (Vec::new(), 0);
    for round in 0..rounds {
        let mut child = child("writes_until_it_is_killed", &url, round);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let patience = 1 + usize::from(u16::from_be_bytes(ids::random()) % 1200);
        let heard: Vec<String> = lines.by_ref().take(patience).collect::<Result<_, _>>().expect("it says");
        assert_eq!(heard.len(), patience, "it ended by itself");
        child.kill().expect("killed");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        child.wait().expect("dead");

        let storage = open(&url, Clock::system()).await.expect("it opens again");
        let before = pairs.len();
        for line in heard.iter().chain(&rest) {
            match line.strip_prefix("count ") {
                Some(count) => highest = highest.max(count.parse().expect("a number")),
                None if line.starts_with("pair/") => pairs.push(line.clone()),
                None => {}
            }
        }
        assert_eq!(lost(&storage, &pairs[before..]).await, Vec::<Key>::new(), "acknowledged in round {round}");
        let counted = storage.get(&["count".to_owned()], NOW).await.expect("told").pop().flatten();
        assert!(counted.as_ref().map_or(0, number) >= highest, "a counter went back in round {round}");
        assert_halves_agree(&storage, &format!("pair/{round}-")).await;
        storage.close().await;
    }
    let storage = open(&url, Clock::system()).await.expect("it opens again");
    assert_eq!(lost(&storage, &pairs).await, Vec::<Key>::new());
    if ours(ROUNDS).is_some() {
        say(&format!("rounds={rounds} acknowledged={} lost=0 count>={highest}", pairs.len()));
    }
}

/// Of pairs that were acknowledged: those that are not there, or not whole.
async fn lost(storage: &Storage, pairs: &[Key]) -> Vec<Key> {
    let mut lost = Vec::new();
    for some in pairs.chunks(limits::BATCH_ENTRIES / 2) {
        let keys: Vec<Key> = some.iter().flat_map(|pair| [format!("{pair}a"), format!("{pair}b")]).collect();
        let found = storage.get(&keys, NOW).await.expect("told");
        let broken = |both: &[Option<Entry>]| both[0].is_none() || value(&both[0]) != value(&both[1]);
        lost.extend(some.iter().zip(found.chunks(2)).filter(|(_, both)| broken(both)).map(|(pair, _)| pair.clone()));
    }
    lost
}

fn value(entry: &Option<Entry>) -> Option<&[u8]> {
    entry.as_ref().map(|entry| entry.value.as_slice())
}

/// Acknowledged or not, a batch is all or nothing.
async fn assert_halves_agree(storage: &Storage, prefix: &str) {
    let mut after = None;
    loop {
        let range = Range { prefix: prefix.to_owned(), delimiter: None, after, limit: limits::LIST_EXAMINED };
        let page = storage.list(range, NOW).await.expect("told");
        let keys: HashSet<&str> = page.keys.iter().map(String::as_str).collect();
        for key in &page.keys {
            let other = if key.ends_with('a') { key.replace("/a", "/b") } else { key.replace("/b", "/a") };
            // A pair may lie across two pages.
            let is_there = keys.contains(other.as_str())
                || storage.get(&[other], NOW).await.expect("told").pop().flatten().is_some();
            assert!(is_there, "half a batch: {key}");
        }
        after = page.keys.last().cloned();
        if !page.more {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the test below"]
async fn fills_the_disk() {
    let Some(url) = ours(URL) else { return };
    let storage = open(&url, Clock::system()).await.expect("it opens");
    let unlimited = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(600_000), ..unlimited }).expect("limited");
    let (mut tasks, stored) = (JoinSet::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
    for task in 0..4 {
        let (storage, stored) = (storage.clone(), stored.clone());
        tasks.spawn(async move {
            for n in 0.. {
                let pair = format!("pair/{task}/{n:09}/");
                let put = |half| (format!("{pair}{half}"), Write::Put(entry("x".repeat(3000))));
                match storage.apply(Batch { expects: vec![], writes: vec![put("a"), put("b")] }, NOW).await {
                    Ok(()) => stored.lock().expect("no panic").push(pair),
                    Err(Error::Away(_) | Error::Unknown(_)) => return,
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let stored = stored.lock().expect("no panic").clone();
    assert!(!stored.is_empty());
    assert_eq!(lost(&storage, &stored).await, Vec::<Key>::new(), "reading goes on");
    setrlimit(Resource::Fsize, unlimited).expect("as before");
    let write = ("after".to_owned(), Write::Put(entry("x".to_owned())));
    storage.apply(Batch { expects: vec![], writes: vec![write] }, NOW).await.expect("it recovers by itself");
    assert_eq!(lost(&storage, &stored).await, Vec::<Key>::new());
    assert_halves_agree(&storage, "pair/").await;
    storage.close().await;
    say("recovered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_failed_is_told_and_the_next_one_succeeds() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("coffer.db").display());
    let child = child("fills_the_disk", &url, 0);
    let said = child.wait_with_output().expect("it ends").stdout;
    assert!(String::from_utf8_lossy(&said).lines().any(|line| line.ends_with("recovered")));
}
