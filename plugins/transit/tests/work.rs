//! What keys do: encrypt, decrypt, rewrap, wrap, sign, verify, authenticate; one by one and in batches.

use coffer_plugin_sdk::{
    Result,
    serde_json::{Value, json},
    testing::Host,
};
use coffer_plugin_transit::Transit;
use data_encoding::BASE64;
use proptest::prelude::*;

fn with(algorithm: &str) -> Host {
    let host = Host::new();
    host.post::<Transit>("create", "k", json!({ "data": { "algorithm": algorithm } })).unwrap();
    host
}

fn b64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

fn ask(host: &Host, operation: &str, body: Value) -> Result<Value> {
    host.post::<Transit>(operation, "k", body)
}

fn encrypt(host: &Host, text: &str) -> Value {
    ask(host, "encrypt", json!({ "plaintext": b64(text) })).unwrap()["ciphertext"].clone()
}

fn problem(host: &Host, operation: &str, body: Value) -> (String, String) {
    let error = ask(host, operation, body.clone()).expect_err(&format!("{operation} {body}"));
    let problem = error.problems.first().unwrap_or_else(|| panic!("a problem: {error:?}"));
    (problem.at.clone(), problem.code.clone())
}

#[test]
fn a_text_comes_back_and_no_two_ciphertexts_are_equal() {
    for algorithm in ["aes256-gcm", "chacha20-poly1305"] {
        let host = with(algorithm);
        let (one, other) = (encrypt(&host, "order 1"), encrypt(&host, "order 1"));
        assert!(one.as_str().unwrap().starts_with("coffer:v1:") && one != other);
        for ciphertext in [one, other] {
            let opened = ask(&host, "decrypt", json!({ "ciphertext": ciphertext })).unwrap();
            assert_eq!(opened, json!({ "plaintext": b64("order 1") }));
        }
        assert_eq!(ask(&host, "decrypt", json!({ "ciphertext": encrypt(&host, "") })).unwrap()["plaintext"], "");
    }
}

#[test]
fn a_ciphertext_opens_only_with_its_context_and_data() {
    let host = with("aes256-gcm");
    let sealed = |context: &str, data: &str| {
        let body = json!({ "plaintext": b64("x"), "context": b64(context), "associated_data": b64(data) });
        ask(&host, "encrypt", body).unwrap()["ciphertext"].clone()
    };
    let ciphertext = sealed("ab", "c");
    let open = |context: Value, data: Value| {
        ask(&host, "decrypt", json!({ "ciphertext": ciphertext, "context": context, "associated_data": data }))
    };
    assert_eq!(open(json!(b64("ab")), json!(b64("c"))).unwrap()["plaintext"], b64("x"));
    for (context, data) in [("a", "bc"), ("abc", ""), ("", "abc"), ("c", "ab"), ("ab", "d"), ("", "")] {
        let error = open(json!(b64(context)), json!(b64(data))).unwrap_err();
        assert_eq!((error.problems[0].at.as_str(), error.problems[0].code.as_str()), ("/ciphertext", "does_not_open"));
    }
    open(Value::Null, Value::Null).unwrap_err();
    // Nothing and an empty text are the same.
    ask(&host, "decrypt", json!({ "ciphertext": encrypt(&host, "y"), "context": "", "associated_data": null }))
        .unwrap();
}

#[test]
fn a_ciphertext_of_another_key_does_not_open() {
    let host = with("aes256-gcm");
    host.post::<Transit>("create", "other", json!({})).unwrap();
    let foreign =
        host.post::<Transit>("encrypt", "other", json!({ "plaintext": b64("x") })).unwrap()["ciphertext"].clone();
    assert_eq!(
        problem(&host, "decrypt", json!({ "ciphertext": foreign })),
        ("/ciphertext".into(), "does_not_open".into())
    );
}

