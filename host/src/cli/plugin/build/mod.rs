//! A component from a folder, by the tools of its language. One more language is one more file here.
//!
//! Cargo needs nothing of ours. For the others `build/` in the folder is written anew each time: the contract as
//! far as the manifest asks for it (`contract.rs`), and what the language's plugins build on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use serde_json::Value;

use super::{Failure, Lang, contract, failed, file_of, inspect::told, manifest, read};
use crate::{catalog, catalog::Manifest};

mod cargo;
mod npm;
mod pip;
mod zig;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Folder of the plugin
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Build without a network
    #[arg(long)]
    offline: bool,
}

pub fn build(arguments: &Arguments) -> Result<Value, Failure> {
    let Arguments { folder, offline } = arguments;
    let made = match Lang::of(folder)? {
        Lang::Rust => {
            // What is wrong with it is told before anything is compiled.
            manifest(folder)?;
            cargo::component(folder, *offline)?
        }
        lang => Project::open(folder, lang)?.component()?,
    };
    let (_, component) = read(&made)?;
    let to = file_of(folder, &component.manifest);
    let size = fs::copy(&made, &to)?;
    Ok(told(&to, size, &component))
}

/// What is made for a project, and by it.
const MADE: &str = "build";

/// A folder in a language whose tools know nothing of manifests.
pub(super) struct Project<'a> {
    folder: &'a Path,
    lang: Lang,
    /// The manifest, as it is written.
    text: String,
    manifest: Manifest,
    /// The contract, as far as the manifest asks for it.
    contract: String,
}

impl<'a> Project<'a> {
    /// Reads the manifest, and writes what sources build on.
    pub(super) fn open(folder: &'a Path, lang: Lang) -> Result<Self, Failure> {
        let (text, manifest) = manifest(folder)?;
        let contract = contract::of(&manifest)?;
        let project = Self { folder, lang, text, manifest, contract };
        fs::create_dir_all(folder.join(MADE).join("wit"))?;
        fs::write(project.made("wit/coffer.wit"), &project.contract)?;
        match lang {
            Lang::Rust => {}
            Lang::Js => fs::write(project.made("coffer.js"), npm::SDK)?,
            Lang::Python => fs::write(project.made("coffer.py"), pip::SDK)?,
            Lang::C => {
                for (name, text) in zig::SDK {
                    fs::write(project.made(name), text)?;
                }
            }
        }
        Ok(project)
    }

    fn component(&self) -> Result<PathBuf, Failure> {
        let wasm = match self.lang {
            Lang::Rust => return cargo::component(self.folder, false),
            Lang::Js => npm::component(self)?,
            Lang::Python => pip::component(self)?,
            Lang::C => zig::component(self)?,
        };
        let file = self.made("plugin.wasm");
        fs::write(&file, catalog::with_manifest(&wasm, &self.text))?;
        Ok(file)
    }

    fn made(&self, name: &str) -> PathBuf {
        self.folder.join(MADE).join(name)
    }

    /// A tool that the project brings along, here or above, or else one of the machine's.
    fn tool(&self, below: &str, name: &str) -> Option<PathBuf> {
        let folder = self.folder.canonicalize().ok()?;
        let own = folder.ancestors().map(|above| above.join(below).join(name)).find(|path| path.is_file());
        own.or_else(|| {
            std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
        })
    }

    /// Runs a tool in the folder. What it says goes to standard error.
    fn run(&self, tool: &Path, arguments: &[&str]) -> Result<(), Failure> {
        let name = tool.file_name().unwrap_or_default().to_string_lossy();
        let mut command = Command::new(tool);
        command.current_dir(self.folder).args(arguments).stdin(Stdio::null()).stdout(io::stderr());
        // What is installed beside a tool of Python's is the project's too.
        if let Some(environment) = tool.parent().and_then(Path::parent).filter(|dir| dir.join("pyvenv.cfg").is_file()) {
            command.env("VIRTUAL_ENV", environment);
        }
        let status = command.status().map_err(|error| failed(format!("{name} cannot be run: {error}")))?;
        match status.success() {
            true => Ok(()),
            false => Err(failed(format!("{name} could not build it; what it says stands above"))),
        }
    }
}
