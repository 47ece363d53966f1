//! `coffer:v<version>:<base64>`: what a key has made, and which version of it. Stable for ever: it
//! stands in other people's databases.

use std::fmt;

use coffer_plugin_sdk::prelude::*;
use data_encoding::BASE64;
use serde::{Deserializer, Serializer, de};

/// Bytes that stand in JSON as base64 (RFC 4648 section 4, with padding, canonical).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(|_| de::Error::custom("must be base64, with padding"))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

/// What was made by one version of a key: a ciphertext, a signature or a MAC.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub version: u32,
    pub bytes: Vec<u8>,
}

const SCHEME: &str = "coffer:v";

impl Token {
    /// One spelling for each value: no sign, no leading zero, canonical base64.
    fn parse(text: &str) -> Option<Self> {
        let (version, bytes) = text.strip_prefix(SCHEME)?.split_once(':')?;
        let number: u32 = version.parse().ok()?;
        let is_canonical = number > 0 && number.to_string() == version;
        let bytes = BASE64.decode(bytes.as_bytes()).ok()?;
        is_canonical.then_some(Self { version: number, bytes })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}", self.version, BASE64.encode(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("must be as this engine gave it out: coffer:v1:…"))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// DER as the text form that other programs read (RFC 7468).
pub fn pem(der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let lines = body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_one_spelling_is_read() {
        assert!(Token::parse("coffer:v1:").is_some_and(|token| token.bytes.is_empty()));
        assert!(Token::parse("coffer:v4294967295:AA==").is_some());
        for text in [
            "",
            "coffer",
            "coffer:1:AA==",
            "coffer:v:AA==",
            "coffer:v0:AA==",
            "coffer:v01:AA==",
            "coffer:v+1:AA==",
            "coffer:v-1:AA==",
            "coffer:v4294967296:AA==",
            "coffer:v1",
            "coffer:v1:AA",
            "coffer:v1:AB==",
            "coffer:v1:A_8=",
            "coffer:v1:AA==\n",
            " coffer:v1:AA==",
            "COFFER:v1:AA==",
            "vault:v1:AA==",
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_told_is_read_again(version in 1u32.., bytes: Vec<u8>) {
            let token = Token { version, bytes };
            prop_assert!(Token::parse(&token.to_string()).is_some_and(|read| read == token));
        }

        #[test]
        fn what_is_read_is_told_the_same(text in "coffer:v[0-9]{1,3}:[A-Za-z0-9+/]{0,8}={0,2}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
