use std::sync::Arc;

use super::{Barrier, Batch, Error, Expect, layout, put};
use crate::barrier::keyring::{Document, Keyring};

impl Barrier {
    /// A new key for all values to come; says its term. What is stored stays readable, and other
    /// nodes learn of the key when they meet a value under it. `Conflict` if another node rotated.
    pub async fn rotate(&self) -> Result<u32, Error> {
        let _progress = self.0.progress.lock().await;
        let keyring = self.keyring()?;
        let core = self.core().await?;
        let (seal, seal_entry) = core.initialised()?;
        let found = core.keyring.as_ref().ok_or_else(corrupt)?;
        let mut document: Document = keyring.root().open(found, seal, &seal_entry.value)?;
        let term = document.add_term()?;
        let entry = keyring.root().seal(&document, seal, &seal_entry.value)?;
        let opened = keyring.root().clone().open_keyring(&entry, seal, &seal_entry.value)?;
        let witness = Some((layout::KEYRING.to_owned(), entry.version));
        let batch = Batch {
            // With the seal, so that it is the root key's of the moment.
            expects: vec![
                (layout::KEYRING.to_owned(), Expect::Version(found.version)),
                (layout::SEAL.to_owned(), Expect::Version(seal_entry.version)),
            ],
            writes: vec![put(layout::KEYRING, entry)],
        };
        self.apply(batch, witness).await?;
        self.0.keyring.store(Some(Arc::new(opened)));
        Ok(term)
    }

    /// What stands at `core/keyring` now, in place of `old`. A node that was sealed meanwhile stays sealed; one whose
    /// root key is that of before a rekey is sealed by this, until it is given shares of the new one.
    pub(in crate::barrier) async fn reload(&self, old: Arc<Keyring>) -> Result<Arc<Keyring>, Error> {
        let core = self.core().await?;
        let (seal, seal_entry) = core.initialised()?;
        if !seal.knows_root(old.root()) {
            tracing::warn!("sealed: the root key is another now, and this node has not been given it");
            self.0.keyring.compare_and_swap(&old, None);
            return Err(Error::Sealed);
        }
        let found = core.keyring.as_ref().ok_or_else(corrupt)?;
        let new = Arc::new(old.root().clone().open_keyring(found, seal, &seal_entry.value)?);
        self.0.keyring.compare_and_swap(&old, Some(new.clone()));
        Ok(new)
    }
}

fn corrupt() -> Error {
    Error::Corrupt(layout::KEYRING.to_owned())
}
