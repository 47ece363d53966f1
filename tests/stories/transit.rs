//! Keys that work and are never told: encryption, signatures, MACs, over the wire and on the real cryptography.

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA256, VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_text_outlives_restarts_and_rotations, a_removed_key_opens_nothing_any_more);

async fn key(admin: &Client, path: &str, data: Value) {
    let body = json!({ "secret_id": format!("transit/{path}"), "data": data });
    admin.post("/secrets/create", body).await.expect(200);
}

fn b64(text: &str) -> String {
    BASE64.encode(text)
}

async fn ask(caller: &Client, call: &str, body: Value) -> Value {
    caller.post(&format!("/secrets/transit/{call}"), body).await.expect(200)
}

async fn a_text_outlives_restarts_and_rotations(server: Builder) {
    let mut server = server.start().await;
    let admin = server.admin().await;
    key(&admin, "orders", json!({ "algorithm": "aes256-gcm" })).await;
    let text = b64(&canary("order"));
    let sealed = ask(&admin, "orders:encrypt", json!({ "plaintext": text, "context": b64("shop") })).await;
    let ciphertext = sealed["ciphertext"].clone();
    assert!(ciphertext.as_str().is_some_and(|text| text.starts_with("coffer:v1:")), "{sealed}");
    server.restart().await;
    ask(&admin, "orders:rotate", json!({})).await;
    let open = json!({ "ciphertext": ciphertext, "context": b64("shop") });
    assert_eq!(ask(&admin, "orders:decrypt", open.clone()).await["plaintext"], text);
    let moved = ask(&admin, "orders:rewrap", open.clone()).await;
    assert_eq!(moved["key_version"], 2);
    ask(&admin, "orders:configure", json!({ "min_decrypt_version": 2 })).await;
    server.restart().await;
    admin.post("/secrets/transit/orders:decrypt", open).await.expect_problem(
        422,
        ["body", "ciphertext"],
        "version_too_old",
    );
    let open = json!({ "ciphertext": moved["ciphertext"], "context": b64("shop") });
    assert_eq!(ask(&admin, "orders:decrypt", open).await["plaintext"], text);
    let bare = json!({ "ciphertext": moved["ciphertext"] });
    let refused = admin.post("/secrets/transit/orders:decrypt", bare).await;
    refused.expect_problem(422, ["body", "ciphertext"], "does_not_open");
    let read = admin.get("/secrets/transit/orders").await.expect(200);
    assert_eq!((&read["version"], read["data"]["versions"].as_array().map(Vec::len)), (&json!(2), Some(2)));
}

async fn a_removed_key_opens_nothing_any_more(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    key(&admin, "team/k", json!({ "algorithm": "chacha20-poly1305" })).await;
    let sealed = ask(&admin, "team/k:encrypt", json!({ "plaintext": b64("short") })).await["ciphertext"].clone();
    admin.delete("/secrets/transit/team/k").await.expect_type(422, "not_deletable");
    ask(&admin, "team/k:configure", json!({ "deletable": true })).await;
    admin.delete("/secrets/transit/team/k").await.expect(200);
    let calls = [
        ("decrypt", json!({ "ciphertext": sealed })),
        ("rotate", json!({})),
        ("encrypt", json!({ "plaintext": b64("short") })),
    ];
    for (verb, body) in calls {
        admin.post(&format!("/secrets/transit/team/k:{verb}"), body).await.expect(404);
    }
    admin.get("/secrets/transit/team/k").await.expect(404);
    // A new key of the old name is another key.
    key(&admin, "team/k", json!({ "algorithm": "chacha20-poly1305" })).await;
    let refused = admin.post("/secrets/transit/team/k:decrypt", json!({ "ciphertext": sealed })).await;
    refused.expect_problem(422, ["body", "ciphertext"], "does_not_open");
}

