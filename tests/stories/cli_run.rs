//! `coffer run` and `coffer inject`: secrets for programs and for files.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::harness::{Cli, TestServer, canary, ran};

/// A user with a secret of several members, and one of one value of several lines.
async fn ada(server: &TestServer) -> (Cli, String, String) {
    let cli = server.user_cli("ada").await;
    let (pass, pem) = (canary("pass"), format!("-----BEGIN-----\n{}\n  \"x\" $y\n", canary("pem")));
    server.keep_secret(pem.lines().nth(1).expect("a line"));
    let data = json!({ "user": "ada", "pass": pass, "port": 5432, "list": [1, "a"] });
    cli.run_with(&["secret", "put", "kv/~/apps/db", "--json", "-"], data.to_string().as_bytes()).await.done();
    cli.run_with(&["secret", "put", "kv/~/apps/KEY", "--exact"], pem.as_bytes()).await.done();
    (cli, pass, pem)
}

#[tokio::test]
async fn a_program_has_the_secrets_in_its_environment_and_its_exit_code() {
    let server = TestServer::start().await;
    let (cli, pass, pem) = ada(&server).await;
    let printed = async |arguments: &[&str]| cli.run(&[&["run"], arguments].concat()).await;
    let env = printed(&["kv/~/apps/db", "--", "env", "-0"]).await.done();
    let env: Vec<&str> = env.split('\0').collect();
    for expected in [format!("DB_PASS={pass}"), "DB_USER=ada".into(), "DB_PORT=5432".into(), "DB_LIST=[1,\"a\"]".into()]
    {
        assert!(env.contains(&expected.as_str()), "{expected} in {env:?}");
    }
    let home = format!("HOME={}", cli.home().display());
    assert!(env.contains(&home.as_str()), "ours is there as well");
    // A value of many lines is the same there.
    assert_eq!(printed(&["kv/~/apps/KEY", "--", "printenv", "KEY"]).await.done(), format!("{pem}\n"));
    // A folder, a member, a name of one's own.
    assert_eq!(
        printed(&["kv/~/apps/", "--", "sh", "-c", "echo $DB_USER ${#KEY}"]).await.done(),
        format!("ada {}\n", pem.len())
    );
    assert_eq!(printed(&["kv/~/apps/db#pass", "--", "printenv", "DB_PASS"]).await.done(), format!("{pass}\n"));
    assert_eq!(printed(&["URL=kv/~/apps/db#pass", "--", "printenv", "URL"]).await.done(), format!("{pass}\n"));
    assert_eq!(printed(&["--prefix", "APP_", "kv/~/apps/db", "--", "printenv", "APP_DB_USER"]).await.done(), "ada\n");
    // What is a reference already gets its value.
    let refers = cli.with_env("MY_PASS", "coffer://kv/~/apps/db#pass");
    assert_eq!(refers.run(&["run", "--", "printenv", "MY_PASS"]).await.done(), format!("{pass}\n"));
    // Only some.
    let only = printed(&["--only", "DB_USER,DB_PORT", "kv/~/apps/db", "--", "env"]).await.done();
    assert!(only.contains("DB_USER=ada") && only.contains("DB_PORT") && !only.contains("DB_PASS"), "{only}");
    printed(&["--only", "DB_NONE", "kv/~/apps/db", "--", "true"]).await.failed(2);

    for code in [0, 1, 3, 125] {
        assert_eq!(printed(&["kv/~/apps/db", "--", "sh", "-c", &format!("exit {code}")]).await.code, Some(code));
    }
    assert_eq!(printed(&["--mask", "kv/~/apps/db", "--", "sh", "-c", "exit 3"]).await.code, Some(3));
    printed(&["kv/~/apps/db", "--", "/nowhere/program"]).await.failed(127);
    printed(&["kv/~/apps/db", "--", "/etc/passwd"]).await.failed(126);
    printed(&["--mask", "--", "/nowhere/program"]).await.failed(127);
    // Without secrets nobody need be logged in.
    assert_eq!(server.cli("nobody").run(&["run", "--", "echo", "x"]).await.done(), "x\n");
    server.cli("nobody").run(&["run", "kv/~/apps/db", "--", "echo", "x"]).await.failed(4);
    printed(&["kv/~/none", "--", "echo", "x"]).await.failed(6);
}

