//! Init, unseal, seal, health.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, Seal, TestServer, canary};

on_every_store!(shares_open_the_store_and_a_seal_closes_it);

/// The code that the server wrote for whoever may initialise it.
fn init_code(server: &TestServer) -> String {
    use std::os::unix::fs::PermissionsExt;

    let mut files = std::fs::read_dir(server.data_dir()).expect("the data folder is there").flatten();
    let file = files.find(|entry| entry.file_name().to_string_lossy().contains("code")).expect("a file with the code");
    let mode = file.metadata().expect("a file has a mode").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    let code = std::fs::read_to_string(file.path()).expect("a code is text").trim().to_owned();
    server.keep_secret(&code);
    code
}

async fn init(server: &TestServer) -> (Vec<String>, Client) {
    let body = json!({ "code": init_code(server), "shares": 5, "threshold": 3 });
    let made = server.anonymous().post("/sys/init", body).await.expect(200);
    let shares =
        made["shares"].as_array().expect("shares").iter().map(|share| share.as_str().expect("text").to_owned());
    let root = server.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
    (shares.collect(), root)
}

/// What a dev server has from the start, and another enables once.
async fn enable_shipped(root: &Client) {
    for (key, plugin) in [("auth/password", "password"), ("secrets/kv", "kv")] {
        if root.get(&format!("/sys/setting/{key}")).await.status == 404 {
            root.post("/sys/setting", json!({ "key": key, "value": { "plugin": plugin } })).await.expect(200);
        }
    }
}

async fn seal_status(server: &TestServer) -> Value {
    server.anonymous().get("/sys/seal-status").await.expect(200)
}

async fn shares_open_the_store_and_a_seal_closes_it(server: Builder) {
    let mut server = server.seal(Seal::Shamir).start().await;
    let status = seal_status(&server).await;
    assert_eq!((&status["initialized"], &status["sealed"]), (&json!(false), &json!(true)));
    server.anonymous().get("/sys/health").await.expect(503);
    server
        .anonymous()
        .post("/sys/init", json!({ "code": canary("wrong"), "shares": 5, "threshold": 3 }))
        .await
        .expect_at(422, ["body", "code"]);
    let (shares, root) = init(&server).await;
    assert_eq!(shares.len(), 5);
    let status = seal_status(&server).await;
    assert_eq!((&status["initialized"], &status["sealed"]), (&json!(true), &json!(false)));
    server.anonymous().get("/sys/health").await.expect(200);

    enable_shipped(&root).await;
    // The root token makes the first admin.
    let password = canary("password");
    let first = json!({ "username": "ada", "email": "ada@example.com", "role": "admin", "password": password });
    root.post("/users/create", first).await.expect(200);
    let ada = server.log_in("ada", &password).await;
    // With the first admin it ends.
    root.get("/users/me").await.expect_unauthorized();
    let value = canary("x");
    ada.post("/secrets/create", json!({ "secret_id": "kv/x", "value": value })).await.expect(200);

    for reopen in 0..2 {
        match reopen {
            0 => drop(ada.post("/sys/seal", json!({})).await.expect(200)),
            _ => server.restart().await,
        }
        assert_eq!(seal_status(&server).await["sealed"], true);
        ada.get("/secrets/kv/x").await.expect(503);
        server.anonymous().get("/sys/health").await.expect(503);
        let body = json!({ "username": "ada", "password": password });
        server.anonymous().post("/token/create", body).await.expect(503);
        let give = async |share: &str| server.anonymous().post("/sys/unseal", json!({ "share": share })).await;
        assert_eq!(give(&shares[0]).await.expect(200)["progress"], 1);
        // A wrong or repeated one is refused by itself and changes no progress.
        assert_eq!(give(&shares[0]).await.status.as_u16() / 100, 4);
        assert_eq!(give(&bend(&shares[1])).await.status.as_u16() / 100, 4);
        assert_eq!(give("no share").await.status.as_u16() / 100, 4);
        assert_eq!(seal_status(&server).await["progress"], 1);
        assert_eq!(give(&shares[4]).await.expect(200)["sealed"], true);
        assert_eq!(give(&shares[2]).await.expect(200)["sealed"], false);
        assert_eq!(ada.get("/secrets/kv/x").await.expect(200)["data"]["value"], value);
    }
}

fn bend(share: &str) -> String {
    let mut bent = share.as_bytes().to_vec();
    let middle = bent.len() / 2;
    bent[middle] = if bent[middle] == b'1' { b'2' } else { b'1' };
    String::from_utf8(bent).expect("ASCII")
}

#[tokio::test]
async fn a_store_is_initialised_once() {
    let server = TestServer::builder().seal(Seal::Shamir).start().await;
    let code = init_code(&server);
    let body = |shares: Value, threshold: Value| json!({ "code": code, "shares": shares, "threshold": threshold });
    for (shares, threshold) in [
        (json!(0), json!(0)),
        (json!(3), json!(4)),
        (json!(5), json!(0)),
        (json!(300), json!(2)),
        (json!("5"), json!(3)),
    ] {
        server.anonymous().post("/sys/init", body(shares, threshold)).await.expect(422);
    }
    let calls: Vec<_> = (0..6)
        .map(|_| tokio::spawn(server.anonymous().post("/sys/init", body(json!(1), json!(1))).into_future()))
        .collect();
    let mut made = 0;
    for call in calls {
        made += u32::from(call.await.expect("an answer").status == 200);
    }
    assert_eq!(made, 1);
    assert_eq!(server.anonymous().post("/sys/init", body(json!(1), json!(1))).await.status.as_u16() / 100, 4);
}

