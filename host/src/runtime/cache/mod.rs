//! Compiled code on the disk, so that a start does not compile again what has not changed.
//!
//! A file is found by the digest of the WebAssembly and the engine's fingerprint, and carries a MAC
//! that only this store's barrier can make: without the keys nothing is read and nothing kept. It
//! is read into memory, checked there, and what was checked is what is run. Whatever is wrong with
//! a file, it is removed and the code compiled anew; whatever is wrong with the disk, nothing is
//! kept. The folder is the cache's own.

use std::{
    fs::{self, DirBuilder, File, FileTimes, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest;
use rustix::fs::OFlags;
use wasmtime::{Engine, component::Component};

use crate::{
    barrier::{Barrier, Error, Purpose},
    clock::Clock,
    ids, limits,
};

mod checked;
#[cfg(test)]
mod tests;

use checked::{Bound, Checked};

/// A folder of compiled code.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    barrier: Barrier,
    clock: Clock,
    /// Bytes in all.
    most: u64,
}

/// Where one component's code is kept for one engine.
pub(super) struct Place<'a> {
    cache: &'a Cache,
    bound: Bound,
    path: PathBuf,
}

/// Why a file is not used.
enum Unusable {
    /// Nothing is known of it: there is none, or there are no keys to check it with.
    Unknown,
    /// It is not one of ours, or no longer.
    Wrong,
}

impl Cache {
    /// `folder` is made when something is first kept; anything in it may be removed.
    pub fn new(folder: PathBuf, barrier: Barrier, clock: Clock) -> Self {
        Self { folder, barrier, clock, most: limits::PLUGIN_CACHE_BYTES }
    }

    pub(super) fn place(&self, engine: &Engine, wasm: &[u8]) -> Place<'_> {
        let bound = Bound { component: sha256(wasm), engine: fingerprint(engine) };
        let name = format!("{}-{}.{ENDING}", hex::encode(bound.component), hex::encode(&bound.engine[..8]));
        Place { cache: self, path: self.folder.join(name), bound }
    }

    /// Removes what was not used for longest until there is room for this many bytes.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_dir() {
                continue;
            }
            files.push((about.modified().unwrap_or(UNIX_EPOCH), about.len(), entry.path()));
        }
        files.sort_unstable();
        let mut total = files.iter().fold(bytes, |sum, (_, len, _)| sum.saturating_add(*len));
        for (_, len, path) in files {
            if total <= self.most {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(len);
        }
        Ok(())
    }
}

const ENDING: &str = "compiled";

impl Place<'_> {
    pub(super) fn find(&self, engine: &Engine) -> Option<Component> {
        match self.read(engine) {
            Ok(component) => Some(component),
            Err(Unusable::Unknown) => None,
            Err(Unusable::Wrong) => {
                tracing::warn!(file = %self.path.display(), "compiled code is not as it was kept: it is compiled anew");
                // A link is removed, not what it leads to.
                let _: io::Result<()> = fs::remove_file(&self.path);
                None
            }
        }
    }

    /// Keeps it, if that can be done.
    pub(super) fn keep(&self, component: &Component) {
        if self.cache.barrier.is_sealed() {
            return;
        }
        if let Err(error) = self.write(component) {
            tracing::warn!(%error, "compiled code is not kept");
        }
    }

    fn read(&self, engine: &Engine) -> Result<Component, Unusable> {
        if self.cache.barrier.is_sealed() {
            return Err(Unusable::Unknown);
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&self.path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Unknown),
            Err(_) => return Err(Unusable::Wrong),
        };
        let kept = read_bounded(&mut file).map_err(|_| Unusable::Wrong)?;
        let mac = |version| match self.cache.barrier.mac_at(Purpose::Cache, version) {
            Ok(mac) => Ok(mac),
            Err(Error::Sealed) => Err(Unusable::Unknown),
            Err(_) => Err(Unusable::Wrong),
        };
        let version = Checked::version(&kept).ok_or(Unusable::Wrong)?;
        let checked = Checked::open(&mac(version)?, &self.bound, &kept).ok_or(Unusable::Wrong)?;
        let component = checked.load(engine).map_err(|_| Unusable::Wrong)?;
        self.touch(&file);
        Ok(component)
    }

    /// It was used now. Nothing is lost if that cannot be noted.
    fn touch(&self, file: &File) {
        let millis = u64::try_from(self.cache.clock.now().millis()).unwrap_or(0);
        let now: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
        let _: io::Result<()> = file.set_times(FileTimes::new().set_modified(now));
    }

    fn write(&self, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(|_| io::Error::other("it cannot be serialised"))?;
        if code.len() > limits::PLUGIN_COMPILED_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        let mac = self.cache.barrier.mac(Purpose::Cache).map_err(|_| io::Error::other("there is no key"))?;
        let head = Checked::head(&mac, &self.bound, &code);
        let folder = &self.cache.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if !fs::symlink_metadata(folder)?.is_dir() {
            return Err(io::Error::other("its folder is a link"));
        }
        self.cache.make_room((head.len() + code.len()) as u64)?;
        // Never half a file under the name that is looked for.
        let draft = folder.join(format!("{}.draft", hex::encode(ids::random::<16>())));
        let done = write_new(&draft, &[&head, &code]).and_then(|()| fs::rename(&draft, &self.path));
        if done.is_err() {
            let _: io::Result<()> = fs::remove_file(&draft);
        }
        done
    }
}

fn read_bounded(file: &mut File) -> io::Result<Vec<u8>> {
    let most = (limits::PLUGIN_COMPILED_BYTES + Checked::HEAD) as u64;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > most {
        return Err(io::Error::other("not a file of this kind"));
    }
    let mut kept = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
    file.take(most).read_to_end(&mut kept)?;
    Ok(kept)
}

fn write_new(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 makes 32 bytes")
}

/// Of everything that code depends on besides the component: version, settings, processor.
fn fingerprint(engine: &Engine) -> [u8; 32] {
    let mut sum = Sum(digest::Context::new(&digest::SHA256));
    engine.precompile_compatibility_hash().hash(&mut sum);
    sum.0.finish().as_ref().try_into().expect("SHA-256 makes 32 bytes")
}

struct Sum(digest::Context);

impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the sum is longer than this.
    fn finish(&self) -> u64 {
        0
    }
}
