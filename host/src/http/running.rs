//! What a running server tells whoever may read its data folder, in a file there: that it runs,
//! and what it has noticed. `coffer doctor` reads it.

use std::{
    fs,
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Timestamp},
    limits,
};

const FILE: &str = "running.json";

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    pub version: String,
    pub addresses: Vec<SocketAddr>,
    pub since: Timestamp,
    pub untrusted_forwarding: Forwarding,
}

/// Requests with a forwarding header from peers that are no trusted proxies.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Forwarding {
    pub count: u64,
    /// The last of them.
    pub peer: Option<IpAddr>,
}

/// Counts them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Untrusted(Arc<Mutex<Forwarding>>);

impl Untrusted {
    pub fn note(&self, peer: IpAddr) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Forwarding { count: seen.count.saturating_add(1), peer: Some(peer) };
    }

    pub fn seen(&self) -> Forwarding {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the folder's server says, or said before it was killed.
pub fn read(data_dir: &Path) -> Option<Running> {
    serde_json::from_slice(&fs::read(data_dir.join(FILE)).ok()?).ok()
}

/// Keeps the file as long as this is awaited, which never ends; dropped, it is removed.
pub async fn keep(data_dir: &Path, addresses: &[SocketAddr], untrusted: Untrusted, clock: &Clock) {
    let file = Removed(data_dir.join(FILE));
    let mut told = None;
    let since = clock.now();
    loop {
        let seen = untrusted.seen();
        if told.as_ref() != Some(&seen) {
            let running = Running {
                pid: process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                addresses: addresses.to_vec(),
                since,
                untrusted_forwarding: seen.clone(),
            };
            if let Err(error) = write(&file.0, &running) {
                tracing::warn!(%error, "running.json in the data folder cannot be written");
            }
            told = Some(seen);
        }
        tokio::time::sleep(limits::RUNNING_LOOK).await;
    }
}

/// Complete at once, and for the owner alone.
fn write(path: &Path, running: &Running) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(running)?)?;
    fs::rename(new, path)
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_tells_what_was_counted_and_goes_with_the_server() {
        let (dir, untrusted) = (tempfile::tempdir().unwrap(), Untrusted::default());
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let addresses = [address];
        let clock = Clock::system();
        assert_eq!(read(dir.path()), None);
        {
            let keeping = keep(dir.path(), &addresses, untrusted.clone(), &clock);
            tokio::pin!(keeping);
            let told = async |count: u64| {
                while read(dir.path()).is_none_or(|running| running.untrusted_forwarding.count != count) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! { () = &mut keeping => {} () = told(0) => {} }
            untrusted.note("192.0.2.7".parse().unwrap());
            tokio::select! { () = &mut keeping => {} () = told(1) => {} }
            let running = read(dir.path()).unwrap();
            assert_eq!((running.pid, running.addresses), (process::id(), vec![address]));
            assert_eq!(running.untrusted_forwarding.peer, Some("192.0.2.7".parse().unwrap()));
        }
        assert_eq!(read(dir.path()), None);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(read(dir.path()), None);
    }
}
