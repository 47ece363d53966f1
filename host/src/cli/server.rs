//! `server`: the one command that is the server itself.

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::PathBuf,
};

use clap::Args;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{Failure, process, ready};
use crate::{
    app::App,
    config::{Config, DevOptions, Log, LogFormat},
    http::serve::Server,
};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration file; every key can come from COFFER_<SECTION>__<KEY> as well
    #[arg(long, value_name = "FILE", required_unless_present = "dev", conflicts_with = "dev")]
    config: Option<PathBuf>,
    /// A server to try things with: loopback only, unsealed, its own certificate and admin
    #[arg(long)]
    dev: bool,
    /// Where to listen; port 0 picks one
    #[arg(long, value_name = "ADDRESS:PORT", requires = "dev", conflicts_with = "config")]
    listen: Option<SocketAddr>,
    /// Where to keep everything, instead of a temporary folder
    #[arg(long, value_name = "DIR", requires = "dev", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// Written once the server listens: URL, certificate, admin and root token
    #[arg(long, value_name = "FILE", requires = "dev", conflicts_with = "config")]
    ready_file: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { config, dev, listen, data_dir, ready_file } = arguments;
    let dev = dev.then_some(DevOptions { listen, data_dir, ready_file });
    let config =
        Config::load(config.as_deref(), environment(), dev).map_err(|error| Failure::Usage(error.to_string()))?;
    log(&config.log)?;
    process::allow_open_files()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let stopped = process::stopped()?;
    let failed = |error: &dyn std::error::Error| Failure::Server(error.to_string());
    let _temporary = Temporary::of(&config);
    let app = App::start(&config).await.map_err(|error| failed(&error))?;
    let server = Server::bind(&config, app.clone()).await.map_err(|error| failed(&error))?;
    if let Some(dev) = &config.dev {
        if let Some(address) = server.addresses().first() {
            app.login.reached_at(format!("https://{address}"));
        }
        let access = app.dev_access().await.map_err(|error| failed(&error))?;
        ready::tell(dev, &server, &access)?;
    }
    for address in server.addresses() {
        tracing::info!(%address, "listening");
    }
    tokio::select! {
        () = server.serve(stopped) => {}
        () = app.upkeep() => {}
    }
    app.stop().await;
    Ok(())
}

/// The folder of a dev server that was given none: it goes with the server.
struct Temporary(PathBuf);

impl Temporary {
    fn of(config: &Config) -> Option<Self> {
        config.dev.as_ref().filter(|dev| dev.temporary).map(|_| Self(config.data_dir.clone()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the temporary folder could not be removed");
        }
    }
}

/// What is not UTF-8 is none of ours.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// To standard error: standard output may be the audit sink.
fn log(settings: &Log) -> Result<(), Failure> {
    let wrong = |_| Failure::Usage("log.filter is not a filter of tracing's".to_owned());
    let filter = EnvFilter::try_new(&settings.filter).map_err(wrong)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let subscriber = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Text => subscriber.with(lines).try_init(),
        LogFormat::Json => subscriber.with(lines.json()).try_init(),
    }
    .map_err(|error| Failure::Server(error.to_string()))
}
