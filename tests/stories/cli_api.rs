//! `coffer user`, `role`, `policy`, `setting`, `session`, `token`, `audit`.

use serde_json::json;

use crate::harness::{Guest, TestServer, canary};

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
    assert_eq!(cli.run(&["user", "list", "-o", "raw"]).await.done(), "ada\nadmin\n");
    cli.run(&["user", "update", "ada", "--email", "ada@example.org", "--role", "admin"]).await.done();
    // Who gets or loses a role logs in again.
    let ada = server.user_cli_with("ada", &password).await;
    let shown = ada.run(&["user", "show", "-o", "json"]).await.json();
    assert_eq!((&shown["email"], &shown["role"]), (&json!("ada@example.org"), &json!("admin")));
    cli.run(&["user", "update", "ada"]).await.failed(2);
    cli.run(&["user", "update", "ada", "--role", "user"]).await.done();
    ada.run(&["whoami"]).await.failed(4);
    let ada = server.user_cli_with("ada", &password).await;

    // One's own password: the session that changes it goes on.
    let typed = format!("{password}\n{other}\n");
    ada.run_with(&["user", "password"], format!("wrong {typed}").as_bytes()).await.failed(7);
    ada.run_with(&["user", "password"], typed.as_bytes()).await.done();
    ada.run(&["whoami"]).await.done();
    server.log_in("ada", &other).await;
    ada.run_with(&["user", "password", "admin"], format!("{other}\n").as_bytes()).await.failed(5);
    // Somebody's who forgot it.
    cli.run_with(&["user", "password", "ada"], format!("{password}\n").as_bytes()).await.done();
    ada.run(&["whoami"]).await.failed(4);
    cli.run(&["user", "update", "ada", "--disable"]).await.done();
    let login = json!({ "username": "ada", "password": password });
    server.anonymous().post("/token/create", login).await.expect_oauth(400, "invalid_grant");
    cli.run(&["user", "update", "ada", "--enable"]).await.done();
    let told = cli.run(&["user", "delete", "ada"]).await.failed(2);
    assert!(told.contains("--yes"), "{told}");
    assert_eq!(cli.run(&["user", "show", "-o", "json"]).await.json()["username"], "admin");
    server.log_in("ada", &password).await;
    cli.run(&["user", "delete", "ada", "--yes"]).await.done();
    let told = cli.run(&["user", "show", "ada"]).await.failed(6);
    assert!(told.contains("coffer user list"), "{told}");
    for odd in ["..", "a/../b", "me"] {
        assert_ne!(cli.run(&["user", "delete", odd, "--yes"]).await.code, Some(0), "{odd}");
    }
    cli.run(&["whoami"]).await.done();
}

#[tokio::test]
async fn what_is_wrong_is_told_before_a_password_is_typed() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    // Were it asked for, that there is none would be what is told.
    for (line, what) in [
        ("ada", "--email"),
        ("ada --email nope", "e-mail address"),
        ("Ada! --email ada@example.com", "a-z 0-9"),
        ("ada --email ada@example.com --role nope", "no such role"),
        ("ada --email ada@example.com --role No!", "a-z 0-9"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let told = cli.run(&[&["user", "create"], &words[..]].concat()).await;
        assert!([Some(2), Some(6)].contains(&told.code) && told.err.contains(what), "{line}: {}", told.err);
        assert!(!told.err.contains("no password"), "{line}: {}", told.err);
    }
    let told = cli.run(&["login", "--token"]).await.failed(2);
    assert!(told.contains("--method github --token"), "{told}");
    assert!(cli.run(&["login", "--device"]).await.failed(2).contains("--method github --device"));
}

