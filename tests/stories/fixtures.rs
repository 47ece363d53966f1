//! What an earlier release wrote is opened by this one: each `tests/fixtures/store-N` is the data folder of a server
//! that was stopped, with what stood in Redis, and what must be found in both. A later form of the store gets a
//! folder beside it, made by `a_fixture_is_written`; no folder is ever made anew.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::harness::{
    Builder, Client, GitHub, Lender, Outside, Seal, Sessions, TestServer, canary, eventually, own_address,
};

use super::leases::{BORROW, borrow};

const DAY: u64 = 24 * 3600;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("a fixture in JSON")
}

/// Puts the files of a data folder where a server will look for them, and the key beside.
fn adopt(server: &TestServer, from: &Path, key: &str) {
    for entry in std::fs::read_dir(from).expect("a data folder").flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), server.data_dir().join(entry.file_name())).expect("the folder is writable");
    }
    std::fs::write(server.dir().join("seal.key"), key).expect("the folder is writable");
    server.keep_secret(key);
}

/// A server on what the fixture holds.
async fn opened(name: &str) -> (TestServer, Value) {
    opened_by(TestServer::builder(), name).await
}

async fn opened_by(server: Builder, name: &str) -> (TestServer, Value) {
    let kept = read_json(&folder().join(name).join("kept.json"));
    let mut server = server.seal(Seal::KeyFile).prepare().await;
    adopt(&server, &folder().join(name).join("data"), kept["key"].as_str().expect("a key"));
    server.launch();
    server.wait_ready().await;
    (server, kept)
}

#[tokio::test]
async fn the_first_store_opens() {
    let (server, kept) = opened("store-1").await;
    is_all_there(&server, &kept).await;
}

/// Besides what the first had: a role, a policy, a machine, a key of transit, a plugin that was uploaded.
#[tokio::test]
async fn the_second_store_opens() {
    let (server, kept) = opened("store-2").await;
    has_what_the_second_had(&server, &kept).await;
}

async fn has_what_the_second_had(server: &TestServer, kept: &Value) {
    is_all_there(server, kept).await;
    let linus = server.log_in("linus", kept["linus_password"].as_str().expect("a text")).await;
    linus.get("/secrets/kv/apps/web/db").await.expect(200);
    linus.get("/secrets/kv/gone").await.expect_forbidden();
    let decrypt = json!({ "ciphertext": kept["ciphertext"] });
    assert_eq!(
        linus.post("/secrets/transit/orders:decrypt", decrypt).await.expect(200)["plaintext"],
        kept["plaintext"]
    );
    let robot =
        json!({ "grant_type": "client_credentials", "client_id": "robot", "client_secret": kept["robot_secret"] });
    let robot = server.anonymous().with_session(server.anonymous().post("/token/create", robot).await.expect(200));
    assert_eq!(robot.get("/users/me").await.expect(200)["username"], "robot");
    let grace = server.log_in("grace", kept["grace_password"].as_str().expect("a text")).await;
    assert_eq!(grace.get("/secrets/hello/world").await.expect(200)["ok"], true);
}

/// Besides what the second had: a user whom a login with GitHub has made, and what an engine has lent.
#[tokio::test]
async fn the_third_store_opens() {
    outsiders_are_all_there("store-3").await;
}

/// As the third, with leases that know what they were lent for.
#[tokio::test]
async fn the_fourth_store_opens() {
    outsiders_are_all_there("store-4").await;
}

/// As the fourth, with somebody of ours whom an admin has linked to an account at GitHub.
#[tokio::test]
async fn the_fifth_store_opens() {
    let (github, outside) = outside().await;
    let (server, kept) = outsiders_are_there("store-5", (&github, &outside)).await;
    github.world().users.insert(2, "penguin".to_owned());
    let shown = json!({ "grant_type": "github", "token": github.token(&server, 2) });
    let edsger = server.anonymous().with_session(server.anonymous().post("/token/create", shown).await.expect(200));
    assert_eq!(edsger.get("/users/me").await.expect(200)["username"], "edsger");
    let admin = server.log_in("grace", kept["grace_password"].as_str().expect("a text")).await;
    let links = admin.get("/users/edsger/credentials/github").await.expect(200);
    assert_eq!(links["credentials"][0]["subject"], "2", "{links}");
}

async fn outsiders_are_all_there(name: &str) {
    let (github, outside) = outside().await;
    outsiders_are_there(name, (&github, &outside)).await;
}

