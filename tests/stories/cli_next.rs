//! Every command of the command line: what it says to type next where it fails, and that some story has seen it at work.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::page::{Block, blocks};
use crate::harness::{Cli, TestServer};

/// Commands that come to nothing, for somebody who may do everything.
const GONE: &[&str] = &[
    "secret put nope/x",
    "secret get nope/x",
    "secret get kv/nope",
    "secret list nope/",
    "secret tree nope",
    "secret delete kv/nope",
    "secret undelete kv/nope",
    "secret history kv/nope",
    "secret restore kv/nope 1",
    "secret rollback kv/nope",
    "secret destroy kv/nope 1 --yes",
    "secret purge kv/nope --yes",
    "secret metadata kv/nope",
    "secret cp kv/nope kv/other",
    "secret cp -r kv/nope kv/other",
    "secret mv kv/nope kv/other",
    "secret diff kv/nope",
    "secret diff kv/nope kv/other",
    "run kv/nope -- true",
    "run kv/nope/ -- true",
    "run nope/ -- true",
    "run --only NOPE -- true",
    "inject -i nope",
    "user show nope",
    "user create new --email new@example.com --role nope",
    "user create new --machine --role nope",
    "user update nope --disable",
    "user update admin --role nope",
    "user password nope",
    "user delete nope --yes",
    "user delete admin --yes",
    "user credential list nope",
    "user credential list admin --mount nope",
    "user credential add nope",
    "user credential add admin --mount nope",
    "user credential remove nope nope",
    "user credential remove admin nope",
    "role show nope",
    "role put admin",
    "role delete nope",
    "role delete admin",
    "policy show nope",
    "policy put nope",
    "policy delete nope",
    "policy explain read secrets/kv/x --user nope",
    "setting get nope",
    "setting history nope",
    "setting set nope a=1",
    "setting set security nope=1",
    "setting set secrets/nope plugin=nope",
    "setting set secrets/kv config.max_versions=9 --if-version 77",
    "setting put nope a=1",
    "setting reset nope",
    "session list --user nope",
    "session revoke nope",
    "session revoke AAAAAAAAAAAAAA",
    "session revoke --user nope",
    "token create --scope nope",
    "token create --ttl 900d",
    "lease list --user nope",
    "lease show nope",
    "lease show AAAAAAAAAAAAAA",
    "lease renew nope",
    "lease forget nope",
    "lease revoke nope",
    "lease revoke --user nope",
    "lease revoke --session nope",
    "plugin show nope 1.0.0",
    "plugin show kv 9.9.9",
    "plugin delete nope 1.0.0",
    "plugin delete kv 1.0.0",
    "plugin inspect nope",
    "plugin build nope",
    "plugin test nope nope",
    "plugin sign nope --key nope",
    "plugin install nope",
    "plugin new Nope",
    "plugin logs nope",
    "plugin logs secrets/nope",
    "plugin failures secrets/nope",
    "audit verify nope",
    "server --config nope",
    "init --code-file nope",
    "unseal",
    "rekey",
    "generate-root",
    "login --username nope",
    "login --token",
    "login --method nope --token",
    "login --ready-file nope",
    "whoami --field nope",
    "token revoke --address https://127.0.0.1:1",
    "status --address https://127.0.0.1:1",
    "login --address https://127.0.0.1:1",
];

/// The same, for somebody who is not logged in.
const NOBODY: &[&str] = &[
    "seal",
    "rotate",
    "whoami",
    "user list",
    "role list",
    "policy list",
    "setting list",
    "session list",
    "session current",
    "token introspect",
    "token renew",
    "plugin list",
    "plugin top --once",
];

/// What does not fail for a reason that anybody could do something about, or says what to do of each thing it looks at.
const NEVER: &[&str] = &["logout", "completion", "doctor"];

#[tokio::test]
async fn whatever_fails_says_what_to_type_next() {
    let server = TestServer::start().await;
    let (admin, nobody) = (server.admin_cli("admin").await, server.cli("nobody"));
    let authority = server.authority().to_str().expect("UTF-8").to_owned();
    let nobody = nobody.with_env("COFFER_ADDR", &server.url()).with_env("COFFER_CACERT", &authority);
    let mut wrong = Vec::new();
    for (cli, lines) in [(&admin, GONE), (&nobody, NOBODY)] {
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ran = cli.run_with(&words, b"no password of anybody\n").await;
            if ran.code == Some(0) || ran.err.contains("panicked") {
                wrong.push(format!("{line}: {:?} {}", ran.code, ran.err));
            } else if let Some(why) = without_next(cli, line, &ran.err).await {
                wrong.push(format!("{line}: {why}: {}", ran.err));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let tried: Vec<&str> = GONE.iter().chain(NOBODY).chain(NEVER).copied().collect();
    let missing: Vec<String> =
        commands().into_iter().filter(|command| !tried.iter().any(|line| begins(line, command))).collect();
    assert!(missing.is_empty(), "nobody knows how these fail: {missing:?}");
}

/// Why what it says is of no use.
async fn without_next(cli: &Cli, line: &str, said: &str) -> Option<String> {
    // What clap says is told by the words of clap.
    if said.starts_with("error: ") && said.contains("try '--help'") {
        return None;
    }
    let Some(next) = said.lines().find_map(|line| line.strip_prefix("  next: ")) else {
        return Some("says nothing".to_owned());
    };
    let typed = next.split(',').next().unwrap_or_default();
    let words: Vec<&str> = typed.split_whitespace().collect();
    match words.split_first() {
        Some((&"coffer", rest)) if rest.join(" ") == line => Some("says the same again".to_owned()),
        Some((&"coffer", rest)) => {
            let helped = cli.run(&[rest, &["--help"]].concat()).await;
            (helped.code != Some(0)).then(|| format!("{typed} is no command: {}", helped.err))
        }
        _ => Some("says no command".to_owned()),
    }
}

fn begins(line: &str, command: &str) -> bool {
    line.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// All that there are, without their groups.
fn commands() -> Vec<String> {
    fn below(command: &clap::Command, way: &str, into: &mut Vec<String>) {
        let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
        if inner.is_empty() {
            into.push(way.to_owned());
        }
        for inner in inner {
            below(inner, format!("{way} {}", inner.get_name()).trim(), into);
        }
    }
    let mut all = Vec::new();
    below(&coffer::cli::command(), "", &mut all);
    all
}

#[test]
fn every_command_is_run_by_a_story_or_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = String::new();
    for entry in std::fs::read_dir(root.join("tests/stories")).expect("there are stories").flatten() {
        let path = entry.path();
        // Here they fail.
        if path.is_file() && !path.ends_with("cli_next.rs") {
            let mut text = std::fs::read_to_string(&path).expect("a story is text");
            if path.ends_with("plugins_cli.rs") {
                text = text.replace("&[\"", " plugin ");
            }
            seen += &text.replace("\", \"", " ").replace('"', " ");
        }
    }
    for entry in std::fs::read_dir(root.join("host/docs")).expect("there are pages").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a page is text");
        for block in blocks("a page", &text) {
            if let Block::Sh { commands, .. } = block {
                seen += &commands.replace("coffer ", " ");
            }
        }
    }
    let words: Vec<&str> = seen.split(|c: char| c.is_whitespace() || "[](){}&;$".contains(c)).collect();
    let pairs: BTreeSet<String> = (1..=3).flat_map(|n| words.windows(n).map(|some| some.join(" "))).collect();
    let unseen: Vec<String> = commands().into_iter().filter(|command| !pairs.contains(command)).collect();
    assert!(unseen.is_empty(), "no story: {unseen:?}");
}
