use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wasmparser::{
    Parser, Payload, ValidPayload, Validator, WasmFeatures, component_types::ComponentEntityType, types::Types,
};

use super::{Digest, Error, Kind, Manifest, effort::Effort, signature};
use crate::{ids::PublisherKey, limits, runtime};

/// The custom section that holds the text of `plugin.toml`. A `#[link_section]` static of a Rust
/// plugin lands in the core module, a tool may put it beside: both are looked at.
const SECTION: &str = "coffer:manifest";

/// What a file says of itself, checked to be so.
#[derive(Clone, Debug)]
pub struct Component {
    pub manifest: Manifest,
    /// The manifest as its author wrote it.
    pub text: String,
    pub digest: Digest,
    /// Whose signature it bears; the signature is good.
    pub signer: Option<PublisherKey>,
    pub imports: Vec<Import>,
    /// Interfaces, without the version: `coffer:plugin/engine`.
    pub exports: BTreeSet<String>,
}

impl Component {
    /// It can take back what it has lent.
    pub fn takes_back(&self) -> bool {
        self.exports.contains("coffer:plugin/leases")
    }
}

/// An interface, and what of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub interface: String,
    pub functions: BTreeSet<String>,
}

/// Reads a component and its manifest. Takes a while for a large one: not for a thread that
/// serves requests. Function bodies are left to the compiler.
pub fn inspect(wasm: &[u8]) -> Result<Component, Error> {
    if wasm.len() > limits::UPLOAD_BYTES {
        return Err(Error::Component("it is larger than 32 MiB"));
    }
    let parts = read(wasm)?;
    let text = parts.manifest.ok_or(Error::Manifest("is missing".to_owned()))?;
    let manifest = Manifest::parse(&text)?;
    let imports = parts.imports.into_iter().map(|name| import(&parts.types, name)).collect::<Result<Vec<_>, _>>()?;
    let without_version = |name: String| name.split('@').next().unwrap_or_default().to_owned();
    let exports: BTreeSet<_> = parts.exports.into_iter().map(without_version).collect();
    check_exports(&manifest, &exports)?;
    for import in &imports {
        check_import(&manifest, import)?;
    }
    Ok(Component { manifest, text, digest: Digest::of(wasm), signer: parts.signer, imports, exports })
}

/// A component with the text of its manifest, for tools that know nothing of one.
pub fn with_manifest(wasm: &[u8], text: &str) -> Vec<u8> {
    let mut section = Vec::new();
    length(SECTION.len(), &mut section);
    section.extend(SECTION.as_bytes());
    section.extend(text.as_bytes());
    let mut whole = wasm.to_vec();
    whole.push(0);
    length(section.len(), &mut whole);
    whole.extend(section);
    whole
}

