//! The command line: who is logged in, for how long, and what it says where.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Cli, SOON, Seal, TestServer, canary, eventually, ran};

#[tokio::test]
async fn a_login_is_kept_for_the_commands_that_follow() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let me = cli.run(&["whoami", "-o", "json"]).await.json();
    assert_eq!(
        (&me["username"], &me["role"], &me["address"]),
        (&json!("admin"), &json!("admin"), &json!(server.url()))
    );
    assert!(me["session"]["session_id"].is_string(), "{me}");

    let file = cli.session_file().expect("a session");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let folder = file.parent().expect("a folder");
    assert_eq!(std::fs::metadata(folder).expect("a folder").permissions().mode() & 0o777, 0o700);

    cli.run(&["logout"]).await.done();
    assert!(cli.tokens().is_empty());
    let told = cli.run(&["whoami"]).await.failed(4);
    assert!(told.contains("next: coffer login"), "{told}");
    // Logging out twice is no failure.
    cli.run(&["logout"]).await.done();
}

#[tokio::test]
async fn a_logout_ends_the_session_at_the_server() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let token = cli.tokens()[0].clone();
    server.anonymous().with_token(&token).get("/users/me").await.expect(200);
    cli.run(&["logout"]).await.done();
    server.anonymous().with_token(&token).get("/users/me").await.expect_unauthorized();
}

#[tokio::test]
async fn a_second_login_leaves_no_session_behind() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let token = cli.tokens()[0].clone();
    let cli = server.user_cli("ada").await;
    assert_ne!(cli.tokens()[0], token);
    server.anonymous().with_token(&token).get("/users/me").await.expect_unauthorized();
    cli.run(&["whoami"]).await.done();
}

#[tokio::test]
async fn a_token_stands_in_its_file_alone_and_in_no_arguments() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let secrets: Vec<String> = cli.tokens();
    let value = canary("value");
    cli.run_with(&["secret", "put", "kv/~/x"], value.as_bytes()).await.done();
    cli.run(&["secret", "get", "kv/~/x"]).await.done();
    let session = cli.session_file().expect("a session");
    let mut folders = vec![cli.home().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry != session {
                files += 1;
                let text = String::from_utf8_lossy(&std::fs::read(&entry).expect("a file")).into_owned();
                assert!(!secrets.iter().chain([&value]).any(|secret| text.contains(secret)), "{}", entry.display());
            }
        }
    }
    assert!(files > 0, "the lock at least");

    // While it runs: what `ps` shows. The value is still to come on its standard input.
    let mut command = cli.command(&["secret", "put", "kv/~/y", "a=-", "--metadata", "for=all to see"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    assert!(!secrets.iter().any(|secret| arguments.contains(secret)), "{arguments}");
    drop(child.stdin.take());
    child.wait().expect("it ends");
}

#[tokio::test]
async fn an_access_token_near_its_end_is_renewed_once_by_whoever_comes_first() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let before = cli.tokens();
    cli.age();
    let commands: Vec<_> = (0..8).map(|_| cli.command(&["whoami", "-o", "json"])).collect();
    let running: Vec<_> = commands.into_iter().map(|command| tokio::spawn(ran(command, b""))).collect();
    for ran in running {
        assert_eq!(ran.await.expect("no panic").json()["username"], "ada");
    }
    server.keep_tokens(&cli);
    let after = cli.tokens();
    assert!(before[0] != after[0] && before[1] != after[1], "renewed");
    // A refresh token that was used twice would have ended the session.
    cli.run(&["whoami"]).await.done();
    let trail = server.trail();
    let renewals =
        trail.0.iter().filter(|record| record["operation"] == "token.renew" && record["phase"] == "answered");
    assert_eq!(renewals.count(), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_before_its_time_is_renewed() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    // Somebody renewed elsewhere, as after a lost answer: what we hold is no longer good.
    let old = cli.session();
    let refresh = old["session"]["refresh_token"].clone();
    let elsewhere = server.anonymous().post("/token/renew", json!({ "refresh_token": refresh })).await.expect(200);
    assert!(elsewhere["access_token"].is_string());
    cli.run(&["whoami"]).await.done();
    server.keep_tokens(&cli);
    assert_ne!(cli.session()["session"]["access_token"], old["session"]["access_token"]);
}

#[tokio::test]
async fn a_session_that_was_ended_says_so_and_what_to_type() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    server.login("ada").await.post("/sessions/revoke", json!({ "others": true })).await.expect(200);
    let told = cli.run(&["secret", "list", "kv/~/"]).await.failed(4);
    assert!(told.contains("is over") && told.contains("next: coffer login"), "{told}");
    assert!(cli.tokens().is_empty(), "what is good for nothing is not kept");
}

