use std::path::{Path, PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{Visitor, value},
};

use super::*;

const EXAMPLE: &str = include_str!("../../coffer.example.toml");
/// What a production file needs at least.
const TLS: &str = "[listener]\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n";

fn load(text: &str, env: &[(&str, &str)], dev: Option<DevOptions>) -> Result<Config, Error> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(Some((Path::new("coffer.toml"), text)), env, dev)
}

fn production(text: &str, env: &[(&str, &str)]) -> Config {
    load(text, env, None).unwrap()
}

fn refusal(text: &str, env: &[(&str, &str)]) -> String {
    load(text, env, None).unwrap_err().to_string()
}

#[test]
fn the_environment_goes_over_the_file() {
    let text = format!("data_dir = \"/a\"\n{TLS}[storage]\nurl = \"sqlite:///a.db\"\n");
    let config = production(
        &text,
        &[
            ("COFFER_STORAGE__URL", "postgres://u:hunter2@db/coffer"),
            ("COFFER_LISTENER__ADDRESS", "0.0.0.0:443, [::]:443"),
            ("COFFER_SESSIONS__URL", "rediss://r"),
            ("COFFER_SESSIONS__ASSUME_NOEVICTION", "true"),
            ("COFFER_SESSIONS__NAMESPACE", "7"),
            ("COFFER_LOG__FORMAT", "json"),
            ("COFFER_DATA_DIR", "/b"),
            ("COFFER_AUDIT__PATH", ""),
        ],
    );
    assert_eq!(config.storage.url.reveal(), "postgres://u:hunter2@db/coffer");
    assert_eq!(config.listener.addresses.len(), 2);
    assert!(matches!(&config.sessions.store, SessionStore::Redis(url) if url.reveal() == "rediss://r"));
    assert!(config.sessions.assume_noeviction);
    assert_eq!(config.sessions.namespace, "7");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.data_dir, Path::new("/b"));
    assert_eq!(config.audit, AuditSink::File("/b/audit.log".into()));
    assert_eq!(config.listener.transport, Transport::Tls { cert: "c.pem".into(), key: "k.pem".into() });
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn variables_of_others_are_ignored() {
    let others = [
        ("COFFER_ADDR", "https://x"),
        ("COFFER_TOKEN", "cof_x"),
        ("COFFER_CACERT", "x"),
        ("COFFER_PLUGINS_DIR", "x"),
        ("COFFER_TEST_SLOW__YES", "1"),
        ("COFFER_SERVICE_HOST", "10.0.0.1"),
        ("STORAGE__URL", "x"),
    ];
    production(TLS, &others);
}

