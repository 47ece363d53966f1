//! Certificates: whether they are any, whose key they are of, and for how long they are good.

use std::path::Path;

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{disk, validity};
use crate::{
    clock::Timestamp,
    config::{Listener, Transport},
    finding::Finding,
    http::certificate::Certificates,
    limits,
};

/// What the server shows.
pub fn listener(listener: &Listener, now: Timestamp) -> Vec<Finding> {
    match &listener.transport {
        Transport::Tls { cert, key } => {
            let pair = match Certificates::load(cert, key) {
                Ok(_) => Finding::ok("tls.pair", "the key is the certificate's"),
                Err(error) => {
                    Finding::fail("tls.pair", error.to_string(), "mend listener.tls_cert and listener.tls_key")
                }
            };
            let mut found = vec![pair];
            found.extend(life("tls.life", cert, now));
            found.push(disk::secret("tls.key", key));
            found
        }
        Transport::SelfSigned => Vec::new(),
        Transport::Plaintext => vec![Finding::ok("tls", "a trusted proxy ends TLS")],
    }
}

/// Whom we trust to say that a Redis is the one we mean.
pub fn authority(path: &Path, now: Timestamp) -> Vec<Finding> {
    life("redis.ca", path, now).into_iter().collect()
}

/// Of all certificates in a file, the one that ends first.
fn life(check: &'static str, path: &Path, now: Timestamp) -> Option<Finding> {
    let shown = path.display();
    let Ok(pem) = std::fs::read(path) else {
        return Some(Finding::fail(check, format!("{shown} cannot be read"), "mend the path, or its rights"));
    };
    let spans: Option<Vec<(i64, i64)>> =
        CertificateDer::pem_slice_iter(&pem).map(|der| validity::of(&der.ok()?)).collect();
    let Some((from, until)) = spans.and_then(|spans| spans.into_iter().min_by_key(|(_, until)| *until)) else {
        return Some(Finding::fail(check, format!("{shown} holds no certificate in PEM form"), "mend it"));
    };
    let [from, until] = [from, until].map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
    let days = until.since(now).as_secs() / (24 * 3600);
    Some(match () {
        () if now < from => Finding::fail(check, format!("{shown} is good only from {from}"), "see the clock, or wait"),
        () if now >= until => Finding::fail(check, format!("{shown} has ended on {until}"), "renew it"),
        () if until.since(now) < limits::CERTIFICATE_SOON => {
            Finding::warn(check, format!("{shown} ends in {days} days"), "renew it; it is read again by itself")
        }
        () => Finding::ok(check, format!("{shown} is good for {days} days")),
    })
}