#[tokio::test]
async fn who_may_not_learns_nothing_of_a_key() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    key(&admin, "k", json!({})).await;
    for path in ["transit/k", "transit/none"] {
        ada.get(&format!("/secrets/{path}")).await.expect_forbidden();
        ada.post("/secrets/create", json!({ "secret_id": path })).await.expect_forbidden();
        for verb in [
            "encrypt",
            "decrypt",
            "rewrap",
            "datakey",
            "wrapped-datakey",
            "sign",
            "verify",
            "hmac",
            "rotate",
            "configure",
        ] {
            ada.post(&format!("/secrets/{path}:{verb}"), json!({})).await.expect_forbidden();
        }
    }
    server.anonymous().post("/secrets/transit/k:encrypt", json!({ "plaintext": "" })).await.expect_unauthorized();
}

#[tokio::test]
async fn a_token_for_use_encrypts_and_neither_reads_nor_rotates() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    key(&admin, "k", json!({})).await;
    let child = admin.child(Some("use:secrets/transit"), json!({ "ttl": "10m" })).await.expect(200);
    let user = admin.with_session(child);
    let sealed = ask(&user, "k:encrypt", json!({ "plaintext": b64("x") })).await;
    ask(&user, "k:decrypt", json!({ "ciphertext": sealed["ciphertext"] })).await;
    user.post("/secrets/transit/k:rotate", json!({})).await.expect_forbidden();
    user.post("/secrets/transit/k:configure", json!({ "deletable": true })).await.expect_forbidden();
    user.get("/secrets/transit/k").await.expect_forbidden();
    user.delete("/secrets/transit/k").await.expect_forbidden();
}

#[tokio::test]
async fn a_writer_of_wrapped_data_keys_opens_none() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    key(&admin, "orders", json!({})).await;
    admin.put("/sys/roles/writers", json!({ "description": "" })).await.expect(200);
    let text = r#"permit (principal in Role::"writers", action == Action::"use", resource in Resource::"secrets/transit/orders")
        when { context.verb == "wrapped-datakey" };"#;
    admin.put("/sys/policies/writers", json!({ "text": text })).await.expect(200);
    let password = server.create_user("eve", "writers").await;
    let eve = server.log_in("eve", &password).await;
    let wrapped = ask(&eve, "orders:wrapped-datakey", json!({})).await;
    assert!(wrapped.get("plaintext").is_none(), "{wrapped}");
    eve.post("/secrets/transit/orders:wrapped-datakey", json!({ "plaintext": true })).await.expect(422);
    for (verb, body) in [
        ("datakey", json!({})),
        ("datakey", json!({ "plaintext": false })),
        ("decrypt", json!({ "ciphertext": wrapped["ciphertext"] })),
    ] {
        eve.post(&format!("/secrets/transit/orders:{verb}"), body).await.expect_forbidden();
    }
    let opened = ask(&admin, "orders:decrypt", json!({ "ciphertext": wrapped["ciphertext"] })).await;
    let bytes = BASE64.decode(opened["plaintext"].as_str().expect("text")).expect("base64");
    assert_eq!(bytes.len(), 32);
}

