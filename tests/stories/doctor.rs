//! `coffer doctor`: what it says of a good house, and of each thing that is wrong with one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::redis::{Cluster, Papers, Server, Watched};
use crate::harness::{Builder, Seal, Storage, TestServer, eventually, finish};

/// What it found, by check.
struct Report {
    code: Option<i32>,
    checks: Vec<Value>,
    text: String,
}

impl Report {
    #[track_caller]
    fn verdict(&self, check: &str) -> (&str, &str) {
        let found = self.checks.iter().find(|found| found["check"] == check);
        let found = found.unwrap_or_else(|| panic!("nothing about {check}: {}", self.text));
        let text = |member: &str| found[member].as_str().unwrap_or_default();
        assert_eq!(text("verdict") == "ok", found["change"].is_null(), "what is wrong has its remedy: {}", self.text);
        (text("verdict"), text("found"))
    }

    #[track_caller]
    fn expect(&self, check: &str, verdict: &str, word: &str) {
        let found = self.verdict(check);
        assert!(found.0 == verdict && found.1.contains(word), "{check} is {found:?}, not {verdict} {word}");
        let failed = self.checks.iter().any(|found| found["verdict"] == "fail");
        assert_eq!(self.code, Some(i32::from(failed)), "{}", self.text);
    }

    #[track_caller]
    fn expect_no_failure(&self) {
        assert!(!self.checks.iter().any(|found| found["verdict"] == "fail"), "{}", self.text);
        assert_eq!(self.code, Some(0), "{}", self.text);
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.arg("doctor").arg("--config").arg(config);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
        command.env_remove(name);
    }
    command
}

async fn ask(server: &TestServer) -> Report {
    let mut command = command(&server.dir().join("coffer.toml"));
    command.args(["-o", "json"]);
    let output = finish(command).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {output:?}"));
    let checks = told["checks"].as_array().expect("a list").clone();
    assert_eq!(told["ok"], output.status.success());
    Report { code: output.status.code(), checks, text }
}

/// A house that is in order, down.
async fn in_order(builder: Builder) -> TestServer {
    let server = builder.seal(Seal::KeyFile).prepare().await;
    set_mode(server.data_dir(), 0o700);
    server
}

async fn of(builder: Builder) -> Report {
    ask(&in_order(builder).await).await
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

const GOOD: [&str; 6] = ["--maxmemory", "100mb", "--appendonly", "yes", "--appendfsync", "everysec"];

#[tokio::test]
async fn a_house_in_order_is_found_so_while_the_server_runs_and_while_it_is_down() {
    let redis = Server::start(&GOOD);
    let mut server = in_order(TestServer::builder().redis(&redis.url())).await;
    let down = ask(&server).await;
    down.expect_no_failure();
    for check in ["redis.eviction", "redis.memory", "redis.persistence", "redis.version", "redis.clock", "redis.role"] {
        assert_eq!(down.verdict(check).0, "ok", "{}", down.text);
    }
    for check in
        ["config", "data_dir", "tls.pair", "tls.life", "tls.key", "seal.key_file", "audit.sink", "redis.rights"]
    {
        assert_eq!(down.verdict(check).0, "ok", "{}", down.text);
    }
    down.expect("storage.file", "ok", "not there yet");
    down.expect("server", "ok", "does not run");
    assert_eq!(redis.ask(&["DBSIZE"]), "0", "a trial leaves nothing behind");

    server.launch();
    server.wait_ready().await;
    let up = ask(&server).await;
    up.expect_no_failure();
    up.expect("server", "ok", &server.pid().to_string());
    up.expect("storage.file", "ok", "coffer.db");
    up.expect("listener.proxies", "ok", "no forwarding header");
    // For people: a line for each, and a sum.
    let told = finish(command(&server.dir().join("coffer.toml"))).await;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.contains("\nok    redis.eviction       noeviction\n") && text.contains(" 0 failed"), "{text}");
    server.kill9();
    ask(&server).await.expect("server", "ok", "does not run");
    server.launch();
    server.wait_ready().await;
}

#[tokio::test]
async fn a_database_in_order_is_found_so() {
    let server = in_order(TestServer::builder().storage(Storage::Postgres)).await;
    let report = ask(&server).await;
    report.expect_no_failure();
    report.expect("storage.reach", "ok", "PostgreSQL");
    report.expect("storage.durability", "ok", "fsync");
    report.expect("sessions", "ok", "embedded");
    let url = server.services.postgres.as_ref().expect("it has one").url.clone();
    let password = url.split('@').next().and_then(|before| before.rsplit(':').next()).expect("a password").to_owned();
    for (url, check) in [
        (format!("{url}?options[default_transaction_read_only]=on"), "storage.role"),
        (format!("{url}_missing"), "storage.reach"),
        (url.replace(&password, "wrong-horse-77"), "storage.reach"),
    ] {
        let report = of(TestServer::builder().config("storage.url", url)).await;
        assert_eq!((report.verdict(check).0, report.code), ("fail", Some(1)), "{}", report.text);
        assert!(!report.text.contains("horse") && !report.text.contains(&password), "{}", report.text);
    }
}

