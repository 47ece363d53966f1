use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

/// A host on this machine that answers by path, and remembers what it was sent.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) ca: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(super) async fn start(names: &[&str]) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::default()));
        let (counted, kept) = (connections.clone(), requests.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                tokio::spawn(serve(tls.clone(), stream, kept.clone()));
            }
        });
        Self { port, ca, connections, requests, accepting: accepting.abort_handle() }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The last request, as it came.
    pub(super) fn last(&self) -> String {
        self.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, requests: Arc<Mutex<Vec<String>>>) {
    let Ok(mut stream) = tls.accept(stream).await else { return };
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let whole = |read: &[u8]| {
        let text = String::from_utf8_lossy(read).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        (body.len() >= length.parse().unwrap()).then_some(text)
    };
    let request = loop {
        if let Some(text) = whole(&read) {
            break text;
        }
        match stream.read(&mut buffer).await {
            Ok(more) if more > 0 => read.extend_from_slice(&buffer[..more]),
            _ => return,
        }
    };
    requests.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or_default();
    let plain = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let large = "x".repeat((1 << 20) + 1);
    let answer = match path {
        "/redirect" => "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/large" => plain(&large),
        "/endless" => format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n", large.len()),
        "/headers" => format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "h".repeat(100_000)),
        "/switch" => "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_owned(),
        "/nonsense" => "hello\r\n\r\n".to_owned(),
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
        "/never" => String::new(),
        "/drip" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nd".to_owned(),
        "/part" => "HTTP/1.1 206 Partial Content\r\ncontent-length: 4\r\n\r\npart".to_owned(),
        "/encoded" => "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz".to_owned(),
        "/echo" => plain(&request),
        _ => plain("{\"ok\":true}"),
    };
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    if path == "/never" || path == "/drip" {
        // Until the other side has had enough.
        let _: std::io::Result<usize> = stream.read(&mut buffer).await;
    }
    let _: std::io::Result<()> = stream.shutdown().await;
}
