//! `sys/plugins`: what may come in, whose it is, and what may go.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use coffer::{catalog::sign, ids::PublisherKey};
use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Client, Guest, Storage, TestServer, append_section, canary};

on_every_store!(an_uploaded_plugin_is_there_for_good, what_a_name_and_version_stood_for_is_never_something_else);

async fn upload(client: &Client, name: &str, version: &str, wasm: Vec<u8>) -> Answer {
    let call = client.call(reqwest::Method::PUT, &format!("/sys/plugins/{name}/{version}"));
    call.header("content-type", "application/wasm").body(wasm).await
}

async fn enable(client: &Client, mount: &str, value: Value) -> Answer {
    client.post("/sys/setting", json!({ "key": format!("secrets/{mount}"), "value": value })).await
}

fn key() -> (Ed25519KeyPair, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&coffer::ids::random::<32>()).expect("a seed");
    let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("32 bytes");
    (pair, PublisherKey::from_bytes(public).to_string())
}

async fn an_uploaded_plugin_is_there_for_good(server: Builder) {
    let mut server = server.start().await;
    let admin = server.admin().await;
    let wasm = Guest::new("hello", "1.0.0").build();
    let made = upload(&admin, "hello", "1.0.0", wasm.clone()).await.expect(200);
    assert_eq!(
        (&made["name"], &made["kind"], &made["publisher"]),
        (&json!("hello"), &json!("secrets"), &json!("unsigned"))
    );
    assert_eq!((&made["bytes"], &made["uploaded_by"]), (&json!(wasm.len()), &json!(admin.id)));
    enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    for _ in 0..2 {
        assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], "1.0.0");
        let listed = admin.get("/sys/plugins").await.expect(200);
        let names: Vec<&Value> = listed["plugins"].as_array().expect("a list").iter().map(|p| &p["name"]).collect();
        assert_eq!(names.iter().filter(|name| ***name == "hello").count(), 1, "{listed}");
        let kv = listed["plugins"].as_array().and_then(|all| all.iter().find(|p| p["name"] == "kv")).expect("kv");
        assert_eq!((&kv["publisher"], &kv["used_by"]), (&json!("shipped"), &json!(["secrets/kv"])));
        let shown = admin.get("/sys/plugins/hello/1.0.0").await.expect(200);
        assert_eq!((&shown["digest"], &shown["used_by"]), (&made["digest"], &json!(["secrets/hello"])));
        assert!(shown["exports"].to_string().contains("engine"), "{shown}");
        server.restart().await;
    }
    admin.get("/sys/plugins/hello/1.0.1").await.expect(404);
    admin.get("/sys/plugins/HELLO/1.0.0").await.expect(404);
    let page = admin.get("/sys/plugins?limit=1").await.expect(200);
    let next = page["next_cursor"].as_str().expect("there is more").to_owned();
    let rest = admin.get("/sys/plugins").query(&[("cursor", &next)]).await.expect(200);
    assert_ne!(rest["plugins"][0], page["plugins"][0]);
}

async fn what_a_name_and_version_stood_for_is_never_something_else(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    let (wasm, other) = (Guest::new("hello", "1.0.0").build(), Guest::new("hello", "1.0.0").that_traps().build());
    upload(&admin, "hello", "1.0.0", wasm.clone()).await.expect(200);
    for again in [&wasm, &other] {
        upload(&admin, "hello", "1.0.0", again.clone()).await.expect_type(422, "already_exists");
    }
    // Used, it stays.
    enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    admin.delete("/sys/plugins/hello/1.0.0").await.expect_type(422, "plugin_in_use");
    enable(&admin, "hello", json!({ "enabled": false })).await.expect(200);
    admin.delete("/sys/plugins/hello/1.0.0").await.expect_type(422, "plugin_in_use");
    admin.delete("/sys/setting/secrets/hello").await.expect(200);
    admin.delete("/sys/plugins/hello/1.0.0").await.expect(200);
    admin.get("/sys/plugins/hello/1.0.0").await.expect(404);
    admin.delete("/sys/plugins/hello/1.0.0").await.expect(404);
    // Gone, and still nothing else may take its name and version.
    upload(&admin, "hello", "1.0.0", other).await.expect_type(422, "already_exists");
    upload(&admin, "hello", "1.0.0", wasm).await.expect(200);
    enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], "1.0.0");
}

