use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::{constant_time, digest};

use super::Secret;
use crate::ids::random_base62;

/// Whoever knows it can read the server's data folder: `init` asks for it.
#[derive(Debug)]
pub struct InitCode {
    code: Secret<String>,
    path: PathBuf,
}

impl InitCode {
    pub const FILE: &str = "init-code";

    /// A new one, in a file of mode 0600 in `data_dir`, in place of one that may be there.
    pub fn write(data_dir: &Path) -> io::Result<Self> {
        let (code, path) = (Secret::new(random_base62(32)), data_dir.join(Self::FILE));
        let new = data_dir.join(format!("{}.{}", Self::FILE, random_base62(8)));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = file.write_all(code.reveal().as_bytes()).and_then(|()| file.write_all(b"\n"));
        written.and_then(|()| fs::rename(&new, &path)).inspect_err(|_| drop(fs::remove_file(&new)))?;
        Ok(Self { code, path })
    }

    /// In constant time. White space around it is nothing.
    pub fn check(&self, given: &str) -> bool {
        let digest = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        let (ours, theirs) = (digest(self.code.reveal()), digest(given.trim()));
        constant_time::verify_slices_are_equal(ours.as_ref(), theirs.as_ref()).is_ok()
    }

    /// Once the store is initialised it is good for nothing.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
