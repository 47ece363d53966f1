//! The command line: `coffer server`, and the commands that talk to a server over HTTPS.
//!
//! Owns arguments, exit codes and what is printed. Never reaches into a store: everything but
//! `server` itself and `doctor` is a client like any other. One more command is one more variant here and a
//! file beside it.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::Value;

mod audit;
mod challenge;
mod client;
mod complete;
mod doctor;
mod examples;
mod exit;
mod inject;
mod input;
mod keys;
mod lease;
mod login;
mod next;
mod output;
mod pin;
mod plugin;
mod policy;
pub mod process;
mod ready;
mod reference;
mod run;
mod saved;
mod seal;
mod secret;
mod server;
mod session;
mod setting;
mod user;
mod yaml;

pub use exit::Failure;

/// What every command takes that asks a server: where it is, and how the answer is written.
/// Flattened once into a group of commands; it holds for all of them.
#[derive(Args, Clone, Debug, Default)]
pub struct With {
    #[command(flatten, next_help_heading = "Server and output")]
    target: client::Target,
    #[command(flatten, next_help_heading = "Server and output")]
    shape: output::Shape,
}

impl With {
    /// Speaks for who is logged in.
    fn client(&self) -> Result<client::Client, Failure> {
        self.target.client()
    }

    /// Speaks for nobody.
    fn anonymous(&self) -> Result<client::Client, Failure> {
        self.target.anonymous()
    }

    fn show(&self, answer: &Value) -> Result<(), Failure> {
        self.shape.show(answer)
    }

    fn list(&self, answer: &Value, list: &'static str, names: &'static [&'static str]) -> Result<(), Failure> {
        self.shape.list(answer, &output::Columns { list, names })
    }
}

/// A secrets server: encrypted secrets, sessions that end when you say so, plugins in WebAssembly.
#[derive(Parser, Debug)]
#[command(name = "coffer", version, max_term_width = 100, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server
    Server(server::Arguments),
    /// Make a new store: writes the unseal shares to standard output, once
    Init(seal::Init),
    /// Give one unseal share, read from standard input
    Unseal(seal::Unseal),
    /// Seal the store, on every node
    Seal(seal::Seal),
    /// Is the server sealed?
    Status(seal::Status),
    /// Is everything around the server as it must be? Says what to change
    Doctor(doctor::Arguments),
    /// Another key for all values to come
    Rotate(keys::Rotate),
    /// Other shares: give one of those of now, read from standard input
    Rekey(keys::Rekey),
    /// A root token out of shares: give one, read from standard input
    GenerateRoot(keys::GenerateRoot),
    /// Log in, and keep the session for the commands that follow
    Login(login::Login),
    /// End the session
    Logout(login::Logout),
    /// Who is logged in, and where
    Whoami(login::Whoami),
    /// Secrets
    Secret(secret::Secret),
    /// Run a program with secrets in its environment
    Run(run::Run),
    /// Fill a template with secrets
    Inject(inject::Inject),
    /// Users
    User(user::User),
    /// Roles
    Role(user::Role),
    /// Policies
    Policy(policy::Policy),
    /// Settings
    Setting(setting::Setting),
    /// Sessions
    Session(session::Session),
    /// Tokens
    Token(session::Token),
    /// What engines have lent, until when
    Lease(lease::Lease),
    /// Plugins: write, try, sign and install them
    Plugin(plugin::Plugin),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// What makes a shell complete commands and the names of secrets: source <(coffer completion bash)
    Completion(complete::Completion),
}

/// The command line, with its examples.
pub fn command() -> clap::Command {
    examples::shown(Arguments::command())
}

/// The command without its arguments: `secret put`.
fn way(matches: &clap::ArgMatches) -> String {
    let below = |matches: &clap::ArgMatches| matches.subcommand().map(|(name, below)| format!("{name} {}", way(below)));
    below(matches).unwrap_or_default().trim_end().to_owned()
}

/// Everything `main` does.
pub fn main() -> ExitCode {
    if complete::answered() {
        return ExitCode::SUCCESS;
    }
    let matches = command().get_matches();
    let way = way(&matches);
    let Arguments { command } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = process::harden().map_err(Failure::from).and_then(|()| match command {
        Command::Server(arguments) => server::run(arguments),
        Command::Init(arguments) => block_on(seal::init(arguments)),
        Command::Unseal(arguments) => block_on(seal::unseal(arguments)),
        Command::Seal(arguments) => block_on(seal::seal(arguments)),
        Command::Status(arguments) => block_on(seal::status(arguments)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments)),
        Command::Rotate(arguments) => block_on(keys::rotate(arguments)),
        Command::Rekey(arguments) => block_on(keys::rekey(arguments)),
        Command::GenerateRoot(arguments) => block_on(keys::generate_root(arguments)),
        Command::Login(arguments) => block_on(login::login(arguments)),
        Command::Logout(arguments) => block_on(login::logout(arguments)),
        Command::Whoami(arguments) => block_on(login::whoami(arguments)),
        Command::Secret(group) => block_on(secret::run(group)),
        Command::User(group) => block_on(user::user(group)),
        Command::Role(group) => block_on(user::role(group)),
        Command::Policy(group) => block_on(policy::run(group)),
        Command::Setting(group) => block_on(setting::run(group)),
        Command::Session(group) => block_on(session::session(group)),
        Command::Lease(group) => block_on(lease::lease(group)),
        Command::Token(group) => block_on(session::token(group)),
        Command::Plugin(group) => block_on(plugin::run(group)),
        Command::Run(arguments) => block_on(run::run(arguments)),
        Command::Inject(arguments) => block_on(inject::inject(arguments)),
        Command::Completion(arguments) => complete::completion(&arguments),
        Command::Audit(audit::Command::Verify(arguments)) => block_on(audit::verify(arguments)),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            exit::tell(&failure, &way);
            failure.code()
        }
    }
}

/// A client needs no more than one thread.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense_to_clap() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_server_runs_from_a_file_or_in_dev_and_never_both() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(drop).is_ok();
        for good in [
            "coffer server --config coffer.toml",
            "coffer server --dev",
            "coffer server --dev --listen 127.0.0.1:0 --data-dir d --ready-file f",
        ] {
            assert!(parse(good), "{good}");
        }
        for bad in [
            "coffer server",
            "coffer server --dev --config coffer.toml",
            "coffer server --config coffer.toml --listen 127.0.0.1:0",
            "coffer server --config coffer.toml --ready-file f",
            "coffer server --dev --listen localhost",
            "coffer unseal secret-share",
        ] {
            assert!(!parse(bad), "{bad}");
        }
    }
}
