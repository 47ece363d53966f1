use zeroize::Zeroizing;

use super::{Error, Secret};

const BYTES: usize = 1 + 32;
const KIND: &str = "cof_share_";

/// One share of a root key: its number, from 1, and 32 bytes.
///
/// As text `cof_share_<number>_<64 hex digits>_<CRC32 of all before it, 8 hex digits>`, so that a
/// share with a slip in it is told from one that is wrong.
#[derive(Clone)]
pub(super) struct Share(Zeroizing<[u8; BYTES]>);

impl Share {
    pub(super) fn new(number: u8, secret: [u8; 32]) -> Self {
        let mut bytes = Zeroizing::new([number; BYTES]);
        bytes[1..].copy_from_slice(Zeroizing::new(secret).as_slice());
        Self(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = Zeroizing::new(bytes.try_into().ok()?);
        Some(Self(bytes)).filter(|share| share.number() > 0)
    }

    pub(super) fn number(&self) -> u8 {
        self.0[0]
    }

    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    pub(super) fn to_text(&self) -> Secret<String> {
        let mut text = String::with_capacity(128);
        text.push_str(&format!("{KIND}{}_", self.number()));
        text.push_str(&Zeroizing::new(hex::encode(&self.0[1..])));
        let check = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("_{check:08x}"));
        Secret::new(text)
    }

    /// White space around it and capital letters are no slip.
    pub(super) fn parse(text: &Secret<String>) -> Result<Self, Error> {
        const SHAPE: Error = Error::Key("has not the form cof_share_<number>_<64 hex digits>_<8 hex digits>");
        let text = Zeroizing::new(text.reveal().trim().to_ascii_lowercase());
        let (body, check) = text.rsplit_once('_').ok_or(SHAPE)?;
        let (number, secret) = body.strip_prefix(KIND).and_then(|rest| rest.split_once('_')).ok_or(SHAPE)?;
        if check.len() != 8 || secret.len() != 64 || number.is_empty() || number.len() > 3 {
            return Err(SHAPE);
        }
        if format!("{:08x}", crc32fast::hash(body.as_bytes())) != check {
            return Err(Error::Key("has a slip in it: its checksum is not right"));
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        hex::decode_to_slice(secret, &mut bytes[1..]).map_err(|_| SHAPE)?;
        bytes[0] = number.parse().ok().filter(|number| *number > 0).ok_or(SHAPE)?;
        Ok(Self(bytes))
    }
}