#[tokio::test]
async fn a_key_file_unseals_by_itself() {
    let mut server = TestServer::builder().seal(Seal::KeyFile).start().await;
    let made = server.anonymous().post("/sys/init", json!({ "code": init_code(&server) })).await.expect(200);
    let root = server.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
    enable_shipped(&root).await;
    let value = canary("x");
    root.post("/secrets/create", json!({ "secret_id": "kv/x", "value": value })).await.expect(200);
    server.restart().await;
    assert_eq!(seal_status(&server).await["sealed"], false);
    assert_eq!(root.get("/secrets/kv/x").await.expect(200)["data"]["value"], value);
}

#[tokio::test]
async fn only_who_may_seals() {
    let server = TestServer::start().await;
    server.anonymous().post("/sys/seal", json!({})).await.expect_unauthorized();
    server.login("ada").await.post("/sys/seal", json!({})).await.expect_forbidden();
    server.anonymous().get("/sys/health").await.expect(200);
    server.anonymous().post("/sys/unseal", json!({})).await.expect_at(422, ["body", "share"]);
    server.anonymous().post("/sys/unseal", json!({ "share": 5 })).await.expect_at(422, ["body", "share"]);
}

#[tokio::test]
async fn a_sealed_server_says_so_to_every_call() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.post("/sys/seal", json!({})).await.expect(200);
    for path in ["/users/me", "/secrets/kv/x", "/secrets", "/sys/settings", "/sys/security", "/sessions"] {
        admin.get(path).await.expect_type(503, "sealed");
    }
    admin.post("/token/renew", json!({ "refresh_token": admin.refresh_token() })).await.expect(503);
    server.anonymous().get("/openapi.json").await.expect(200);
    assert_eq!(server.anonymous().get("/sys/seal-status").await.expect(200)["sealed"], true);
}

#[tokio::test]
async fn shares_make_a_root_token_when_every_admin_is_gone() {
    let server = TestServer::builder().seal(Seal::Shamir).start().await;
    let (shares, root) = init(&server).await;
    root.post("/token/revoke", json!({ "token": root.token() })).await.expect(200);
    root.get("/users/me").await.expect_unauthorized();

    let anonymous = server.anonymous();
    let bring = |body: Value| anonymous.post("/sys/generate-root", body);
    bring(json!({ "share": canary("no share") })).await.expect_at(422, ["body", "share"]);
    let first = bring(json!({ "share": shares[0] })).await.expect(200);
    assert_eq!((&first["progress"], &first["threshold"], &first["root_token"]), (&json!(1), &json!(3), &Value::Null));
    let nonce = &first["nonce"];
    // The same share twice is one; another nonce is nobody's attempt.
    bring(json!({ "share": shares[0], "nonce": nonce })).await.expect_at(422, ["body", "share"]);
    bring(json!({ "share": shares[1], "nonce": "0123" })).await.expect(422);
    assert_eq!(bring(json!({ "share": shares[1], "nonce": nonce })).await.expect(200)["progress"], 2);
    let made = bring(json!({ "share": shares[4], "nonce": nonce })).await.expect(200);
    let root = anonymous.with_token(made["root_token"].as_str().expect("a root token"));
    root.get("/sys/settings").await.expect(200);
}

#[tokio::test]
async fn a_rekey_needs_a_permit_and_shares_and_leaves_the_old_ones_worthless() {
    let mut server = TestServer::builder().seal(Seal::Shamir).start().await;
    let (old, root) = init(&server).await;
    enable_shipped(&root).await;
    let value = canary("x");
    root.post("/secrets/create", json!({ "secret_id": "kv/x", "value": value })).await.expect(200);

    let ask = json!({ "share": old[0], "shares": 3, "threshold": 2 });
    server.anonymous().post("/sys/rekey", ask.clone()).await.expect_unauthorized();
    root.post("/sys/rekey", json!({ "share": old[0], "shares": 2, "threshold": 3 })).await.expect_at(422, ["body"]);
    let nonce = root.post("/sys/rekey", ask).await.expect(200)["nonce"].clone();
    let contrary = json!({ "share": old[1], "nonce": nonce, "shares": 1 });
    root.post("/sys/rekey", contrary).await.expect_at(422, ["body", "nonce"]);
    let more = |share: &str| root.post("/sys/rekey", json!({ "share": share, "nonce": nonce }));
    assert_eq!(more(&old[1]).await.expect(200)["shares"], Value::Null);
    let made = more(&old[2]).await.expect(200);
    let new: Vec<String> = serde_json::from_value(made["shares"].clone()).expect("shares");
    assert_eq!(new.len(), 3);
    assert_eq!(root.post("/sys/rotate", json!({})).await.expect(200)["term"], 2);

    server.restart().await;
    for share in &old {
        server.anonymous().post("/sys/unseal", json!({ "share": share })).await.expect_at(422, ["body", "share"]);
    }
    for share in &new[..2] {
        server.anonymous().post("/sys/unseal", json!({ "share": share })).await.expect(200);
    }
    assert_eq!(root.get("/secrets/kv/x").await.expect(200)["data"]["value"], value);
}

#[tokio::test]
async fn only_who_may_rotates_and_rekeys() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for path in ["/sys/rotate", "/sys/rekey"] {
        server.anonymous().post(path, json!({})).await.expect_unauthorized();
        ada.post(path, json!({})).await.expect_forbidden();
    }
    let admin = server.admin().await;
    admin.post("/sys/rekey", json!({})).await.expect_at(422, ["body", "share"]);
    admin.post("/sys/rotate", json!({ "x": 1 })).await.expect_at(422, ["body", "x"]);
    admin.post("/secrets/create", json!({ "secret_id": "kv/x", "value": canary("x") })).await.expect(200);
    admin.post("/sys/rotate", json!({})).await.expect(200);
    admin.get("/secrets/kv/x").await.expect(200);
}
