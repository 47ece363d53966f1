use aws_lc_rs::{constant_time, digest};
use serde::{Deserialize, Serialize};

use super::{Error, Mark, Root, SealKind, layout, limits, share::Share};
use crate::barrier::{envelope::length_prefixed, hex_text};

/// What stands at `core/seal`, in the clear. Its very bytes are in the associated data of the
/// keyring: whoever changes one of them has a keyring that does not open.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealRecord {
    format: u8,
    #[serde(with = "hex_text")]
    pub(super) store_id: [u8; 16],
    mark: Mark,
    pub(super) kind: SealKind,
    pub(super) threshold: u8,
    /// Of each share, in the order of their numbers.
    digests: Vec<Digest>,
    /// Of the root key.
    root: Digest,
}

#[derive(Clone, Serialize, Deserialize)]
struct Digest(#[serde(with = "hex_text")] [u8; 32]);

impl SealRecord {
    pub(super) fn new(kind: SealKind, store_id: [u8; 16], root: &Root, threshold: u8, shares: &[Share]) -> Self {
        Self {
            format: 1,
            store_id,
            mark: if kind == SealKind::Dev { Mark::Dev } else { Mark::Production },
            kind,
            threshold,
            digests: shares.iter().map(|share| Digest::of_share(&store_id, share)).collect(),
            root: Digest::of_root(&store_id, root),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let record: Option<Self> = serde_json::from_slice(bytes).ok();
        let sound = |record: &Self| {
            let shares = match record.kind {
                SealKind::Shamir => record.digests.len() <= usize::from(limits::SHARES) && record.threshold >= 1,
                SealKind::KeyFile | SealKind::Dev => record.digests.is_empty() && record.threshold == 0,
            };
            record.format == 1 && shares && usize::from(record.threshold) <= record.digests.len()
        };
        record.filter(sound).ok_or_else(|| Error::Corrupt(layout::SEAL.to_owned()))
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    pub(super) fn shares(&self) -> u8 {
        u8::try_from(self.digests.len()).unwrap_or(u8::MAX)
    }

    /// Is it a share of this store, as it was given out?
    pub(super) fn knows_share(&self, share: &Share) -> bool {
        let known = self.digests.get(usize::from(share.number()).wrapping_sub(1));
        known.is_some_and(|known| known.is(&Digest::of_share(&self.store_id, share)))
    }

    pub(super) fn require_share(&self, share: &Share) -> Result<(), Error> {
        self.knows_share(share).then_some(()).ok_or(Error::Key("is not of this store"))
    }

    pub(super) fn knows_root(&self, root: &Root) -> bool {
        self.root.is(&Digest::of_root(&self.store_id, root))
    }
}

/// SHA-256 of 256 random bits: nobody finds them by it.
impl Digest {
    fn of_share(store_id: &[u8; 16], share: &Share) -> Self {
        Self::of(b"coffer share", store_id, share.bytes())
    }

    fn of_root(store_id: &[u8; 16], root: &Root) -> Self {
        Self::of(b"coffer root", store_id, root.bytes())
    }

    fn of(kind: &[u8], store_id: &[u8; 16], secret: &[u8]) -> Self {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(128));
        [kind, store_id, secret].iter().for_each(|part| length_prefixed(&mut bytes, part));
        let digest = digest::digest(&digest::SHA256, &bytes);
        Self(digest.as_ref().try_into().expect("SHA-256 makes 32 bytes"))
    }

    fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}