#[tokio::test]
async fn a_session_file_that_others_may_read_is_refused() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let file = cli.session_file().expect("a session");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let told = cli.run(&["whoami"]).await.failed(1);
    assert!(told.contains("others may read it"), "{told}");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_trusted_by_its_fingerprint_or_not_at_all() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let cli = server.cli("ada");
    let input = format!("{}\n", ada.password);
    let url = server.url();
    let login = ["login", "--address", &url, "--username", "ada"];
    let told = cli.run_with(&login, input.as_bytes()).await.failed(3);
    assert!(told.contains("certificate") && told.contains("--pin SHA256:"), "{told}");
    let pin =
        told.split("--pin ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("it is told").to_owned();
    assert!(server.log().contains(&pin), "the server tells the same");

    let wrong = "SHA256:".to_owned() + &"0".repeat(64);
    let told = cli.run_with(&[&login[..], &["--pin", &wrong]].concat(), input.as_bytes()).await.failed(3);
    assert!(told.contains("another fingerprint"), "{told}");
    assert!(cli.session_file().is_none());

    cli.run_with(&[&login[..], &["--pin", &pin]].concat(), input.as_bytes()).await.done();
    server.keep_tokens(&cli);
    cli.run(&["whoami"]).await.done();

    // Another server at the same address is not the one that was trusted.
    let other = TestServer::start().await;
    let file = cli.session_file().expect("a session");
    let mut saved = cli.session();
    saved["address"] = other.url().into();
    let name = other.url().replace("https://", "").replace(':', "_") + ".json";
    let moved = file.with_file_name(name);
    std::fs::rename(&file, &moved).expect("it is ours");
    std::fs::write(&moved, saved.to_string()).expect("it is ours");
    other.keep_secret(saved["session"]["access_token"].as_str().expect("a token"));
    let told = cli.run(&["whoami", "--address", &other.url()]).await.failed(3);
    assert!(told.contains("certificate"), "{told}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await;
    server.login("ada").await;
    let cli = server.cli("ada");
    let (url, authority) = (server.url(), server.authority().to_str().expect("UTF-8").to_owned());
    let login = ["login", "--address", &url, "--ca-cert", &authority, "--username", "ada"];
    let told = cli.run_with(&login, b"not the password\n").await.failed(7);
    assert!(told.contains("(request ") && told.contains("next: "), "{told}");
    assert!(cli.session_file().is_none());
    cli.run_with(&login, b"").await.failed(2);
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let server = TestServer::start().await;
    let nobody = server.cli("nobody");
    let ada = server.user_cli("ada").await;
    nobody.run(&["secret", "get", "kv/x"]).await.failed(4);
    nobody.run(&["secret", "get"]).await.failed(2);
    nobody.run(&["secret", "get", "kv//x"]).await.failed(2);
    nobody.run(&["status", "--address", "https://127.0.0.1:1"]).await.failed(3);
    let told = ada.run(&["secret", "get", "kv/apps/x"]).await.failed(5);
    assert!(told.contains("(request ") && told.contains("next: coffer whoami"), "{told}");
    let told = ada.run(&["secret", "get", "kv/~/x"]).await.failed(6);
    assert!(told.contains("next: coffer secret list kv/~/"), "{told}");
    ada.run_with(&["secret", "put", "kv/~/x", "--if-version", "3"], b"x").await.failed(7);
    ada.run_with(&["secret", "put", "kv/~/x", "--ttl", "soon"], b"x").await.failed(7);
    let admin = server.admin_cli("admin").await;
    admin.run(&["seal"]).await.done();
    let told = ada.run(&["secret", "get", "kv/~/x"]).await.failed(8);
    assert!(told.contains("sealed"), "{told}");
    admin.run(&["status"]).await.failed(8);
    // A token of the environment goes before the session, and is used as it is.
    ada.with_env("COFFER_TOKEN", "cof_s_junk").run(&["whoami"]).await.failed(4);
}

#[tokio::test]
async fn a_token_of_the_environment_is_asked_no_more_than_the_command_needs() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    let child = ada.child(None, json!({ "one_time": true })).await.expect(200);
    let token = child["access_token"].as_str().expect("a token");
    server.keep_secret(token);
    let authority = server.authority().to_str().expect("UTF-8").to_owned();
    let cli = server.cli("program").with_env("COFFER_TOKEN", token).with_env("COFFER_ADDR", &server.url());
    let cli = cli.with_env("COFFER_CACERT", &authority);
    let value = cli.run(&["secret", "get", "kv/~/x", "-o", "raw"]).await.done();
    assert!(value.starts_with("canary-x-"));
    cli.run(&["secret", "get", "kv/~/x"]).await.failed(4);
    assert!(cli.session_file().is_none());
}

