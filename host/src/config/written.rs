use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{LogFormat, Url};
use crate::sensitive::Secret;

/// The configuration as it is written: what is left out is `None`. `check` makes a `Config` of it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    pub data_dir: Option<PathBuf>,
    pub listener: Listener,
    pub storage: Storage,
    pub sessions: Sessions,
    pub seal: Seal,
    pub audit: Audit,
    pub plugins: Plugins,
    pub log: Log,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    pub address: Vec<SocketAddr>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub plaintext: bool,
    pub trusted_proxies: Vec<Net>,
    pub client_address_header: Option<super::ClientAddressHeader>,
    pub public_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    pub url: Option<Url>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    pub url: Option<Url>,
    pub namespace: Option<String>,
    pub assume_noeviction: bool,
    pub allow_plaintext: bool,
    pub ca: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    pub kind: Option<SealKind>,
    pub key_file: Option<PathBuf>,
    /// From the environment only.
    pub key: Option<Secret<String>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SealKind {
    Shamir,
    KeyFile,
    Dev,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    pub ca: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    pub sink: SinkKind,
    pub path: Option<PathBuf>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    #[default]
    File,
    Stdout,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub filter: Option<String>,
    pub format: Option<LogFormat>,
}

/// A network, or one address.
pub struct Net(pub IpNet);

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let net = text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        net.map(Self).map_err(|_| D::Error::custom("must be networks as in 10.0.0.0/8, or addresses"))
    }
}
