//! `cof_<kind>_<selector>_<secret>_<check>`: a scanner recognises a leaked one, and junk is
//! refused without I/O.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    barrier::{self, Barrier, Mac, Purpose},
    ids::{SessionId, random_base62},
    sensitive::Secret,
};

/// 166 random bits.
const SECRET: usize = 28;
const CHECK: usize = 6;
const SELECTOR: usize = 14;
const LENGTH: usize = "cof_s_".len() + SELECTOR + 1 + SECRET + 1 + CHECK;
/// Of the digest; stands in what is signed.
const FORMAT: &[u8] = b"1";

/// Not a token: it was never given out by any Coffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is not a token")]
pub struct Malformed;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Access,
    Refresh,
}

impl Kind {
    const fn letter(self) -> &'static str {
        match self {
            Self::Access => "s",
            Self::Refresh => "r",
        }
    }
}

/// What both kinds of token are made of.
#[derive(Clone)]
struct Parts {
    id: SessionId,
    secret: Secret<String>,
}

/// Authenticates requests.
#[derive(Clone)]
pub struct AccessToken(Parts);

/// Buys the next pair, once.
#[derive(Clone)]
pub struct RefreshToken(Parts);

/// Either kind, where both are taken: revocation and introspection.
#[derive(Clone, Debug)]
pub enum AnyToken {
    Access(AccessToken),
    Refresh(RefreshToken),
}

macro_rules! token {
    ($name:ident, $kind:expr) => {
        impl $name {
            /// Shape and checksum; asks nobody.
            pub fn parse(text: &str) -> Result<Self, Malformed> {
                parse($kind, text).map(Self)
            }

            /// The session family that it claims to be of.
            pub fn session(&self) -> &SessionId {
                &self.0.id
            }

            pub(super) fn generate(id: &SessionId) -> Self {
                Self(Parts { id: id.clone(), secret: Secret::new(random_base62(SECRET)) })
            }

            /// As the client gets it.
            pub(super) fn text(&self) -> Secret<String> {
                Secret::new(text($kind, &self.0))
            }

            pub(super) fn digest(&self, barrier: &Barrier) -> Result<Digest, barrier::Error> {
                digest($kind, &self.0, barrier, &barrier.mac(Purpose::Token)?)
            }

            /// Is this the token that `digest` was made of? In constant time.
            pub(super) fn is(&self, digest: &Digest, barrier: &Barrier) -> Result<bool, barrier::Error> {
                let mac = barrier.mac_at(Purpose::Token, digest.version)?;
                Ok(digest.equals(&self::digest($kind, &self.0, barrier, &mac)?))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.id)
            }
        }
    };
}

token!(AccessToken, Kind::Access);
token!(RefreshToken, Kind::Refresh);

impl AnyToken {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        AccessToken::parse(text).map(Self::Access).or_else(|_| RefreshToken::parse(text).map(Self::Refresh))
    }

    pub fn session(&self) -> &SessionId {
        match self {
            Self::Access(token) => token.session(),
            Self::Refresh(token) => token.session(),
        }
    }
}

/// What is stored of a token: fits one kind in one family of one store, and nothing else.
/// Names the version of the key that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    version: u32,
    mac: [u8; 32],
}

impl Digest {
    pub(super) fn equals(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.mac, &other.mac).is_ok()
            && self.version == other.version
    }

    /// As it stands in the clear part of a record.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.version, hex::encode(self.mac))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = text.split_once('.').and_then(|(version, mac)| {
            Some(Self { version: version.parse().ok()?, mac: hex::decode(mac).ok()?.try_into().ok()? })
        });
        parsed.ok_or("is not a digest")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text()
    }
}

fn digest(kind: Kind, parts: &Parts, barrier: &Barrier, mac: &Mac) -> Result<Digest, barrier::Error> {
    let store = barrier.store_id()?;
    let secret = parts.secret.reveal().as_bytes();
    let signed = [FORMAT, &store, kind.letter().as_bytes(), parts.id.as_str().as_bytes(), secret];
    Ok(Digest { version: mac.version(), mac: mac.sign(&signed) })
}

