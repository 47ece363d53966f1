use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::storage::Error;

/// The file, made if it is not there and readable by nobody else, and the lock that keeps
/// other processes off it for as long as it is held. (SQLite's own exclusive mode would refuse
/// our readers too.)
pub(super) struct Held {
    pub path: PathBuf,
    _lock: File,
}

impl Held {
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let told = |error: io::Error| Error::Unusable(format!("its file: {}", error.kind()));
        // An absolute path is also never taken for one of SQLite's own URIs.
        let path = std::path::absolute(path).map_err(told)?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Unusable("its URL names no file".to_owned()));
        };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told)?;
            folder.parent().map_or(Ok(()), sync).map_err(told)?;
        }
        let mut lock_name = name.to_owned();
        lock_name.push(".lock");
        let lock = private(&folder.join(lock_name)).map_err(told)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::Unusable("another process holds it".to_owned()),
            TryLockError::Error(error) => told(error),
        })?;
        // The journal and its index take their mode from the file.
        private(&path).map_err(told)?;
        sync(folder).map_err(told)?;
        Ok(Self { path, _lock: lock })
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Without this a new name may be gone after a power cut, and with it all that is in the file.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
