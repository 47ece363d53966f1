//! README's quick start, run as it is written.

use std::path::Path;
use std::process::Command;

use crate::harness::{TestServer, finish};

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

#[tokio::test]
async fn the_ten_lines_of_a_plugin_are_ten() {
    let (_, rest) = README.split_once("\n## A plugin in ten lines\n").expect("README has a plugin");
    let code = rest.split("```rust\n").nth(1).and_then(|part| part.split("```").next()).expect("and its code");
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 10, "{lines} lines:\n{code}");
}