#[test]
fn what_is_no_ciphertext_is_told_apart_from_one_that_does_not_open() {
    let host = with("aes256-gcm");
    for (ciphertext, code) in [
        (json!("coffer:v1:"), "does_not_open"),
        (json!("coffer:v1:AAAA"), "does_not_open"),
        (json!("coffer:v2:AAAA"), "unknown_version"),
        (json!("coffer:v0:AAAA"), "invalid_value"),
        (json!("vault:v1:AAAA"), "invalid_value"),
        (json!(""), "invalid_value"),
        (json!(7), "wrong_type"),
    ] {
        assert_eq!(problem(&host, "decrypt", json!({ "ciphertext": ciphertext })), ("/ciphertext".into(), code.into()));
    }
    assert_eq!(problem(&host, "encrypt", json!({ "plaintext": "not base64" })).0, "/plaintext");
    assert_eq!(problem(&host, "encrypt", json!({ "plaintext": "AAA" })).0, "/plaintext");
    assert_eq!(problem(&host, "encrypt", json!({ "plaintext": "", "nonce": "" })).0, "/nonce");
    assert_eq!(problem(&host, "encrypt", json!({})), ("/plaintext".into(), "missing".into()));
}

#[test]
fn an_old_version_opens_until_it_may_no_longer_and_rewrap_moves_on() {
    let host = with("chacha20-poly1305");
    let old = encrypt(&host, "kept");
    ask(&host, "rotate", json!({})).unwrap();
    assert!(encrypt(&host, "new").as_str().unwrap().starts_with("coffer:v2:"));
    assert_eq!(ask(&host, "decrypt", json!({ "ciphertext": old })).unwrap()["plaintext"], b64("kept"));
    let moved = ask(&host, "rewrap", json!({ "ciphertext": old })).unwrap();
    assert_eq!(moved["key_version"], 2);
    assert!(moved.get("plaintext").is_none());
    // By request an older one still encrypts, unless that is configured away.
    let body = json!({ "plaintext": b64("x"), "key_version": 1 });
    assert_eq!(ask(&host, "encrypt", body.clone()).unwrap()["key_version"], 1);
    ask(&host, "configure", json!({ "min_encrypt_version": 2 })).unwrap();
    assert_eq!(problem(&host, "encrypt", body), ("/key_version".into(), "version_too_old".into()));
    ask(&host, "configure", json!({ "min_decrypt_version": 2 })).unwrap();
    for operation in ["decrypt", "rewrap"] {
        assert_eq!(
            problem(&host, operation, json!({ "ciphertext": old })),
            ("/ciphertext".into(), "version_too_old".into())
        );
    }
    assert_eq!(ask(&host, "decrypt", json!({ "ciphertext": moved["ciphertext"] })).unwrap()["plaintext"], b64("kept"));
    for version in [0, 3] {
        let body = json!({ "plaintext": "", "key_version": version });
        assert_eq!(problem(&host, "encrypt", body), ("/key_version".into(), "unknown_version".into()));
    }
}

#[test]
fn a_convergent_key_makes_equal_of_equal_below_one_context() {
    let host = with("aes256-gcm-siv");
    let sealed = |text: &str, context: &str| {
        let body = json!({ "plaintext": b64(text), "context": b64(context) });
        ask(&host, "encrypt", body).unwrap()["ciphertext"].clone()
    };
    assert_eq!(sealed("a@example.com", "mail"), sealed("a@example.com", "mail"));
    assert_ne!(sealed("a@example.com", "mail"), sealed("a@example.com", "login"));
    assert_ne!(sealed("a@example.com", "mail"), sealed("b@example.com", "mail"));
    let opened = ask(&host, "decrypt", json!({ "ciphertext": sealed("x", "c"), "context": b64("c") })).unwrap();
    assert_eq!(opened["plaintext"], b64("x"));
    for context in [Value::Null, json!("")] {
        let body = json!({ "plaintext": b64("x"), "context": context });
        assert_eq!(problem(&host, "encrypt", body), ("/context".into(), "missing".into()));
    }
}

