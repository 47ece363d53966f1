//! `doctor`: is everything around the server as it must be?
//!
//! The one command beside `server` that opens what the server opens, because it is for the day
//! when the server does not start. It changes nothing but a trial key in Redis that it removes.
//! One more check is one more `Finding`, in the file of what it looks at.

mod disk;
mod process;
mod tls;
mod validity;

use std::{io, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{Failure, output::Shape, server};
use crate::{
    clock::Clock,
    config::{AuditSink, Config, Seal, SessionStore},
    finding::{Finding, Verdict},
    shared, storage,
};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration file of the server; the environment goes over it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    shape: Shape,
}

pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let found = match Config::load(Some(&arguments.config), server::environment(), None) {
        Ok(config) => examine(&config).await,
        Err(error) => vec![Finding::fail("config", error.to_string(), "mend the file, or the environment over it")],
    };
    tell(&found, &arguments.shape)?;
    match found.iter().filter(|finding| finding.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(io::Error::other(format!("{failed} of {} checks failed", found.len())).into()),
    }
}

async fn examine(config: &Config) -> Vec<Finding> {
    let clock = Clock::system();
    let mut found = vec![Finding::ok("config", "every key is known")];
    found.extend(process::examine(config));
    found.extend(disk::folder(&config.data_dir));
    found.extend(tls::listener(&config.listener, clock.now()));
    if let Seal::KeyFile(path) = &config.seal {
        found.push(disk::secret("seal.key_file", path));
    }
    match &config.audit {
        AuditSink::File(path) => found.extend(disk::audit(path)),
        AuditSink::Stdout => found.push(Finding::ok("audit.sink", "stdout: what its collector loses is lost")),
    }
    let url = config.storage.url.reveal();
    match url.strip_prefix("sqlite://") {
        Some(path) => found.extend(disk::sqlite(path.as_ref())),
        None => found.extend(storage::examine(url, &clock).await),
    }
    found.extend(sessions(config, &clock).await);
    found
}

async fn sessions(config: &Config, clock: &Clock) -> Vec<Finding> {
    let SessionStore::Redis(url) = &config.sessions.store else {
        return vec![Finding::ok("sessions", "embedded: for one node")];
    };
    let sessions = &config.sessions;
    let mut found: Vec<_> = sessions.ca.iter().flat_map(|path| tls::authority(path, clock.now())).collect();
    let options = shared::Options {
        namespace: sessions.namespace.clone(),
        allow_plaintext: sessions.allow_plaintext,
        assume_noeviction: sessions.assume_noeviction,
        root_certificates: sessions.ca.as_ref().and_then(|path| std::fs::read(path).ok()),
    };
    // Without its authority a Redis could be reached only by trusting others, which says nothing.
    if sessions.ca.is_none() || options.root_certificates.is_some() {
        found.extend(shared::examine(url.reveal(), &options, clock).await);
    }
    found
}

fn tell(found: &[Finding], shape: &Shape) -> Result<(), Failure> {
    let count = |verdict| found.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warned, fine) = (count(Verdict::Fail), count(Verdict::Warn), count(Verdict::Ok));
    if !shape.is_table() {
        return shape.show(&json!({ "ok": failed == 0, "checks": found }));
    }
    let mut lines = String::new();
    for Finding { check, verdict, found, change } in found {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        lines += &format!("{verdict:<5} {check:<20} {found}\n");
        lines.extend(change.iter().map(|change| format!("{:<26} → {change}\n", "")));
    }
    let mut out = io::stdout().lock();
    let said = format!("{lines}\n{fine} ok, {warned} to think about, {failed} failed\n");
    io::Write::write_all(&mut out, said.as_bytes()).map_err(Failure::from)
}
