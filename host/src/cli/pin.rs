//! The certificate of a server that no authority of the system's vouches for, such as a dev
//! server's: looked at before anything is said, and trusted if whoever logs in says so.

use std::{fmt::Write as _, io, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Url;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs::default_provider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::TlsConnector;

use super::Failure;

const PATIENCE: Duration = Duration::from_secs(15);

/// PEM of the authority that the server shows, which has not been verified in any way.
pub async fn shown_by(address: &str) -> Result<String, Failure> {
    let unreachable = |error: io::Error| Failure::unreachable(error.to_string());
    let no_name = || Failure::usage("the address has no host");
    let url = Url::parse(address).map_err(|_| no_name())?;
    let host = url.host_str().ok_or_else(no_name)?.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| no_name())?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::unreachable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Witness(tell)))
        .with_no_client_auth();
    let looking = async {
        let stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(443))).await?;
        // Never completed: the witness has seen what it came for and refuses.
        drop(TlsConnector::from(Arc::new(tls)).connect(name, stream).await);
        Ok(())
    };
    tokio::time::timeout(PATIENCE, looking).await.map_err(|late| unreachable(late.into()))?.map_err(unreachable)?;
    told.try_recv().map_err(|_| Failure::untrusted("no certificate was shown"))
}

/// SHA-256 of the first certificate, in lower-case hex.
pub fn fingerprint(pem: &str) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate)))
}

/// However it was written: `SHA256:ab:cd…`, in either case.
pub fn is_fingerprint(told: &str, fingerprint: &str) -> bool {
    let told = told.to_lowercase();
    let told = told.strip_prefix("sha256").unwrap_or(&told);
    told.chars().filter(char::is_ascii_alphanumeric).eq(fingerprint.chars())
}

/// Looks at the chain and goes no further.
#[derive(Debug)]
struct Witness(mpsc::UnboundedSender<String>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        drop(self.0.send(pem(others.last().unwrap_or(leaf))));
        Err(refusal())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refusal())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refusal())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn refusal() -> rustls::Error {
    rustls::Error::General("only looked at".to_owned())
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_comes_back_from_pem_as_it_was() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(&key).unwrap();
        let again = pem(made.der());
        assert_eq!(CertificateDer::from_pem_slice(again.as_bytes()).unwrap(), *made.der());
        assert_eq!(fingerprint(&again), fingerprint(&made.pem()));
        assert_eq!(fingerprint("x"), None);
    }

    #[test]
    fn a_fingerprint_is_the_same_however_it_is_written() {
        let ours = "ab01cd";
        for told in ["ab01cd", "AB:01:CD", "sha256:ab01cd", "SHA256:AB01CD"] {
            assert!(is_fingerprint(told, ours), "{told}");
        }
        for told in ["", "sha256:", "ab01c", "ab01cd0", "sha256:ab01ce"] {
            assert!(!is_fingerprint(told, ours), "{told}");
        }
    }
}
