//! The contract as one plugin sees it: a world that has what its manifest asks for, and nothing else.
//!
//! Guests in some languages import all that their world has, whether they use it or not; and what the manifest
//! does not ask for may not be imported.

use std::collections::BTreeSet;

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, WitPrinter, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

use super::{Failure, failed};
use crate::catalog::{Kind, Manifest};

const CONTRACT: &str = include_str!("../../../../wit/v1/plugin.wit");

/// Name of the world.
const WORLD: &str = "coffer";

/// For everybody.
const PLAIN: [&str; 6] = ["context", "config", "storage", "crypto", "clock", "log"];

/// Of `crypto`, for who asks for keys, and for who asks for `password-hash`.
const KEYS: [&str; 4] = ["create-key", "open-key", "rotate-key", "destroy-key"];
const PASSWORDS: [&str; 3] = ["password-hash", "password-verify", "password-outdated"];

/// The contract in its own language, with the world.
pub(super) fn of(manifest: &Manifest) -> Result<String, Failure> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", CONTRACT).map_err(broken)?;
    let asked = &manifest.requires.crypto;
    let passwords = asked.contains("password-hash");
    let keys = asked.iter().any(|name| name != "password-hash");
    let crypto = resolve.packages[package].interfaces.get("crypto").copied().ok_or_else(|| failed("no crypto"))?;
    let crypto = &mut resolve.interfaces[crypto];
    crypto.functions.retain(|name, _| {
        let name = name.as_str();
        (keys || !(KEYS.contains(&name) || name.starts_with("[method]key.")))
            && (passwords || !PASSWORDS.contains(&name))
    });
    if !keys {
        crypto.types.shift_remove("key");
    }
    let mut printer = WitPrinter::default();
    printer.print(&resolve, package, &[]).map_err(broken)?;
    Ok(format!("{}\n{}", printer.output, world(manifest)))
}

/// The interfaces that its component has to export.
pub(super) fn exports(manifest: &Manifest) -> BTreeSet<&str> {
    let main = match manifest.kind {
        Kind::Auth => "auth",
        Kind::Secrets => "engine",
    };
    manifest.exports.iter().map(String::as_str).chain(["plugin", main]).collect()
}

fn world(manifest: &Manifest) -> String {
    let mut imports = PLAIN.to_vec();
    if !manifest.requires.http.is_empty() {
        imports.push("http");
    }
    if manifest.exports.contains("leases") {
        imports.push("effects");
    }
    let lines = imports.into_iter().map(|name| format!("  import {name};\n"));
    let lines: String = lines.chain(exports(manifest).into_iter().map(|name| format!("  export {name};\n"))).collect();
    format!("/// What the manifest asks for, and what it exports.\nworld {WORLD} {{\n{lines}}}\n")
}

/// A component of the world, from a core module that was linked with its bindings.
pub(super) fn around(contract: &str, mut module: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if let Some(name) = foreign_import(&module) {
        return Err(failed(format!(
            "it uses {name}: a plugin has no files, no terminal and no clock but those of the contract"
        )));
    }
    let (resolve, world) = resolved(contract)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).map_err(broken)?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).and_then(|encoder| encoder.encode()).map_err(broken)
}

/// What a module wants of somebody other than the contract.
fn foreign_import(module: &[u8]) -> Option<String> {
    let imports = Parser::new(0).parse_all(module).filter_map(|payload| match payload {
        Ok(Payload::ImportSection(section)) => Some(section),
        _ => None,
    });
    let all = imports.flat_map(|section| section.into_imports().filter_map(Result::ok));
    let mut foreign = all.filter(|import| !import.module.starts_with("coffer:"));
    foreign.next().map(|import| format!("{} of {}", import.name, import.module))
}

fn resolved(contract: &str) -> Result<(Resolve, WorldId), Failure> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("coffer.wit", contract).map_err(broken)?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(broken)?;
    Ok((resolve, world))
}

fn broken(error: impl std::fmt::Debug) -> Failure {
    failed(format!("no component of this world: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(more: &str) -> String {
        let head = "[plugin]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"secrets\"\napi = \"1.0\"\n";
        of(&Manifest::parse(&format!("{head}{more}")).unwrap()).unwrap()
    }

    #[test]
    fn a_world_has_what_the_manifest_asks_for_and_no_more() {
        let plain = contract("");
        let world = |text: &str| text.split("world coffer").nth(1).unwrap().to_owned();
        for name in ["create-key", "open-key", "password-hash", "password-verify", "resource key"] {
            assert!(!plain.contains(&format!("{name}:")) && !plain.contains(&format!("{name} {{")), "{name}");
        }
        assert!(plain.contains("random:") && plain.contains("constant-time-eq:"));
        assert!(!world(&plain).contains("import http") && !world(&plain).contains("import effects"));
        let more = "exports = [\"leases\", \"maintenance\"]\n[requires]\ncrypto = [\"ed25519\", \"password-hash\"]\n\
                    [[requires.http]]\nhost = \"a.example.com\"\nwhy = \"x\"\n";
        let all = contract(more);
        for part in ["create-key:", "resource key {", "password-hash:"] {
            assert!(all.contains(part), "{part}");
        }
        for part in ["import http;", "import effects;", "export leases;", "export maintenance;", "export engine;"] {
            assert!(world(&all).contains(part), "{part}");
        }
        for text in
            [plain, all, contract("[requires]\ncrypto = [\"password-hash\"]"), contract("exports = [\"engine\"]")]
        {
            resolved(&text).unwrap();
        }
    }

    #[test]
    fn who_uses_what_is_not_of_the_contract_is_told_its_name() {
        let module = wat::parse_str(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#).unwrap();
        let refused = around(&contract(""), module).unwrap_err();
        assert!(refused.to_string().contains("fd_write of wasi_snapshot_preview1"), "{refused}");
    }
}