#[test]
fn a_data_key_opens_to_what_was_told() {
    let host = with("aes256-gcm");
    for (bits, bytes) in [(128, 16), (256, 32), (512, 64)] {
        let made = ask(&host, "datakey", json!({ "bits": bits, "context": b64("c") })).unwrap();
        assert_eq!(BASE64.decode(made["plaintext"].as_str().unwrap().as_bytes()).unwrap().len(), bytes);
        let opened = ask(&host, "decrypt", json!({ "ciphertext": made["ciphertext"], "context": b64("c") })).unwrap();
        assert_eq!(opened["plaintext"], made["plaintext"]);
    }
    let wrapped = ask(&host, "datakey", json!({ "plaintext": false })).unwrap();
    assert!(wrapped.get("plaintext").is_none() && wrapped["ciphertext"].is_string());
    assert_eq!(problem(&host, "datakey", json!({ "bits": 64 })), ("/bits".into(), "out_of_range".into()));
}

#[test]
fn a_wrapped_data_key_is_never_told_and_opens_for_who_may() {
    let host = with("aes256-gcm");
    let wrapped = ask(&host, "wrapped-datakey", json!({ "bits": 512, "context": b64("c") })).unwrap();
    let members: Vec<&String> = wrapped.as_object().unwrap().keys().collect();
    assert_eq!(members, ["ciphertext", "key_version"]);
    let open = json!({ "ciphertext": wrapped["ciphertext"], "context": b64("c") });
    let opened = ask(&host, "decrypt", open).unwrap()["plaintext"].as_str().unwrap().to_owned();
    assert_eq!(BASE64.decode(opened.as_bytes()).unwrap().len(), 64);
    for plaintext in [true, false] {
        assert_eq!(problem(&host, "wrapped-datakey", json!({ "plaintext": plaintext })).0, "/plaintext");
    }
    assert_eq!(problem(&host, "wrapped-datakey", json!({ "bits": 64 })).0, "/bits");
    assert!(ask(&with("ed25519"), "wrapped-datakey", json!({})).is_err());
}

#[test]
fn equal_texts_of_a_convergent_key_are_equal_below_one_version() {
    let host = with("aes256-gcm-siv");
    let sealed = |text: &str, more: Value| {
        let mut body = json!({ "plaintext": b64(text), "context": b64("mail") });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&host, "encrypt", body).unwrap()["ciphertext"].clone()
    };
    let rewrapped = |ciphertext: &Value| {
        let body = json!({ "ciphertext": ciphertext, "context": b64("mail") });
        ask(&host, "rewrap", body).unwrap()["ciphertext"].clone()
    };
    let old = sealed("ada", json!({}));
    ask(&host, "rotate", json!({})).unwrap();
    let new = sealed("ada", json!({}));
    assert_ne!(old, new);
    // The ways out: go on with the old version, or move what is stored.
    assert_eq!(sealed("ada", json!({ "key_version": 1 })), old);
    assert_eq!((rewrapped(&old), rewrapped(&new)), (new.clone(), new));
}

