//! The file, its sections, and the environment over it: `COFFER_<SECTION>__<KEY>`.
//!
//! Owns which keys there are, their defaults, and which go together; answers what is wrong with
//! its place. Never opens anything but the file itself, and never prints a value. One more key
//! is one more member in `written.rs`, its meaning here and in `check.rs`, and a line in
//! `coffer.example.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::Deserialize;

use crate::sensitive::Secret;

mod check;
mod error;
mod layers;
#[cfg(test)]
mod tests;
mod url;
mod written;

pub use check::parse_key;
pub use error::{Error, Origin};
pub use url::Url;

use layers::Node;
use written::Written;

/// How the server is to run. What does not go together cannot be said with it.
#[derive(Clone, Debug)]
pub struct Config {
    pub listener: Listener,
    pub storage: Storage,
    pub sessions: Sessions,
    pub seal: Seal,
    pub audit: AuditSink,
    pub plugins: Plugins,
    pub log: Log,
    /// What the server keeps beside its store: the init code, files of compiled plugins.
    pub data_dir: PathBuf,
    /// Is this `--dev`?
    pub dev: Option<Dev>,
}

#[derive(Clone, Debug)]
pub struct Listener {
    /// At least one.
    pub addresses: Vec<SocketAddr>,
    pub transport: Transport,
    pub trusted_proxies: Vec<IpNet>,
    pub client_address_header: ClientAddressHeader,
    /// Where clients reach us, without a `/` at the end.
    pub public_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// PEM files.
    Tls { cert: PathBuf, key: PathBuf },
    /// In dev only: a certificate made at start.
    SelfSigned,
    /// Behind a trusted proxy that ends TLS.
    Plaintext,
}

/// Which header of a trusted proxy tells the client's address; the others are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddressHeader {
    XForwardedFor,
    Forwarded,
    None,
}

#[derive(Clone, Debug)]
pub struct Storage {
    /// `sqlite://…` or `postgres://…`.
    pub url: Url,
}

#[derive(Clone, Debug)]
pub struct Sessions {
    pub store: SessionStore,
    /// Begins every key in Redis.
    pub namespace: String,
    /// Do not ask Redis for its eviction policy: CONFIG is forbidden there.
    pub assume_noeviction: bool,
    pub allow_plaintext: bool,
    /// PEM file of the authority that signs Redis' certificate.
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub enum SessionStore {
    /// In the store itself.
    Embedded,
    /// `redis://`, `unix://`, `redis+sentinel://`, `redis+cluster://`, or with `rediss` for `redis`.
    Redis(Url),
}

#[derive(Clone, Debug)]
pub enum Seal {
    Shamir,
    /// `parse_key` reads what stands in it.
    KeyFile(PathBuf),
    Key(Secret<[u8; 32]>),
    Dev,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// PEM file of authorities that requests of plugins trust, beside the system's.
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSink {
    File(PathBuf),
    Stdout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// As `tracing_subscriber::EnvFilter` takes it.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// Written once the server listens.
    pub ready_file: Option<PathBuf>,
    /// Nobody named a data folder: `data_dir` is to be made, and is nobody's afterwards.
    pub temporary: bool,
}

/// What the command line says beside `--dev`; goes before file and environment.
#[derive(Clone, Debug, Default)]
pub struct DevOptions {
    pub listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    pub ready_file: Option<PathBuf>,
}

impl Config {
    /// The file, the environment over it, the command line over both.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        dev: Option<DevOptions>,
    ) -> Result<Self, Error> {
        let text = path.map(|path| {
            std::fs::read_to_string(path)
                .map_err(|cause| Error::Unreadable { path: path.to_owned(), cause: cause.kind() })
        });
        let text = text.transpose()?;
        Self::parse(path.zip(text.as_deref()), env, dev)
    }

    /// The same from what was read.
    pub fn parse(
        file: Option<(&Path, &str)>,
        env: impl Iterator<Item = (String, String)>,
        dev: Option<DevOptions>,
    ) -> Result<Self, Error> {
        let mut node = file.map_or_else(|| Ok(Node::empty()), |(path, text)| Node::from_file(path, text))?;
        if let Some(at) = node.origin_of("seal", "key").cloned() {
            return Err(Error::Wrong {
                at,
                what: "is not written in a file: set COFFER_SEAL__KEY, or key_file".into(),
            });
        }
        // By itself first: what is wrong in the file is so even where a variable hides it.
        Written::deserialize(node.clone()).map_err(Error::from)?;
        node.lay_over(env, &["data_dir"]);
        let written = Written::deserialize(node).map_err(Error::from)?;
        check::check(written, dev)
    }
}