#[tokio::test]
async fn the_largest_plugin_is_taken_in_whole_on_either_database() {
    for storage in [Storage::Sqlite, Storage::Postgres] {
        let mut server = TestServer::builder().storage(storage).start().await;
        let admin = server.admin().await;
        let mut wasm = Guest::new("hello", "1.0.0").build();
        let room = 32 * 1024 * 1024 - wasm.len() - 32;
        append_section(&mut wasm, "ballast", &vec![7; room]);
        assert!(wasm.len() > 31 * 1024 * 1024 && wasm.len() <= 32 * 1024 * 1024);
        let made = upload(&admin, "hello", "1.0.0", wasm.clone()).await.expect(200);
        assert_eq!(made["bytes"], wasm.len());
        enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
        admin.get("/secrets/hello/x").await.expect(200);
        // Read again from the store, by a server that has not compiled it.
        server.restart().await;
        std::fs::remove_dir_all(server.data_dir().join("compiled")).expect("what is compiled may go");
        server.restart().await;
        admin.get("/secrets/hello/x").await.expect(200);
        // It goes whole, and comes again as the same.
        admin.delete("/sys/setting/secrets/hello").await.expect(200);
        admin.delete("/sys/plugins/hello/1.0.0").await.expect(200);
        upload(&admin, "hello", "1.0.0", wasm).await.expect(200);
    }
}

#[tokio::test]
async fn of_two_large_uploads_of_one_version_one_is_taken_whole() {
    let server = TestServer::builder().storage(Storage::Postgres).start().await;
    let admin = server.admin().await;
    let large = |version: &str, filling: u8| {
        let mut wasm = Guest::new("hello", version).build();
        append_section(&mut wasm, "ballast", &vec![filling; 9 * 1024 * 1024]);
        wasm
    };
    for (version, fillings) in [("1.0.0", [1, 1]), ("1.1.0", [1, 2])] {
        let each = fillings.map(|filling| upload(&admin, "hello", version, large(version, filling)));
        let answers = futures_util::future::join_all(each).await;
        let taken = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(taken, 1, "{:?}", answers.iter().map(|answer| &answer.text).collect::<Vec<_>>());
        for refused in answers.into_iter().filter(|answer| answer.status != 200) {
            refused.expect_type(422, "already_exists");
        }
        enable(&admin, "hello", json!({ "plugin": "hello", "version": version })).await.expect(200);
        assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], version);
    }
}

#[tokio::test]
async fn a_secret_in_a_configuration_is_shown_to_nobody_and_demanded_anew_before_it_goes_elsewhere() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let manifest = r#"[[requires.http]]
host = "a.example.com"
why = "accounts"
[[requires.http]]
host = "b.example.com"
why = "more accounts"
[[credentials]]
from = "/token"
hosts = ["a.example.com:443"]
place = "bearer"
[config]
type = "object"
[config.properties.token]
type = "string"
writeOnly = true
"#;
    let guest = |version: &str, manifest: &str| Guest::new("hello", version).with_manifest(manifest).build();
    upload(&admin, "hello", "1.0.0", guest("1.0.0", manifest)).await.expect(200);
    let token = canary("token");
    server.keep_secret(&token);
    let first = json!({
        "plugin": "hello", "version": "1.0.0", "config": { "token": token }, "grant": { "http": ["a.example.com:443"] },
    });
    let made = enable(&admin, "hello", first).await.expect(200);
    assert_eq!(made["secret_members"], json!(["/config/token"]));
    for path in ["/sys/setting/secrets/hello", "/sys/setting/secrets/hello:history", "/sys/settings"] {
        assert!(!admin.get(path).await.text.contains(&token), "{path}");
    }
    // What has nothing to do with it leaves it as it is.
    enable(&admin, "hello", json!({ "provision": false })).await.expect(200);
    let at = ["body", "value", "config", "token"];
    let more = json!({ "grant": { "http": ["a.example.com:443", "b.example.com:443"] } });
    enable(&admin, "hello", more).await.expect_problem(422, at, "missing");
    // An upgrade that would send what it is given to somebody else.
    let rebound = manifest.replace("hosts = [\"a.", "hosts = [\"b.");
    upload(&admin, "hello", "2.0.0", guest("2.0.0", &rebound)).await.expect(200);
    enable(&admin, "hello", json!({ "version": "2.0.0" })).await.expect_problem(422, at, "missing");
    enable(&admin, "hello", json!({ "version": "2.0.0", "config": { "token": canary("other") } })).await.expect(200);
}

