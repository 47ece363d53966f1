//! The certificate that we show, read again when its file changes.
//!
//! A new one that is broken, or whose key is another's, changes nothing: the old one stays in use
//! and the operator is told.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::signal::unix::{SignalKind, signal};

/// Why a certificate cannot be used. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0}: holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    #[error("{0}: holds no private key in PEM form that can be used")]
    NoKey(PathBuf),
    #[error("{0}: is not the certificate of the key in {1}")]
    NotAPair(PathBuf, PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate and its key, in files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
}

struct Loaded {
    pair: Arc<CertifiedKey>,
    /// The files' bytes, hashed: what tells a change that a clock or a copy would hide.
    digest: [u8; 32],
}

impl Certificates {
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let loaded = Loaded::read(certificate, key)?;
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Self(Arc::new(Inner { certificate, key, current: ArcSwap::from_pointee(loaded) })))
    }

    /// Reads the files again: true if there was something new.
    pub fn reload(&self) -> Result<bool, Error> {
        let loaded = Loaded::read(&self.0.certificate, &self.0.key)?;
        let is_new = loaded.digest != self.0.current.load().digest;
        if is_new {
            self.0.current.store(Arc::new(loaded));
        }
        Ok(is_new)
    }

    /// Reloads at SIGHUP, and looks by itself every so often. Never returns.
    pub async fn watch(self, every: Duration) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut told = String::new();
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = hung_up => {} () = tokio::time::sleep(every) => {} }
            let certificates = self.clone();
            let reloaded = tokio::task::spawn_blocking(move || certificates.reload()).await;
            match reloaded {
                Ok(Ok(true)) => tracing::info!("a new certificate is in use"),
                Ok(Ok(false)) => {}
                // Once for each trouble, not once for each look at it.
                Ok(Err(error)) if error.to_string() == told => continue,
                Ok(Err(error)) => {
                    told = error.to_string();
                    tracing::error!(%error, "the new certificate is not used, the old one stays");
                    continue;
                }
                Err(_) => tracing::error!("reading the certificate ended early"),
            }
            told.clear();
        }
    }

    /// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The one provider of cryptography: the library that the barrier uses as well.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Loaded {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| Error::Unreadable(path.to_owned(), error));
        let (chain_pem, key_pem) = (read(certificate)?, zeroize::Zeroizing::new(read(key)?));
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| Error::NoCertificate(certificate.to_owned()))?;
        let no_key = || Error::NoKey(key.to_owned());
        let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| no_key())?;
        let signing = provider().key_provider.load_private_key(private).map_err(|_| no_key())?;
        let pair = CertifiedKey::new(chain, signing);
        pair.keys_match().map_err(|_| Error::NotAPair(certificate.to_owned(), key.to_owned()))?;
        Ok(Self { pair: Arc::new(pair), digest: digest(&[&chain_pem, &key_pem]) })
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().pair.clone())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, http::dev_certificate};

    /// A pair in one file.
    fn pair(at: &Path) -> Vec<u8> {
        std::fs::read(dev_certificate::ensure(at, &Clock::system()).unwrap().pair).unwrap()
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.pem");
        let (one, two) = (pair(&dir.path().join("1")), pair(&dir.path().join("2")));
        std::fs::write(&file, &one).unwrap();
        let certificates = Certificates::load(&file, &file).unwrap();
        let shown = || certificates.0.current.load().pair.cert[0].clone();
        let first = shown();
        assert!(!certificates.reload().unwrap());

        std::fs::write(&file, &two).unwrap();
        assert!(certificates.reload().unwrap());
        let second = shown();
        assert_ne!(first, second);

        for broken in [&b""[..], b"-----BEGIN", &two[..two.len() / 2], &two[two.len() / 2..]] {
            std::fs::write(&file, broken).unwrap();
            assert!(certificates.reload().is_err());
            assert_eq!(shown(), second);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(certificates.reload(), Err(Error::Unreadable(..))));
        assert_eq!(shown(), second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files =
            ["1", "2"].map(|name| dev_certificate::ensure(&dir.path().join(name), &Clock::system()).unwrap().pair);
        assert!(matches!(Certificates::load(&files[0], &files[1]), Err(Error::NotAPair(..))));
    }
}
