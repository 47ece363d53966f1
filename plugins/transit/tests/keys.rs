//! The life of a key: made, told of, rotated, configured, removed.

use coffer_plugin_sdk::{
    serde_json::{Value, json},
    testing::Host,
};
use coffer_plugin_transit::Transit;

fn create(host: &Host, path: &str, data: Value) -> Value {
    host.post::<Transit>("create", path, json!({ "data": data })).unwrap()
}

fn problem(host: &Host, operation: &str, path: &str, body: Value) -> (String, String) {
    let error = host.post::<Transit>(operation, path, body.clone()).expect_err(&format!("{operation} {body}"));
    let problem = error.problems.first().unwrap_or_else(|| panic!("a problem: {error:?}"));
    (problem.at.clone(), problem.code.clone())
}

#[test]
fn a_key_is_told_of_without_the_key() {
    let host = Host::new();
    host.set_principal(Some(("usr_ada", "ada")));
    let made = host
        .post::<Transit>(
            "create",
            "orders",
            json!({ "data": { "algorithm": "aes256-gcm" }, "metadata": { "for": "web" } }),
        )
        .unwrap();
    assert_eq!(made, json!({ "version": 1, "created_at": "2026-01-01T00:15:00.000Z", "expires_at": null }));
    assert_eq!(host.crypto_keys(), ["orders"]);
    assert_eq!(
        host.get::<Transit>("read", "orders", json!({})).unwrap(),
        json!({
            "data": {
                "algorithm": "aes256-gcm",
                "convergent": false,
                "deletable": false,
                "min_decrypt_version": 1,
                "min_encrypt_version": 1,
                "versions": [{ "version": 1, "created_at": "2026-01-01T00:15:00.000Z" }],
            },
            "version": 1,
            "metadata": { "for": "web" },
            "created_at": "2026-01-01T00:15:00.000Z",
            "created_by": "usr_ada",
            "updated_at": "2026-01-01T00:15:00.000Z",
            "expires_at": null,
        })
    );
}

#[test]
fn metadata_is_merged_and_nothing_else_is_changed_so() {
    let host = Host::new();
    let made = json!({ "metadata": { "for": "web", "owner": "ada" } });
    host.post::<Transit>("create", "k", made).unwrap();
    let changed = host.post::<Transit>("patch", "k", json!({ "metadata": { "for": null, "env": "prod" } })).unwrap();
    assert_eq!(changed, json!({ "version": 1, "created_at": "2026-01-01T00:15:00.000Z", "expires_at": null }));
    let read = host.get::<Transit>("read", "k", json!({})).unwrap();
    assert_eq!(read["metadata"], json!({ "owner": "ada", "env": "prod" }));
    let long = json!({ "metadata": { "x": "x".repeat(16 * 1024) } });
    assert_eq!(problem(&host, "patch", "k", long), ("/metadata".into(), "out_of_range".into()));
    assert_eq!(problem(&host, "patch", "k", json!({ "data": {} })).0, "/data");
    assert_eq!(host.post::<Transit>("patch", "none", json!({ "metadata": {} })).unwrap_err().code, "not-found");
}

#[test]
fn an_algorithm_left_out_is_aes_and_a_convergent_key_has_its_own() {
    let host = Host::new();
    for (path, data, algorithm, convergent) in [
        ("a", json!({}), "aes256-gcm", false),
        ("b", json!({ "convergent": true }), "aes256-gcm-siv", true),
        ("c", json!({ "algorithm": "aes256-gcm-siv" }), "aes256-gcm-siv", true),
        ("d", json!({ "algorithm": "chacha20-poly1305", "convergent": false }), "chacha20-poly1305", false),
    ] {
        create(&host, path, data);
        let read = host.get::<Transit>("read", path, json!({})).unwrap();
        assert_eq!((&read["data"]["algorithm"], &read["data"]["convergent"]), (&json!(algorithm), &json!(convergent)));
    }
    host.post::<Transit>("create", "e", json!({})).unwrap();
}

#[test]
fn what_cannot_be_a_key_is_refused_and_leaves_nothing() {
    let host = Host::new();
    for (body, at, code) in [
        (json!({ "data": { "algorithm": "des" } }), "/data/algorithm", "invalid_value"),
        (json!({ "data": { "algorithm": 1 } }), "/data/algorithm", "wrong_type"),
        (json!({ "data": { "algorithm": "aes256-gcm", "convergent": true } }), "/data/convergent", "invalid_value"),
        (
            json!({ "data": { "algorithm": "aes256-gcm-siv", "convergent": false } }),
            "/data/convergent",
            "invalid_value",
        ),
        (json!({ "data": { "algorithm": "ed25519", "convergent": true } }), "/data/convergent", "invalid_value"),
        (json!({ "data": { "value": "0123456789abcdef" } }), "/data/value", "unknown_member"),
        (json!({ "data": { "key": "0123456789abcdef" } }), "/data/key", "unknown_member"),
        (json!({ "data": {}, "ttl": "1h" }), "/ttl", "unknown_member"),
        (json!({ "data": {}, "metadata": { "x": "x".repeat(17_000) } }), "/metadata", "out_of_range"),
    ] {
        assert_eq!(problem(&host, "create", "k", body.clone()), (at.to_owned(), code.to_owned()), "{body}");
    }
    assert!(host.keys().is_empty() && host.crypto_keys().is_empty());
    create(&host, "k", json!({}));
    assert_eq!(host.post::<Transit>("create", "k", json!({ "data": {} })).unwrap_err().code, "exists");
    for operation in ["update", "history", "fly"] {
        assert_eq!(host.post::<Transit>(operation, "k", json!({})).unwrap_err().code, "unsupported");
    }
    assert_eq!(host.post::<Transit>("create", "", json!({ "data": {} })).unwrap_err().code, "unsupported");
}

