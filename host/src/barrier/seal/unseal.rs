use std::sync::Arc;

use super::{
    Barrier, Batch, Core, Error, Expect, Root, SealKind, SealRecord, SealStatus, Secret, Version, Write, layout,
    shamir, share::Share,
};

/// The shares given to this node so far, for one and the same `core/seal`.
#[derive(Default)]
pub(in crate::barrier) struct Progress {
    of: Option<Version>,
    shares: Vec<Share>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Progress {
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.shares.len()).unwrap_or(u8::MAX)
    }

    /// Counts one more; with enough of them, the root key. A share that is refused changes nothing.
    pub(super) fn add(&mut self, seal: &SealRecord, of: Version, share: Share) -> Result<Option<Root>, Error> {
        seal.require_share(&share)?;
        if self.of != Some(of) {
            *self = Self { of: Some(of), shares: Vec::new() };
        }
        if self.shares.iter().any(|given| given.number() == share.number()) {
            return Err(Error::Key("was given already"));
        }
        if self.shares.len() + 1 < usize::from(seal.threshold) {
            self.shares.push(share);
            return Ok(None);
        }
        let root = shamir::combine(self.shares.iter().chain([&share])).filter(|root| seal.knows_root(root));
        root.map(Some).ok_or_else(|| Error::Corrupt(layout::SEAL.to_owned()))
    }
}

impl Barrier {
    /// Counts one share; with enough of them the node is unsealed, and an order to seal the store
    /// is lifted. A share that is refused changes nothing.
    pub async fn unseal_share(&self, share: &Secret<String>) -> Result<SealStatus, Error> {
        let share = Share::parse(share)?;
        let mut progress = self.0.progress.lock().await;
        let core = self.core_obeyed().await?;
        let (seal, entry) = core.initialised()?;
        if seal.kind != SealKind::Shamir {
            return Err(Error::Seal("is not unsealed by shares"));
        }
        if !self.is_sealed() {
            return seal.require_share(&share).map(|()| self.status_of(&core, 0));
        }
        let Some(root) = progress.add(seal, entry.version, share)? else {
            return Ok(self.status_of(&core, progress.count()));
        };
        self.unseal(root, &core).await?;
        *progress = Progress::default();
        Ok(self.status_of(&Core { sealed: None, ..core }, 0))
    }

    /// Unattended: by a key file, the environment, or `dev_key`. `Sealed` while an order to seal
    /// the store stands: that is lifted by somebody, not by a restart.
    pub async fn unseal_key(&self, key: &Secret<[u8; 32]>) -> Result<(), Error> {
        self.unseal_by(key, false).await
    }

    /// The same when somebody asks for it: lifts the order.
    pub async fn unseal_key_by_order(&self, key: &Secret<[u8; 32]>) -> Result<(), Error> {
        self.unseal_by(key, true).await
    }

    async fn unseal_by(&self, key: &Secret<[u8; 32]>, lift: bool) -> Result<(), Error> {
        // Held, so that a seal that comes meanwhile comes after.
        let _progress = self.0.progress.lock().await;
        let core = self.core_obeyed().await?;
        let (seal, _) = core.initialised()?;
        if seal.kind == SealKind::Shamir {
            return Err(Error::Seal("is unsealed by shares"));
        }
        let root = Root::derive(key, &seal.store_id);
        if !seal.knows_root(&root) {
            return Err(Error::Key("is not of this store"));
        }
        match core.sealed {
            Some(_) if !lift => Err(Error::Sealed),
            _ if !self.is_sealed() => Ok(()),
            _ => self.unseal(root, &core).await,
        }
    }

    /// An order that this node has not yet obeyed is not for it to pass over.
    async fn core_obeyed(&self) -> Result<Core, Error> {
        let core = self.core().await?;
        if core.sealed.is_some() {
            self.0.keyring.store(None);
        }
        Ok(core)
    }

    /// Proves that the keyring opens, then lifts the order, then uses it.
    async fn unseal(&self, root: Root, core: &Core) -> Result<(), Error> {
        let (seal, entry) = core.initialised()?;
        let keyring = core.keyring.as_ref().ok_or_else(|| Error::Corrupt(layout::KEYRING.to_owned()))?;
        let keyring = root.open_keyring(keyring, seal, &entry.value)?;
        if keyring.store_id() != seal.store_id {
            return Err(Error::Corrupt(layout::KEYRING.to_owned()));
        }
        if let Some(sealed) = core.sealed {
            let expects = vec![(layout::SEALED.to_owned(), Expect::Version(sealed))];
            let writes = vec![(layout::SEALED.to_owned(), Write::Delete)];
            self.apply(Batch { expects, writes }, None).await?;
        }
        self.0.keyring.store(Some(Arc::new(keyring)));
        Ok(())
    }
}
