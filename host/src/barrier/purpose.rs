use aws_lc_rs::{constant_time, hmac};

/// What a key besides the value keys is for. Each has versions of its own, so that rotating
/// the keyring ends no session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Digests of tokens.
    Token,
    /// Records of sessions in Redis.
    Session,
    /// Names and subjects in keys.
    Name,
    /// The chain of the audit trail, and the values in it.
    Audit,
    /// Files of compiled plugins.
    Cache,
    /// Cursors and other things a client keeps for us.
    Cursor,
}

impl Purpose {
    pub const ALL: [Self; 6] = [Self::Token, Self::Session, Self::Name, Self::Audit, Self::Cache, Self::Cursor];
}

/// HMAC-SHA-256 under the key of one purpose and version.
#[derive(Clone, Debug)]
pub struct Mac {
    version: u32,
    key: hmac::Key,
}

impl Mac {
    pub(super) fn new(version: u32, key: &[u8]) -> Self {
        Self { version, key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// Which version of the purpose's key this is: to be stored beside what it made.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Over the parts, each with its length before it.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 makes 32 bytes")
    }

    /// In constant time.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.sign(parts), mac).is_ok()
    }
}