#[tokio::test]
async fn nothing_is_said_where_nobody_listens() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let script = "coffer secret list kv/~/ -o json | true; echo ${PIPESTATUS[0]}";
    for _ in 0..50 {
        let status = cli.shell(script).await;
        assert_eq!(status.err, "");
        if status.done().trim() == "141" {
            break;
        }
    }
    // Not even for errors.
    assert_eq!(cli.shell("coffer secret get kv/~/none 2>&-; echo $?").await.done().trim(), "6");
    // Standard output that is closed is a failure where there was something to say.
    assert_ne!(cli.shell("coffer whoami >/dev/full; echo $?").await.done().trim(), "0");
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let plain = cli.run(&["secret", "get", "kv/~/none"]).await;
    assert!(!plain.err.contains('\u{1b}'), "{}", plain.err);
    let coloured = at_terminal(&cli, "coffer secret get kv/~/none", "nothing is asked", "").await;
    assert!(coloured.contains("\u{1b}[31;1mcoffer:"), "{coloured}");
    let without =
        at_terminal(&cli.with_env("NO_COLOR", "1"), "coffer secret get kv/~/none", "nothing is asked", "").await;
    assert!(!without.contains('\u{1b}'), "{without}");
}

/// What stands on the screen when a person runs this, and types that once they are asked (and, by
/// `unseen`, once the terminal shows no more what is typed: a person is never so fast).
async fn at_terminal(cli: &Cli, line: &str, asked: &str, typed: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_coffer")).parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let unseen = !asked.contains('?') && !asked.contains("[y/N]");
    let mut script = cli.command_of("script", &["-qec", &format!("tty; {line}"), "/dev/null"]);
    script.env("PATH", path).env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().expect("script runs");
    let (asked, typed) = (asked.to_owned(), typed.to_owned());
    let watching = tokio::task::spawn_blocking(move || {
        let (mut keyboard, mut screen) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            seen.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            if text.contains(&asked)
                && let Some(mut keyboard) = keyboard.take()
            {
                while unseen && shows_what_is_typed(text.lines().next().unwrap_or_default().trim()) {
                    std::thread::yield_now();
                }
                keyboard.write_all(typed.as_bytes()).expect("it listens");
                // An end of it would be typed as well.
                std::mem::forget(keyboard);
            }
        }
        let _ = child.wait();
        String::from_utf8_lossy(&seen).into_owned()
    });
    tokio::time::timeout(SOON, watching).await.expect("it ends").expect("no panic")
}