#[tokio::test]
async fn nobody_takes_the_name_of_a_shipped_plugin() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for version in ["1.0.0", "99.0.0"] {
        let wasm = Guest::new("kv", version).build();
        upload(&admin, "kv", version, wasm).await.expect_type(422, "reserved_name");
    }
    let kv = admin.get("/sys/plugins").await.expect(200)["plugins"][0].clone();
    let path = format!("/sys/plugins/{}/{}", kv["name"].as_str().unwrap(), kv["version"].as_str().unwrap());
    admin.delete(&path).await.expect_type(422, "reserved_name");
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_and_says_why() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let refused = async |wasm: Vec<u8>, word: &str| {
        let answer = upload(&admin, "hello", "1.0.0", wasm).await.expect_type(422, "bad_plugin");
        assert!(answer.to_string().contains(word), "{word} in {answer}");
    };
    let whole = Guest::new("hello", "1.0.0").build();
    refused(b"\x7fELF".to_vec(), "not WebAssembly").await;
    refused(wat::parse_str("(module)").unwrap(), "core module").await;
    refused(whole[..whole.len() - 7].to_vec(), "damaged").await;
    for part in 1..20 {
        let wasm = whole[..whole.len() * part / 20].to_vec();
        upload(&admin, "hello", "1.0.0", wasm).await.expect_type(422, "bad_plugin");
    }
    let mut sockets = wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#).unwrap();
    append_section(
        &mut sockets,
        "coffer:manifest",
        b"[plugin]\nname='hello'\nversion='1.0.0'\nkind='secrets'\napi='1.0'",
    );
    refused(sockets, "wasi:sockets/tcp@0.2.6").await;
    let hidden = r#"(import "coffer:plugin/crypto@1.0.0" "password-hash" (func (param i32 i32 i32)))"#;
    refused(Guest::new("hello", "1.0.0").with_imports(hidden).build(), "password-hash").await;
    let odd = Guest::new("hello", "1.0.0").with_manifest("surprise = 1\n").build();
    upload(&admin, "hello", "1.0.0", odd).await.expect_at(422, ["body", "manifest", "plugin", "surprise"]);
    for (name, version, at) in [("other", "1.0.0", "name"), ("hello", "1.0.1", "version")] {
        upload(&admin, name, version, whole.clone()).await.expect_at(422, ["path", at]);
    }
    for (name, version, at) in [("Hello", "1.0.0", "name"), ("hello", "one", "version"), ("hello", "1.0", "version")] {
        upload(&admin, name, version, whole.clone()).await.expect_at(422, ["path", at]);
    }
    admin.put("/sys/plugins/hello/1.0.0", json!({})).await.expect(415);
    upload(&admin, "hello", "1.0.0", Vec::new()).await.expect_at(422, ["body"]);
    upload(&admin, "hello", "1.0.0", vec![0; 32 * 1024 * 1024 + 1]).await.expect(413);
    assert_eq!(admin.get("/sys/plugins").await.expect(200)["plugins"].to_string().matches("hello").count(), 0);
    upload(&admin, "hello", "1.0.0", whole).await.expect(200);
}

#[tokio::test]
async fn who_may_not_is_told_nothing_of_plugins() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let wasm = Guest::new("hello", "1.0.0").build();
    upload(&ada, "hello", "1.0.0", wasm.clone()).await.expect_forbidden();
    upload(&admin, "hello", "1.0.0", wasm.clone()).await.expect(200);
    // The file is not even read.
    upload(&ada, "hello", "1.0.0", b"no plugin".to_vec()).await.expect_forbidden();
    let (there, absent) = (ada.get("/sys/plugins/hello/1.0.0").await, ada.get("/sys/plugins/hello/2.0.0").await);
    assert_eq!(there.likeness(), absent.likeness());
    there.expect_forbidden();
    ada.get("/sys/plugins").await.expect_forbidden();
    ada.delete("/sys/plugins/hello/1.0.0").await.expect_forbidden();
    server.anonymous().get("/sys/plugins").await.expect_unauthorized();
    let narrow = admin.child(Some("read:secrets/kv"), json!({})).await.expect(200);
    upload(&admin.with_session(narrow), "hello", "1.0.1", wasm).await.expect_forbidden();
}

