//! The command line: `coffer server`, and the commands that talk to a server over HTTPS.
//!
//! Owns arguments, exit codes and what is printed. Never reaches into a store: everything but
//! `server` itself is a client like any other. One more command is one more variant here and a
//! file beside it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod audit;
mod client;
mod exit;
mod plugin;
pub mod process;
mod ready;
mod seal;
mod server;

pub use exit::Failure;

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
    /// Write, try, sign and install plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Everything `main` does.
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let outcome = process::harden().map_err(Failure::from).and_then(|()| match command {
        Command::Server(arguments) => server::run(arguments),
        Command::Init(arguments) => block_on(seal::init(arguments)),
        Command::Unseal(arguments) => block_on(seal::unseal(arguments)),
        Command::Seal(arguments) => block_on(seal::seal(arguments)),
        Command::Status(arguments) => block_on(seal::status(arguments)),
        Command::Plugin(command) => block_on(plugin::run(command)),
        Command::Audit(audit::Command::Verify(arguments)) => block_on(audit::verify(arguments)),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            exit::tell(&failure);
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
    use clap::CommandFactory as _;

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