#[tokio::test]
async fn a_redis_that_would_lose_sessions_is_told_with_its_remedy() {
    let bare = Server::start(&[]);
    let report = of(TestServer::builder().redis(&bare.url())).await;
    report.expect("redis.persistence", "warn", "no append-only file");
    report.expect("redis.memory", "warn", "without a bound");
    report.expect_no_failure();
    bare.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    bare.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    let report = of(TestServer::builder().redis(&bare.url())).await;
    report.expect("redis.eviction", "fail", "dropped");
    report.expect("redis.memory", "fail", "full");
    report.expect("redis.rights", "fail", "OOM");
    assert!(report.text.contains("set maxmemory-policy noeviction"), "{}", report.text);
    // Without INFO nothing is known, which one may say that one accepts.
    let silent = Server::start(&["--user", "coffer", "on", ">horse-77", "~*", "&*", "+@all", "-info", "-config"]);
    let url = silent.url().replace("//", "//coffer:horse-77@");
    of(TestServer::builder().redis(&url)).await.expect("redis.info", "fail", "may not");
    let assumed = of(TestServer::builder().redis(&url).config("sessions.assume_noeviction", true)).await;
    assumed.expect("redis.info", "warn", "assume_noeviction");
    assumed.expect("redis.fsync", "ok", "not told");
    assumed.expect_no_failure();
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_is_told_without_its_password() {
    let redis =
        Server::start(&["--user", "coffer", "on", ">horse-77", "~coffer:*", "&*", "+@all", "-publish", "-zadd"]);
    let url = redis.url().replace("//", "//coffer:horse-77@");
    let report = of(TestServer::builder().redis(&url)).await;
    report.expect("redis.rights", "fail", "ZADD PUBLISH");
    let wrong = of(TestServer::builder().redis(&url.replace("horse", "wrong-horse"))).await;
    wrong.expect("redis.reach", "fail", "password");
    assert!(!wrong.text.contains("horse"), "{}", wrong.text);
    let nobody = of(TestServer::builder().redis("redis://:horse-77@127.0.0.1:1")).await;
    nobody.expect("redis.reach", "fail", "redis://127.0.0.1:1");
    assert!(!nobody.text.contains("horse"), "{}", nobody.text);
    let other = Server::start(&[]);
    redis.tell(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    of(TestServer::builder().redis(&redis.url())).await.expect("redis.role", "fail", "not a primary");
}

#[tokio::test]
async fn sentinels_and_clusters_are_looked_at_as_such() {
    let watched = Watched::start(1, &[]);
    let report = of(TestServer::builder().redis(&watched.url())).await;
    report.expect("redis.sentinels", "warn", "1 of 1");
    report.expect("redis.role", "ok", "replicas: 1");
    report.expect_no_failure();
    let absent = watched.url().replace("//", "//127.0.0.1:1,127.0.0.1:2,");
    of(TestServer::builder().redis(&absent)).await.expect("redis.sentinels", "warn", "1 of 3");
    let unknown = watched.url().replace("service=", "service=un");
    of(TestServer::builder().redis(&unknown)).await.expect("redis.sentinels", "fail", "cannot agree");

    let cluster = Cluster::start(3, &[]);
    let report = of(TestServer::builder().redis(&cluster.url())).await;
    report.expect("redis.role", "ok", "primary");
    report.expect("redis.rights", "ok", "enough");
    report.expect_no_failure();
    cluster.nodes[1].tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    of(TestServer::builder().redis(&cluster.url())).await.expect("redis.eviction", "fail", "dropped");
    let node = of(TestServer::builder().redis(&cluster.nodes[0].url())).await;
    node.expect("redis.role", "fail", "a node of a cluster");
}

#[tokio::test]
async fn files_that_others_can_read_and_certificates_that_end_are_told() {
    let server = in_order(TestServer::builder()).await;
    let file = |name: &str| server.dir().join(name);
    for (path, mode, check, verdict) in [
        (server.data_dir().to_owned(), 0o777, "data_dir", "fail"),
        (server.data_dir().to_owned(), 0o750, "data_dir", "warn"),
        (file("seal.key"), 0o644, "seal.key_file", "fail"),
        (file("seal.key"), 0o640, "seal.key_file", "warn"),
        (file("tls.key"), 0o604, "tls.key", "fail"),
    ] {
        let before = std::fs::metadata(&path).expect("it is there").permissions().mode();
        set_mode(&path, mode);
        assert_eq!(ask(&server).await.verdict(check).0, verdict, "{check}");
        set_mode(&path, before);
    }
    ask(&server).await.expect_no_failure();
    std::fs::remove_file(file("seal.key")).expect("it was there");
    ask(&server).await.expect("seal.key_file", "fail", "not found");

    let now = coffer::clock::Clock::system().now().millis() / 1000;
    for (days, verdict, word) in [(-1, "fail", "has ended"), (5, "warn", "days"), (60, "ok", "days")] {
        let (certificate, key) = papers(now - 30 * 86_400, now + days * 86_400);
        std::fs::write(file("tls.crt"), certificate).expect("ours");
        std::fs::write(file("tls.key"), key).expect("ours");
        let report = ask(&server).await;
        report.expect("tls.life", verdict, word);
        report.expect("tls.pair", "ok", "key");
    }
    let (certificate, _) = papers(now, now + 60 * 86_400);
    std::fs::write(file("tls.crt"), certificate).expect("ours");
    ask(&server).await.expect("tls.pair", "fail", "is not the certificate of the key");
    std::fs::write(file("tls.crt"), "no certificate").expect("ours");
    ask(&server).await.expect("tls.life", "fail", "no certificate");
}

fn papers(from: i64, until: i64) -> (String, String) {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    let key = KeyPair::generate().expect("a key pair");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let epoch = date_time_ymd(1970, 1, 1);
    let after = |seconds: i64| epoch + std::time::Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
    (params.not_before, params.not_after) = (after(from), after(until));
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_trail_or_a_store_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let report = of(TestServer::builder().config("audit.path", text(folder.path()))).await;
    report.expect("audit.sink", "fail", "folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("ours");
    let report = of(TestServer::builder().config("audit.path", text(&file.join("audit.log")))).await;
    report.expect("audit.sink", "fail", "cannot be written");
    set_mode(&file, 0o644);
    let report = of(TestServer::builder().config("audit.path", text(&file))).await;
    report.expect("audit.sink", "warn", "can be read by others");
    let url = format!("sqlite://{}/coffer.db", file.display());
    of(TestServer::builder().config("storage.url", url)).await.expect("storage.file", "fail", "cannot be made");
    let url = format!("sqlite://{}", folder.path().display());
    of(TestServer::builder().config("storage.url", url)).await.expect("storage.file", "fail", "no file");
    if Path::new("/dev/shm").is_dir() {
        let url = "sqlite:///dev/shm/coffer-story-that-is-never-made/coffer.db";
        of(TestServer::builder().config("storage.url", url)).await.expect("storage.disk", "warn", "in memory");
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_the_one_thing_that_is_told() {
    let report = of(TestServer::builder().config("storage.colour", "hunter2")).await;
    report.expect("config", "fail", "coffer.toml:");
    assert!(report.checks.len() == 1 && !report.text.contains("hunter2"), "{}", report.text);
    let told = finish(command(Path::new("/nowhere/coffer.toml"))).await;
    assert_eq!(told.status.code(), Some(1));
    let mut unnamed = Command::new(env!("CARGO_BIN_EXE_coffer"));
    unnamed.arg("doctor");
    let told = finish(unnamed).await;
    assert_eq!(told.status.code(), Some(2), "which server?");
}

#[tokio::test]
async fn a_proxy_that_nobody_named_is_told() {
    let mut server = in_order(TestServer::builder()).await;
    server.launch();
    server.wait_ready().await;
    server.anonymous().get("/sys/health").header("X-Forwarded-For", "198.51.100.7").await;
    server.anonymous().get("/sys/health").header("Forwarded", "for=198.51.100.7").await;
    let report = eventually("both are counted", async || {
        let report = ask(&server).await;
        report.verdict("listener.proxies").1.starts_with("2 requests").then_some(report)
    })
    .await;
    report.expect("listener.proxies", "warn", "127.0.0.1");
    assert!(report.text.contains("listener.trusted_proxies") && !report.text.contains("198.51.100.7"));
    report.expect_no_failure();
}

#[tokio::test]
async fn the_authority_of_a_redis_is_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let (papers, port) = (Papers::make(folder.path(), &["localhost"]), crate::harness::redis::free_port());
    let arguments = papers.arguments(port);
    let _redis = Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let with = |ca: &Path| {
        let builder = TestServer::builder().redis(&format!("rediss://localhost:{port}"));
        builder.config("sessions.ca", ca.to_str().expect("UTF-8"))
    };
    let report = of(with(&papers.authority)).await;
    report.expect("redis.ca", "ok", "days");
    report.expect("redis.reach", "ok", "rediss://localhost");
    let folder = tempfile::tempdir().expect("a folder");
    let other = Papers::make(folder.path(), &["localhost"]).authority;
    of(with(&other)).await.expect("redis.reach", "fail", "rediss://localhost");
    of(with(Path::new("/nowhere/ca.crt"))).await.expect("redis.ca", "fail", "cannot be read");
}