#[tokio::test]
async fn a_server_that_demands_signatures_runs_only_what_trusted_publishers_signed() {
    let mut server = TestServer::start().await;
    let admin = server.admin().await;
    let ((ours, our_name), (theirs, their_name)) = (key(), key());
    let plain = |version: &str| Guest::new("hello", version).build();
    let signed = |version: &str, by: &Ed25519KeyPair| sign(&plain(version), by).expect("signed");
    let rules = |plugins: Value| admin.post("/sys/security", json!({ "plugins": plugins }));
    assert_eq!(admin.get("/sys/security").await.expect(200)["plugins"]["require_signature"], false, "a dev store");
    rules(json!({ "require_signature": true, "publishers": [our_name] })).await.expect(200);
    rules(json!({ "publishers": ["ed25519:short"] })).await.expect_at(422, ["body", "plugins", "publishers", "0"]);
    upload(&admin, "hello", "1.0.0", plain("1.0.0")).await.expect_problem(422, ["body"], "unsigned");
    upload(&admin, "hello", "1.0.0", signed("1.0.0", &theirs)).await.expect_problem(422, ["body"], "unknown_publisher");
    // Every bit of it is signed, and nothing may follow.
    let mut wrong = signed("1.0.0", &ours);
    let end = wrong.len() - 1;
    wrong[end] ^= 1;
    upload(&admin, "hello", "1.0.0", wrong).await.expect_type(422, "bad_plugin");
    let mut more = signed("1.0.0", &ours);
    append_section(&mut more, "harmless", b"?");
    upload(&admin, "hello", "1.0.0", more).await.expect_type(422, "bad_plugin");
    let made = upload(&admin, "hello", "1.0.0", signed("1.0.0", &ours)).await.expect(200);
    assert_eq!(made["publisher"], our_name);
    enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    admin.get("/secrets/hello/x").await.expect(200);
    // What the mount holds is that publisher's, whoever else is trusted.
    rules(json!({ "publishers": [our_name, their_name] })).await.expect(200);
    upload(&admin, "hello", "2.0.0", signed("2.0.0", &theirs)).await.expect(200);
    enable(&admin, "hello", json!({ "version": "2.0.0" })).await.expect_type(422, "mount_holds_data");
    admin.get("/secrets/hello/x").await.expect(200);
    // Trusted no longer, it is stopped by the next call, restart or not.
    rules(json!({ "publishers": [their_name] })).await.expect(200);
    for _ in 0..2 {
        admin.get("/secrets/hello/x").await.expect_type(502, "plugin_failed");
        let state = admin.get("/sys/setting/secrets/hello").await.expect(200)["state"].clone();
        assert_eq!(state["health"], "broken");
        assert!(state["reason"].as_str().is_some_and(|why| why.contains("whom this server trusts")), "{state}");
        server.restart().await;
    }
    // Given away by who may.
    enable(&admin, "hello", json!({ "version": "2.0.0", "adopt": true })).await.expect(200);
    assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], "2.0.0");
    let shown = admin.get("/sys/setting/secrets/hello").await.expect(200);
    assert!(shown["value"].get("adopt").is_none(), "{shown}");
}

#[tokio::test]
async fn a_denied_plugin_answers_502_and_the_server_starts_all_the_same() {
    let mut server = TestServer::start().await;
    let admin = server.admin().await;
    let made = upload(&admin, "hello", "1.0.0", Guest::new("hello", "1.0.0").build()).await.expect(200);
    enable(&admin, "hello", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect(200);
    let deny = json!({ "plugins": { "denied": [made["digest"]] } });
    admin.post("/sys/security", deny).await.expect(200);
    let value = canary("x");
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": value })).await.expect(200);
    for _ in 0..2 {
        admin.get("/secrets/hello/x").await.expect_type(502, "plugin_failed");
        assert_eq!(admin.get("/secrets/kv/x").await.expect(200)["data"]["value"], value);
        server.restart().await;
    }
    enable(&admin, "more", json!({ "plugin": "hello", "version": "1.0.0" })).await.expect_type(422, "denied_plugin");
    admin.post("/sys/security", json!({ "plugins": { "denied": [] } })).await.expect(200);
    admin.get("/secrets/hello/x").await.expect(200);
}

#[tokio::test]
async fn a_version_that_hides_less_is_given_no_secret_of_the_one_before() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let config = "[config]\ntype = \"object\"\n[config.properties.api_key]\ntype = \"string\"\n";
    let secret = format!("{config}writeOnly = true\n");
    let asks = format!("[[requires.http]]\nhost = \"a.example.com\"\nwhy = \"x\"\n{config}");
    for (name, version, manifest) in [
        ("hello", "1.0.0", &secret[..]),
        ("hello", "1.1.0", config),
        ("hello", "1.2.0", &asks),
        ("other", "1.0.0", config),
    ] {
        let wasm = Guest::new(name, version).with_manifest(manifest).build();
        upload(&admin, name, version, wasm).await.expect(200);
    }
    let key = canary("key");
    server.keep_secret(&key);
    let first = json!({ "plugin": "hello", "version": "1.0.0", "config": { "api_key": key } });
    enable(&admin, "hello", first).await.expect(200);
    let at = ["body", "value", "config", "api_key"];
    for value in [
        json!({ "version": "1.1.0" }),
        // One that would wait for what it asks for, and another plugin.
        json!({ "version": "1.2.0" }),
        json!({ "plugin": "other", "version": "1.0.0", "adopt": true }),
    ] {
        for dry_run in [true, false] {
            let body = json!({ "key": "secrets/hello", "value": value, "dry_run": dry_run });
            let answer = admin.post("/sys/setting", body).await;
            assert!(!answer.text.contains(&key), "{}", answer.text);
            answer.expect_problem(422, at, "missing");
        }
    }
    enable(&admin, "hello", json!({ "version": "1.1.0", "config": { "api_key": "public" } })).await.expect(200);
    let past = admin.get("/sys/setting/secrets/hello:history").await.expect(200);
    assert!(!past.to_string().contains(&key), "{past}");
    // What one of its versions has hidden, the history shows of none.
    assert!(!past.to_string().contains("public"), "{past}");
}
