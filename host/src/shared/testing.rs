//! Redis for the tests of this module and those above.

use super::{Link, Options};

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
