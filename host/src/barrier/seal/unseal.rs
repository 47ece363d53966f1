use std::sync::Arc;

use super::{
    Barrier, Batch, Core, Error, Expect, Root, SealKind, SealStatus, Secret, Version, Write, layout, shamir,
    share::Share,
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
        if !seal.knows_share(&share) {
            return Err(Error::Key("is not of this store"));
        }
        if !self.is_sealed() {
            return Ok(self.status_of(&core, 0));
        }
        if progress.of != Some(entry.version) {
            *progress = Progress { of: Some(entry.version), shares: Vec::new() };
        }
        if progress.shares.iter().any(|given| given.number() == share.number()) {
            return Err(Error::Key("was given already"));
        }
        if progress.shares.len() + 1 < usize::from(seal.threshold) {
            progress.shares.push(share);
            return Ok(self.status_of(&core, progress.count()));
        }
        let root = shamir::combine(progress.shares.iter().chain([&share])).filter(|root| seal.knows_root(root));
        let root = root.ok_or_else(|| Error::Corrupt(layout::SEAL.to_owned()))?;
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