async fn outsiders_are_there(name: &str, (github, outside): (&GitHub, &Outside)) -> (TestServer, Value) {
    let (server, kept) = opened_by(github.known_to(TestServer::builder()), name).await;
    has_what_the_second_had(&server, &kept).await;
    let admin = server.log_in("grace", kept["grace_password"].as_str().expect("a text")).await;

    // That GitHub and that service are no more: there are others now.
    github_leads(&admin, github).await;
    let shown = server.anonymous().post("/token/create", by_github(github, &server)).await.expect(200);
    let octavia = server.anonymous().with_session(shown);
    assert_eq!(octavia.get("/users/me").await.expect(200)["id"], kept["octavia"], "the same as then");
    octavia.get("/secrets/kv/~/own").await.expect(200);

    let lease = format!("/leases/{}", kept["lease"].as_str().expect("an id"));
    let seen = admin.get(&lease).await.expect(200);
    assert_eq!((&seen["secret_id"], &seen["user_id"]), (&json!("db/kept"), &kept["octavia"]));
    lends(&admin, outside, "1.0.1").await;
    // Its session has ended meanwhile.
    eventually("the lease is taken back", || async { (outside.count("DELETE", "kept") > 0).then_some(()) }).await;
    eventually("it is gone", || async { (admin.get(&lease).await.status == 404).then_some(()) }).await;
    (server, kept)
}

async fn outside() -> (GitHub, Outside) {
    let address = own_address();
    (GitHub::start_at(&address.to_string(), address).await, Outside::start_at(address).await)
}

async fn github_leads(admin: &Client, github: &GitHub) {
    // At another address than when the store was made, and the same accounts: an admin has to say so.
    let value = github.setting(json!({ "roles": { "team:42": { "give": ["user"] } }, "adopt": true }));
    admin.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200);
}

/// User 1 there has another name than anybody here.
fn by_github(github: &GitHub, server: &TestServer) -> Value {
    github.world().users.insert(1, "octavia".to_owned());
    json!({ "grant_type": "github", "token": github.token(server, 1) })
}

async fn lends(admin: &Client, outside: &Outside, version: &'static str) {
    let lender = Lender { version, ttl: DAY, max_ttl: DAY, ..Lender::default() };
    let upload = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/lender/{version}"));
    upload.header("content-type", "application/wasm").body(lender.build(outside)).await.expect(200);
    let value = json!({ "plugin": "lender", "version": version, "grant": outside.grant() });
    admin.post("/sys/setting", json!({ "key": "secrets/db", "value": value })).await.expect(200);
}

async fn is_all_there(server: &TestServer, kept: &Value) {
    assert_eq!(server.anonymous().get("/sys/seal-status").await.expect(200)["sealed"], false);
    let text = |name: &str| kept[name].as_str().expect("a text").to_owned();
    let admin = server.log_in("grace", &text("grace_password")).await;
    let ada = server.log_in("ada", &text("ada_password")).await;
    for (id, expected) in kept["secrets"].as_object().expect("secrets by id") {
        let caller = if id.contains("/~/") { &ada } else { &admin };
        for (version, data) in expected["versions"].as_object().expect("versions") {
            let found = caller.get(&format!("/secrets/{id}?version={version}")).await.expect(200);
            assert_eq!((&found["data"], &found["metadata"]), (data, &expected["metadata"]), "{id} {version}");
        }
    }
    admin.get("/secrets/kv/gone").await.expect_type(404, "not_found");
    admin.post("/secrets/kv/gone:undelete", json!({})).await.expect(200);
    assert_eq!(admin.get("/secrets/kv/gone").await.expect(200)["data"], kept["undeleted"]);
    admin.get("/secrets/archive/x").await.expect_type(503, "mount_disabled");
    assert_eq!(admin.get("/sys/setting/custom/team").await.expect(200)["value"], json!({ "colour": "green" }));
    assert_eq!(admin.get("/sys/security").await.expect(200)["sessions"]["idle"], "45m");

    // The trail of that time is whole, and goes on where it ended.
    assert_eq!(super::audit::verify(server, &admin, server.data_dir().join("audit.log")).await, 0);
}

