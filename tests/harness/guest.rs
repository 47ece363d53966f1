//! Plugins as WebAssembly text: no toolchain is needed, and they do exactly what a story wants.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::guests::leb;

/// A secrets engine that answers its own version, and what else is asked of it.
#[derive(Clone)]
pub struct Guest {
    name: String,
    version: String,
    manifest: String,
    imports: &'static str,
    handle: String,
    check: &'static str,
    migrate: Option<String>,
    functions: &'static str,
}

/// The allocator, and the answers of `check`: an empty success at 2048, an error with the code `denied` at 1088.
const COMMON: &str = r#"
    (memory (export "memory") 2)
    (global $heap (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get $new)))
        (memory.copy (local.get $at) (local.get $old) (local.get $size))
        (local.get $at))
    (func $refuse (result i32)
        (i32.store (i32.const 1088) (i32.const 1))
        (i32.store offset=4 (i32.const 1088) (i32.const 1200))
        (i32.store offset=8 (i32.const 1088) (i32.const 6))
        (i32.const 1088))
    (data (i32.const 1200) "denied")
"#;

impl Guest {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            manifest: String::new(),
            imports: "",
            handle: "(call $ok)".to_owned(),
            check: "(i32.const 2048)",
            migrate: None,
            functions: "",
        }
    }

    /// More of the manifest.
    pub fn with_manifest(mut self, more: &str) -> Self {
        self.manifest.push_str(more);
        self
    }

    /// Declarations of imports, which nothing calls.
    pub fn with_imports(mut self, imports: &'static str) -> Self {
        self.imports = imports;
        self
    }

    /// Every call of it traps.
    pub fn that_traps(mut self) -> Self {
        self.handle = "(unreachable)".to_owned();
        self
    }

    /// A call with this operation traps.
    pub fn that_traps_on_delete(mut self) -> Self {
        // "delete" alone begins with these four letters.
        self.handle = r#"(if (i32.eq (i32.load (local.get $op)) (i32.const 0x656c6564)) (then (unreachable)))
            (call $ok)"#
            .to_owned();
        self
    }

    /// Logs what it is given, as a warning; `delete` traps in a function called `boom`.
    pub fn that_talks_and_fails(mut self) -> Self {
        self.imports = r#"(import "coffer:plugin/log@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))"#;
        self.functions = "(func $boom (unreachable)) (func $outer (call $boom))";
        // "delete" alone begins with these four letters.
        self.handle = r#"(call $emit (i32.const 2) (local.get 4) (local.get 5) (i32.const 0) (i32.const 0))
            (if (i32.eq (i32.load (local.get $op)) (i32.const 0x656c6564)) (then (call $outer)))
            (call $ok)"#
            .to_owned();
        self
    }

    /// `check` refuses every configuration.
    pub fn that_refuses_its_configuration(mut self) -> Self {
        self.check = "(call $refuse)";
        self
    }

    pub fn build(&self) -> Vec<u8> {
        let Self { name, version, manifest, imports, handle, check, migrate, functions } = self;
        let answer = format!("{{\"version\":\"{version}\"}}");
        let migrate = migrate.clone().unwrap_or_default();
        let text = format!(
            r#"(module {imports} {COMMON}
                (data (i32.const 1300) "{}")
                (func $ok (result i32)
                    (i32.store (i32.const 1024) (i32.const 0))
                    (i32.store offset=8 (i32.const 1024) (i32.const 1300))
                    (i32.store offset=12 (i32.const 1024) (i32.const {}))
                    (i32.const 1024))
                (func (export "coffer:plugin/plugin@1.0.0#check") (result i32) {check})
                (func (export "coffer:plugin/engine@1.0.0#handle")
                    (param $op i32) (param i32 i32 i32 i32 i32) (result i32) {handle})
                {functions} {migrate})"#,
            answer.escape_default(),
            answer.len(),
        );
        let mut module = wat::parse_str(text).expect("the guest is WebAssembly");
        let mut resolve = Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1");
        let (package, _) = resolve.push_path(wit).expect("the contract");
        let world = resolve.select_world(&[package], Some("secrets-engine")).expect("a world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("metadata");
        let mut encoder = ComponentEncoder::default();
        encoder.module(&module).expect("a module of the world");
        let mut wasm = encoder.encode().expect("a component");
        let head = format!("[plugin]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"secrets\"\napi = \"1.0\"\n");
        append_section(&mut wasm, "coffer:manifest", format!("{head}{manifest}").as_bytes());
        wasm
    }
}

/// A shipped component with other words in its manifest, each as long as what it stands for, so that nothing else moves:
/// what a publisher would upload.
pub fn reworded(plugin: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let shipped = coffer::catalog::shipped();
    let (_, wasm) = shipped.iter().find(|(name, _)| *name == plugin).expect("it is shipped");
    let mut wasm = wasm.to_vec();
    for (old, new) in changes {
        assert_eq!(old.len(), new.len());
        let places: Vec<usize> =
            (0..wasm.len() - old.len()).filter(|at| wasm[*at..].starts_with(old.as_bytes())).collect();
        assert!(!places.is_empty(), "{old} is in the manifest");
        places.into_iter().for_each(|at| wasm[at..at + old.len()].copy_from_slice(new.as_bytes()));
    }
    wasm
}

/// A custom section at the end of a component.
pub fn append_section(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = Vec::new();
    leb(name.len(), &mut section);
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    wasm.push(0);
    leb(section.len(), wasm);
    wasm.extend_from_slice(&section);
}