#[tokio::test]
async fn a_program_that_was_to_be_given_secrets_is_not_run_without() {
    let server = TestServer::start().await;
    let (cli, ..) = ada(&server).await;
    let told = cli.run(&["run", "kv/~/none/", "--", "echo", "x"]).await;
    assert_eq!(told.out, b"");
    let told = told.failed(6);
    assert!(told.contains("kv/~/none/: there is nothing in it"), "{told}");
    assert!(told.contains("next: coffer secret list kv/~/none/"), "{told}");
    let told = cli.run(&["run", "kv/~/", "--", "true"]).await.failed(6);
    assert!(told.contains("only folders"), "{told}");
    // Beside others it is said, and no more.
    let beside = cli.run(&["run", "kv/~/none/", "kv/~/apps/db", "--", "printenv", "DB_USER"]).await;
    assert!(beside.err.contains("kv/~/none/: there is nothing in it"), "{}", beside.err);
    assert_eq!(beside.done(), "ada\n");
    // The names that there are, and no value.
    let told = cli.run(&["run", "--only", "DB_NONE", "kv/~/apps/db", "--", "true"]).await.failed(2);
    assert!(told.contains("DB_LIST, DB_PASS, DB_PORT, DB_USER") && !told.contains("canary"), "{told}");
    let told = cli.run(&["run", "1A=kv/~/apps/db#pass", "--", "true"]).await.failed(2);
    assert!(told.contains("\"1A\" is no name of a variable"), "{told}");
}

#[tokio::test]
async fn a_program_gets_no_token_and_no_variable_that_steers_it() {
    let server = TestServer::start().await;
    let (cli, ..) = ada(&server).await;
    let token = cli.tokens()[0].clone();
    let authority = server.authority().to_str().expect("UTF-8").to_owned();
    let program = server.cli("program").with_env("COFFER_TOKEN", &token).with_env("COFFER_ADDR", &server.url());
    let program = program.with_env("COFFER_CACERT", &authority);
    for mask in [&[][..], &["--mask"]] {
        let env = program.run(&[&["run"], mask, &["kv/~/apps/db", "--", "env"]].concat()).await.done();
        assert!(env.contains("DB_USER=ada") && !env.contains(&token) && !env.contains("COFFER_TOKEN"), "{env}");
    }
    // Whoever may write a secret is not thereby who decides what others run.
    let put = async |name: &str, data: serde_json::Value| {
        cli.run_with(&["secret", "put", name, "--json", "-"], data.to_string().as_bytes()).await.done();
    };
    put("kv/~/bad/PATH", json!({ "value": "/tmp/evil" })).await;
    put("kv/~/worse/ld", json!({ "preload": "/tmp/evil.so" })).await;
    put("kv/~/taken/home", json!({ "value": "/tmp" })).await;
    for folder in ["kv/~/bad/", "kv/~/worse/", "kv/~/taken/"] {
        let told = cli.run(&["run", folder, "--", "true"]).await.failed(2);
        assert!(told.contains("--prefix"), "{told}");
        cli.run(&["run", "--prefix", "X_", folder, "--", "true"]).await.done();
    }
    let told = cli.run(&["run", "PATH=kv/~/bad/PATH", "--", "/usr/bin/printenv", "PATH"]).await.done();
    assert_eq!(told, "/tmp/evil\n");
    put("kv/~/nul", json!({ "value": "a\u{0}b" })).await;
    cli.run(&["run", "kv/~/nul", "--", "true"]).await.failed(2);
    put("kv/~/one/a-b", json!({ "value": "1" })).await;
    put("kv/~/one/a.b", json!({ "value": "2" })).await;
    let told = cli.run(&["run", "kv/~/one/", "--", "true"]).await.failed(2);
    assert!(told.contains("A_B comes from two secrets"), "{told}");
}

