//! `coffer inject`: a file that is there whole, or not at all, whatever happens meanwhile.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Cli, TestServer, canary, ran};

const SIGNALS: [(Signal, i32); 3] = [(Signal::HUP, 1), (Signal::INT, 2), (Signal::TERM, 15)];

fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    // That it has ended meanwhile is no failure.
    let _ = kill_process(pid, signal);
}

/// A folder of its own, so that whatever else is in it is left over.
fn folder(cli: &Cli) -> std::path::PathBuf {
    let folder = cli.home().join("filled");
    std::fs::create_dir_all(&folder).expect("it is ours");
    folder
}

#[tokio::test]
async fn a_signal_while_the_server_is_asked_leaves_no_file() {
    let server = TestServer::start().await;
    let cli = server.cli("ada");
    // It takes connections, and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("https://{}", silent.local_addr().expect("an address"));
    let token = canary("token");
    let cli = cli.with_env("COFFER_ADDR", &address).with_env("COFFER_TOKEN", &token);
    let folder = folder(&cli);
    std::fs::write(cli.home().join("t"), "coffer://kv/apps/db#pass").expect("it is ours");
    for (signal, number) in SIGNALS {
        for to_file in [true, false] {
            let arguments: &[&str] =
                if to_file { &["inject", "-i", "t", "-o", "filled/out"] } else { &["inject", "-i", "t"] };
            let mut command = cli.command(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("it starts");
            let (asked, _) = silent.accept().expect("it asks");
            send(&child, signal);
            let status = child.wait().expect("it ends");
            let told = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            assert_eq!(told, Some(128 + number), "{signal:?} {to_file}");
            assert!(files(&folder).is_empty(), "{signal:?} {to_file}: {:?}", files(&folder));
            drop(asked);
        }
    }
}

#[tokio::test]
async fn a_signal_while_the_file_is_written_leaves_it_old_or_new() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let folder = folder(&cli);
    let members: serde_json::Map<String, serde_json::Value> =
        (0..9).map(|n| (format!("m{n}"), "x".repeat(100_000).into())).collect();
    cli.run_with(&["secret", "put", "kv/~/big", "--json", "-"], json!(members).to_string().as_bytes()).await.done();
    let all: String = (0..9).map(|n| format!("coffer://kv/~/big#m{n}\n")).collect();
    let template = all.repeat(4);
    let whole = (100_000 + 1) * 9 * 4;
    std::fs::write(cli.home().join("t"), template).expect("it is ours");
    let out = folder.join("out");
    for (signal, _) in SIGNALS.into_iter().cycle().take(9) {
        std::fs::write(&out, "old").expect("it is ours");
        let mut command = cli.command(&["inject", "-i", "t", "-o", "filled/out"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // At the moment that there is something to leave over.
        while child.try_wait().expect("it can be asked").is_none() {
            let left: Vec<String> = files(&folder).into_iter().filter(|name| name != "out").collect();
            for name in &left {
                if let Ok(draft) = std::fs::metadata(folder.join(name)) {
                    assert_eq!(draft.permissions().mode() & 0o777, 0o600, "{name}");
                }
            }
            if !left.is_empty() {
                break;
            }
            std::thread::yield_now();
        }
        send(&child, signal);
        child.wait().expect("it ends");
        assert_eq!(files(&folder), ["out"], "{signal:?}");
        let length = std::fs::metadata(&out).expect("a file").len();
        assert!(length == 3 || length == whole, "{signal:?}: {length}");
        if length == whole {
            assert_eq!(std::fs::metadata(&out).expect("a file").permissions().mode() & 0o777, 0o600);
        }
    }
    std::fs::remove_file(out).expect("it is ours");
}

#[tokio::test]
async fn a_file_is_filled_far_from_any_terminal_and_with_outputs_closed() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let (pass, pem) = (canary("pass"), format!("-----BEGIN-----\n{}\n\t\"x\" $y \\n\r\n\n", canary("pem")));
    server.keep_secret(pem.lines().nth(1).expect("a line"));
    let data = json!({ "pass": pass, "pem": pem, "huge": "h".repeat(300_000) });
    cli.run_with(&["secret", "put", "kv/~/db", "--json", "-"], data.to_string().as_bytes()).await.done();
    let template = "a: coffer://kv/~/db#pass\nb: {{ coffer://kv/~/db#pem }}\nc: coffer://kv/~/db#huge\n";
    let expected = format!("a: {pass}\nb: {pem}\nc: {}\n", "h".repeat(300_000));
    let folder = folder(&cli);
    std::fs::write(cli.home().join("t"), template).expect("it is ours");
    let filled = || {
        let text = std::fs::read_to_string(folder.join("out")).expect("text");
        std::fs::remove_file(folder.join("out")).expect("it is ours");
        text
    };
    let coffer = env!("CARGO_BIN_EXE_coffer");
    let arguments = ["--wait", coffer, "inject", "-i", "t", "-o", "filled/out"];
    ran(cli.command_of("setsid", &arguments), b"").await.done();
    assert!(filled() == expected, "a value of lines, or a large one, is another");
    // Nothing is said on standard output: that there is none is no matter.
    for closed in [">&-", "<&- >&- 2>&-", "2>&-"] {
        let told = cli.shell(&format!("{{ coffer inject -i t -o filled/out {closed}; }}; echo $?")).await;
        assert_eq!(told.done(), "0\n", "{closed}");
        assert!(filled() == expected, "{closed}");
    }
    // What would go there is lost, and that is a failure.
    let told = cli.shell("coffer inject -i t >&-; echo $?").await;
    assert!(told.err.contains("standard output is closed"), "{}", told.err);
    assert_eq!(told.done(), "1\n");
    assert_eq!(cli.shell("coffer inject -i t | head -c 3; echo ${PIPESTATUS[0]}").await.done(), "a: 141\n");
    // Not so where somebody says that it goes nowhere.
    for nowhere in ["> /dev/null", "1<> /dev/null"] {
        assert_eq!(cli.shell(&format!("coffer inject -i t {nowhere}; echo $?")).await.done(), "0\n", "{nowhere}");
    }
    // Where the disk is full.
    let told = cli.shell("coffer inject -i t > /dev/full; echo $?").await;
    assert_eq!(told.done(), "1\n");
}

#[tokio::test]
async fn what_is_shown_once_is_not_made_where_nobody_could_see_it() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    cli.run(&["user", "create", "ci", "--machine"]).await.done();
    for line in ["token create", "user credential add ci"] {
        assert_eq!(cli.shell(&format!("coffer {line} >&-; echo $?")).await.done(), "1\n", "{line}");
    }
    let kept = cli.run(&["user", "credential", "list", "ci", "-o", "json"]).await.json();
    assert_eq!(kept["credentials"], json!([]));
    let sessions = cli.run(&["session", "list", "-o", "json"]).await.json();
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "{sessions}");
    // What has an answer that is lost says so.
    for line in ["whoami", "user list", "user list -o json", "setting get security --field value", "completion bash"] {
        assert_eq!(cli.shell(&format!("coffer {line} >&-; echo $?")).await.done(), "1\n", "{line}");
    }
    assert_eq!(cli.shell("printf x | coffer secret put kv/x >&-; echo $?").await.done(), "0\n");
}
