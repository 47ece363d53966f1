//! How a value looks on disk: `format(1) term(4) nonce(24) ciphertext tag(16)`.

use zeroize::Zeroizing;

use super::xaes::{NONCE, TAG, Xaes};
use crate::{clock::Timestamp, ids::random, storage::Version};

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 4 + NONCE;

/// What a stored value is bound to besides its store and term.
pub(super) struct Bound<'a> {
    pub(super) key: &'a str,
    pub(super) version: Version,
    pub(super) expires_at: Option<Timestamp>,
}

impl Bound<'_> {
    /// Length-prefixed, so that no two different bindings give the same bytes.
    pub(super) fn associated(&self, store_id: &[u8; 16], term: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.key.len());
        let end = self.expires_at.map(|end| end.millis().to_be_bytes());
        let end = end.as_ref().map_or(&[][..], |end| &end[..]);
        let version = self.version.raw().to_be_bytes();
        for part in [&[FORMAT][..], store_id, self.key.as_bytes(), &version, end, &term.to_be_bytes()] {
            length_prefixed(&mut bytes, part);
        }
        bytes
    }
}

pub(super) fn length_prefixed(to: &mut Vec<u8>, part: &[u8]) {
    to.extend((part.len() as u64).to_be_bytes());
    to.extend(part);
}

pub(super) fn seal(key: &Xaes, term: u32, associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce = random::<NONCE>();
    let mut body = Vec::with_capacity(plain.len() + TAG);
    body.extend(plain);
    key.seal(&nonce, associated, &mut body);
    [&[FORMAT][..], &term.to_be_bytes(), &nonce, &body].concat()
}

/// The term that a value says it is encrypted under.
pub(super) fn term(sealed: &[u8]) -> Option<u32> {
    let head = sealed.get(..HEAD).filter(|head| head[0] == FORMAT)?;
    Some(u32::from_be_bytes(head[1..5].try_into().ok()?))
}

pub(super) fn open(key: &Xaes, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce: &[u8; NONCE] = sealed.get(5..HEAD)?.try_into().ok()?;
    let mut body = Zeroizing::new(sealed.get(HEAD..)?.to_vec());
    let len = key.open(nonce, associated, &mut body)?.len();
    body.truncate(len);
    Some(body)
}
