//! Where Redis is. Holds the password of the URL, so it prints itself without.

use std::{fmt, net::IpAddr};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates, io::tcp::TcpSettings,
};

use super::{Error, Options};
use crate::limits;

pub(super) struct Target {
    client: Client,
    shown: String,
}

impl Target {
    pub(super) fn parse(url: &str, options: &Options) -> Result<Self, Error> {
        // The crate's message would quote the URL, and with it the password.
        let info: ConnectionInfo =
            url.into_connection_info().map_err(|_| unusable("its URL is not redis://, rediss:// or unix://"))?;
        let shown = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}"),
            ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}"),
            ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
            _ => return Err(unusable("its URL is of a kind that is not known")),
        };
        match info.addr() {
            ConnectionAddr::Tcp(host, _) if !is_loopback(host) && !options.allow_plaintext => {
                return Err(unusable("redis:// to another machine is in the clear: use rediss://, or allow_plaintext"));
            }
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(unusable("its certificate must be checked: no #insecure"));
            }
            _ => {}
        }
        // The kernel gives up on a peer that acknowledges nothing, long before its own default.
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(limits::REDIS_CONNECT);
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
        let client = match &options.root_certificates {
            Some(roots) if encrypted => {
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(roots.clone()) })
            }
            _ => Client::open(info),
        };
        Ok(Self { client: client.map_err(|_| unusable("its certificates are not PEM"))?, shown })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn unusable(why: &str) -> Error {
    Error::Unusable(why.to_owned())
}