#[tokio::test]
async fn a_machine_has_credentials_that_come_and_go() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    cli.run(&["user", "create", "ci", "--machine"]).await.done();
    let add = ["user", "credential", "add", "ci", "--json", "-", "-o", "json"];
    let added = cli.run_with(&add, br#"{"label": "runner", "ttl": "90d"}"#).await.json();
    let secret = added["client_secret"].as_str().expect("a secret");
    server.keep_secret(secret);
    let id = added["id"].as_str().expect("an id");
    let list = ["user", "credential", "list", "ci"];
    let table = cli.run(&list).await.done();
    assert!(table.contains("runner") && table.contains(id) && !table.contains(secret), "{table}");
    let login = json!({ "grant_type": "client_credentials", "client_id": "ci", "client_secret": secret });
    let token = server.anonymous().post("/token/create", login.clone()).await.expect(200);
    server.keep_secret(token["access_token"].as_str().expect("a token"));
    assert_eq!(cli.run(&[&list[..], &["--field", "label"]].concat()).await.done(), "runner\n");
    cli.run(&["user", "credential", "remove", "ci", id]).await.done();
    assert_eq!(cli.run(&[&list[..], &["-o", "json"]].concat()).await.json()["credentials"], json!([]));
    server.anonymous().post("/token/create", login).await.expect_oauth(401, "invalid_client");
    let told = cli.run(&["user", "credential", "remove", "ci", id]).await.failed(6);
    assert!(told.contains("next: coffer user credential list ci --mount clients"), "{told}");
    for bad in ["[1]", "{", ""] {
        cli.run_with(&["user", "credential", "add", "ci", "--json", "-"], bad.as_bytes()).await.failed(2);
    }
}

#[tokio::test]
async fn who_somebody_is_elsewhere_is_linked_and_let_go() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    server.create_user("ada", "user").await;
    let value = json!({ "plugin": "github", "grant": { "http": ["api.github.com:443", "github.com:443"] } });
    server.admin().await.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200);
    let of = |what: &'static str| ["user", "credential", what, "ada", "--mount", "github"];
    let id = cli.run(&[&of("add")[..], &["--subject", "583231", "--field", "id"]].concat()).await.done();
    let table = cli.run(&of("list")).await.done();
    assert_eq!(table, format!("{:32}  SUBJECT\n{}  583231\n", "ID", id.trim()));
    cli.run(&[&of("add")[..], &["--subject", "583231"]].concat()).await.failed(7);
    cli.run(&["user", "credential", "remove", "ada", id.trim(), "--mount", "github"]).await.done();
    assert_eq!(cli.run(&[&of("list")[..], &["-o", "json"]].concat()).await.json()["credentials"], json!([]));
}

#[tokio::test]
async fn a_plugin_that_no_mount_uses_is_deleted() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    std::fs::write(cli.home().join("hello.wasm"), Guest::new("hello", "1.0.0").build()).expect("it is ours");
    cli.run(&["plugin", "install", "hello.wasm", "--mount", "hello"]).await.done();
    let told = cli.run(&["plugin", "delete", "hello", "1.0.0"]).await.failed(7);
    assert!(told.contains("next: coffer plugin list"), "{told}");
    cli.run(&["setting", "reset", "secrets/hello"]).await.done();
    cli.run(&["plugin", "delete", "hello", "1.0.0"]).await.done();
    assert!(cli.run(&["plugin", "show", "hello", "1.0.0"]).await.failed(6).contains("next: coffer plugin list"));
}

#[tokio::test]
async fn a_setting_tells_its_history_and_what_would_change() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    for max in ["12", "13"] {
        cli.run(&["setting", "set", "secrets/kv", &format!("config.max_versions={max}")]).await.done();
    }
    let history = cli.run(&["setting", "history", "secrets/kv"]).await.done();
    let lines: Vec<&str> = history.lines().collect();
    assert!(lines[0].starts_with("VERSION") && lines[1].ends_with("config.max_versions=13"), "{history}");
    let told = cli.run(&["setting", "history", "secrets/kv", "-o", "json"]).await.json();
    assert_eq!(told["versions"][1]["value"]["config"]["max_versions"], 12);
    for line in [
        "setting history security",
        "setting get security",
        "setting list",
        "plugin list",
        "plugin show kv 1.0.0",
        "policy explain read secrets/kv/x",
    ] {
        let table = cli.run(&line.split(' ').collect::<Vec<_>>()).await.done();
        assert!(!table.contains("{\"") && !table.contains("[\"") && !table.contains("[{"), "{line}: {table}");
    }
    let get = cli.run(&["setting", "get", "security"]).await.done();
    assert!(get.lines().any(|line| line.split_whitespace().eq(["value.sessions.idle", "30m"])), "{get}");

    let tried = async |arguments: &[&str]| {
        let told = cli.run(&[arguments, &["--dry-run"]].concat()).await;
        let said = told.err.clone();
        told.done();
        said
    };
    let said = tried(&["setting", "set", "secrets/kv", "config.max_versions=13"]).await;
    assert!(said.contains("secrets/kv: nothing would change"), "{said}");
    let said = tried(&["setting", "set", "secrets/kv", "config.max_versions=14"]).await;
    assert!(said.contains("config.max_versions: 13 → 14"), "{said}");
    let said = tried(&["setting", "reset", "secrets/kv"]).await;
    assert!(said.contains("this would change") && said.contains("config.max_versions: 13 → -"), "{said}");
    assert_eq!(cli.run(&["setting", "get", "secrets/kv", "--field", "value.config.max_versions"]).await.done(), "13");
    let told = cli.run(&["setting", "set", "security", "sessions.nope=1"]).await.failed(7);
    assert!(told.contains("next: coffer setting get security --field schema"), "{told}");
}

