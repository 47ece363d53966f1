use std::sync::Arc;

use super::{
    Barrier, Batch, Error, Expect, Proof, Root, SealKind, SealRecord, Secret, clear_entry, layout, put, shamir,
};

impl Barrier {
    /// Another root key, in new shares: those of before open nothing that is stored from now on. The keys below it
    /// stay, so that nothing has to be encrypted anew; `rotate` makes another of those. Other nodes go on with what
    /// they have until keys rotate or they start anew, and are then opened with the new shares.
    pub async fn rekey(&self, proof: Proof, shares: u8, threshold: u8) -> Result<Vec<Secret<String>>, Error> {
        let _progress = self.0.progress.lock().await;
        if self.is_sealed() {
            return Err(Error::Sealed);
        }
        let core = self.core().await?;
        let (seal, entry) = core.initialised()?;
        if entry.version != proof.of {
            return Err(Error::Conflict);
        }
        let found = core.keyring.as_ref().ok_or_else(|| Error::Corrupt(layout::KEYRING.to_owned()))?;
        let document = proof.root.open(found, seal, &entry.value)?;
        let root = Root::generate();
        let parts = shamir::split(&root, threshold, shares)?;
        let record = SealRecord::new(SealKind::Shamir, seal.store_id, &root, threshold, &parts);
        let (new, _) = clear_entry(serde_json::to_vec(&record).map_err(|_| Error::TooLarge("the seal"))?);
        let keyring = root.seal(&document, &record, &new.value)?;
        let opened = root.open_keyring(&keyring, &record, &new.value)?;
        let witness = Some((layout::KEYRING.to_owned(), keyring.version));
        let batch = Batch {
            expects: vec![
                (layout::SEAL.to_owned(), Expect::Version(entry.version)),
                (layout::KEYRING.to_owned(), Expect::Version(found.version)),
            ],
            writes: vec![put(layout::SEAL, new), put(layout::KEYRING, keyring)],
        };
        self.apply(batch, witness).await?;
        self.0.keyring.store(Some(Arc::new(opened)));
        Ok(parts.iter().map(|share| share.to_text()).collect())
    }
}