/// Run by hand when a form of the store is to be kept: `COFFER_FIXTURE=store-2 … -- --ignored a_fixture_is_written`.
#[tokio::test]
#[ignore = "writes a folder under tests/fixtures"]
async fn a_fixture_is_written() {
    let name = std::env::var("COFFER_FIXTURE").expect("COFFER_FIXTURE names the folder");
    let to = folder().join(name);
    assert!(!to.exists(), "a fixture is never made anew");
    let (github, outside) = outside().await;
    let mut server = github.known_to(TestServer::builder()).seal(Seal::KeyFile).start().await;
    let mut kept = Map::new();
    let admin = filled(&server, &mut kept).await;
    let ada = server.log_in("ada", kept["ada_password"].as_str().expect("a text")).await;
    kept.insert("embedded".into(), sessions(&server, &ada).await);
    more(&admin, &mut kept).await;
    from_outside(&server, &admin, (&github, &outside), &mut kept).await;
    assert!(server.sigterm().success());
    let key = std::fs::read_to_string(server.dir().join("seal.key")).expect("a key");
    kept.insert("key".into(), key.trim().into());

    let other = github.known_to(TestServer::builder()).seal(Seal::KeyFile).sessions(Sessions::Redis);
    let mut other = other.prepare().await;
    adopt(&other, server.data_dir(), &key);
    other.launch();
    other.wait_ready().await;
    let ada = other.log_in("ada", kept["ada_password"].as_str().expect("a text")).await;
    kept.insert("redis".into(), sessions(&other, &ada).await);
    // Not before: the sessions of then are not in Redis, and what they had borrowed is taken back.
    let octavia = other.anonymous().post("/token/create", by_github(&github, &other)).await.expect(200);
    let octavia = other.anonymous().with_session(octavia);
    kept.insert("lease".into(), borrow(&octavia, "kept").await["lease_id"].clone());
    let dump = other.services.redis.as_ref().expect("sessions in Redis").hashes().await;
    assert!(other.sigterm().success());

    std::fs::create_dir_all(to.join("data")).expect("the folder is writable");
    for file in ["coffer.db", "audit.log"] {
        std::fs::copy(other.data_dir().join(file), to.join("data").join(file)).expect("the folder is writable");
    }
    for (file, value) in [("kept.json", Value::Object(kept)), ("redis.json", dump)] {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::write(to.join(file), text + "\n").expect("the folder is writable");
    }
}

/// A store with a bit of everything.
async fn filled(server: &TestServer, kept: &mut Map<String, Value>) -> Client {
    let code = std::fs::read_to_string(server.data_dir().join("init-code")).expect("a code");
    let made = server.anonymous().post("/sys/init", json!({ "code": code.trim() })).await.expect(200);
    let root = server.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
    let set = |key: &str, value: Value| root.post("/sys/setting", json!({ "key": key, "value": value }));
    set("auth/password", json!({ "plugin": "password" })).await.expect(200);
    for mount in ["kv", "archive"] {
        set(&format!("secrets/{mount}"), json!({ "plugin": "kv" })).await.expect(200);
    }
    set("custom/team", json!({ "colour": "green" })).await.expect(200);
    root.post("/sys/security", json!({ "sessions": { "idle": "45m" } })).await.expect(200);
    for (username, role) in [("ada", "user"), ("grace", "admin")] {
        let password = canary(username);
        let email = format!("{username}@example.com");
        let body = json!({ "username": username, "email": email, "role": role, "password": password });
        root.post("/users/create", body).await.expect(200);
        kept.insert(format!("{username}_password"), password.into());
    }
    let admin = server.log_in("grace", kept["grace_password"].as_str().expect("a text")).await;
    let ada = server.log_in("ada", kept["ada_password"].as_str().expect("a text")).await;
    let mut secrets = Map::new();
    for (id, caller) in [("kv/apps/web/db", &admin), ("kv/~/mail", &ada)] {
        let metadata = json!({ "for": id });
        let mut versions = Map::new();
        for version in 1..=3 {
            let data = json!({ "user": "ada", "password": canary("kept"), "number": version, "text": "snow ☃" });
            let body = json!({ "data": data, "metadata": metadata });
            caller.put(&format!("/secrets/{id}"), body).await.expect(200);
            versions.insert(version.to_string(), data);
        }
        secrets.insert(id.to_owned(), json!({ "metadata": metadata, "versions": versions }));
    }
    kept.insert("secrets".into(), secrets.into());
    let gone = json!({ "value": canary("gone") });
    admin.put("/secrets/kv/gone", json!({ "data": gone })).await.expect(200);
    admin.delete("/secrets/kv/gone").await.expect(200);
    kept.insert("undeleted".into(), gone);
    admin.put("/secrets/archive/x", json!({ "value": canary("archived") })).await.expect(200);
    let archive = json!({ "key": "secrets/archive", "value": { "enabled": false } });
    admin.post("/sys/setting", archive).await.expect(200);
    admin
}

