//! `cof_c_<id>_<secret>_<check>`: in the form of the server's tokens, so that a scanner recognises a leaked
//! one, and junk is refused without a look at the store. The id is public: the credential's.

use coffer_plugin_sdk::prelude::*;
use data_encoding::HEXLOWER;

const ID: usize = 14;
/// 166 random bits.
const SECRET: usize = 28;
const CHECK: usize = 6;
const PREFIX: &str = "cof_c_";
const LENGTH: usize = PREFIX.len() + ID + 1 + SECRET + 1 + CHECK;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub struct ClientSecret {
    pub id: String,
    secret: String,
}

impl ClientSecret {
    /// A new one, of that id or of a new one.
    pub fn new(id: Option<&str>) -> Self {
        Self { id: id.map_or_else(|| random(ID), ToOwned::to_owned), secret: random(SECRET) }
    }

    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() {
            return None;
        }
        let (before, told) = text.split_at(LENGTH - CHECK);
        let (id, secret) = before.strip_prefix(PREFIX)?.strip_suffix('_')?.split_once('_')?;
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_whole = id.len() == ID && secret.len() == SECRET && is_plain(id) && is_plain(secret);
        (is_whole && check(before) == told).then(|| Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// As the client gets it, once.
    pub fn text(&self) -> String {
        let before = format!("{PREFIX}{}_{}_", self.id, self.secret);
        let check = check(&before);
        before + &check
    }

    /// What is kept of it. It is as random as a key, so that nothing slower is needed.
    pub fn digest(&self, subject: &str) -> Result<String> {
        let signed = format!("client secret 1\n{subject}\n{}\n{}", self.id, self.secret);
        Ok(HEXLOWER.encode(&crypto::hash("sha256", signed.as_bytes())?))
    }
}

fn random(len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let usable = crypto::random(64).into_iter().filter(|byte| *byte < 248);
        text.extend(usable.take(len - text.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

/// CRC32 over all that stands before it, in six characters of `0-9A-Za-z`.
fn check(before: &str) -> String {
    let crc = crc32fast::hash(before.as_bytes());
    let digit = |place: u32| char::from(BASE62[(crc / 62_u32.pow(place) % 62) as usize]);
    (0..CHECK as u32).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> ClientSecret {
        ClientSecret { id: "0".repeat(ID), secret: "0".repeat(SECRET) }
    }

    #[test]
    fn what_is_told_is_read_again_and_stays_what_it_is() {
        let text = known().text();
        assert_eq!(text, "cof_c_00000000000000_0000000000000000000000000000_".to_owned() + &text[LENGTH - CHECK..]);
        assert_eq!(ClientSecret::parse(&text).unwrap().text(), text);
        // The checksum is the server's: of its own example it makes the same.
        assert_eq!(check("cof_s_00000000000000_0000000000000000000000000000_"), "0jSNiW");
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = known().text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(ClientSecret::parse(std::str::from_utf8(&bytes).unwrap()).is_none(), "at {at}");
        }
        for junk in ["", "cof_c_", &"_".repeat(LENGTH), &"é".repeat(LENGTH / 2), &format!("{text} ")] {
            assert!(ClientSecret::parse(junk).is_none());
        }
    }
}