/// LEB128.
fn length(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

struct Parts {
    manifest: Option<String>,
    signer: Option<PublisherKey>,
    imports: Vec<String>,
    exports: Vec<String>,
    types: Types,
}

fn read(wasm: &[u8]) -> Result<Parts, Error> {
    if Parser::is_core_wasm(wasm) {
        return Err(Error::Component("it is a core module"));
    }
    if !Parser::is_component(wasm) {
        // Code that was compiled elsewhere among them: it could not be checked.
        return Err(Error::Component("it is not WebAssembly"));
    }
    let broken = |_| Error::Component("it is damaged, or uses features that are not offered");
    let mut validator = Validator::new_with_features(features());
    let (mut manifests, mut imports, mut exports) = (Vec::new(), Vec::new(), Vec::new());
    let (mut depth, mut parts, mut types, mut signatures) = (0_usize, 0_usize, None, Vec::new());
    let mut effort = Effort::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(broken)?;
        match validator.payload(&payload).map_err(broken)? {
            ValidPayload::Parser(_) => parts += 1,
            ValidPayload::End(found) => types = Some(found),
            ValidPayload::Ok | ValidPayload::Func(..) => {}
        }
        if parts > limits::COMPONENT_PARTS {
            return Err(Error::Component("it has too many parts"));
        }
        effort.add(&payload)?;
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::CustomSection(section) if section.name() == SECTION => manifests.push((depth, section.data())),
            Payload::CustomSection(section) if depth == 1 && section.name() == signature::SECTION => {
                signatures.push(section.data());
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if imports.len() > limits::COMPONENT_IMPORTS || exports.len() > limits::COMPONENT_EXPORTS {
            return Err(Error::Component("it has too many imports or exports"));
        }
    }
    let types = types.ok_or(Error::Component("it ends too early"))?;
    let signer = signature::signer(wasm, &signatures)?;
    Ok(Parts { manifest: the_manifest(manifests)?, signer, imports, exports, types })
}

/// One beside the component's own sections stands before one inside of a module; two of the same
/// rank could say different things.
fn the_manifest(found: Vec<(usize, &[u8])>) -> Result<Option<String>, Error> {
    let Some(outermost) = found.iter().map(|(depth, _)| *depth).min() else { return Ok(None) };
    let mut candidates = found.iter().filter(|(depth, _)| *depth == outermost);
    let (Some((_, text)), None) = (candidates.next(), candidates.next()) else {
        return Err(Error::Manifest("is there more than once".to_owned()));
    };
    if text.len() > limits::MANIFEST_BYTES {
        return Err(Error::Manifest("is larger than 256 KiB".to_owned()));
    }
    let text = std::str::from_utf8(text).map_err(|_| Error::Manifest("is not UTF-8".to_owned()))?;
    Ok(Some(text.to_owned()))
}

/// As the engine has them: a component that passes here is not refused there for a feature.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::default();
    features.remove(
        WasmFeatures::THREADS
            | WasmFeatures::GC
            | WasmFeatures::MEMORY64
            | WasmFeatures::MULTI_MEMORY
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::RELAXED_SIMD
            | WasmFeatures::FUNCTION_REFERENCES
            | WasmFeatures::CM_ASYNC,
    );
    features
}

fn import(types: &Types, name: String) -> Result<Import, Error> {
    if !runtime::is_offered(&name) {
        return Err(Error::Import(printable(&name), "is not given to plugins"));
    }
    let functions = match types.as_ref().component_item_for_import(&name).map(|item| item.ty) {
        Some(ComponentEntityType::Instance(instance)) => {
            let exports = &types[instance].exports;
            let is_function = |ty: &ComponentEntityType| matches!(ty, ComponentEntityType::Func(_));
            exports.iter().filter(|(_, item)| is_function(&item.ty)).map(|(name, _)| name.clone()).collect()
        }
        _ => return Err(Error::Import(printable(&name), "is not an interface")),
    };
    Ok(Import { interface: name.split('@').next().unwrap_or_default().to_owned(), functions })
}

/// What is imported must have been asked for: an operator reads the manifest, not the code.
fn check_import(manifest: &Manifest, import: &Import) -> Result<(), Error> {
    let requires = &manifest.requires;
    let uses = |names: &[&str]| names.iter().any(|name| import.functions.contains(*name));
    let refuse = |what: &str| Err(Error::Import(what.to_owned(), "the manifest does not ask for"));
    match import.interface.as_str() {
        "coffer:plugin/http" if requires.http.is_empty() && uses(&["send", "send-many"]) => refuse("http"),
        "coffer:plugin/crypto" => {
            let passwords = requires.crypto.contains("password-hash");
            let keys = requires.crypto.iter().any(|name| name != "password-hash");
            if uses(&["password-hash", "password-verify"]) && !passwords {
                return refuse("password-hash");
            }
            if uses(&["create-key", "open-key", "rotate-key"]) && !keys {
                return refuse("keys");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_exports(manifest: &Manifest, exports: &BTreeSet<String>) -> Result<(), Error> {
    let exports = |name: &str| exports.contains(&format!("coffer:plugin/{name}"));
    match manifest.kind {
        _ if !exports("plugin") => Err(Error::Component("it does not export `plugin`")),
        Kind::Auth if !exports("auth") => Err(Error::Component("it does not export `auth`, as its kind demands")),
        Kind::Secrets if !exports("engine") => {
            Err(Error::Component("it does not export `engine`, as its kind demands"))
        }
        _ if !manifest.exports.iter().all(|name| exports(name)) => {
            Err(Error::Component("it does not export all that its manifest names"))
        }
        Kind::Auth | Kind::Secrets => Ok(()),
    }
}

fn printable(name: &str) -> String {
    name.chars().take(128).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}
