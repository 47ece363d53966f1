//! `coffer plugin …`: what an author of plugins needs, from the first file to a mount, and what an operator
//! sees of the mounts.
//!
//! What an author does works without a server, but for `install`. One more language is one more folder below
//! `templates`, one more list in `templates.rs` and one more file in `build`.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::{Failure, With, client::segment, complete};
use crate::{catalog, limits};

mod build;
mod contract;
mod inspect;
mod install;
mod new;
mod sign;
mod templates;
mod test;
mod top;
mod watch;

#[derive(Args, Debug)]
pub struct Plugin {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Begin a plugin: a folder with all that it takes to build one
    New(new::Arguments),
    /// Build the plugin in a folder, and look at what came out
    Build(build::Arguments),
    /// Say what a file is, what it asks for and who signed it
    Inspect(inspect::Arguments),
    /// Run the real component with calls from a file, in the sandbox that the server has
    Test(test::Arguments),
    /// Sign a file with an Ed25519 key
    Sign(sign::Arguments),
    /// Upload a file to a server, and enable it at a mount
    Install(install::Arguments),
    /// The plugins of a server, shipped and uploaded
    List,
    /// What a server knows of one
    Show {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::plugins))]
        name: String,
        /// Its version
        version: String,
    },
    /// Delete an uploaded one that no mount uses
    Delete {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::plugins))]
        name: String,
        /// Its version
        version: String,
    },
    /// What the mounts of a server are doing: calls, where their time goes, failures
    Top(top::Top),
    /// What the plugin of a mount logged
    Logs(watch::Logs),
    /// How the plugin of a mount failed, with a backtrace
    Failures(watch::Mount),
}

pub async fn run(group: Plugin) -> Result<(), Failure> {
    let Plugin { with, command } = group;
    let path = |name: &str, version: &str| Ok::<_, Failure>(format!("{PATH}/{}/{}", segment(name)?, segment(version)?));
    let answer = match command {
        Command::New(arguments) => new::new(&arguments)?,
        Command::Build(arguments) => build::build(&arguments)?,
        Command::Inspect(arguments) => inspect::inspect(&arguments)?,
        Command::Test(arguments) => test::test(&arguments).await?,
        Command::Sign(arguments) => sign::sign(&arguments)?,
        Command::Install(arguments) => install::install(&with, &arguments).await?,
        Command::List => {
            let all = with.client()?.all(PATH, &[], &["plugins"]).await?;
            return with.list(&all, "plugins", &["name", "version", "kind", "publisher", "used_by"]);
        }
        Command::Top(arguments) => return top::top(&with, &arguments).await,
        Command::Logs(arguments) => return watch::logs(&with, &arguments).await,
        Command::Failures(mount) => return watch::failures(&with, &mount).await,
        Command::Show { name, version } => with.client()?.get(&path(&name, &version)?).await?,
        Command::Delete { name, version } => with.client()?.delete(&path(&name, &version)?, &[]).await?,
    };
    with.show(&answer)
}

/// What a plugin is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Lang {
    #[default]
    Rust,
    /// JavaScript
    Js,
    Python,
    C,
}

impl Lang {
    /// The file by which a project is known.
    const KNOWN: [(&'static str, Self); 4] =
        [("Cargo.toml", Self::Rust), ("package.json", Self::Js), ("plugin.py", Self::Python), ("plugin.c", Self::C)];

    fn of(folder: &Path) -> Result<Self, Failure> {
        let found = Self::KNOWN.into_iter().find(|(file, _)| folder.join(file).is_file());
        let none = "has no Cargo.toml, package.json, plugin.py or plugin.c: is it the folder of a plugin?";
        found.map(|(_, lang)| lang).ok_or_else(|| wrong(folder, none))
    }
}

/// Below `/api/v1`.
const PATH: &str = "sys/plugins";
const MOUNTS: &str = "sys/mounts";

/// What a folder's `plugin.toml` says, and as it is written.
fn manifest(folder: &Path) -> Result<(String, catalog::Manifest), Failure> {
    let file = folder.join("plugin.toml");
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(&file, &format!("cannot be read: {error}")))?;
    // To its author the parser speaks itself.
    if let Err(error) = toml::from_str::<toml::Table>(&text) {
        return Err(wrong(&file, &format!("is not TOML: {}", error.to_string().trim_end())));
    }
    let manifest = catalog::Manifest::parse(&text).map_err(|error| wrong(&file, &reason(&error)))?;
    Ok((text, manifest))
}

/// A component's file as it was named, or the one that was built in that folder.
fn component_at(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let (_, manifest) = manifest(path)?;
    let file = file_of(path, &manifest);
    match file.is_file() {
        true => Ok(file),
        false => Err(wrong(&file, "is not there yet: coffer plugin build")),
    }
}

/// The component in a file, and what it says of itself.
fn read(path: &Path) -> Result<(Vec<u8>, catalog::Component), Failure> {
    let unreadable = |error: io::Error| Failure::Usage(format!("{}: cannot be read: {error}", path.display()));
    if std::fs::metadata(path).map_err(unreadable)?.len() > limits::UPLOAD_BYTES as u64 {
        return Err(wrong(path, "is larger than 32 MiB"));
    }
    let wasm = std::fs::read(path).map_err(unreadable)?;
    let component = catalog::inspect(&wasm).map_err(|error| wrong(path, &reason(&error)))?;
    Ok((wasm, component))
}

/// For an author, who can mend it.
fn reason(error: &catalog::Error) -> String {
    match error {
        catalog::Error::Invalid(problems) => {
            let lines = problems.iter().map(|p| format!("{}: {}", p.at, p.message)).collect::<Vec<_>>();
            format!("the manifest is not valid: {}", lines.join("; "))
        }
        other => other.to_string(),
    }
}

/// A file that is not what it should be.
fn wrong(path: &Path, why: &str) -> Failure {
    Failure::Usage(format!("{}: {why}", path.display()))
}

/// Something of ours that went wrong.
fn failed(why: impl Into<String>) -> Failure {
    Failure::Local(io::Error::other(why.into()))
}

/// `hello-1.0.0.wasm`, beside the project.
fn file_of(folder: &Path, manifest: &catalog::Manifest) -> PathBuf {
    folder.join(format!("{}-{}.wasm", manifest.name, manifest.version))
}
