//! Compiles the plugins that Coffer ships, and writes the table of them for `catalog`.
//!
//! `COFFER_PLUGINS_DIR`: a folder with `<name>.wasm` of each, for packagers who build them apart.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// Folders below `plugins`. One more line here ships one more plugin.
const SHIPPED: &[&str] = &["authenticator", "clients", "github", "kv", "password", "totp", "transit"];

const TARGET: &str = "wasm32-wasip2";

/// Set for the host's own build; a plugin's must not see them.
const NOT_FOR_PLUGINS: &[&str] = &[
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

fn main() {
    if let Err(reason) = ship().and_then(|()| embed_sdk()).and_then(|()| embed_pages()) {
        println!("cargo::error={reason}");
        process::exit(1);
    }
}

fn ship() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=COFFER_PLUGINS_DIR");
    let components = match env::var_os("COFFER_PLUGINS_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => packaged(Path::new(&dir))?,
        None => built()?,
    };

    let mut table = String::from("/// Name and component of each plugin that is shipped.\n");
    writeln!(table, "pub static SHIPPED: &[(&str, &[u8])] = &[")?;
    for (name, path) in components {
        // A copy: what is embedded stays what this run has seen.
        let file = format!("{name}.wasm");
        fs::copy(path, out_dir()?.join(&file))?;
        writeln!(table, r#"    ("{name}", include_bytes!(concat!(env!("OUT_DIR"), "/{file}"))),"#)?;
    }
    writeln!(table, "];")?;
    fs::write(out_dir()?.join("shipped.rs"), table)?;
    Ok(())
}

/// What `coffer plugin new` puts into a project: the SDK, so that it can be built apart from this
/// workspace, and the contract that it is made from.
fn embed_sdk() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let mut files = Vec::new();
    for folder in ["plugin-sdk/src", "wit/v1"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let manifest = standalone(
        &fs::read_to_string(root.join("plugin-sdk/Cargo.toml"))?,
        &fs::read_to_string(root.join("Cargo.toml"))?,
    )?;
    let mut table = String::from("pub static FILES: &[(&str, &str)] = &[\n");
    writeln!(table, "    (\"sdk/Cargo.toml\", {manifest:?}),")?;
    for file in files {
        let name = file.strip_prefix(&root)?.to_string_lossy().replace("plugin-sdk/", "sdk/");
        writeln!(table, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    writeln!(table, "];")?;
    fs::write(out_dir()?.join("sdk.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, into)? } else { into.push(path) }
    }
    Ok(())
}

/// What is served at `/docs`: the pages of `docs`, in the order of their numbers, and the one of each
/// shipped plugin. Name, source and text of each; a page more is a file more.
fn embed_pages() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.join("host/docs").display());
    let mut sources: Vec<String> = Vec::new();
    for entry in fs::read_dir(root.join("host/docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            sources.push(format!("host/docs/{name}"));
        }
    }
    sources.sort_by_key(|source| number(source));
    sources.extend(SHIPPED.iter().map(|name| format!("plugins/{name}/README.md")));
    let mut table = String::from("pub static PAGES: &[(&str, &str, &str)] = &[\n");
    for source in sources {
        let file = root.join(&source).display().to_string();
        println!("cargo::rerun-if-changed={file}");
        writeln!(table, "    ({:?}, {source:?}, include_str!({file:?})),", page_name(&source))?;
    }
    writeln!(table, "];")?;
    fs::write(out_dir()?.join("pages.rs"), table)?;
    Ok(())
}

/// Where `host/docs/3-api.md` stands: 3.
fn number(source: &str) -> u32 {
    let file = source.rsplit('/').next().unwrap_or_default();
    file.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

/// `host/docs/3-api.md` is `api`, `plugins/kv/README.md` is `plugin-kv`.
fn page_name(source: &str) -> String {
    let parts: Vec<&str> = source.split('/').collect();
    match parts.as_slice() {
        ["plugins", name, ..] => format!("plugin-{name}"),
        _ => {
            let file = parts.last().unwrap_or(&source).trim_end_matches(".md");
            file.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
        }
    }
}

/// A manifest that inherits nothing: `x.workspace = true` becomes what the workspace says of `x`.
fn standalone(manifest: &str, workspace: &str) -> Result<String, Box<dyn Error>> {
    let of_workspace = |name: &str| {
        workspace.lines().find(|line| line.split(['=', ' ']).next() == Some(name)).ok_or(format!("no {name}"))
    };
    let mut whole = String::new();
    for line in manifest.lines().take_while(|line| *line != "[lints]") {
        match line.strip_suffix(".workspace = true") {
            Some(name) => writeln!(whole, "{}", of_workspace(name)?)?,
            None => writeln!(whole, "{line}")?,
        }
    }
    Ok(whole)
}

type Components = Vec<(&'static str, PathBuf)>;

fn packaged(dir: &Path) -> Result<Components, Box<dyn Error>> {
    let dir = dir.canonicalize().map_err(|_| format!("COFFER_PLUGINS_DIR: there is no folder {}", dir.display()))?;
    let find = |name: &&'static str| {
        let path = dir.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_file() { Ok((*name, path)) } else { Err(format!("COFFER_PLUGINS_DIR has no {name}.wasm").into()) }
    };
    SHIPPED.iter().map(find).collect()
}

fn built() -> Result<Components, Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "plugin-sdk/Cargo.toml", "plugins/otp/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    for name in SHIPPED {
        println!("cargo::rerun-if-changed={}", root.join("plugins").join(name).join("Cargo.toml").display());
    }
    demand_target()?;
    let target_dir = target_dir(&out_dir()?).join("plugins");

    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(&root).args(["build", "--locked", "--lib", "--profile", "plugin", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&target_dir);
    for name in SHIPPED {
        cargo.arg("--package").arg(format!("coffer-plugin-{name}"));
    }
    for name in NOT_FOR_PLUGINS {
        cargo.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output()?;
    if !output.status.success() {
        // Cargo tells a build script's stderr once it has failed, and only then.
        eprint_all(&output.stderr);
        return Err("the shipped plugins do not build; what the compiler says stands below".into());
    }

    let made = target_dir.join(TARGET).join("plugin");
    for name in SHIPPED {
        watch(&made.join(format!("coffer_plugin_{name}.d")))?;
    }
    Ok(SHIPPED.iter().map(|name| (*name, made.join(format!("coffer_plugin_{name}.wasm")))).collect())
}

/// The one thing that a machine needs besides Rust: said before a compiler says it in another way.
fn demand_target() -> Result<(), Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let libdir = String::from_utf8(output.stdout)?;
    if output.status.success() && Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    Err(format!("Coffer's plugins are WebAssembly: please run `rustup target add {TARGET}` and build again").into())
}

/// Cargo marks the root of its target folder; `out` lies some levels below.
fn target_dir(out: &Path) -> PathBuf {
    out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(out).to_owned()
}

/// Asks to be run again when a file changes that the component was made of: `target: file file …`,
/// spaces escaped.
fn watch(dependencies: &Path) -> Result<(), Box<dyn Error>> {
    for line in fs::read_to_string(dependencies)?.lines() {
        let Some((_, files)) = line.split_once(".wasm: ") else { continue };
        for file in files.replace("\\ ", "\0").split(' ') {
            println!("cargo::rerun-if-changed={}", file.replace('\0', " "));
        }
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the way for a build script to be heard")]
fn eprint_all(text: &[u8]) {
    eprintln!("{}", String::from_utf8_lossy(text));
}

fn out_dir() -> Result<PathBuf, Box<dyn Error>> {
    Ok(variable("OUT_DIR")?.into())
}

fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: is this run by cargo?").into())
}
