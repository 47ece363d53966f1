//! Secrets that went over the wire, and the search for them where they must not be.

use std::collections::BTreeSet;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// Shorter texts stand somewhere by chance.
const SHORTEST: usize = 8;

/// A value that stands nowhere else in the world, to be kept as a secret and searched for.
pub fn canary(name: &str) -> String {
    format!("canary-{name}-{}", coffer::ids::random_base62(20))
}

/// A name that no other test uses: lower case, digits, `-`.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", hex::encode(coffer::ids::random::<6>()))
}

/// Every secret that the clients of one server sent or received.
#[derive(Default)]
pub struct Secrets(Mutex<BTreeSet<String>>);

impl Secrets {
    pub fn add(&self, secret: &str) {
        // Of a token the selector is public: the secret part is what must not be seen.
        let secret = match secret.split('_').collect::<Vec<_>>().as_slice() {
            ["cof", _, _, secret, _] => secret,
            _ => secret,
        };
        if secret.len() >= SHORTEST {
            self.0.lock().expect("nobody panics here").insert(secret.to_owned());
        }
    }

    /// Takes what is secret out of a body, by the names that the API has for secrets.
    pub fn note(&self, path: &str, body: &Value) {
        let Value::Object(members) = body else { return };
        let of_a_secret = path.starts_with("/secrets");
        // A key's `data` tells of the key and is none; what is secret there are the texts.
        let id = members.get("secret_id").and_then(Value::as_str).unwrap_or_default();
        let of_a_key = path.starts_with("/secrets/transit/") || id.starts_with("transit/");
        for (name, value) in members {
            match name.as_str() {
                "data" if of_a_key => {}
                "plaintext" => self.note_all(value),
                "batch" | "results" => value.as_array().into_iter().flatten().for_each(|one| self.note(path, one)),
                "password" | "passwor" | "current" | "new" | "client_secret" | "share" | "shares" | "key" | "data"
                | "admin_password" | "root_token" | "keys" | "code" | "codes" | "secret" | "challenge_id"
                    if name != "key" || path.starts_with("/sys/unseal") =>
                {
                    self.note_all(value);
                }
                "value" if of_a_secret => self.note_all(value),
                "challenge" => self.note_all(&value["id"]),
                "token" | "access_token" | "refresh_token" | "revoke_token" => self.note_all(value),
                _ => {}
            }
        }
    }

    fn note_all(&self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(values) => values.iter().for_each(|value| self.note_all(value)),
            Value::Object(members) => members.values().for_each(|value| self.note_all(value)),
            _ => {}
        }
    }

    /// Which secret stands in `haystack`, and how it is spelled there.
    pub fn find_in(&self, haystack: &[u8]) -> Option<String> {
        // Every spelling is ASCII or the secret itself, so bytes that are no text cannot hide one.
        let text = String::from_utf8_lossy(haystack);
        let secrets = self.0.lock().expect("nobody panics here");
        secrets.iter().find_map(|secret| {
            let spelled = spellings(secret).into_iter().find(|(_, spelling)| text.contains(spelling.as_str()))?;
            Some(format!("{secret:?} {}", spelled.0))
        })
    }
}

/// How a secret might be written: plain, in JSON, in hex, percent-encoded, in base64 at every offset.
fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let json = Value::from(secret).to_string();
    let hex = hex::encode(secret);
    let mut all = vec![
        ("in the clear", secret.to_owned()),
        ("in JSON", json[1..json.len() - 1].to_owned()),
        ("in upper-case hex", hex.to_uppercase()),
        ("in hex", hex),
        (
            "percent-encoded",
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        ),
    ];
    for offset in 0..3 {
        let mut padded = vec![0; offset];
        padded.extend(secret.bytes());
        // Characters at the ends also hold bits of what stands beside the secret.
        let first = (offset * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for (name, engine) in [("in base64", &STANDARD_NO_PAD), ("in URL-safe base64", &URL_SAFE_NO_PAD)] {
            all.push((name, engine.encode(&padded)[first..last].to_owned()));
        }
    }
    all
}

#[test]
fn a_secret_is_found_however_it_is_spelled() {
    let secret = "pass/wörd+\"1\"";
    let secrets = Secrets::default();
    secrets.add(secret);
    let around = |text: &str| format!("x{text}yz");
    for haystack in [
        around(secret),
        serde_json::json!({ "a": secret }).to_string(),
        hex::encode(around(secret)),
        hex::encode_upper(around(secret)),
        STANDARD_NO_PAD.encode(secret),
        STANDARD_NO_PAD.encode(around(secret)),
        URL_SAFE_NO_PAD.encode(format!("xx{secret}yz")),
        percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
    ] {
        assert!(secrets.find_in(haystack.as_bytes()).is_some(), "{haystack}");
    }
    assert_eq!(secrets.find_in(b"pass/word"), None);
}

#[test]
fn of_a_token_the_secret_part_is_searched_for() {
    let secrets = Secrets::default();
    secrets.note("/token/create", &serde_json::json!({ "access_token": "cof_s_SELECTOR_SECRETSECRET_CHECK" }));
    assert_eq!(secrets.find_in(b"session SELECTOR"), None);
    assert!(secrets.find_in(b"SECRETSECRET").is_some());
}
