use std::sync::OnceLock;

/// A Lua script: the server's own text, never anything a client sent.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub const fn new(source: &'static str) -> Self {
        Self { source, hash: OnceLock::new() }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned())
    }
}
