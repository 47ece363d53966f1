//! Bytes on a connection, for what no decent client would send.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{SOON, TestServer};

pub async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("the server listens")
}

pub async fn connect_tls(server: &TestServer) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(server.authority()).expect("a certificate to trust");
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.expect("a certificate in PEM")).expect("a certificate to trust");
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, connect(server).await).await.expect("a handshake")
}

/// Everything that comes back until the server closes, or nothing comes for a while.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    // A server that has heard enough closes while we are still talking.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

/// The status of the first answer in what came back.
pub fn status(heard: &str) -> Option<u16> {
    heard.strip_prefix("HTTP/1.1 ").or_else(|| heard.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}
