use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hyper::Uri;

use super::{Refusal, refusal};
use crate::limits;

/// What a URL says, read once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    /// `http://`.
    pub(super) plain: bool,
    /// Path and query, as they are sent.
    pub(super) path: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

const MALFORMED: Refusal = refusal("invalid", "the URL must be https://host[:port]/path, and no more");

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, Refusal> {
        // What parsers disagree about is refused before one is asked.
        let plain_text = url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if url.len() > limits::EGRESS_URL_BYTES || !plain_text || url.contains('#') {
            return Err(MALFORMED);
        }
        let uri: Uri = url.parse().map_err(|_| MALFORMED)?;
        let plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return Err(MALFORMED),
        };
        let authority = uri.authority().ok_or(MALFORMED)?;
        if authority.as_str().contains('@') {
            return Err(refusal("invalid", "a URL with a user in it is not taken"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if plain {
                    80
                } else {
                    443
                }
            }
            // `:`, `:99999` and `:0` are nothing.
            Some(_) => authority.port_u16().filter(|port| *port > 0).ok_or(MALFORMED)?,
            None => return Err(MALFORMED),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: Host::parse(authority.host()).ok_or(MALFORMED)?, port, plain, path })
    }
}

impl Host {
    /// A name of DNS, or an address in its usual form: `0x7f.1`, `2130706433` and `0177.0.0.1` are
    /// neither, though resolvers take them for addresses.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(v6) = text.strip_prefix('[') {
            return v6.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|v6| Self::Address(v6.into()));
        }
        let name = text.to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit()) {
            return name.parse::<Ipv4Addr>().ok().map(|v4| Self::Address(v4.into()));
        }
        let label = |label: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (name.len() <= 253 && name.split('.').all(label)).then_some(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