fn shows_what_is_typed(terminal: &str) -> bool {
    let state = Command::new("stty").args(["-a", "-F", terminal]).output().expect("stty runs");
    assert!(state.status.success(), "{terminal}: {}", String::from_utf8_lossy(&state.stderr));
    !String::from_utf8_lossy(&state.stdout).split_whitespace().any(|word| word == "-echo")
}

#[tokio::test]
async fn a_share_and_a_password_are_typed_unseen() {
    let server = TestServer::start().await;
    let (ada, cli) = (server.login("ada").await, server.cli("ada"));
    let (url, authority) = (server.url(), server.authority().to_str().expect("UTF-8").to_owned());
    let command = format!("coffer login --address {url} --ca-cert {authority} --username ada");
    let screen = at_terminal(&cli, &command, "Password: ", &format!("{}\n", ada.password)).await;
    assert!(screen.contains("Password: ") && screen.contains("Logged in"), "{screen}");
    assert!(!screen.contains(&ada.password), "{screen}");
    server.keep_tokens(&cli);
    let value = canary("value");
    let screen = at_terminal(&cli, "coffer secret put kv/~/x pass", "Value of pass: ", &format!("{value}\n")).await;
    assert!(screen.contains("version 1") && !screen.contains(&value), "{screen}");
    assert_eq!(cli.run(&["secret", "get", "kv/~/x", "--field", "pass"]).await.done(), value);
    // Whoever is asked whether they mean it, and does not say so, does not.
    let screen = at_terminal(&cli, "coffer secret purge kv/~/x", "[y/N]: ", "\n").await;
    assert!(screen.contains("nothing was done"), "{screen}");
    let screen = at_terminal(&cli, "coffer secret purge kv/~/x", "[y/N]: ", "y\n").await;
    assert!(!screen.contains("nothing was done"), "{screen}");
    let share = canary("share");
    let screen = at_terminal(&cli, "coffer unseal", "Unseal share: ", &format!("{share}\n")).await;
    assert!(screen.contains("Unseal share: ") && !screen.contains(&share), "{screen}");
}

#[tokio::test]
async fn a_store_is_made_and_opened_with_shares_from_the_command_line() {
    let server = TestServer::builder().seal(Seal::Shamir).start().await;
    let authority = server.authority().to_str().expect("UTF-8").to_owned();
    let cli = server.cli("operator").with_env("COFFER_ADDR", &server.url()).with_env("COFFER_CACERT", &authority);
    let code = std::fs::read_dir(server.data_dir()).expect("a folder").flatten();
    let code = code.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("code")).expect("a code");
    server.keep_secret(std::fs::read_to_string(&code).expect("text").trim());
    cli.run(&["status"]).await.failed(8);
    let code = code.to_str().expect("UTF-8");
    let init = ["init", "--code-file", code, "--shares", "3", "--threshold", "2", "-o", "json"];
    let made = cli.run(&init).await.json();
    let shares: Vec<&str> = made["shares"].as_array().expect("shares").iter().filter_map(|one| one.as_str()).collect();
    assert_eq!(shares.len(), 3);
    let root = made["root_token"].as_str().expect("a token");
    shares.iter().chain([&root]).for_each(|secret| server.keep_secret(secret));
    cli.run(&["status"]).await.done();
    assert_eq!(cli.with_env("COFFER_TOKEN", root).run(&["seal", "-o", "json"]).await.json()["sealed"], true);
    let told = cli.run(&["status"]).await.failed(8);
    assert!(told.contains("next: coffer unseal"), "{told}");

    let progress = cli.run_with(&["unseal", "--field", "progress"], format!("{}\n", shares[0]).as_bytes()).await;
    assert_eq!(progress.done(), "1");
    cli.run_with(&["unseal"], b"no share\n").await.failed(7);
    cli.run_with(&["unseal"], b"").await.failed(2);
    let open = cli.run_with(&["unseal", "-o", "json"], format!("{}\n", shares[2]).as_bytes()).await.json();
    assert_eq!(open["sealed"], false);
    cli.run(&["status"]).await.done();

    // The same shares make a root token, and it makes others of them.
    let give = async |cli: &Cli, command: &[&str], share: &str| {
        cli.run_with(&[command, &["-o", "json"]].concat(), format!("{share}\n").as_bytes()).await.json()
    };
    let first = give(&cli, &["generate-root"], shares[1]).await;
    let nonce = first["nonce"].as_str().expect("a nonce");
    let second = give(&cli, &["generate-root", "--nonce", nonce], shares[2]).await;
    let root = second["root_token"].as_str().expect("a token");
    server.keep_secret(root);
    let operator = cli.with_env("COFFER_TOKEN", root);
    operator.run(&["rotate"]).await.done();
    let first = give(&operator, &["rekey", "--shares", "1", "--threshold", "1"], shares[0]).await;
    let nonce = first["nonce"].as_str().expect("a nonce");
    let made = give(&operator, &["rekey", "--nonce", nonce], shares[2]).await;
    let share = made["shares"][0].as_str().expect("a share");
    server.keep_secret(share);
    operator.run(&["seal"]).await.done();
    cli.run_with(&["unseal"], format!("{}\n", shares[0]).as_bytes()).await.failed(7);
    assert_eq!(give(&cli, &["unseal"], share).await["sealed"], false);
}