fn text(kind: Kind, parts: &Parts) -> String {
    let mut text = String::with_capacity(LENGTH);
    for part in ["cof_", kind.letter(), "_", parts.id.as_str(), "_", parts.secret.reveal(), "_"] {
        text.push_str(part);
    }
    let check = check(&text);
    text.push_str(&check);
    text
}

fn parse(kind: Kind, text: &str) -> Result<Parts, Malformed> {
    // Every place of a token is fixed, so whatever has another length need not be looked at.
    if text.len() != LENGTH || !text.is_ascii() {
        return Err(Malformed);
    }
    let (before, told) = text.split_at(LENGTH - CHECK);
    let rest = before.strip_prefix("cof_").and_then(|rest| rest.strip_prefix(kind.letter())).ok_or(Malformed)?;
    let mut parts = rest.split('_');
    let (Some(""), Some(selector), Some(secret), Some(""), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed);
    };
    let whole = secret.len() == SECRET && secret.bytes().all(|b| b.is_ascii_alphanumeric());
    if !whole || *check(before) != told {
        return Err(Malformed);
    }
    let id = SessionId::parse(selector).map_err(|_| Malformed)?;
    Ok(Parts { id, secret: Secret::new(secret.to_owned()) })
}

/// CRC32 over all that stands before it, in six characters of `0-9A-Za-z`.
fn check(before: &str) -> Zeroizing<String> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let crc = crc32fast::hash(before.as_bytes());
    let digit = |place: u32| char::from(DIGITS[(crc / 62_u32.pow(place) % 62) as usize]);
    Zeroizing::new((0..CHECK as u32).rev().map(digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, storage::Memory};

    fn barrier() -> Barrier {
        Barrier::for_test(std::sync::Arc::new(Memory::default()), Clock::system())
    }

    #[test]
    fn a_token_parses_as_its_own_kind_only() {
        let id = SessionId::new();
        let text = AccessToken::generate(&id).text();
        assert_eq!(text.reveal().len(), 56);
        assert_eq!(AccessToken::parse(text.reveal()).unwrap().session(), &id);
        assert!(RefreshToken::parse(text.reveal()).is_err());
        assert!(matches!(AnyToken::parse(text.reveal()), Ok(AnyToken::Access(_))));
        // The same text as the other kind fails on its checksum.
        assert!(AnyToken::parse(&text.reveal().replacen("cof_s_", "cof_r_", 1)).is_err());
    }

    #[test]
    fn every_changed_character_is_noticed_without_io() {
        let text = RefreshToken::generate(&SessionId::new()).text();
        for at in 0..text.reveal().len() {
            let mut bytes = text.reveal().clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(AnyToken::parse(std::str::from_utf8(&bytes).unwrap()).is_err(), "at {at}");
        }
        for junk in ["", "cof", "cof_s___", &"_".repeat(56), &"é".repeat(28), &format!("{} ", text.reveal())] {
            assert!(AnyToken::parse(junk).is_err());
        }
    }

    #[test]
    fn a_digest_fits_one_kind_in_one_family_of_one_store() {
        let barrier = barrier();
        let id = SessionId::new();
        let token = AccessToken::generate(&id);
        let digest = token.digest(&barrier).unwrap();
        assert!(token.is(&digest, &barrier).unwrap());
        let as_refresh = RefreshToken(token.0.clone());
        assert!(!as_refresh.is(&digest, &barrier).unwrap());
        let elsewhere = AccessToken(Parts { id: SessionId::new(), secret: token.0.secret.clone() });
        assert!(!elsewhere.is(&digest, &barrier).unwrap());
        assert!(!token.is(&digest, &self::barrier()).unwrap());
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = AccessToken::generate(&SessionId::new());
        assert!(!format!("{token:?}{:?}", AnyToken::Access(token.clone())).contains(token.0.secret.reveal()));
    }

    #[test]
    fn the_checksum_of_a_known_text_stays_what_it_is() {
        assert_eq!(&*check("cof_s_00000000000000_0000000000000000000000000000_"), "0jSNiW");
    }
}
