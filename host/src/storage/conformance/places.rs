use std::sync::Arc;

use tempfile::TempDir;

use crate::{
    clock::Clock,
    storage::{Memory, Storage, open},
};

/// A store of a test's own.
pub(super) struct Place {
    pub storage: Storage,
    _folder: Option<TempDir>,
}

impl Place {
    pub(super) fn memory() -> Self {
        Self { storage: Arc::new(Memory::default()), _folder: None }
    }

    pub(super) async fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("data/coffer.db").display());
        Self { storage: open(&url, Clock::system()).await.expect("it opens"), _folder: Some(folder) }
    }

    pub(super) async fn end(self) {
        self.storage.close().await;
    }
}
