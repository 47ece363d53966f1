//! Every kind of Redis that a URL can name, with TLS, users and passwords.

use std::process::Output;

use serde_json::json;

use crate::harness::redis::{Cluster, Papers, RIGHTS, SERVICE, Server, Watched, free_port};
use crate::harness::{Builder, TestServer, canary, finish};

/// The life of a session, from end to end.
async fn serves_sessions(server: Builder) {
    let mut server = server.start().await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    let once = ada.with_session(ada.child(None, json!({ "one_time": true })).await.expect(200));
    once.get("/secrets/kv/~/x").await.expect(200);
    once.get("/secrets/kv/~/x").await.expect_unauthorized();
    let many = ada.with_session(ada.child(None, json!({ "max_uses": 70 })).await.expect(200));
    for _ in 0..70 {
        many.get("/users/me").await.expect(200);
    }
    many.get("/users/me").await.expect_unauthorized();
    let body = json!({ "refresh_token": ada.refresh_token() });
    let renewed = ada.with_session(ada.post("/token/renew", body).await.expect(200));
    let seen = renewed.get("/sessions").await.expect(200)["sessions"].to_string();
    assert!(seen.contains(&renewed.session_id()) && seen.contains(&other.session_id()), "{seen}");
    renewed.post("/sessions/revoke", json!({ "others": true })).await.expect(200);
    other.get("/users/me").await.expect_unauthorized();
    server.restart().await;
    renewed.get("/secrets/kv/~/x").await.expect(200);
    other.get("/users/me").await.expect_unauthorized();
    renewed.post("/token/revoke", json!({ "token": renewed.token() })).await.expect(200);
    renewed.get("/users/me").await.expect_unauthorized();
}

/// A start that must fail by itself: what it said.
async fn refusal(server: Builder) -> String {
    let server = server.prepare().await;
    let Output { status, stdout, stderr } = finish(server.command()).await;
    assert!(matches!(status.code(), Some(1 | 2)), "it should not have started, nor panicked");
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn a_unix_socket_serves_sessions() {
    let redis = Server::start(&[]);
    serves_sessions(TestServer::builder().redis(&redis.socket())).await;
}

#[tokio::test]
async fn a_user_with_the_rights_that_readme_names_serves_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users.acl");
    let line = format!("user coffer on >horse-battery-77 {RIGHTS}\nuser default off\n");
    std::fs::write(&file, line).expect("a file");
    let redis = Server::start(&["--aclfile", file.to_str().expect("UTF-8")]);
    let url = redis.url().replace("//", "//coffer:horse-battery-77@");
    serves_sessions(TestServer::builder().redis(&url)).await;
    let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(RIGHTS), "README names other rights");
    // It may do nothing but that, and is told apart from one with a wrong password.
    for (url, word) in [
        (redis.url().replace("//", "//coffer:wrong-horse-78@"), "password"),
        (redis.url().replace("//", "//nobody:wrong-horse-78@"), "password"),
        (redis.url(), "password"),
    ] {
        let said = refusal(TestServer::builder().redis(&url)).await;
        assert!(said.contains(word) && !said.contains("horse"), "{said}");
    }
    let said = refusal(TestServer::builder().redis(&url).env("COFFER_SESSIONS__NAMESPACE", "other")).await;
    assert!(said.contains("rights") && !said.contains("horse"), "{said}");
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own_serves_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let (papers, port) = (Papers::make(folder.path(), &["localhost"]), free_port());
    let redis = Server::start(&strs(&papers.arguments(port)));
    let ca = papers.authority.to_str().expect("UTF-8");
    let server = |host: &str, ca: &str| {
        TestServer::builder().redis(&format!("rediss://{host}:{port}")).env("COFFER_SESSIONS__CA", ca)
    };
    serves_sessions(server("localhost", ca)).await;
    // Another name than the certificate's, another authority, no authority, and no TLS.
    refusal(server("127.0.0.1", ca)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = Papers::make(folder.path(), &["localhost"]).authority;
    refusal(server("localhost", other.to_str().expect("UTF-8"))).await;
    refusal(server("localhost", "/nowhere/ca.crt")).await;
    refusal(TestServer::builder().redis(&format!("rediss://localhost:{port}"))).await;
    refusal(TestServer::builder().redis(&format!("rediss://localhost:{}", redis.port()))).await;
    let plain = TestServer::builder().redis("redis://192.0.2.1:6379");
    assert!(refusal(plain).await.contains("allow_plaintext"));
}

#[tokio::test]
async fn sentinels_lead_to_where_sessions_are_served() {
    let watched = Watched::start(1, &["--requirepass", "horse-battery-77"]);
    serves_sessions(TestServer::builder().redis(&watched.url())).await;
    let wrong = watched.url().replace(SERVICE, "nothing");
    let said = refusal(TestServer::builder().redis(&wrong)).await;
    assert!(said.contains("service") && !said.contains("horse"), "{said}");
    let none = watched.url().replace("?service=", "?db=");
    refusal(TestServer::builder().redis(&none)).await;
}

#[tokio::test]
async fn sentinels_and_servers_may_ask_for_tls_and_for_passwords_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (papers, port) = (Papers::make(folder.path(), &["127.0.0.1", "localhost"]), free_port());
    let redis = Server::start(&strs(&papers.arguments(port)));
    let sentinel_port = free_port();
    let mut lines = vec![
        "port 0".to_owned(),
        format!("sentinel monitor {SERVICE} 127.0.0.1 {port} 1"),
        "requirepass donkey-battery-78".to_owned(),
        "tls-replication yes".to_owned(),
    ];
    lines.extend(papers.arguments(sentinel_port).chunks(2).map(|pair| format!("{} {}", &pair[0][2..], pair[1])));
    let _sentinel = Server::sentinel(&lines);
    let url = |password: &str| {
        format!("rediss+sentinel://localhost:{sentinel_port}/?service={SERVICE}&sentinel_password={password}")
    };
    let server = |url: &str| {
        TestServer::builder().redis(url).env("COFFER_SESSIONS__CA", papers.authority.to_str().expect("UTF-8"))
    };
    serves_sessions(server(&url("donkey-battery-78"))).await;
    let said = refusal(server(&url("wrong-donkey-79"))).await;
    assert!(said.contains("password") && !said.contains("donkey"), "{said}");
    drop(redis);
}

#[tokio::test]
async fn a_cluster_serves_sessions() {
    let cluster = Cluster::start(3, &["--requirepass", "horse-battery-77"]);
    serves_sessions(TestServer::builder().redis(&cluster.url())).await;
    for node in &cluster.nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0", "sessions stand on each of them");
    }
    let said = refusal(TestServer::builder().redis(&cluster.url().replace("horse", "wrong-horse"))).await;
    assert!(!said.contains("horse"), "{said}");
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_at_the_start() {
    let redis = Server::start(&["--maxmemory-policy", "volatile-ttl", "--maxmemory", "50mb"]);
    assert!(refusal(TestServer::builder().redis(&redis.url())).await.contains("noeviction"));
    let assumed = TestServer::builder().redis(&redis.url()).env("COFFER_SESSIONS__ASSUME_NOEVICTION", "true");
    assert!(refusal(assumed).await.contains("noeviction"), "assuming does not help against knowing");
    let cluster = Cluster::start(3, &[]);
    cluster.nodes[2].tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    assert!(refusal(TestServer::builder().redis(&cluster.url())).await.contains("noeviction"));
}
