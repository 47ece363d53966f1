use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    AuditSink, ClientAddressHeader, Config, Dev, DevOptions, Error, Listener, Log, LogFormat, Plugins, Seal,
    SessionStore, Sessions, Storage, Transport, Url,
    written::{self, SealKind, SinkKind, Written},
};
use crate::{
    address::{is_loopback, is_loopback_host},
    ids,
    sensitive::Secret,
};

const DATA_DIR: &str = "/var/lib/coffer";
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8200);

/// Fills in what was left out and refuses what does not go together.
pub fn check(written: Written, options: Option<DevOptions>) -> Result<Config, Error> {
    let is_dev = options.is_some();
    let DevOptions { listen, data_dir, ready_file } = options.unwrap_or_default();
    let named = data_dir.or(written.data_dir);
    let dev = is_dev.then(|| Dev { ready_file, temporary: named.is_none() });
    let data_dir = match named {
        Some(named) => named,
        None if is_dev => std::env::temp_dir().join(format!("coffer-dev-{}", ids::random_base62(12))),
        None => PathBuf::from(DATA_DIR),
    };
    Ok(Config {
        listener: listener(written.listener, listen, is_dev)?,
        storage: storage(written.storage, &data_dir)?,
        sessions: sessions(written.sessions)?,
        seal: seal(written.seal, is_dev)?,
        audit: audit(written.audit, &data_dir)?,
        plugins: Plugins { ca: written.plugins.ca },
        log: Log {
            filter: written.log.filter.unwrap_or_else(|| "info".into()),
            format: written.log.format.unwrap_or(LogFormat::Text),
        },
        data_dir,
        dev,
    })
}

