//! The page that authors look things up in is held to what is read.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Auth, CRYPTO, CallSpec, CredentialSpec, EXPORTS, Head, HttpAsk, Limits, Requires, Written};
use crate::{
    catalog::verb::FIXED,
    limits,
    runtime::{Bounds, types::REFUSALS},
};

const PAGE: &str = include_str!("../../../docs/10-plugins-reference.md");

/// What a record is read of, by what serde says of a member that is none of them.
fn members<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_value::<T>(json!({"no-such-member": 0})).err().expect("unknown").to_string();
    let expected = error.split("expected").nth(1).expect("a list of members");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// From one heading to the next.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n#").next().unwrap_or_default()
}

fn lost(section: &str, names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let names = names.into_iter().map(|name| format!("`{}`", name.as_ref()));
    names.filter(|name| !section.contains(name)).collect()
}

#[test]
fn each_field_of_a_manifest_stands_in_the_reference() {
    let none = Vec::<String>::new();
    for (heading, known) in [
        ("### [plugin]", members::<Head>()),
        ("### [auth]", members::<Auth>()),
        ("### [requires]", [members::<Requires>(), members::<HttpAsk>()].concat()),
        ("### [limits]", members::<Limits>()),
        ("### [[calls]]", members::<CallSpec>()),
        ("### [[credentials]]", members::<CredentialSpec>()),
    ] {
        assert!(known.len() >= 3, "{heading}: {known:?}");
        assert_eq!(lost(section(heading), known), none, "{heading}");
    }
    for table in members::<Written>() {
        assert!(PAGE.contains(&format!("### [{table}]")) || PAGE.contains(&format!("### [[{table}]]")), "{table}");
    }
    assert_eq!(lost(section("### [plugin]"), EXPORTS), none);
    assert_eq!(lost(section("### [[calls]]"), FIXED.map(|(operation, ..)| operation)), none);
}

#[test]
fn each_code_and_each_name_of_crypto_stands_in_the_reference() {
    let none = Vec::<String>::new();
    let rows = section("## Error codes");
    for code in REFUSALS.iter().chain(&["internal"]) {
        assert!(rows.contains(&format!("\n| `{code}`")), "{code}");
    }
    assert_eq!(lost(section("## Crypto"), CRYPTO.iter().filter(|name| **name != "password-hash")), none);
    assert_eq!(lost(section("### [requires]"), ["password-hash"]), none);
    let schemes = ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha256", "rsa-pkcs1v15-sha256"];
    assert_eq!(lost(section("## Crypto"), schemes.iter().chain(&["sha256", "sha384", "sha512"])), none);
}

#[test]
fn the_bounds_of_the_reference_are_those_that_hold() {
    let mib = |bytes: usize| format!("{}MiB", bytes >> 20);
    let plain = Bounds::default();
    let row = format!("| `memory` | `{}` | `{}` |", mib(plain.memory), mib(limits::PLUGIN_MEMORY));
    assert!(section("### [limits]").contains(&row), "{row}");
    for (name, plain, most) in [("cpu", plain.cpu, limits::PLUGIN_CPU), ("wall", plain.wall, limits::PLUGIN_WALL)] {
        let row = format!("| `{name}-ms` | `{}` | `{}` |", plain.as_millis(), most.as_millis());
        assert!(section("### [limits]").contains(&row), "{row}");
    }
    let bounds = section("## Bounds");
    for text in [
        format!("| a key of storage, a prefix | {} bytes", limits::PLUGIN_KEY_BYTES),
        format!("| {}, {} |", limits::PLUGIN_GET_MANY, limits::LIST_MOST),
        format!("| {} keys read, written or listed; {} MiB", plain.storage_operations, plain.storage_bytes >> 20),
        format!("| an answer | {} MiB |", plain.answer >> 20),
        format!("| {} KiB; a message {} bytes", plain.log_bytes >> 10, limits::PLUGIN_LOG_MESSAGE_BYTES),
        format!("with {} fields", limits::PLUGIN_LOG_FIELDS),
        format!("| {} KiB |\n| bytes for", limits::PLUGIN_RANDOM_BYTES >> 10),
        format!("at once | {} MiB |", limits::PLUGIN_CRYPTO_BYTES >> 20),
        format!("| {}; {} |\n| HTTP", limits::PLUGIN_KEY_VERSIONS, limits::PLUGIN_SLOW_KEYS),
        format!("| {}; {} |\n| a request", limits::EGRESS_REQUESTS, limits::EGRESS_SIDE_BY_SIDE),
        format!("| {} KiB, {} MiB,", limits::EGRESS_URL_BYTES >> 10, limits::EGRESS_BODY_BYTES >> 20),
        format!("MiB, {} |", limits::EGRESS_HEADERS),
        format!("intends | {} |", limits::PLUGIN_INTENTS),
        format!("challenge | {} KiB |", limits::PLUGIN_INTERNAL_BYTES >> 10),
        format!("| {}; {} |\n| problems", limits::PLUGIN_GROUPS, limits::PLUGIN_PROBLEMS),
        format!("| {}; {} |\n| a component", limits::PLUGIN_PROBLEMS, limits::PLUGIN_NOTES),
        format!("| {} MiB |", limits::UPLOAD_BYTES >> 20),
    ] {
        assert!(bounds.contains(&text), "{text}");
    }
}