#[test]
fn a_signature_is_good_for_its_text_its_key_and_its_scheme() {
    for (algorithm, scheme) in [
        ("ed25519", "ed25519"),
        ("ecdsa-p256", "ecdsa-p256-sha256"),
        ("rsa-2048", "rsa-pss-sha256"),
        ("rsa-4096", "rsa-pkcs1v15-sha256"),
    ] {
        let host = with(algorithm);
        let body = json!({ "input": b64("text"), "scheme": scheme });
        let signature = ask(&host, "sign", body).unwrap()["signature"].clone();
        assert!(signature.as_str().unwrap().starts_with("coffer:v1:"));
        ask(&host, "rotate", json!({})).unwrap();
        let valid = |text: &str, signature: &Value| {
            let body = json!({ "input": b64(text), "signature": signature, "scheme": scheme });
            ask(&host, "verify", body).unwrap()["valid"].as_bool().unwrap()
        };
        assert!(valid("text", &signature) && !valid("texts", &signature), "{algorithm}");
        let moved = signature.as_str().unwrap().replace(":v1:", ":v2:");
        assert!(!valid("text", &json!(moved)) && !valid("text", &json!("coffer:v1:")));
        ask(&host, "configure", json!({ "min_decrypt_version": 2 })).unwrap();
        let body = json!({ "input": b64("text"), "signature": signature, "scheme": scheme });
        assert_eq!(problem(&host, "verify", body), ("/signature".into(), "version_too_old".into()));
    }
    let host = with("rsa-2048");
    let pkcs1 = json!({ "input": "", "scheme": "rsa-pkcs1v15-sha256" });
    let signature = ask(&host, "sign", pkcs1).unwrap()["signature"].clone();
    // Without a scheme PSS is meant.
    assert_eq!(
        ask(&host, "verify", json!({ "input": "", "signature": signature })).unwrap(),
        json!({ "valid": false })
    );
    assert_eq!(problem(&host, "sign", json!({ "input": "", "scheme": "ed25519" })).0, "/scheme");
    assert_eq!(problem(&host, "sign", json!({ "input": "", "scheme": "rsa-pss-md5" })).0, "/scheme");
}

#[test]
fn a_digest_is_signed_instead_of_its_text() {
    let digest = BASE64.encode(&[7; 32]);
    for (algorithm, scheme) in
        [("ecdsa-p256", "ecdsa-p256-sha256"), ("rsa-2048", "rsa-pss-sha256"), ("rsa-3072", "rsa-pkcs1v15-sha256")]
    {
        let host = with(algorithm);
        let body = json!({ "input": digest, "scheme": scheme, "prehashed": true });
        let signature = ask(&host, "sign", body).unwrap()["signature"].clone();
        let valid = |input: &str, prehashed: bool| {
            let body = json!({ "input": input, "scheme": scheme, "prehashed": prehashed, "signature": signature });
            ask(&host, "verify", body).unwrap()["valid"].as_bool().unwrap()
        };
        assert!(valid(&digest, true) && !valid(&digest, false) && !valid(&BASE64.encode(&[8; 32]), true));
        for input in [BASE64.encode(&[7; 31]), BASE64.encode(&[7; 33]), String::new()] {
            for verb in ["sign", "verify"] {
                let mut body = json!({ "input": input, "prehashed": true });
                if verb == "verify" {
                    body["signature"] = signature.clone();
                }
                assert_eq!(problem(&host, verb, body), ("/input".into(), "out_of_range".into()));
            }
        }
    }
    let ed25519 = with("ed25519");
    assert_eq!(problem(&ed25519, "sign", json!({ "input": digest, "prehashed": true })).0, "/prehashed");
    // The name that the host has for it is none of this engine's.
    let named = json!({ "input": digest, "scheme": "rsa-pss-sha256-prehashed" });
    assert_eq!(problem(&with("rsa-2048"), "sign", named).0, "/scheme");
    let mac = with("hmac-sha256");
    let hmac = ask(&mac, "hmac", json!({ "input": digest })).unwrap()["hmac"].clone();
    let body = json!({ "input": digest, "hmac": hmac, "prehashed": true });
    assert_eq!(problem(&mac, "verify", body).0, "/prehashed");
}

