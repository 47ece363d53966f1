//! `coffer user`, `role`, `policy`, `setting`, `session`, `token`, `audit`.

use serde_json::json;

use crate::harness::{TestServer, canary};

#[tokio::test]
async fn a_user_is_made_changed_and_removed() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let (password, other) = (canary("password"), canary("other"));
    [&password, &other].iter().for_each(|secret| server.keep_secret(secret));
    let create = ["user", "create", "ada", "--email", "ada@example.com", "-o", "json"];
    let made = cli.run_with(&create, format!("{password}\n").as_bytes()).await.json();
    assert_eq!((&made["username"], &made["role"]), (&json!("ada"), &json!("user")));
    cli.run_with(&["user", "create", "bob", "--email", "bob@example.com"], b"short\n").await.failed(7);
    let told = cli.run(&["user", "delete", "ada"]).await.failed(2);
    assert!(told.contains("--yes"), "{told}");
    assert_eq!(cli.run(&["user", "show", "-o", "json"]).await.json()["username"], "admin");
    server.log_in("ada", &password).await;
    cli.run(&["user", "delete", "ada", "--yes"]).await.done();
    cli.run(&["user", "delete", "ada", "--yes"]).await.failed(7);
}

#[tokio::test]
async fn settings_are_shown_changed_and_put_back() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let keys = cli.run(&["setting", "list", "-o", "raw"]).await.done();
    assert!(keys.lines().any(|key| key == "security") && keys.lines().any(|key| key == "auth/password"), "{keys}");
    cli.run(&["setting", "set", "security", "sessions.idle=20m", "passwords.min_length=14"]).await.done();
    let security = cli.run(&["setting", "get", "security", "-o", "json"]).await.json();
    assert_eq!(security["value"]["sessions"]["idle"], "20m");
    assert_eq!(security["value"]["passwords"]["min_length"], 14);
    assert_eq!(cli.run(&["setting", "get", "security", "--field", "value.sessions.idle"]).await.done(), "20m");
    let wrong = cli.run(&["setting", "set", "security", "sessions.idle=never"]).await.failed(7);
    assert!(wrong.contains("sessions.idle"), "{wrong}");
    cli.run(&["setting", "set", "security", "sessions.idle=5m", "--dry-run"]).await.done();
    assert_eq!(cli.run(&["setting", "get", "security", "--field", "value.sessions.idle"]).await.done(), "20m");
    cli.run_with(&["setting", "put", "custom/a/b", "--json", "-"], br#"{"x": [1]}"#).await.done();
    assert_eq!(cli.run(&["setting", "get", "custom/a/b", "--field", "/value/x/0"]).await.done(), "1");
    cli.run(&["setting", "set", "custom/a/b", "y=2", "--if-version", "9"]).await.failed(7);
    cli.run(&["setting", "reset", "custom/a/b"]).await.done();
    let told = cli.run(&["setting", "get", "custom/a/b"]).await.failed(6);
    assert!(told.contains("coffer setting list"), "{told}");
    server.user_cli("ada").await.run(&["setting", "list"]).await.failed(5);
}

#[tokio::test]
async fn sessions_are_seen_and_ended() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let other = server.login("ada").await;
    let another = server.login("ada").await;
    let ids = cli.run(&["session", "list", "-o", "raw"]).await.done();
    assert!(ids.lines().any(|id| id == other.session_id()), "{ids}");
    let current = cli.run(&["session", "current", "--field", "device"]).await.done();
    assert!(current.starts_with("coffer/"), "{current}");
    cli.run(&["session", "revoke", &other.session_id()]).await.done();
    other.get("/users/me").await.expect_unauthorized();
    another.get("/users/me").await.expect(200);
    cli.run(&["session", "revoke"]).await.failed(2);
    cli.run(&["session", "revoke", "--others"]).await.done();
    another.get("/users/me").await.expect_unauthorized();
    cli.run(&["whoami"]).await.done();
}

#[tokio::test]
async fn a_token_for_somebody_else_can_do_less() {
    let server = TestServer::start().await;
    let cli = server.user_cli("ada").await;
    let value = canary("x");
    cli.run_with(&["secret", "put", "kv/~/x"], value.as_bytes()).await.done();
    let create = ["token", "create", "--max-uses", "2", "--ttl", "10m", "--bind", "--field", "access_token"];
    let token = cli.run(&create).await.done();
    server.keep_secret(&token);
    let told = cli.run_with(&["token", "introspect", "-o", "json"], format!("{token}\n").as_bytes()).await.json();
    assert_eq!(told["active"], true);
    let guest = cli.with_env("COFFER_TOKEN", &token);
    for _ in 0..2 {
        assert_eq!(guest.run(&["secret", "get", "kv/~/x", "-o", "raw"]).await.done(), value);
    }
    guest.run(&["secret", "get", "kv/~/x"]).await.failed(4);

    let narrow = ["token", "create", "--scope", "list:secrets/kv", "--from", "127.0.0.0/8", "--field", "access_token"];
    let token = cli.run(&narrow).await.done();
    server.keep_secret(&token);
    let guest = cli.with_env("COFFER_TOKEN", &token);
    guest.run(&["secret", "get", "kv/~/x"]).await.failed(5);
    guest.run(&["secret", "list", "kv/~/"]).await.done();
    // Whoever holds it may end it.
    server
        .cli("finder")
        .with_env("COFFER_ADDR", &server.url())
        .with_env("COFFER_CACERT", server.authority().to_str().expect("UTF-8"))
        .run_with(&["token", "revoke"], format!("{token}\n").as_bytes())
        .await
        .done();
    guest.run(&["secret", "list", "kv/~/"]).await.failed(4);

    let before = cli.tokens();
    cli.run(&["token", "renew"]).await.done();
    server.keep_tokens(&cli);
    assert_ne!(cli.tokens()[0], before[0]);
    cli.run(&["whoami"]).await.done();
    guest.run(&["token", "renew"]).await.failed(2);
    let bad = ["token", "create", "--one-time", "--max-uses", "2"];
    cli.run(&bad).await.failed(2);
}

#[tokio::test]
async fn a_trail_verifies_while_it_is_being_written() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let ada = server.login("ada").await;
    let mut files = std::fs::read_dir(server.data_dir()).expect("a folder").flatten().map(|entry| entry.path());
    let trail = files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit")));
    let trail = trail.expect("a trail");
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let ada = ada.clone();
            tokio::spawn(async move {
                loop {
                    ada.get("/users/me").await.expect(200);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let found = cli.run(&["audit", "verify", trail.to_str().expect("UTF-8"), "-o", "json"]).await.json();
        assert!(found["whole"].as_u64().is_some_and(|lines| lines > 3), "{found}");
    }
    // In the middle of a request there is half a pair: each comes to its end.
    for one in &traffic {
        one.abort();
    }
    for one in traffic {
        let _ = one.await;
    }
    // A file that is closed ends in a whole line.
    let copy = server.dir().join("older");
    let text = std::fs::read_to_string(&trail).expect("text");
    std::fs::write(&copy, &text[..text.len() - 9]).expect("the test's folder is writable");
    let files = [copy.to_str().expect("UTF-8"), trail.to_str().expect("UTF-8")];
    cli.run(&["audit", "verify", files[0], files[1]]).await.failed(10);
}
