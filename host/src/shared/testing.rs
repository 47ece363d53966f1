//! Redis for the tests of this module and those above.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{Error, Link, Options};

/// A namespace that nobody else has, on the Redis that the tests share.
pub(crate) async fn link() -> Link {
    Link::open(&url(), options(&namespace())).await.expect("Redis answers")
}

pub(crate) fn url() -> String {
    std::env::var("COFFER_TEST_REDIS_URL")
        .expect("COFFER_TEST_REDIS_URL is not set: run `make test`, which starts a Redis")
}

pub(crate) fn namespace() -> String {
    format!("test-{}", crate::ids::random_base62(12).to_lowercase())
}

pub(crate) fn options(namespace: &str) -> Options {
    Options {
        namespace: namespace.to_owned(),
        allow_plaintext: false,
        assume_noeviction: false,
        root_certificates: None,
    }
}

/// A Redis of one test's own, that it may restart and kill.
pub(crate) struct Server {
    process: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// With these arguments beside our own.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { process: None, port, folder: tempfile::tempdir().unwrap(), arguments };
        server.restart();
        server
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path();
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(folder).arg("--unixsocket").arg(folder.join("socket"));
        let process = command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("redis-server is installed"));
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    pub(crate) async fn link(&self) -> Link {
        until_open(&self.url(), options("test")).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Opens a Redis that is just starting.
pub(crate) async fn until_open(url: &str, options: Options) -> Result<Link, Error> {
    for _ in 0..500 {
        match Link::open(url, options.clone()).await {
            Err(Error::Away(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => return other,
        }
    }
    Link::open(url, options).await
}

/// Asks until it is there again, for some seconds.
pub(crate) async fn until_there(link: &Link) {
    for _ in 0..500 {
        if link.command(&[b"PING"]).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("Redis did not come back");
}