#[test]
fn a_signature_of_ecdsa_is_written_as_web_tokens_have_it_too() {
    let host = with("ecdsa-p256");
    let sign = |marshaling: &str| {
        let body = json!({ "input": b64("text"), "marshaling": marshaling });
        ask(&host, "sign", body).unwrap()["signature"].as_str().unwrap().to_owned()
    };
    let bytes = |token: &str| BASE64.decode(token.trim_start_matches("coffer:v1:").as_bytes()).unwrap();
    let (jws, der) = (sign("jws"), sign("asn1"));
    assert_eq!((bytes(&jws).len(), bytes(&der)[0]), (64, 0x30));
    let valid = |signature: &str, marshaling: &str| {
        let body = json!({ "input": b64("text"), "signature": signature, "marshaling": marshaling });
        ask(&host, "verify", body).unwrap()["valid"].as_bool().unwrap()
    };
    assert!(valid(&jws, "jws") && valid(&der, "asn1") && !valid(&jws, "asn1") && !valid(&der, "jws"));
    assert!(!valid("coffer:v1:", "jws") && !valid(&format!("coffer:v1:{}", BASE64.encode(&[0; 64])), "jws"));
    assert_eq!(problem(&host, "sign", json!({ "input": "", "marshaling": "xml" })).0, "/marshaling");
    for other in ["ed25519", "rsa-2048"] {
        assert_eq!(problem(&with(other), "sign", json!({ "input": "", "marshaling": "jws" })).0, "/marshaling");
    }
}

#[test]
fn a_mac_is_verified_like_a_signature() {
    let host = with("hmac-sha256");
    let hmac = ask(&host, "hmac", json!({ "input": b64("text") })).unwrap()["hmac"].clone();
    ask(&host, "rotate", json!({})).unwrap();
    assert_ne!(ask(&host, "hmac", json!({ "input": b64("text") })).unwrap()["hmac"], hmac);
    let verify =
        |text: &str| ask(&host, "verify", json!({ "input": b64(text), "hmac": hmac })).unwrap()["valid"].clone();
    assert_eq!((verify("text"), verify("test")), (json!(true), json!(false)));
    let both = json!({ "input": "", "hmac": hmac, "signature": hmac });
    assert_eq!(problem(&host, "verify", both).0, "/hmac");
    assert_eq!(problem(&host, "verify", json!({ "input": "" })), ("/signature".into(), "missing".into()));
    let named = json!({ "input": "", "hmac": hmac, "scheme": "ed25519" });
    assert_eq!(problem(&host, "verify", named).0, "/scheme");
}

#[test]
fn a_key_does_what_its_algorithm_does_and_nothing_else() {
    let token = json!("coffer:v1:AAAA");
    for (algorithm, able) in [
        ("aes256-gcm", vec!["encrypt", "decrypt", "rewrap", "datakey"]),
        ("hmac-sha256", vec!["hmac", "verify-hmac"]),
        ("ed25519", vec!["sign", "verify"]),
    ] {
        let host = with(algorithm);
        for (operation, body) in [
            ("encrypt", json!({ "plaintext": "" })),
            ("decrypt", json!({ "ciphertext": token })),
            ("rewrap", json!({ "ciphertext": token })),
            ("datakey", json!({})),
            ("sign", json!({ "input": "" })),
            ("verify", json!({ "input": "", "signature": token })),
            ("verify-hmac", json!({ "input": "", "hmac": token })),
            ("hmac", json!({ "input": "" })),
        ] {
            let answer = ask(&host, operation.trim_end_matches("-hmac"), body);
            let is_refused = answer.is_err_and(|error| error.problems[0].code == "wrong_algorithm");
            assert_ne!(is_refused, able.contains(&operation), "{algorithm} {operation}");
        }
    }
}

#[test]
fn one_bad_item_spoils_its_own_place_only() {
    let host = with("aes256-gcm");
    let good = encrypt(&host, "good");
    let batch = json!({ "batch": [
        { "ciphertext": good },
        { "ciphertext": "coffer:v1:AAAA" },
        { "ciphertext": good, "colour": "red" },
        "text",
        { "ciphertext": good },
    ] });
    let answer = ask(&host, "decrypt", batch).unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0], &results[4]), (5, &json!({ "plaintext": b64("good") }), &results[0]));
    let told = |at: usize| (results[at]["detail"][0]["loc"].clone(), results[at]["detail"][0]["type"].clone());
    assert_eq!(told(1), (json!(["body", "batch", 1, "ciphertext"]), json!("does_not_open")));
    assert_eq!(told(2), (json!(["body", "batch", 2, "colour"]), json!("unknown_member")));
    assert_eq!(told(3), (json!(["body", "batch", 3]), json!("wrong_type")));
    for (body, at) in [
        (json!({ "batch": [] }), "/batch"),
        (json!({ "batch": {} }), "/batch"),
        (json!({ "batch": vec![json!({}); 1001] }), "/batch"),
        (json!({ "batch": [{}], "plaintext": "" }), "/plaintext"),
    ] {
        assert_eq!(problem(&host, "encrypt", body).0, at);
    }
}

