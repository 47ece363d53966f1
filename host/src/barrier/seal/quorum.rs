use std::time::Duration;

use super::{Barrier, Core, Error, Root, SealKind, Secret, Version, key::parse_key, share::Share, unseal::Progress};
use crate::{ids::random, limits};

/// What people bring their shares together for while the store is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ceremony {
    /// Another root key, in so many shares.
    Rekey {
        shares: u8,
        threshold: u8,
    },
    RootToken,
}

/// One ceremony that has begun on this node. Whoever knows its nonce and has a share of this store goes on with it;
/// nobody can end it but time.
pub(in crate::barrier) struct Attempt {
    nonce: String,
    ceremony: Ceremony,
    progress: Progress,
    until: Duration,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("ceremony", &self.ceremony)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// Where a ceremony stands after one more share.
#[derive(Debug)]
pub struct Gathered {
    pub nonce: String,
    pub ceremony: Ceremony,
    pub progress: u8,
    pub threshold: u8,
    /// Once there are enough.
    pub proof: Option<Proof>,
}

/// Enough shares were brought. Used up by the ceremony that they were brought for.
pub struct Proof {
    pub(super) root: Root,
    pub(super) of: Version,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

impl Barrier {
    /// Is it a share of this store, or its key? Counts nothing. While sealed only to unseal it.
    pub async fn recognise(&self, share: &Secret<String>, to_unseal: bool) -> Result<(), Error> {
        let core = if to_unseal { self.core().await? } else { self.core_open().await? };
        let Some((seal, _)) = &core.seal else {
            Share::parse(share)?;
            return core.initialised().map(|_| ());
        };
        if seal.kind == SealKind::Shamir {
            return seal.require_share(&Share::parse(share)?);
        }
        let root = Root::derive(&parse_key(share)?, &seal.store_id);
        seal.knows_root(&root).then_some(()).ok_or(Error::Key("is not of this store"))
    }

    /// The first share of a ceremony.
    pub async fn begin(&self, ceremony: Ceremony, share: &Secret<String>) -> Result<Gathered, Error> {
        let core = self.core_open().await?;
        let (seal, entry) = core.initialised()?;
        if seal.kind != SealKind::Shamir {
            if ceremony != Ceremony::RootToken {
                return Err(Error::Seal("is not unsealed by shares"));
            }
            // The key itself is the one share there is.
            let root = Root::derive(&parse_key(share)?, &seal.store_id);
            let proof = seal.knows_root(&root).then_some(Proof { root, of: entry.version });
            let proof = proof.ok_or(Error::Key("is not of this store"))?;
            return Ok(Gathered { nonce: String::new(), ceremony, progress: 0, threshold: 0, proof: Some(proof) });
        }
        if let Ceremony::Rekey { shares, threshold } = ceremony {
            super::shamir::check(threshold, shares)?;
        }
        let until = self.0.clock.monotonic() + limits::CEREMONY_LIFE;
        let mut attempt =
            Attempt { nonce: hex::encode(random::<16>()), ceremony, progress: Progress::default(), until };
        let gathered = attempt.bring(&core, share)?;
        let mut attempts = self.0.attempts.lock().await;
        attempts.retain(|attempt| attempt.until > self.0.clock.monotonic());
        if gathered.proof.is_none() {
            if attempts.len() >= limits::CEREMONIES {
                return Err(Error::Seal("has too many attempts under way: wait until some have ended"));
            }
            attempts.push(attempt);
        }
        Ok(gathered)
    }

    /// One more share of a ceremony that has begun here.
    pub async fn join(&self, is: fn(Ceremony) -> bool, nonce: &str, share: &Secret<String>) -> Result<Gathered, Error> {
        const NONE: Error = Error::Seal("has no such attempt: it ended, or began on another node");
        let core = self.core_open().await?;
        let mut attempts = self.0.attempts.lock().await;
        attempts.retain(|attempt| attempt.until > self.0.clock.monotonic());
        let found = attempts.iter().position(|attempt| attempt.nonce == nonce && is(attempt.ceremony));
        let place = found.ok_or(NONE)?;
        let gathered = attempts[place].bring(&core, share)?;
        if gathered.proof.is_some() {
            attempts.remove(place);
        }
        Ok(gathered)
    }

    async fn core_open(&self) -> Result<Core, Error> {
        let core = self.core().await?;
        match self.is_sealed() || core.sealed.is_some() {
            true => Err(Error::Sealed),
            false => Ok(core),
        }
    }
}

impl Attempt {
    fn bring(&mut self, core: &Core, share: &Secret<String>) -> Result<Gathered, Error> {
        let (seal, entry) = core.initialised()?;
        let root = self.progress.add(seal, entry.version, Share::parse(share)?)?;
        let progress = if root.is_some() { seal.threshold } else { self.progress.count() };
        let proof = root.map(|root| Proof { root, of: entry.version });
        Ok(Gathered { nonce: self.nonce.clone(), ceremony: self.ceremony, progress, threshold: seal.threshold, proof })
    }
}