fn together<T>(keys: &[&'static str], what: &'static str) -> Result<T, Error> {
    Err(Error::Together { keys: keys.to_vec(), what })
}

fn listener(written: written::Listener, listen: Option<SocketAddr>, is_dev: bool) -> Result<Listener, Error> {
    let addresses = match (listen, written.address) {
        (Some(listen), _) => vec![listen],
        (None, written) if written.is_empty() => vec![ADDRESS],
        (None, written) => written,
    };
    if is_dev && !addresses.iter().all(|address| is_loopback(address.ip())) {
        return together(&["listener.address"], "a dev server listens on loopback only");
    }
    let transport = match (written.tls_cert, written.tls_key, written.plaintext) {
        (Some(cert), Some(key), false) => Transport::Tls { cert, key },
        (None, None, true) => Transport::Plaintext,
        (None, None, false) if is_dev => Transport::SelfSigned,
        (None, None, false) => {
            let keys = ["listener.tls_cert", "listener.tls_key"];
            return together(&keys, "are needed, unless a proxy ends TLS and listener.plaintext is true");
        }
        (_, _, true) => {
            let keys = ["listener.plaintext", "listener.tls_cert", "listener.tls_key"];
            return together(&keys, "plaintext has no certificate");
        }
        _ => return together(&["listener.tls_cert", "listener.tls_key"], "neither goes without the other"),
    };
    if transport == Transport::Plaintext && written.trusted_proxies.is_empty() {
        let keys = ["listener.plaintext", "listener.trusted_proxies"];
        return together(&keys, "plain HTTP is taken from trusted proxies only, and none is named");
    }
    let keys = ["listener.trusted_proxies", "listener.client_address_header"];
    let client_address_header = match (written.trusted_proxies.is_empty(), written.client_address_header) {
        (true, None | Some(ClientAddressHeader::None)) => ClientAddressHeader::None,
        (true, Some(_)) => {
            return together(&keys, "the header is believed from trusted proxies only, and none is named");
        }
        (false, None) => {
            return together(&keys, "say which header the proxies set: x-forwarded-for, forwarded or none");
        }
        (false, Some(header)) => header,
    };
    Ok(Listener {
        addresses,
        transport,
        trusted_proxies: written.trusted_proxies.into_iter().map(|net| net.0.trunc()).collect(),
        client_address_header,
        public_url: written.public_url.map(public_url).transpose()?,
    })
}

fn public_url(text: String) -> Result<String, Error> {
    let trimmed = text.trim_end_matches('/');
    let is_plain = !trimmed.contains(|c: char| c.is_whitespace() || c.is_control() || "?#@\\".contains(c));
    match Url::new(trimmed).host() {
        Some(host) if !host.is_empty() && trimmed.starts_with("https://") && is_plain => Ok(trimmed.to_owned()),
        _ => together(&["listener.public_url"], "must begin with https:// and have no user, query or fragment"),
    }
}

fn storage(written: written::Storage, data_dir: &Path) -> Result<Storage, Error> {
    let url = written.url.unwrap_or_else(|| Url::new(format!("sqlite://{}", data_dir.join("coffer.db").display())));
    match url.scheme() {
        Some("sqlite" | "postgres" | "postgresql") => Ok(Storage { url }),
        _ => together(&["storage.url"], "must begin with sqlite:// or postgres://"),
    }
}

fn sessions(written: written::Sessions) -> Result<Sessions, Error> {
    let store = match written.url {
        None => SessionStore::Embedded,
        Some(url) if url.reveal() == "embedded" => SessionStore::Embedded,
        Some(url) => SessionStore::Redis(url),
    };
    if let SessionStore::Redis(url) = &store {
        let is_near = url.hosts().all(|(host, _)| is_loopback_host(host));
        match url.scheme() {
            Some("rediss" | "rediss+sentinel" | "rediss+cluster") => {}
            Some("redis" | "redis+sentinel" | "redis+cluster" | "unix" | "redis+unix") if written.ca.is_some() => {
                return together(&["sessions.ca", "sessions.url"], "a certificate is checked with rediss:// only");
            }
            Some("unix" | "redis+unix") => {}
            Some("redis" | "redis+sentinel" | "redis+cluster") if is_near || written.allow_plaintext => {}
            Some("redis" | "redis+sentinel" | "redis+cluster") => {
                let keys = ["sessions.url", "sessions.allow_plaintext"];
                return together(&keys, "plain redis:// beyond loopback must be allowed; better is rediss://");
            }
            _ => {
                let what = "must be embedded, or begin with redis://, rediss://, unix://, redis+sentinel:// or \
                            redis+cluster://";
                return together(&["sessions.url"], what);
            }
        }
    }
    let namespace = written.namespace.unwrap_or_else(|| "coffer".into());
    let is_plain = namespace.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if namespace.is_empty() || namespace.len() > 63 || !is_plain {
        return together(&["sessions.namespace"], "must be 1 to 63 letters, digits, dots, - or _");
    }
    let written::Sessions { assume_noeviction, allow_plaintext, ca, .. } = written;
    Ok(Sessions { store, namespace, assume_noeviction, allow_plaintext, ca })
}

fn seal(written: written::Seal, is_dev: bool) -> Result<Seal, Error> {
    let default = if is_dev { SealKind::Dev } else { SealKind::Shamir };
    match (written.kind.unwrap_or(default), written.key_file, written.key) {
        (SealKind::Dev, ..) if !is_dev => together(&["seal.kind"], "dev is for --dev only"),
        (SealKind::Shamir | SealKind::KeyFile, ..) if is_dev => together(&["seal.kind"], "is dev with --dev"),
        (SealKind::Shamir, None, None) => Ok(Seal::Shamir),
        (SealKind::Dev, None, None) => Ok(Seal::Dev),
        (SealKind::KeyFile, Some(path), None) => Ok(Seal::KeyFile(path)),
        (SealKind::KeyFile, None, Some(key)) => match parse_key(key.reveal()) {
            Some(key) => Ok(Seal::Key(key)),
            None => together(&["seal.key"], "must be 32 bytes in hex or base64"),
        },
        (SealKind::KeyFile, ..) => together(&["seal.key_file", "seal.key"], "exactly one of them is the key"),
        _ => together(&["seal.kind", "seal.key_file", "seal.key"], "a key goes with kind key_file only"),
    }
}

/// A root key as it is written in the environment or a key file: 32 bytes in hex or base64.
pub fn parse_key(text: &str) -> Option<Secret<[u8; 32]>> {
    let text = text.trim();
    // base64 asks for room in whole groups of three.
    let mut bytes = Zeroizing::new([0; 33]);
    let is_hex = text.len() == 64 && hex::decode_to_slice(text, &mut bytes[..32]).is_ok();
    let is_key = is_hex || STANDARD.decode_slice(text, &mut *bytes).ok() == Some(32);
    let (key, _) = bytes.split_first_chunk()?;
    is_key.then(|| Secret::new(*key))
}

fn audit(written: written::Audit, data_dir: &Path) -> Result<AuditSink, Error> {
    match (written.sink, written.path) {
        (SinkKind::File, path) => Ok(AuditSink::File(path.unwrap_or_else(|| data_dir.join("audit.log")))),
        (SinkKind::Stdout, None) => Ok(AuditSink::Stdout),
        (SinkKind::Stdout, Some(_)) => together(&["audit.sink", "audit.path"], "stdout has no path"),
    }
}