#[test]
fn the_public_half_of_every_version_is_told() {
    let host = Host::new();
    for algorithm in ["ed25519", "ecdsa-p256", "rsa-2048", "rsa-3072", "rsa-4096"] {
        create(&host, algorithm, json!({ "algorithm": algorithm }));
        host.post::<Transit>("rotate", algorithm, json!({})).unwrap();
        let read = host.get::<Transit>("read", algorithm, json!({})).unwrap();
        let key = |at: usize| read["data"]["versions"][at]["public_key"].as_str().unwrap().to_owned();
        assert!(key(0).starts_with("-----BEGIN PUBLIC KEY-----\n") && key(0) != key(1), "{read}");
    }
}

#[test]
fn a_key_is_removed_only_once_it_is_deletable() {
    let host = Host::new();
    create(&host, "k", json!({ "algorithm": "ed25519" }));
    host.post::<Transit>("rotate", "k", json!({})).unwrap();
    assert_eq!(problem(&host, "delete", "k", json!({})), (String::new(), "not_deletable".to_owned()));
    host.post::<Transit>("configure", "k", json!({ "deletable": true })).unwrap();
    assert_eq!(host.post::<Transit>("delete", "k", json!({})).unwrap()["version"], 2);
    assert!(host.keys().is_empty() && host.crypto_keys().is_empty());
    for operation in ["delete", "rotate", "configure", "sign", "encrypt"] {
        let body = if operation == "configure" { json!({ "deletable": true }) } else { json!({}) };
        assert_eq!(host.post::<Transit>(operation, "k", body).unwrap_err().code, "not-found", "{operation}");
    }
    assert_eq!(host.get::<Transit>("read", "k", json!({})).unwrap_err().code, "not-found");
    // One may be made so from the start.
    create(&host, "k", json!({ "deletable": true }));
    host.post::<Transit>("delete", "k", json!({})).unwrap();
}

#[test]
fn minimum_versions_are_versions_and_in_order() {
    let host = Host::new();
    create(&host, "k", json!({}));
    for _ in 0..3 {
        host.post::<Transit>("rotate", "k", json!({})).unwrap();
    }
    for (body, at) in [
        (json!({ "min_decrypt_version": 0 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 5 }), "/min_decrypt_version"),
        (json!({ "min_encrypt_version": 0 }), "/min_encrypt_version"),
        (json!({ "min_encrypt_version": 5 }), "/min_encrypt_version"),
        (json!({ "min_decrypt_version": 3, "min_encrypt_version": 2 }), "/min_encrypt_version"),
    ] {
        assert_eq!(problem(&host, "configure", "k", body.clone()).0, at, "{body}");
    }
    assert_eq!(problem(&host, "configure", "k", json!({ "more": 1 })).0, "/more");
    let now = |body: Value| {
        let answer = host.post::<Transit>("configure", "k", body).unwrap();
        (answer["min_decrypt_version"].as_u64().unwrap(), answer["min_encrypt_version"].as_u64().unwrap())
    };
    assert_eq!(now(json!({})), (1, 1));
    assert_eq!(now(json!({ "min_encrypt_version": 2 })), (1, 2));
    // The one that would be below it goes along.
    assert_eq!(now(json!({ "min_decrypt_version": 3 })), (3, 3));
    assert_eq!(now(json!({ "min_decrypt_version": 1 })), (1, 3));
}

#[test]
fn keys_are_listed_like_any_secret() {
    let host = Host::new();
    for path in ["apps/a", "apps/b/c", "z"] {
        create(&host, path, json!({ "algorithm": "ecdsa-p256" }));
    }
    let page = host.get::<Transit>("list", "", json!({})).unwrap();
    assert_eq!(
        (&page["folders"], &page["entries"][0]["name"], &page["next"]),
        (&json!(["apps/"]), &json!("z"), &Value::Null)
    );
    let page = host.get::<Transit>("list", "apps/", json!({ "recursive": "true" })).unwrap();
    let names: Vec<&str> = page["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b/c"]);
    let first = host.get::<Transit>("list", "", json!({ "recursive": true, "limit": "2" })).unwrap();
    let rest = host.get::<Transit>("list", "", json!({ "recursive": true, "after": first["next"] })).unwrap();
    assert_eq!((first["entries"].as_array().unwrap().len(), rest["entries"][0]["name"].as_str()), (2, Some("z")));
}

#[test]
fn of_two_rotations_at_once_both_count() {
    let host = Host::new();
    create(&host, "k", json!({}));
    host.meanwhile(|host| drop(host.post::<Transit>("rotate", "k", json!({})).unwrap()));
    assert_eq!(host.post::<Transit>("rotate", "k", json!({})).unwrap()["version"], 3);
}
