use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::Error;

/// Who publishes plugins: an Ed25519 public key, told as `ed25519:` and base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublisherKey([u8; 32]);

const KIND: &str = "ed25519:";

impl PublisherKey {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn parse(text: &str) -> Result<Self, Error> {
        const WRONG: Error = Error("must be ed25519: and 32 bytes in base64");
        let bytes = STANDARD.decode(text.strip_prefix(KIND).ok_or(WRONG)?).map_err(|_| WRONG)?;
        bytes.try_into().map(Self).map_err(|_| WRONG)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", STANDARD.encode(self.0))
    }
}

impl TryFrom<String> for PublisherKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<PublisherKey> for String {
    fn from(key: PublisherKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_spelled_in_one_way() {
        let key = PublisherKey::from_bytes([7; 32]);
        assert_eq!(PublisherKey::parse(&key.to_string()), Ok(key));
        for bad in ["", "ed25519:", "ed25519:AAAA", &key.to_string()[8..], &key.to_string().to_uppercase()] {
            assert!(PublisherKey::parse(bad).is_err(), "{bad}");
        }
    }
}
