//! README's quick start, run as it is written.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use toml::{Table, Value};

use crate::harness::{Seal, Sessions, Storage, TestServer, finish};

const README: &str = include_str!("../../README.md");

/// The `sh` blocks below a heading, in order.
fn blocks(heading: &str) -> Vec<String> {
    let (_, rest) = README.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("README has {heading}"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let mut blocks = Vec::new();
    for part in section.split("```sh\n").skip(1) {
        blocks.push(part.split("```").next().unwrap_or_default().to_owned());
    }
    blocks
}

/// Runs commands in a folder that has what `make run` leaves in the repository's: what they said.
async fn run(server: &TestServer, script: &str) -> (String, String) {
    let folder = server.dir().join("clone");
    std::fs::create_dir_all(folder.join("target/dev")).expect("the test's folder is writable");
    std::fs::copy(server.ready_file(), folder.join("target/dev/ready.json")).expect("the test's folder is writable");
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!("set -eu -o pipefail\n{script}")).current_dir(&folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
        command.env_remove(name);
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_coffer")).parent().expect("it is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", binary.display())).env("HOME", &folder).env_remove("XDG_STATE_HOME");
    let output = finish(command).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{complaints}");
    (said, complaints)
}

#[tokio::test]
async fn the_quick_start_works_as_it_is_written() {
    let server = TestServer::start().await;
    // `make run` is the one line that the story does by itself: it has a server running already.
    let blocks = blocks("Quick start");
    let (start, rest) = blocks.split_first().expect("README has commands");
    assert!(start.contains("make run"), "{start}");
    let (said, complaints) = run(&server, &rest.join("\n")).await;
    // Created, read, over: what a reader must see.
    assert!(said.contains("\"secret_id\":\"kv/apps/web/db\""), "{said}\n{complaints}");
    assert!(said.contains("s3cr3t-for-a-moment"), "it is read: {said}\n{complaints}");
    assert!(said.contains("not_found"), "and over: {said}\n{complaints}");
    assert!(said.contains("\"role\":\"user\""), "a user is made: {said}\n{complaints}");
}

#[tokio::test]
async fn the_command_line_works_as_it_is_written() {
    let server = TestServer::start().await;
    let (said, complaints) = run(&server, &blocks("Command line").join("\n")).await;
    for seen in ["admin", "swordfish-47", "└── ", "shop\n", "pass    changed", "postgres://shop:***@db"] {
        assert!(said.contains(seen), "{seen} in {said}\n{complaints}");
    }
    let written = std::fs::read_to_string(server.dir().join("clone/app.yml")).expect("it is written");
    assert_eq!(written, "password: swordfish-47\n");
}

/// What README gives as the least there is, with places of this machine for those that it names: a server on
/// PostgreSQL and Redis, brought up with a code and shares as it says.
#[tokio::test]
async fn the_least_configuration_runs_a_server_for_real() {
    let builder = TestServer::builder().seal(Seal::Shamir).storage(Storage::Postgres).sessions(Sessions::Redis);
    let mut server = builder.prepare().await;
    assert_eq!(blocks("Running it for real"), ["coffer server --config coffer.toml\n"]);
    let (_, rest) = README.split_once("\n## Running it for real\n").expect("README has it");
    let least = rest.split("```toml\n").nth(1).and_then(|part| part.split("```").next()).expect("a configuration");
    let file = server.dir().join("coffer.toml");
    let here = std::fs::read_to_string(&file).expect("the harness writes one").parse::<Table>().expect("TOML");
    let mut written = least.parse::<Table>().expect("TOML");
    placed(&mut written, &here);
    std::fs::write(&file, written.to_string()).expect("the test's folder is writable");
    server.launch();
    server.wait_ready().await;

    let init = json!({ "code": server.init_code(), "shares": 5, "threshold": 3 });
    assert!(rest.contains(r#"`{"code", "shares": 5, "threshold": 3}`"#) && rest.contains(r#"`{"share"}`"#));
    let made = server.anonymous().post("/sys/init", init).await.expect(200);
    server.restart().await;
    server.anonymous().get("/sys/health").await.expect(503);
    for share in made["shares"].as_array().expect("shares").iter().take(3) {
        server.anonymous().post("/sys/unseal", json!({ "share": share })).await.expect(200);
    }
    server.anonymous().get("/sys/health").await.expect(200);
}

/// Values of this machine for every member that is written.
fn placed(written: &mut Table, here: &Table) {
    for (name, value) in written.iter_mut() {
        match (value, &here[name]) {
            (Value::Table(inner), Value::Table(here)) => placed(inner, here),
            (value, here) => *value = here.clone(),
        }
    }
}

#[tokio::test]
async fn the_ten_lines_of_a_plugin_are_ten() {
    let (_, rest) = README.split_once("\n## A plugin in ten lines\n").expect("README has a plugin");
    let code = rest.split("```rust\n").nth(1).and_then(|part| part.split("```").next()).expect("and its code");
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 10, "{lines} lines:\n{code}");
}

const RUSSIAN: &str = include_str!("../../README.ru.md");

/// Everything between fences, in order, fences included.
fn fenced(text: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        open = match open {
            None if is_fence => Some(line.to_owned()),
            None => None,
            Some(block) => {
                let block = format!("{block}\n{line}");
                if is_fence {
                    blocks.push(block);
                    None
                } else {
                    Some(block)
                }
            }
        };
    }
    blocks
}

fn prose(text: &str) -> String {
    fenced(text).iter().fold(text.to_owned(), |text, block| text.replacen(block.as_str(), "", 1))
}

#[test]
fn the_russian_readme_says_the_same() {
    assert_eq!(fenced(README), fenced(RUSSIAN), "the same blocks, byte for byte");
    let (english, russian) = (prose(README), prose(RUSSIAN));
    let levels = |text: &str| {
        let headings = text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| line.split(' ').next().unwrap_or_default().len()).collect::<Vec<_>>()
    };
    assert_eq!(levels(&english), levels(&russian), "the same headings");
    let of = |text: &str| {
        // What the original document says, each tells in its own words.
        let sections = text.split("\n## ").filter(|section| !section.contains("RFC 9700"));
        let rows = sections
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|line| line.starts_with("| `") || line.starts_with("| ["));
        rows.filter_map(|row| row.split('|').nth(1).map(|cell| cell.trim().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(of(&english), of(&russian), "the same calls and addresses");
    let items = |text: &str| text.lines().filter(|line| line.starts_with("- ")).count();
    assert_eq!(items(&english), items(&russian), "the same points");
    let links = |text: &str| {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.starts_with("README")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(links(&english), links(&russian), "the same links");
    assert!(README.contains("(README.ru.md)") && RUSSIAN.contains("(README.md)"), "each leads to the other");
}
