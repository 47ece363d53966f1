//! The bindings for C, held to the contract: `COFFER_WRITE=1 cargo test -p coffer-plugin-sdk --test c_bindings`
//! writes them anew.

use std::{fs, path::Path};

use wit_bindgen_core::Files;
use wit_parser::Resolve;

/// Everything that can be imported and exported, in one header and one source.
const WORLD: &str = "package coffer:c;
world coffer {
    include coffer:plugin/full-auth-method@1.0.0;
    include coffer:plugin/full-secrets-engine@1.0.0;
}";

#[test]
fn the_bindings_for_c_are_those_of_the_contract() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    resolve.push_path(sdk.join("../wit/v1")).expect("the contract");
    let package = resolve.push_str("world.wit", WORLD).expect("a world");
    let world = resolve.select_world(&[package], Some("coffer")).expect("the world");
    let options = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).expect("bindings");
    for (name, content) in files.iter() {
        let text = selectable(std::str::from_utf8(content).expect("text"));
        let path = sdk.join("c").join(name);
        if std::env::var_os("COFFER_WRITE").is_some() {
            fs::write(&path, &text).expect("written");
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{} is not of this contract", path.display());
    }
}

/// Without the object of types, which `coffer plugin build` has no need of. Each exported function stands behind the name of its interface, so that a plugin defines what it exports and
/// nothing else: `COFFER_EXPORTS_ENGINE`.
fn selectable(source: &str) -> String {
    let source = source.split("// Ensure that the *_component_type.o").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut within = None;
    for line in source.trim_end().lines() {
        if let Some((_, rest)) = line.split_once("__export_name__(\"").filter(|_| line.contains("coffer:plugin/")) {
            let interface = rest.split_once("coffer:plugin/").and_then(|(_, rest)| rest.split('@').next());
            lines.push(format!("#ifdef COFFER_EXPORTS_{}", interface.unwrap_or_default().to_uppercase()));
            within = Some(());
        }
        lines.push(line.trim_end().to_owned());
        if line == "}" && within.take().is_some() {
            lines.push("#endif".to_owned());
        }
    }
    lines.join("\n") + "\n"
}