#[tokio::test]
async fn a_shell_completes_the_names_of_secrets() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    for secret in ["kv/apps/web/db", "kv/apps/web/mail", "kv/apps/top", "kv/~/mine"] {
        cli.run_with(&["secret", "put", secret], canary("x").as_bytes()).await.done();
    }
    let at = async |words: &[&str]| {
        let mut command = cli.command(&[&["--", "coffer"], words].concat());
        let index = words.len().to_string();
        command.env("_COFFER_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
        let found = ran(command, b"").await.done();
        let mut found: Vec<String> = found.lines().map(|line| line.trim().to_owned()).collect();
        found.retain(|one| !one.starts_with('-'));
        found.sort();
        found
    };
    // Whoever waits at a prompt is told nothing rather than late: a busy machine may take its time.
    let completes = async |words: &[&str], expected: &[&str]| {
        let what = format!("{words:?} becomes {expected:?}");
        eventually(&what, || async { (at(words).await == expected).then_some(()) }).await;
    };
    for (typed, expected) in [
        ("", &["kv/"][..]),
        ("kv/apps/", &["kv/apps/top", "kv/apps/web/"]),
        ("kv/apps/web/d", &["kv/apps/web/db"]),
        ("kv/~/", &["kv/~/mine"]),
    ] {
        completes(&["secret", "get", typed], expected).await;
    }
    assert!(at(&["secret", "get", "kv/none/"]).await.is_empty());
    for (words, expected) in [
        (&["user", "show", "ad"][..], &["admin"][..]),
        (&["session", "list", "--user", "a"], &["admin"]),
        (&["user", "update", "admin", "--role", ""], &["admin", "user"]),
        (&["role", "show", "u"], &["user"]),
        (&["policy", "show", ""], &["coffer"]),
        (&["setting", "get", "secrets/k"], &["secrets/kv"]),
        (&["plugin", "show", "gi"], &["github"]),
        (&["plugin", "logs", "secrets/k"], &["secrets/kv"]),
        (&["user", "credential", "list", "admin", "--mount", "cl"], &["clients"]),
    ] {
        completes(words, expected).await;
    }
    let own = cli.run(&["session", "current", "--field", "session_id"]).await.done();
    completes(&["session", "revoke", &own[..3]], &[&own]).await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.run(&["completion", shell]).await.done();
        assert!(script.contains("_COFFER_COMPLETE"), "{script}");
    }
    // The scripts that shells are given are such that they take them.
    let output = Command::new("bash").arg("-n").arg("-c").arg(cli.run(&["completion", "bash"]).await.done()).output();
    assert!(output.expect("bash runs").status.success());
    // And it is for nobody to log in by.
    assert!(server.cli("nobody").run(&["completion", "bash"]).await.done().contains("complete"));
}