#[tokio::test]
async fn roles_and_policies_are_put_in_force_and_explained() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let password = server.create_user("ada", "user").await;
    cli.run_with(&["secret", "put", "kv/apps/web/db"], canary("x").as_bytes()).await.done();
    cli.run(&["role", "put", "operators", "--description", "who is on call"]).await.done();
    assert!(cli.run(&["role", "list", "-o", "raw"]).await.done().contains("operators\n"));
    assert_eq!(cli.run(&["role", "show", "operators", "--field", "description"]).await.done(), "who is on call");
    cli.run(&["user", "update", "ada", "--role", "operators"]).await.done();
    let ada = server.user_cli_with("ada", &password).await;

    ada.run(&["secret", "get", "kv/apps/web/db"]).await.failed(5);
    let policy = "permit (principal in Role::\"operators\", action == Action::\"read\", resource in Resource::\"secrets/kv/apps\");\n";
    let put = ["policy", "put", "apps"];
    let broken = cli.run_with(&put, b"permit (principal, action, resource").await.failed(7);
    assert!(broken.contains("body.text"), "{broken}");
    cli.run_with(&["policy", "put", "apps", "--dry-run"], policy.as_bytes()).await.done();
    ada.run(&["secret", "get", "kv/apps/web/db"]).await.failed(5);
    std::fs::write(cli.home().join("apps.cedar"), policy).expect("it is ours");
    cli.run(&["policy", "put", "apps", "apps.cedar", "--if-version", "0"]).await.done();
    ada.run(&["secret", "get", "kv/apps/web/db"]).await.done();
    assert_eq!(cli.run(&["policy", "show", "apps"]).await.done(), policy);
    cli.run_with(&["policy", "put", "apps", "--if-version", "0"], policy.as_bytes()).await.failed(7);
    assert!(cli.run(&["policy", "list", "-o", "raw"]).await.done().contains("apps\n"));

    let explain = ["policy", "explain", "read", "secrets/kv/apps/web/db", "--user", "ada", "-o", "json"];
    let why = cli.run(&explain).await.json();
    assert_eq!(why["allowed"], true, "{why}");
    let table = cli.run(&["policy", "explain", "delete", "secrets/kv/apps/web/db", "--user", "ada"]).await.done();
    assert!(table.contains("allowed") && table.contains("false"), "{table}");

    cli.run(&["policy", "delete", "apps"]).await.done();
    ada.run(&["secret", "get", "kv/apps/web/db"]).await.failed(5);
    let told = cli.run(&["policy", "show", "apps"]).await.failed(6);
    assert!(told.contains("coffer policy list"), "{told}");
    // It is somebody's.
    cli.run(&["role", "delete", "operators"]).await.failed(7);
    cli.run(&["user", "update", "ada", "--role", "user"]).await.done();
    cli.run(&["role", "delete", "operators"]).await.done();
}

#[tokio::test]
async fn sessions_of_others_are_for_those_who_may() {
    let server = TestServer::start().await;
    let (cli, ada) = (server.admin_cli("admin").await, server.user_cli("ada").await);
    let ids = cli.run(&["session", "list", "--user", "ada", "-o", "raw"]).await.done();
    assert!(!ids.is_empty());
    ada.run(&["session", "list", "--user", "admin"]).await.failed(5);
    ada.run(&["session", "revoke", "--user", "admin"]).await.failed(5);
    cli.run(&["session", "revoke", "--user", "ada"]).await.done();
    ada.run(&["whoami"]).await.failed(4);
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
