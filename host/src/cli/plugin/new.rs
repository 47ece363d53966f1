use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure, Lang,
    build::Project,
    templates::{self, Kind},
};
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

/// The SDK and the contract of this very server: a project needs nothing else of ours.
mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

pub fn new(arguments: &Arguments) -> Result<Value, Failure> {
    let Arguments { name, lang, kind, within } = arguments;
    let folder = within.join(name.as_str());
    if folder.exists() {
        return Err(Failure::Usage(format!("{}: is there already", folder.display())));
    }
    let sdk = if *lang == Lang::Rust { sdk::FILES } else { &[] };
    for (path, text) in templates::files(*lang, *kind).chain(sdk.iter().copied()) {
        let path = folder.join(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        let text = text.replace("{{name}}", name.as_str()).replace("{{crate}}", &name.as_str().replace('-', "_"));
        fs::write(path, text.replace("{{rust}}", env!("CARGO_PKG_RUST_VERSION")))?;
    }
    if *lang != Lang::Rust {
        // An editor that knows the language finds there what can be called.
        Project::open(&folder, *lang)?;
    }
    let names = templates::files(*lang, *kind).map(|(path, _)| path).filter(|path| !path.starts_with('.'));
    let next = format!("cd {} && {}coffer plugin build", folder.display(), templates::preparation(*lang));
    Ok(json!({"folder": folder, "files": names.collect::<Vec<_>>(), "next": next}))
}
