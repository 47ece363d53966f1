use std::fmt;

use serde::{Deserialize, Serialize};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The root token came in by no mount: this stands where a mount's id would.
pub const ROOT_MOUNT: &str = "000000000000000000000000";

/// Random bytes from the system's generator.
#[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// `len` random characters of `0-9A-Za-z`, each uniform (5.95 bits).
pub fn random_base62(len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let usable = random::<64>().into_iter().filter(|byte| *byte < 248);
        text.extend(usable.take(len - text.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

/// An id that is made here, at random, and never reused.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $make:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[expect(clippy::new_without_default, reason = "each one is another")]
            pub fn new() -> Self {
                Self($make)
            }

            pub fn parse(text: &str) -> Result<Self, super::Error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(super::Error("is not an id of this kind")) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = super::Error;

            fn try_from(text: String) -> Result<Self, super::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

random_id!(
    /// A user, for ever: names change hands, ids do not. 24 hex digits.
    UserId, hex::encode(random::<12>()), |text| is_hex(text, Self::LEN)
);
random_id!(
    /// What is mounted at a path now; another one after it is removed. 24 hex digits.
    MountId, hex::encode(random::<12>()), |text| is_hex(text, 24)
);
random_id!(
    /// Something lent. Says nothing of what, and gives no right. 24 hex digits.
    LeaseId, hex::encode(random::<12>()), |text| is_hex(text, 24)
);
random_id!(
    /// Ours, told in `X-Request-Id` and in the audit trail. 32 hex digits.
    RequestId, hex::encode(random::<16>()), |text| is_hex(text, 32)
);
random_id!(
    /// A session family: the public selector of its tokens. 14 base62 characters, 83 bits.
    SessionId, random_base62(14), |text| text.len() == 14 && text.bytes().all(|b| b.is_ascii_alphanumeric())
);

impl UserId {
    /// Of its text.
    pub const LEN: usize = 24;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_what_they_print_and_nothing_else() {
        let id = UserId::new();
        assert_eq!(UserId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(SessionId::new().as_str().len(), 14);
        for bad in ["", "xyz", "ABCDEFABCDEFABCDEFABCDEF", &format!("{id}0")] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn random_text_has_the_length_asked_for_and_every_character() {
        let text = random_base62(10_000);
        assert_eq!(text.len(), 10_000);
        assert!(BASE62.iter().all(|c| text.as_bytes().contains(c)));
    }
}
