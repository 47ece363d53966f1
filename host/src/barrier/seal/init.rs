use std::sync::Arc;

use super::{
    Barrier, Batch, Error, Progress, Root, SealKind, SealRecord, Secret, absent, clear_entry, layout, put, shamir,
};
use crate::{barrier::keyring::Document, ids::random};

/// How the root key is to be kept.
#[derive(Clone, Debug)]
pub enum Init {
    Shamir {
        shares: u8,
        threshold: u8,
    },
    KeyFile(Secret<[u8; 32]>),
    /// Marks the store as one for trying out. The key is `dev_key`'s.
    Dev(Secret<[u8; 32]>),
}

/// What `init` made. The shares are told this once.
#[derive(Debug)]
pub struct Initialised {
    pub shares: Vec<Secret<String>>,
}

impl Barrier {
    /// Makes the store, all at once, if there is none; leaves it unsealed on this node. On
    /// `Unknown` the store may be there without anybody who can open it: it holds nothing yet.
    pub async fn init(&self, how: Init) -> Result<Initialised, Error> {
        let mut progress = self.0.progress.lock().await;
        if self.core().await?.seal.is_some() {
            return Err(Error::Seal("is initialised already"));
        }
        let store_id = random::<16>();
        let (kind, threshold, root, shares) = match how {
            Init::Shamir { shares, threshold } => {
                let root = Root::generate();
                let shares = shamir::split(&root, threshold, shares)?;
                (SealKind::Shamir, threshold, root, shares)
            }
            Init::KeyFile(key) => (SealKind::KeyFile, 0, Root::derive(&key, &store_id), Vec::new()),
            Init::Dev(key) => (SealKind::Dev, 0, Root::derive(&key, &store_id), Vec::new()),
        };
        let record = SealRecord::new(kind, store_id, &root, threshold, &shares);
        let (seal, version) = clear_entry(serde_json::to_vec(&record).map_err(|_| Error::TooLarge("the seal"))?);
        let keyring = root.seal(&Document::generate(&store_id), &record, &seal.value)?;
        let opened = root.open_keyring(&keyring, &record, &seal.value)?;
        let batch = Batch {
            expects: [layout::SEAL, layout::KEYRING].map(absent).into(),
            writes: vec![put(layout::SEAL, seal), put(layout::KEYRING, keyring)],
        };
        match self.apply(batch, Some((layout::SEAL.to_owned(), version))).await {
            Ok(()) => {}
            // Of two at once, this one came second.
            Err(Error::Conflict) => return Err(Error::Seal("is initialised already")),
            Err(error) => return Err(error),
        }
        *progress = Progress::default();
        self.0.keyring.store(Some(Arc::new(opened)));
        Ok(Initialised { shares: shares.iter().map(|share| share.to_text()).collect() })
    }
}
