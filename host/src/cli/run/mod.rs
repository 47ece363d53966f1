//! `run`: a program with secrets in its environment, and nowhere else.
//!
//! Without `--mask` we become the program, so that signals, terminal and exit code are its own.
//! With it we stay, to read what it says before others do.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Map, Value};

use super::{
    Failure, With,
    client::{Client, Target},
    complete, exit, output, process,
    reference::{Reader, Reference, SCHEME},
};
use crate::ids::{Folder, SecretPath};

mod child;
mod mask;
mod names;

use names::Wanted;

#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    target: Target,
    /// A secret, SECRET#MEMBER, NAME=SECRET#MEMBER, or FOLDER/ for all in it. Variables that are a
    /// reference (coffer://…) already get their value in any case
    #[arg(value_name = "SECRET", value_parser = Wanted::parse, add = ArgValueCompleter::new(complete::secrets))]
    wanted: Vec<Wanted>,
    /// Only these variables: A,B
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// What the names of variables begin with that were not given one
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Put *** for the values where the program writes them
    #[arg(long)]
    mask: bool,
    /// The program, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Variables and their values.
type Variables = BTreeMap<String, String>;

/// What has been found, and the names of all that there would be without `--only`.
#[derive(Default)]
struct Found {
    variables: Variables,
    names: BTreeSet<String>,
}

pub async fn run(arguments: Run) -> Result<(), Failure> {
    let variables = variables(&arguments).await?;
    let Some((program, rest)) = arguments.command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(rest).envs(&variables);
    // It was given these secrets, not ours.
    command.env_remove("COFFER_TOKEN");
    let failed = |error: io::Error| cannot_start(&program.to_string_lossy(), &error);
    process::as_it_was_found()?;
    if arguments.mask {
        return child::run(command, &variables).await.map_err(failed)?;
    }
    Err(failed(command.exec()))
}

/// As a shell has it: 127 for what is not there, 126 for what cannot be run.
fn cannot_start(program: &str, error: &io::Error) -> Failure {
    let (code, told) = match error.kind() {
        io::ErrorKind::NotFound => (127, "there is no such program".to_owned()),
        io::ErrorKind::ArgumentListTooLong => {
            (126, "the environment is larger than the system takes; `coffer inject` writes files".to_owned())
        }
        _ => (126, error.to_string()),
    };
    exit::say(&format!("coffer: {program}: {told}"));
    Failure::Quiet(code)
}

async fn variables(run: &Run) -> Result<Variables, Failure> {
    let with = With { target: run.target.clone(), ..With::default() };
    let mut reader = Reader::new(&with);
    let mut found = Found::default();
    for wanted in &run.wanted {
        match wanted {
            Wanted::Folder(folder) => {
                for secret in within(reader.client()?, folder).await? {
                    let data = reader.data(&secret, None).await?.clone();
                    found.members(run, &secret, &data)?;
                }
            }
            Wanted::Secret(secret, version) => {
                let data = reader.data(secret, *version).await?.clone();
                found.members(run, secret, &data)?;
            }
            Wanted::Value(reference) => {
                let member = reference.member.as_deref().unwrap_or_default();
                let name = names::variable(&run.prefix, &reference.secret, member, false);
                names::check(&name, env::var_os(&name).is_some())?;
                let value = reader.value(reference).await?;
                found.add(run, name, value)?;
            }
            Wanted::Named(name, reference) => {
                let value = reader.value(reference).await?;
                found.add(run, name.clone(), value)?;
            }
        }
    }
    for (name, reference) in inherited(&found.variables)? {
        let value = reader.value(&reference).await?;
        found.add(run, name, value)?;
    }
    found.all(run)
}

/// The secrets right in a folder.
async fn within(client: &Client, folder: &Folder) -> Result<Vec<SecretPath>, Failure> {
    let query = [("prefix", folder.to_string()), ("limit", "1000".to_owned())];
    let found = client.all("secrets", &query, &["secrets", "folders"]).await?;
    let ids = found["secrets"].as_array().into_iter().flatten().filter_map(|entry| entry["secret_id"].as_str());
    let parse = |id| SecretPath::parse(id).map_err(|error| Failure::usage(format!("{id}: {}", error.0)));
    let secrets: Vec<SecretPath> = ids.map(parse).collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        let has_folders = found["folders"].as_array().is_some_and(|folders| !folders.is_empty());
        let what = if has_folders {
            "there are only folders in it, which are not looked into"
        } else {
            "there is nothing in it"
        };
        exit::say(&format!("{folder}: {what}"));
    }
    Ok(secrets)
}

/// Our own variables that are references.
fn inherited(taken: &Variables) -> Result<Vec<(String, Reference)>, Failure> {
    let texts = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let references = texts.filter(|(name, value)| value.starts_with(SCHEME) && !taken.contains_key(name));
    references
        .map(|(name, value)| match Reference::parse(&value) {
            Ok(reference) => Ok((name, reference)),
            Err(told) => Err(Failure::usage(format!("{name}: {told}"))),
        })
        .collect()
}

impl Found {
    fn members(&mut self, run: &Run, secret: &SecretPath, data: &Map<String, Value>) -> Result<(), Failure> {
        for (member, value) in data {
            let name = names::variable(&run.prefix, secret, member, data.len() == 1);
            if run.only.is_empty() || run.only.contains(&name) {
                names::check(&name, env::var_os(&name).is_some())?;
            }
            self.add(run, name, output::text(value))?;
        }
        Ok(())
    }

    fn add(&mut self, run: &Run, name: String, value: String) -> Result<(), Failure> {
        self.names.insert(name.clone());
        if !run.only.is_empty() && !run.only.contains(&name) {
            return Ok(());
        }
        if !names::is_name(&name) {
            return Err(Failure::usage(format!("{name} is no name of a variable")));
        }
        if value.contains('\0') {
            return Err(Failure::usage(format!("{name} would hold a NUL, which no variable can")));
        }
        match self.variables.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => {
                Err(Failure::usage(format!("{name} comes from two secrets: say NAME=SECRET#MEMBER for one of them")))
            }
        }
    }

    /// A program that was to be given secrets is not run without any.
    fn all(self, run: &Run) -> Result<Variables, Failure> {
        let names: Vec<String> = self.names.into_iter().collect();
        if names.is_empty() && !run.wanted.is_empty() {
            let folder = run.wanted.iter().find_map(|wanted| match wanted {
                Wanted::Folder(folder) => Some(folder.to_string()),
                _ => None,
            });
            let look = || format!("coffer secret list {}", folder.unwrap_or_default()).trim_end().to_owned();
            return Err(Failure::missing("there are no values to run it with").next(404, look));
        }
        match run.only.iter().find(|name| !self.variables.contains_key(*name)) {
            Some(missing) if names.is_empty() => {
                Err(Failure::usage(format!("{missing} is none of them: there are none")))
            }
            Some(missing) => Err(Failure::usage(format!("{missing} is none of them: {}", names.join(", ")))),
            None => Ok(self.variables),
        }
    }
}