#[tokio::test]
async fn signatures_are_good_for_whoever_has_the_public_key() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let known: [(&str, &'static dyn VerificationAlgorithm); 2] =
        [("ed25519", &ED25519), ("ecdsa-p256", &ECDSA_P256_SHA256_ASN1)];
    for (algorithm, scheme) in known {
        key(&admin, algorithm, json!({ "algorithm": algorithm })).await;
        let input = json!({ "input": b64("a contract") });
        let signed = ask(&admin, &format!("{algorithm}:sign"), input).await;
        let signature =
            signed["signature"].as_str().and_then(|text| text.strip_prefix("coffer:v1:")).expect("a signature");
        let read = admin.get(&format!("/secrets/transit/{algorithm}")).await.expect(200);
        let pem = read["data"]["versions"][0]["public_key"].as_str().expect("a public key");
        let der = BASE64.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("PEM");
        let public = ParsedPublicKey::new(scheme, &der).expect("a public key");
        public.verify_sig(b"a contract", &BASE64.decode(signature).expect("base64")).expect("a good signature");
        let verify = |text: &str| json!({ "input": b64(text), "signature": signed["signature"] });
        assert_eq!(ask(&admin, &format!("{algorithm}:verify"), verify("a contract")).await["valid"], true);
        assert_eq!(ask(&admin, &format!("{algorithm}:verify"), verify("a contrast")).await["valid"], false);
    }
}

#[tokio::test]
async fn what_is_larger_than_a_body_is_signed_by_its_digest_and_as_web_tokens_want_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let text = vec![7; 3 << 20];
    let input = BASE64.encode(digest::digest(&digest::SHA256, &text));
    let known: [(&str, Value, &'static dyn VerificationAlgorithm); 4] = [
        ("ecdsa-p256", json!({ "marshaling": "asn1" }), &ECDSA_P256_SHA256_ASN1),
        ("ecdsa-p256", json!({ "marshaling": "jws" }), &ECDSA_P256_SHA256_FIXED),
        ("rsa-2048", json!({}), &RSA_PSS_2048_8192_SHA256),
        ("rsa-2048", json!({ "scheme": "rsa-pkcs1v15-sha256" }), &RSA_PKCS1_2048_8192_SHA256),
    ];
    for algorithm in ["ecdsa-p256", "rsa-2048"] {
        key(&admin, algorithm, json!({ "algorithm": algorithm })).await;
    }
    for (algorithm, how, known) in known {
        let asked = |more: Value| {
            let mut body = json!({ "input": input, "prehashed": true });
            for told in [&how, &more] {
                body.as_object_mut().expect("an object").extend(told.as_object().expect("an object").clone());
            }
            body
        };
        let signed = ask(&admin, &format!("{algorithm}:sign"), asked(json!({}))).await["signature"].clone();
        let signature = signed.as_str().and_then(|text| text.strip_prefix("coffer:v1:")).expect("a signature");
        let read = admin.get(&format!("/secrets/transit/{algorithm}")).await.expect(200);
        let pem = read["data"]["versions"][0]["public_key"].as_str().expect("a public key");
        let der = BASE64.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).expect("PEM");
        let public = ParsedPublicKey::new(known, &der).expect("a public key");
        public.verify_sig(&text, &BASE64.decode(signature).expect("base64")).expect("a good signature");
        let verify = format!("{algorithm}:verify");
        assert_eq!(ask(&admin, &verify, asked(json!({ "signature": signed }))).await["valid"], true);
        let other = BASE64.encode([0; 32]);
        assert_eq!(ask(&admin, &verify, asked(json!({ "signature": signed, "input": other }))).await["valid"], false);
        let short = asked(json!({ "input": b64("short") }));
        let refused = admin.post(&format!("/secrets/transit/{algorithm}:sign"), short).await;
        refused.expect_problem(422, ["body", "input"], "out_of_range");
    }
}

#[tokio::test]
async fn as_many_signatures_of_rsa_as_are_promised_are_made_at_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    key(&admin, "rsa-4096", json!({ "algorithm": "rsa-4096" })).await;
    let batch = |items: usize| json!({ "batch": vec![json!({ "input": b64("x") }); items] });
    let signed = ask(&admin, "rsa-4096:sign", batch(50)).await;
    assert_eq!(signed["results"].as_array().map(Vec::len), Some(50));
    let refused = admin.post("/secrets/transit/rsa-4096:sign", batch(51)).await;
    refused.expect_problem(422, ["body", "batch"], "out_of_range");
}

