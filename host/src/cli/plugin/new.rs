use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Failure;
use crate::ids::PluginName;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Name of the plugin, and of the new folder
    #[arg(value_parser = |text: &str| PluginName::parse(text))]
    name: PluginName,
    /// Language
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
    /// What it will be
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
    /// Where the folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    within: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Lang {
    #[default]
    Rust,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Kind {
    /// A secrets engine
    #[default]
    Secrets,
    /// An auth method
    Auth,
}

type File = (&'static str, &'static str);

const RUST: [File; 2] =
    [("Cargo.toml", include_str!("templates/rust/project.toml")), (".gitignore", "/target\n/*.wasm\n")];

const RUST_SECRETS: [File; 4] = [
    ("plugin.toml", include_str!("templates/rust/secrets.toml")),
    ("src/lib.rs", include_str!("templates/rust/secrets.rs")),
    ("tests/plugin.rs", include_str!("templates/rust/secrets_test.rs")),
    ("calls.json", include_str!("templates/rust/secrets.json")),
];

const RUST_AUTH: [File; 4] = [
    ("plugin.toml", include_str!("templates/rust/auth.toml")),
    ("src/lib.rs", include_str!("templates/rust/auth.rs")),
    ("tests/plugin.rs", include_str!("templates/rust/auth_test.rs")),
    ("calls.json", include_str!("templates/rust/auth.json")),
];

/// The SDK and the contract of this very server: a project needs nothing else of ours.
mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

pub fn new(arguments: &Arguments) -> Result<Value, Failure> {
    let Arguments { name, lang: Lang::Rust, kind, within } = arguments;
    let folder = within.join(name.as_str());
    if folder.exists() {
        return Err(Failure::Usage(format!("{}: is there already", folder.display())));
    }
    let own = match kind {
        Kind::Secrets => RUST_SECRETS,
        Kind::Auth => RUST_AUTH,
    };
    let all = RUST.iter().chain(&own).chain(sdk::FILES);
    for (path, text) in all {
        let path = folder.join(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(
            path,
            text.replace("{{name}}", name.as_str()).replace("{{crate}}", &name.as_str().replace('-', "_")),
        )?;
    }
    let next = format!("cd {} && coffer plugin build", folder.display());
    Ok(json!({"folder": folder, "files": all_names(&own), "next": next}))
}

fn all_names(own: &[File]) -> Vec<&'static str> {
    RUST.iter().chain(own).map(|(path, _)| *path).filter(|path| !path.starts_with('.')).collect()
}
