//! One-time codes over the wire: made of a seed that was put in, never told again.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// RFC 6238's own seed, in base32.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

#[tokio::test]
async fn a_code_is_made_and_valid_once() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    let url = format!("otpauth://totp/GitHub:ada?secret={SEED}&issuer=GitHub");
    let made = admin.post("/secrets/create", json!({ "secret_id": "totp/github", "data": { "url": url } })).await;
    assert!(!made.expect(200).to_string().contains(SEED));
    let told = admin.get("/secrets/totp/github:code").await.expect(200);
    assert!(told["seconds_left"].as_u64().is_some_and(|left| (1..=30).contains(&left)), "{told}");
    let validate = || admin.post("/secrets/totp/github:validate", json!({ "code": told["code"] }));
    assert_eq!(validate().await.expect(200)["valid"], true);
    assert_eq!(validate().await.expect(200)["valid"], false);
    let read = admin.get("/secrets/totp/github").await.expect(200);
    assert!(!read.to_string().contains(SEED) && read["data"]["issuer"] == "GitHub", "{read}");
    ada.get("/secrets/totp/github:code").await.expect_forbidden();
    admin.delete("/secrets/totp/github").await.expect(200);
    admin.get("/secrets/totp/github:code").await.expect(404);
}

#[tokio::test]
async fn a_seed_of_our_own_is_told_once_and_who_guesses_is_slowed() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let body = json!({ "secret_id": "totp/users/ada", "data": { "issuer": "Shop", "account": "ada" } });
    let made = admin.post("/secrets/create", body).await.expect(200);
    assert!(made["url"].as_str().is_some_and(|url| url.starts_with("otpauth://totp/Shop:ada?")), "{made}");
    for _ in 0..5 {
        let answer = admin.post("/secrets/totp/users/ada:validate", json!({ "code": "x" })).await.expect(200);
        assert_eq!(answer["valid"], Value::Bool(false));
    }
    admin.post("/secrets/totp/users/ada:validate", json!({ "code": "x" })).await.expect(429);
    let wrong = json!({ "secret_id": "totp/x", "data": { "url": "https://example.com" } });
    admin.post("/secrets/create", wrong).await.expect_at(422, ["body", "data", "url"]);
}