#[tokio::test]
async fn an_environment_may_be_large_and_one_that_is_too_large_is_said() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let members: serde_json::Map<String, serde_json::Value> =
        (0..60).map(|n| (format!("m{n}"), format!("{n}{}", "x".repeat(10_000)).into())).collect();
    cli.run_with(&["secret", "put", "kv/~/big", "--json", "-"], json!(members).to_string().as_bytes()).await.done();
    let script = "env | grep -c '^BIG_M'; echo ${#BIG_M59}";
    assert_eq!(cli.run(&["run", "kv/~/big", "--", "sh", "-c", script]).await.done(), "60\n10002\n");
    // One value beyond what Linux takes of one.
    cli.run_with(&["secret", "put", "kv/~/huge"], &vec![b'x'; 200_000]).await.done();
    for mask in [&[][..], &["--mask"]] {
        let told = cli.run(&[&["run"], mask, &["kv/~/huge", "--", "true"]].concat()).await.failed(126);
        assert!(told.contains("coffer inject"), "{told}");
    }
    // Many, each of which would do, beyond what it takes of all.
    for secret in 0..9 {
        let members: serde_json::Map<String, serde_json::Value> =
            (0..9).map(|n| (format!("m{n}"), "x".repeat(100_000).into())).collect();
        let put = ["secret", "put", &format!("kv/~/many/s{secret}"), "--json", "-"];
        cli.run_with(&put, json!(members).to_string().as_bytes()).await.done();
    }
    for mask in ["", "--mask"] {
        // A quarter of the stack is what the system lends.
        let told = cli.shell(&format!("ulimit -s 8192; coffer run {mask} kv/~/many/ -- true")).await.failed(126);
        assert!(told.contains("coffer inject"), "{told}");
    }
    std::fs::write(cli.home().join("t"), "coffer://kv/~/huge").expect("it is ours");
    cli.run(&["inject", "-i", "t", "-o", "f"]).await.done();
    assert_eq!(std::fs::metadata(cli.home().join("f")).expect("a file").len(), 200_000);
}

#[tokio::test]
async fn values_are_masked_where_the_program_writes_them() {
    let server = TestServer::start().await;
    let (cli, pass, _) = ada(&server).await;
    let script = "printf 'a %s b' $DB_PASS; printf %s $DB_PASS | head -c 5; echo; echo \"$KEY\" >&2; env | grep -c DB_";
    let told = cli.run(&["run", "--mask", "kv/~/apps/", "--", "sh", "-c", script]).await;
    let err = told.err.clone();
    assert_eq!(told.done(), format!("a *** b{}\n4\n", &pass[..5]));
    assert!(err.contains("***") && !err.contains("canary"), "{err}");
    assert!(err.contains("DB_USER is too short to be masked"), "{err}");
    // Cut in pieces, with a pause between them.
    let script = "printf '%s' \"${DB_PASS%?????}\"; sleep 0.2; printf '%s\\n' \"${DB_PASS#${DB_PASS%?????}}\"";
    assert_eq!(cli.run(&["run", "--mask", "kv/~/apps/db", "--", "bash", "-c", script]).await.done(), "***\n");
}