/// What came with roles, policies, machines, keys that work unseen, and plugins of one's own.
async fn more(admin: &Client, kept: &mut Map<String, Value>) {
    const READERS: &str = r#"permit (principal in Role::"ops", action == Action::"read", resource in Resource::"secrets/kv/apps");
permit (principal in Role::"ops", action == Action::"use", resource in Resource::"secrets/transit");"#;
    admin.put("/sys/roles/ops", json!({ "description": "keeps it running" })).await.expect(200);
    admin.put("/sys/policies/ops", json!({ "text": READERS })).await.expect(200);
    let password = canary("linus");
    let linus = json!({ "username": "linus", "email": "linus@example.com", "role": "ops", "password": password });
    admin.post("/users/create", linus).await.expect(200);
    let robot = json!({ "username": "robot", "role": "user", "kind": "machine" });
    admin.post("/users/create", robot).await.expect(200);
    let made = admin.post("/users/robot/credentials/clients", json!({ "label": "build" })).await.expect(200);

    let key = json!({ "secret_id": "transit/orders", "data": { "algorithm": "aes256-gcm" } });
    admin.post("/secrets/create", key).await.expect(200);
    let plaintext = json!("c25vdyDimIM=");
    let sealed = admin.post("/secrets/transit/orders:encrypt", json!({ "plaintext": plaintext })).await.expect(200);
    admin.post("/secrets/transit/orders:rotate", json!({})).await.expect(200);

    admin.post("/sys/security", json!({ "plugins": { "require_signature": false } })).await.expect(200);
    let wasm = std::fs::read(folder().join("golden/hello-1.0.0.wasm")).expect("a component");
    let call = admin.call(reqwest::Method::PUT, "/sys/plugins/hello/1.0.0").header("content-type", "application/wasm");
    call.body(wasm).await.expect(200);
    let mount = json!({ "key": "secrets/hello", "value": { "plugin": "hello", "version": "1.0.0" } });
    admin.post("/sys/setting", mount).await.expect(200);
    for (name, value) in [
        ("linus_password", password.into()),
        ("robot_secret", made["client_secret"].clone()),
        ("plaintext", plaintext),
        ("ciphertext", sealed["ciphertext"].clone()),
    ] {
        kept.insert(name.to_owned(), value);
    }
}

/// What came with logins by others and with leases.
async fn from_outside(
    server: &TestServer,
    admin: &Client,
    outside: (&GitHub, &Outside),
    kept: &mut Map<String, Value>,
) {
    let (github, service) = outside;
    github_leads(admin, github).await;
    lends(admin, service, "1.0.0").await;
    admin.put("/sys/policies/borrow", json!({ "text": BORROW })).await.expect(200);
    let shown = server.anonymous().post("/token/create", by_github(github, server)).await.expect(200);
    let octavia = server.anonymous().with_session(shown);
    kept.insert("octavia".into(), octavia.get("/users/me").await.expect(200)["id"].clone());
    octavia.put("/secrets/kv/~/own", json!({ "value": canary("own") })).await.expect(200);
    let edsger = json!({
        "username": "edsger", "email": "edsger@example.com", "role": "user", "password": canary("edsger"),
    });
    admin.post("/users/create", edsger).await.expect(200);
    admin.post("/users/edsger/credentials/github", json!({ "subject": "2" })).await.expect(200);
}

/// One of each kind, alive and dead. The time is when all of this was so.
async fn sessions(server: &TestServer, ada: &Client) -> Value {
    let tokens = |session: &Value| json!({ "access": session["access_token"], "refresh": session["refresh_token"] });
    let log_in = async || server.log_in("ada", &ada.password).await.session;
    let (live, renewed, revoked) = (log_in().await, log_in().await, log_in().await);
    let second =
        server.anonymous().post("/token/renew", json!({ "refresh_token": renewed["refresh_token"] })).await.expect(200);
    ada.with_session(second.clone()).get("/users/me").await.expect(200);
    ada.post("/token/revoke", json!({ "token": revoked["access_token"] })).await.expect(200);
    let limited = ada.child(Some("read:secrets/kv"), json!({ "max_uses": 10, "ttl": "1h" })).await.expect(200);
    for _ in 0..3 {
        ada.with_session(limited.clone()).get("/secrets/kv/~/mail").await.expect(200);
    }
    let once = ada.child(None, json!({ "one_time": true })).await.expect(200);
    ada.with_session(once.clone()).get("/users/me").await.expect(200);
    json!({
        "user": ada.id, "at": now_millis(),
        "live": tokens(&live), "renewed": tokens(&second), "replaced": tokens(&renewed),
        "revoked": tokens(&revoked), "limited": tokens(&limited), "limited_left": 7, "once": tokens(&once),
    })
}

/// Milliseconds since 1970, as the store counts.
fn now_millis() -> Value {
    coffer::clock::Clock::system().now().millis().into()
}