#[test]
fn a_batch_of_signatures_is_no_longer_than_a_call_can_sign() {
    for (algorithm, most) in [("rsa-2048", 250), ("rsa-3072", 100), ("rsa-4096", 50), ("ecdsa-p256", 1000)] {
        let host = with(algorithm);
        let batch = |items: usize| json!({ "batch": vec![json!({ "input": "" }); items] });
        assert_eq!(ask(&host, "sign", batch(most)).unwrap()["results"].as_array().unwrap().len(), most);
        assert_eq!(problem(&host, "sign", batch(most + 1)), ("/batch".into(), "out_of_range".into()), "{algorithm}");
        // To verify is cheap.
        let signature = ask(&host, "sign", json!({ "input": "" })).unwrap()["signature"].clone();
        let batch = json!({ "batch": vec![json!({ "input": "", "signature": signature }); 1000] });
        ask(&host, "verify", batch).unwrap();
    }
}

#[test]
fn what_no_item_is_to_blame_for_is_the_whole_calls_failure() {
    let host = with("aes256-gcm");
    let body = json!({ "batch": [{ "plaintext": "" }] });
    ask(&host, "encrypt", body.clone()).unwrap();
    host.set_storage_away(true);
    assert_eq!(ask(&host, "encrypt", body).unwrap_err().code, "unavailable");
}

#[test]
fn work_leaves_nothing_behind() {
    let host = with("ed25519");
    let before = host.stored("key/k");
    ask(&host, "sign", json!({ "batch": [{ "input": b64("one") }, { "input": b64("two") }] })).unwrap();
    assert_eq!((host.stored("key/k"), host.keys().len()), (before, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_encrypted_comes_back_after_any_rotations(
        text: Vec<u8>, context: Vec<u8>, data: Vec<u8>, rotations in 0usize..4, convergent: bool,
    ) {
        let host = with(if convergent { "aes256-gcm-siv" } else { "aes256-gcm" });
        let context = BASE64.encode(&[b"c".as_slice(), &context].concat());
        let body = json!({ "plaintext": BASE64.encode(&text), "context": context, "associated_data": BASE64.encode(&data) });
        let mut ciphertext = ask(&host, "encrypt", body).unwrap()["ciphertext"].clone();
        for round in 0..rotations {
            ask(&host, "rotate", json!({})).unwrap();
            if round % 2 == 1 {
                let body = json!({ "ciphertext": ciphertext, "context": context, "associated_data": BASE64.encode(&data) });
                ciphertext = ask(&host, "rewrap", body).unwrap()["ciphertext"].clone();
            }
        }
        let body = json!({ "ciphertext": ciphertext, "context": context, "associated_data": BASE64.encode(&data) });
        prop_assert_eq!(ask(&host, "decrypt", body).unwrap(), json!({ "plaintext": BASE64.encode(&text) }));
    }

    #[test]
    fn no_flipped_bit_opens(text: Vec<u8>, at: usize, bit in 0u8..8) {
        let host = with("aes256-gcm");
        let ciphertext = ask(&host, "encrypt", json!({ "plaintext": BASE64.encode(&text) })).unwrap()["ciphertext"].clone();
        let mut bytes = BASE64.decode(ciphertext.as_str().unwrap().trim_start_matches("coffer:v1:").as_bytes()).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let body = json!({ "ciphertext": format!("coffer:v1:{}", BASE64.encode(&bytes)) });
        prop_assert!(ask(&host, "decrypt", body).is_err());
    }
}