#[tokio::test]
async fn a_convergent_key_and_a_mac_are_the_same_each_time() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    key(&admin, "mail", json!({ "convergent": true })).await;
    let sealed = async |text: &str, context: &str| {
        let body = json!({ "plaintext": b64(text), "context": b64(context) });
        ask(&admin, "mail:encrypt", body).await["ciphertext"].clone()
    };
    assert_eq!(sealed("a@example.com", "users").await, sealed("a@example.com", "users").await);
    assert_ne!(sealed("a@example.com", "users").await, sealed("a@example.com", "orders").await);
    admin.post("/secrets/transit/mail:encrypt", json!({ "plaintext": "" })).await.expect_problem(
        422,
        ["body", "context"],
        "missing",
    );
    key(&admin, "mac", json!({ "algorithm": "hmac-sha256" })).await;
    let mac = ask(&admin, "mac:hmac", json!({ "input": b64("x") })).await["hmac"].clone();
    assert_eq!(ask(&admin, "mac:verify", json!({ "input": b64("x"), "hmac": mac })).await["valid"], true);
    assert_eq!(ask(&admin, "mac:verify", json!({ "input": b64("y"), "hmac": mac })).await["valid"], false);
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_answered_in_its_order() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    key(&admin, "k", json!({})).await;
    let texts: Vec<String> = (0..1000).map(|n| b64(&format!("text {n}"))).collect();
    let batch: Vec<Value> = texts.iter().map(|text| json!({ "plaintext": text })).collect();
    let sealed = ask(&admin, "k:encrypt", json!({ "batch": batch })).await;
    let mut batch: Vec<Value> = sealed["results"].as_array().expect("results").clone();
    batch.iter_mut().for_each(|one| drop(one.as_object_mut().expect("an object").remove("key_version")));
    batch[7] = json!({ "ciphertext": "coffer:v1:AAAA" });
    let opened = ask(&admin, "k:decrypt", json!({ "batch": batch })).await;
    for (at, (result, text)) in opened["results"].as_array().expect("results").iter().zip(&texts).enumerate() {
        match at {
            7 => assert_eq!(result["detail"][0]["loc"], json!(["body", "batch", 7, "ciphertext"])),
            _ => assert_eq!(result["plaintext"], json!(text)),
        }
    }
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_its_place() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (body, loc) in [
        (json!({ "secret_id": "transit/x", "data": { "algorithm": "des" } }), "algorithm"),
        (json!({ "secret_id": "transit/x", "value": "0123456789abcdef" }), "value"),
        (json!({ "secret_id": "transit/x", "data": { "algorithm": "ed25519", "convergent": true } }), "convergent"),
    ] {
        admin.post("/secrets/create", body).await.expect_at(422, ["body", "data", loc]);
    }
    key(&admin, "x", json!({})).await;
    admin.post("/secrets/create", json!({ "secret_id": "transit/x" })).await.expect_type(422, "already_exists");
    admin.put("/secrets/transit/x", json!({ "data": {} })).await.expect(405);
    admin.patch("/secrets/transit/x", json!({ "data": {} })).await.expect_at(422, ["body", "data"]);
    admin.patch("/secrets/transit/x", json!({ "metadata": { "owner": "web" } })).await.expect(200);
    assert_eq!(admin.get("/secrets/transit/x").await.expect(200)["metadata"], json!({ "owner": "web" }));
    let none = json!({ "plaintext": "", "context": null, "associated_data": null, "key_version": null });
    ask(&admin, "x:encrypt", none).await;
    admin.post("/secrets/transit/x:fly", json!({})).await.expect_type(404, "unknown_verb");
    admin.get("/secrets/transit/x:encrypt").await.expect(405);
    admin.post("/secrets/transit/x:sign", json!({ "input": "" })).await.expect_type(422, "wrong_algorithm");
    admin.post("/secrets/transit/x:encrypt", json!({ "plaintext": "?" })).await.expect_at(422, ["body", "plaintext"]);
    let listed = admin.get("/secrets?prefix=transit/").await.expect(200);
    assert_eq!(listed["secrets"][0]["secret_id"], "transit/x");
}
