//! README's quick start, run as it is written.

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

#[tokio::test]
async fn the_quick_start_works_as_it_is_written() {
    let server = TestServer::start().await;
    // `make run` is the one line that the story does by itself: it has a server running already. What the
    // rest finds in this folder is what `make run` leaves in the repository's.
    let blocks = blocks("Quick start");
    let (start, rest) = blocks.split_first().expect("README has commands");
    assert!(start.contains("make run"), "{start}");
    let folder = server.dir().join("clone");
    std::fs::create_dir_all(folder.join("target/dev")).expect("the test's folder is writable");
    std::fs::copy(server.ready_file(), folder.join("target/dev/ready.json")).expect("the test's folder is writable");
    let script = format!("set -eu -o pipefail\n{}", rest.join("\n"));
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
        command.env_remove(name);
    }
    let output = finish(command).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    // Created, read, over: what a reader must see.
    assert!(said.contains("\"secret_id\":\"kv/apps/web/db\""), "{said}\n{complaints}");
    assert!(said.contains("s3cr3t-for-a-moment"), "it is read: {said}\n{complaints}");
    assert!(said.contains("not_found"), "and over: {said}\n{complaints}");
    assert!(said.contains("\"role\":\"user\""), "a user is made: {said}\n{complaints}");
}

#[tokio::test]
async fn the_ten_lines_of_a_plugin_are_ten() {
    let (_, rest) = README.split_once("\n## A plugin in ten lines\n").expect("README has a plugin");
    let code = rest.split("```rust\n").nth(1).and_then(|part| part.split("```").next()).expect("and its code");
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 10, "{lines} lines:\n{code}");
}
