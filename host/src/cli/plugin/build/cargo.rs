use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::super::{Failure, failed};

const TARGET: &str = "wasm32-wasip2";

/// The component that cargo says it made. What else it says goes to standard error.
pub(super) fn component(folder: &Path, offline: bool) -> Result<PathBuf, Failure> {
    if lacks_target(folder) {
        return Err(failed(format!("Rust has no {TARGET} here; what it needs once: rustup target add {TARGET}")));
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--lib", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    if offline {
        cargo.arg("--offline");
    }
    let output = cargo.output().map_err(|error| failed(format!("cargo cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(failed("cargo could not build it; what it says stands above"));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let files = artifacts
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let made: Vec<_> = files.filter_map(|file| file.as_str().map(PathBuf::from)).filter(|file| is_wasm(file)).collect();
    made.into_iter()
        .next_back()
        .ok_or_else(|| failed("cargo made no component: is crate-type = [\"cdylib\", \"rlib\"]?"))
}

/// For sure: where nobody knows, cargo will say.
fn lacks_target(folder: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    rustc.current_dir(folder).args(["--print", "sysroot"]).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = rustc.output() else { return false };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    output.status.success() && sysroot.is_dir() && !sysroot.join("lib/rustlib").join(TARGET).is_dir()
}

fn is_wasm(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wasm")
}