#[test]
fn what_is_wrong_is_answered_with_its_place() {
    let cases = [
        (
            "[storage]\nurl = \"sqlite:///a\"\nulr = \"hunter2\"\n",
            "coffer.toml:3:1: unknown key; the keys here are: url",
        ),
        ("\n[sotrage]\nurl = \"hunter2\"\n", "coffer.toml:2:2: unknown key; the keys here are: data_dir, listener"),
        ("x = 1\n", "coffer.toml:1:1: unknown key"),
        ("[storage]\nurl = 5\n", "coffer.toml:2:7: must be a string"),
        ("[storage]\nurl = [\"hunter2\"]\n", "coffer.toml:2:7: must be a string"),
        ("storage = \"hunter2\"\n", "coffer.toml:1:11: must be a section"),
        ("[listener]\nplaintext = \"true\"\n", "coffer.toml:2:13: must be a boolean"),
        ("[listener]\naddress = [\n  \"[::]:1\",\n  \"hunter2\",\n]\n", "coffer.toml:4:3: invalid socket address"),
        ("[listener]\ntrusted_proxies = \"10.0.0.0/8,hunter2\"\n", "coffer.toml:2:19: must be networks"),
        ("[log]\nformat = \"hunter2\"\n", "coffer.toml:2:10: must be one of: text, json"),
        ("[log]\nformat = 1\n", "coffer.toml:2:10: must be one of: text, json"),
        ("[log]\nfilter = \"a\"\nfilter = \"hunter2\"\n", "coffer.toml:3:1: is not TOML, or names a key twice"),
        ("[log]\nfilter = hunter2\n", "coffer.toml:2:10: is not TOML"),
        ("[seal]\nkind = \"key_file\"\nkey = \"hunter2\"\n", "coffer.toml:3:1: is not written in a file"),
    ];
    for (text, place) in cases {
        let refusal = refusal(text, &[]);
        assert!(refusal.starts_with(place), "{refusal}\n{place}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let cases = [
        (("COFFER_STORAGE__ULR", "hunter2"), "COFFER_STORAGE__ULR: unknown key; the keys here are: url"),
        (("COFFER_SOTRAGE__URL", "hunter2"), "COFFER_SOTRAGE__URL: unknown key; the keys here are: data_dir"),
        (("COFFER_STORAGE__URL__X", "hunter2"), "COFFER_STORAGE__URL__X: unknown key"),
        (("COFFER_DATA_DIR__X", "hunter2"), "COFFER_DATA_DIR__X: must be"),
        (("COFFER_LISTENER__PLAINTEXT", "yes"), "COFFER_LISTENER__PLAINTEXT: must be true or false"),
        (("COFFER_LISTENER__ADDRESS", "hunter2"), "COFFER_LISTENER__ADDRESS: invalid socket address"),
        (("COFFER_LOG__FORMAT", "hunter2"), "COFFER_LOG__FORMAT: must be one of: text, json"),
    ];
    for (variable, place) in cases {
        let refusal = refusal(TLS, &[variable]);
        assert!(refusal.starts_with(place), "{refusal}\n{place}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn a_variable_hides_nothing_that_is_wrong_in_the_file() {
    let text = format!("storage = 5\n{TLS}");
    assert!(
        refusal(&text, &[("COFFER_STORAGE__URL", "sqlite:///a")]).starts_with("coffer.toml:1:11: must be a section")
    );
}

#[test]
fn keys_that_do_not_go_together_are_named() {
    let proxies = "trusted_proxies = [\"10.0.0.1\"]";
    let cases = [
        (String::new(), "listener.tls_cert, listener.tls_key: are needed"),
        ("[listener]\ntls_cert = \"c\"".into(), "listener.tls_cert, listener.tls_key: neither"),
        ("[listener]\ntls_key = \"c\"".into(), "listener.tls_cert, listener.tls_key: neither"),
        (format!("{TLS}plaintext = true"), "listener.plaintext, listener.tls_cert"),
        ("[listener]\nplaintext = true".into(), "listener.plaintext, listener.trusted_proxies: plain"),
        (format!("{TLS}{proxies}"), "listener.trusted_proxies, listener.client_address_header: say"),
        (
            format!("{TLS}client_address_header = \"forwarded\""),
            "listener.trusted_proxies, listener.client_address_header: the",
        ),
        (format!("{TLS}public_url = \"http://x\""), "listener.public_url: must begin"),
        (format!("{TLS}public_url = \"https://u:hunter2@x\""), "listener.public_url: must begin"),
        (format!("{TLS}[storage]\nurl = \"mysql://hunter2\""), "storage.url: must begin"),
        (format!("{TLS}[sessions]\nurl = \"hunter2\""), "sessions.url: must be"),
        (format!("{TLS}[sessions]\nurl = \"redis://r:hunter2@r\""), "sessions.url, sessions.allow_plaintext: plain"),
        (
            format!("{TLS}[sessions]\nurl = \"redis+sentinel://localhost,r/?service=s\""),
            "sessions.url, sessions.allow_plaintext: plain",
        ),
        (format!("{TLS}[sessions]\nurl = \"redis+other://localhost\""), "sessions.url: must be"),
        (format!("{TLS}[sessions]\nurl = \"redis://localhost\"\nca = \"x\""), "sessions.ca, sessions.url: a cert"),
        (format!("{TLS}[sessions]\nnamespace = \"a b\""), "sessions.namespace: must"),
        (format!("{TLS}[seal]\nkind = \"dev\""), "seal.kind: dev is for --dev only"),
        (format!("{TLS}[seal]\nkind = \"key_file\""), "seal.key_file, seal.key: exactly"),
        (format!("{TLS}[seal]\nkey_file = \"x\""), "seal.kind, seal.key_file, seal.key: a key"),
        (format!("{TLS}[audit]\nsink = \"stdout\"\npath = \"x\""), "audit.sink, audit.path: stdout"),
    ];
    for (text, keys) in cases {
        let refusal = refusal(&text, &[]);
        assert!(refusal.starts_with(keys), "{refusal}\n{keys}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn plain_http_is_for_trusted_proxies() {
    let text = "[listener]\nplaintext = true\ntrusted_proxies = [\"10.0.0.7\", \"fd00::1/8\"]\nclient_address_header = \"x-forwarded-for\"\n";
    let listener = production(text, &[]).listener;
    assert_eq!(listener.transport, Transport::Plaintext);
    assert_eq!(listener.client_address_header, ClientAddressHeader::XForwardedFor);
    assert_eq!(listener.trusted_proxies, ["10.0.0.7/32".parse().unwrap(), "fd00::/8".parse::<IpNet>().unwrap()]);
}

#[test]
fn plain_redis_is_for_loopback_unless_allowed() {
    for url in [
        "redis://127.0.0.1:6379",
        "redis://[::1]",
        "redis://localhost/0",
        "unix:///run/redis.sock",
        "redis+sentinel://127.0.0.1:1,localhost/?service=s",
        "redis+cluster://u:p@127.0.0.1:1,[::1]:2",
        "rediss+sentinel://a,b/?service=s",
        "rediss+cluster://a,b",
    ] {
        production(&format!("{TLS}[sessions]\nurl = \"{url}\""), &[]);
    }
    production(&format!("{TLS}[sessions]\nurl = \"redis://r\"\nallow_plaintext = true"), &[]);
}

#[test]
fn a_root_key_comes_from_the_environment_in_hex_or_base64() {
    let text = format!("{TLS}[seal]\nkind = \"key_file\"\n");
    for key in ["11".repeat(32), "ERERERERERERERERERERERERERERERERERERERERERE=".into()] {
        let config = production(&text, &[("COFFER_SEAL__KEY", &key)]);
        assert!(matches!(&config.seal, Seal::Key(key) if *key.reveal() == [0x11; 32]));
        assert!(!format!("{config:?}").contains("17"));
    }
    for bad in ["hunter2", &"11".repeat(31), &"11".repeat(33), "ERERERERERERERERERERERERERERERERERERERERERERERE="] {
        assert!(refusal(&text, &[("COFFER_SEAL__KEY", bad)]).starts_with("seal.key: must be"));
    }
}

#[test]
fn dev_needs_nothing_and_takes_the_environment() {
    let config = load("", &[], Some(DevOptions::default())).unwrap();
    assert_eq!(config.listener.transport, Transport::SelfSigned);
    assert_eq!(config.listener.addresses, ["127.0.0.1:8200".parse().unwrap()]);
    assert!(matches!(config.seal, Seal::Dev));
    assert!(config.dev.unwrap().temporary);
    assert_eq!(config.storage.url.reveal(), format!("sqlite://{}/coffer.db", config.data_dir.display()));

    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = DevOptions { listen: Some(listen), data_dir: Some("/d".into()), ready_file: Some("/r".into()) };
    let env = [("COFFER_STORAGE__URL", "postgres://db/x"), ("COFFER_LISTENER__ADDRESS", "127.0.0.1:1")];
    let config = load("", &env, Some(options)).unwrap();
    assert_eq!(config.storage.url.reveal(), "postgres://db/x");
    assert_eq!(config.listener.addresses, [listen]);
    assert_eq!(config.audit, AuditSink::File("/d/audit.log".into()));
    assert_eq!(config.dev, Some(Dev { ready_file: Some("/r".into()), temporary: false }));
}

#[test]
fn dev_stays_on_loopback_with_its_own_seal() {
    let everywhere = DevOptions { listen: Some("0.0.0.0:1".parse().unwrap()), ..DevOptions::default() };
    let refusal = load("", &[], Some(everywhere)).unwrap_err().to_string();
    assert!(refusal.starts_with("listener.address: a dev server"), "{refusal}");
    let refusal = load("", &[("COFFER_SEAL__KIND", "shamir")], Some(DevOptions::default())).unwrap_err().to_string();
    assert!(refusal.starts_with("seal.kind: is dev"), "{refusal}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = PathBuf::from("/nowhere/coffer.toml");
    let error = Config::load(Some(&path), std::iter::empty(), None).unwrap_err();
    assert_eq!(error, Error::Unreadable { path, cause: std::io::ErrorKind::NotFound });
}

#[test]
fn the_example_is_a_configuration() {
    production(EXAMPLE, &[]);
}

#[test]
fn the_example_names_every_key() {
    let sections: [(&str, &[&str]); 8] = [
        ("", keys::<Written>()),
        ("listener", keys::<written::Listener>()),
        ("storage", keys::<written::Storage>()),
        ("sessions", keys::<written::Sessions>()),
        ("plugins", keys::<written::Plugins>()),
        ("seal", keys::<written::Seal>()),
        ("audit", keys::<written::Audit>()),
        ("log", keys::<written::Log>()),
    ];
    assert_eq!(sections[0].1.len(), sections.len(), "one key outside of sections, the rest are sections");
    for (section, keys) in sections {
        let lines: Vec<&str> = EXAMPLE
            .lines()
            .skip_while(|line| !section.is_empty() && *line != format!("[{section}]"))
            .skip(usize::from(!section.is_empty()))
            .take_while(|line| section.is_empty() || !line.starts_with('['))
            .collect();
        for key in keys.iter().filter(|key| (section, **key) != ("seal", "key")) {
            let is_named = |line: &&str| {
                line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} =")) || *line == format!("[{key}]")
            };
            assert!(lines.iter().any(is_named), "{section}.{key}");
        }
    }
    assert!(EXAMPLE.contains("COFFER_SEAL__KEY"));
}

/// The keys that serde knows of a struct.
fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    struct Asked<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
            visitor.visit_unit()
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            keys: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, value::Error> {
            *self.0 = keys;
            visitor.visit_unit()
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut keys: &[&str] = &[];
    let _ = T::deserialize(Asked(&mut keys));
    keys
}
