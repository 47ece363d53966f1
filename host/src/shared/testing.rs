//! Redis for the tests of this module and those above.

use std::time::Duration;

use super::{Error, Link, Options};

#[path = "../../../tests/harness/redis.rs"]
#[allow(dead_code, reason = "the stories use other parts of it")]
mod process;

pub(crate) use process::{Cluster, Papers, RIGHTS, Server, Watched, free_port};

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

impl Server {
    pub(crate) async fn link(&self) -> Link {
        until_open(&self.url(), options("test")).await.unwrap()
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
