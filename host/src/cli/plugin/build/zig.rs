//! C: the compiler of Zig, which brings along a C library for WebAssembly. The component around what it makes is
//! made here.

use std::fs;

use super::{super::Failure, Project, contract, failed};

/// The bindings are what wit-bindgen makes of the contract: a test of the SDK holds them to it.
pub(super) const SDK: [(&str, &str); 3] = [
    ("coffer.h", include_str!("../../../../../plugin-sdk/c/coffer.h")),
    ("coffer.c", include_str!("../../../../../plugin-sdk/c/coffer.c")),
    ("plugin.h", include_str!("../../../../../plugin-sdk/c/plugin.h")),
];

/// Zig would give it a stack of 16 MiB, which every call then had in its memory. This one lies at the bottom of it: what
/// grows beyond traps. The names of functions stay, for backtraces.
const LINE: &str = "cc -target wasm32-wasi -mexec-model=reactor -std=c17 -Os -Wl,--strip-debug -Wall -Wextra -Wno-unused-parameter \
                    -Wl,-z,stack-size=262144 -Ibuild -o build/module.wasm build/coffer.c";

pub(super) fn component(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let tool =
        project.tool(".venv/bin", "python-zig").or_else(|| project.tool(".venv/bin", "zig")).ok_or_else(|| {
            failed(
                "Zig is not installed: run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in the \
             folder of the plugin",
            )
        })?;
    let mut sources = Vec::new();
    for entry in fs::read_dir(project.folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.ends_with(".c") {
            sources.push(name);
        }
    }
    sources.sort();
    // Of what the bindings can export, what this plugin defines.
    let exported = contract::exports(&project.manifest)
        .into_iter()
        .map(|name| format!("-DCOFFER_EXPORTS_{}", name.to_uppercase()));
    let exported: Vec<_> = exported.collect();
    let words = LINE.split(' ').chain(exported.iter().chain(&sources).map(String::as_str));
    project.run(&tool, &words.collect::<Vec<_>>())?;
    contract::around(&project.contract, fs::read(project.made("module.wasm"))?)
}