/// Starts a program under `coffer run`, and waits until it says that it is there.
fn started(cli: &Cli, arguments: &[&str], script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = cli.command(&[&["run"], arguments, &["kv/~/apps/db", "--", "bash", "-c", script]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it speaks");
    assert_eq!(line, "ready\n");
    (child, out)
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

#[tokio::test]
async fn signals_reach_the_program() {
    let server = TestServer::start().await;
    let (cli, ..) = ada(&server).await;
    for mask in [&[][..], &["--mask"]] {
        for (signal, name) in [
            (Signal::TERM, "TERM"),
            (Signal::INT, "INT"),
            (Signal::HUP, "HUP"),
            (Signal::USR1, "USR1"),
            (Signal::QUIT, "QUIT"),
        ] {
            let script = format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do read -r -t 1 x; done");
            let (mut child, mut out) = started(&cli, mask, &script);
            send(&child, signal);
            let mut said = String::new();
            out.read_to_string(&mut said).expect("text");
            assert_eq!(said, format!("got {name}\n"), "{mask:?}");
            assert_eq!(child.wait().expect("it ends").code(), Some(7), "{mask:?} {name}");
        }
        // One that kills it is what we end in as well, as a shell would tell it.
        for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
            let (mut child, _out) = started(&cli, mask, "echo ready; exec sleep 60");
            send(&child, signal);
            let status = child.wait().expect("it ends");
            match mask {
                [] => assert_eq!(status.signal(), Some(number)),
                _ => assert_eq!(status.code(), Some(128 + number)),
            }
        }
        let line = format!("coffer run {} kv/~/apps/db -- sh -c 'kill -INT $$'; echo $?", mask.join(" "));
        assert_eq!(cli.shell(&line).await.done(), "130\n");
    }
}

#[tokio::test]
async fn a_program_has_our_input_and_needs_no_terminal() {
    let server = TestServer::start().await;
    let (cli, ..) = ada(&server).await;
    for mask in [&[][..], &["--mask"]] {
        let cat = cli.run_with(&[&["run"], mask, &["kv/~/apps/db", "--", "cat"]].concat(), b"in\nput").await;
        assert_eq!(cat.done(), "in\nput");
        // Far from any terminal, in a session of its own.
        let coffer = env!("CARGO_BIN_EXE_coffer");
        let arguments =
            [&["--wait", coffer, "run"], mask, &["kv/~/apps/db", "--", "sh", "-c", "tty; echo $DB_USER"]].concat();
        let told = ran(cli.command_of("setsid", &arguments), b"").await;
        assert_eq!(told.done(), "not a tty\nada\n");
        // At one, the program has it.
        let line = format!("{coffer} run {} kv/~/apps/db -- sh -c 'test -t 0 && echo $DB_USER'", mask.join(" "));
        let told = ran(cli.command_of("script", &["-qec", &line, "/dev/null"]), b"").await;
        assert!(told.done().contains("ada"));
    }
}

#[tokio::test]
async fn a_program_whose_output_nobody_reads_ends_as_it_would_alone() {
    let server = TestServer::start().await;
    let (cli, ..) = ada(&server).await;
    for mask in ["", "--mask"] {
        let script = format!("coffer run {mask} kv/~/apps/db -- yes | head -1; echo ${{PIPESTATUS[0]}}");
        assert_eq!(cli.shell(&script).await.done(), "y\n141\n", "{mask}");
    }
    // Without any, it is as if nobody listened.
    let told = cli.shell("coffer run kv/~/apps/db -- sh -c 'echo x; exit 4' >&-; echo $?").await;
    assert_eq!(told.done(), "4\n");
}

#[tokio::test]
async fn a_template_is_filled_whole_for_its_owner_alone() {
    let server = TestServer::start().await;
    let (cli, pass, pem) = ada(&server).await;
    let template = "db:\n  pass: \"coffer://kv/~/apps/db#pass\"\n  port: coffer://kv/~/apps/db#port # coffer://kv/~/apps/db?version=1#user.\n{{ coffer://kv/~/apps/KEY }}|";
    let expected = format!("db:\n  pass: \"{pass}\"\n  port: 5432 # ada.\n{pem}|");
    let file = |name: &str| cli.home().join(name);
    std::fs::write(file("t"), template).expect("it is ours");
    assert_eq!(cli.run_with(&["inject"], template.as_bytes()).await.done(), expected);

    // What was there, readable by all, is replaced by what is not.
    std::fs::write(file("out"), "old").expect("it is ours");
    std::fs::set_permissions(file("out"), std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let before = std::fs::metadata(file("out")).expect("a file").ino();
    cli.run(&["inject", "-i", "t", "-o", "out"]).await.done();
    assert_eq!(std::fs::read_to_string(file("out")).expect("text"), expected);
    let after = std::fs::metadata(file("out")).expect("a file");
    assert_eq!(after.permissions().mode() & 0o777, 0o600);
    assert_ne!(after.ino(), before, "a new file in its place");

    // All or nothing.
    for (bad, code) in [
        ("coffer://kv/~/apps/db#none", 2),
        ("coffer://kv/~/none", 6),
        ("coffer://kv/apps/other", 5),
        ("coffer://kv", 2),
        ("coffer://kv/~/apps/db", 2),
        ("coffer://kv/~/apps/db?version=9#pass", 6),
    ] {
        std::fs::write(file("bad"), format!("coffer://kv/~/apps/db#pass {bad}")).expect("it is ours");
        let told = cli.run(&["inject", "-i", "bad", "-o", "out"]).await.failed(code);
        assert!(!told.contains(&pass), "{told}");
        assert_eq!(std::fs::read_to_string(file("out")).expect("text"), expected, "{bad}");
    }
    let told = cli.run(&["inject", "-i", "t", "-o", "nowhere/out"]).await.failed(1);
    assert!(told.contains("nowhere/out"), "{told}");
    let names: Vec<_> =
        std::fs::read_dir(cli.home()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".new")), "{names:?}");
    for name in ["t", "out", "bad"] {
        std::fs::remove_file(file(name)).expect("it is ours");
    }
    let _ = std::io::stdout().flush();
}
