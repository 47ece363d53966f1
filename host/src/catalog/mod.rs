//! Plugin files: what they are, what they ask for, whose they are, and which bytes a name and
//! version stand for.
//!
//! Owns the digest, the manifest and its check of a configuration, the signature, and the store of
//! uploaded plugins. Never runs anything, and never knows who uses what. A plugin that is shipped
//! is one more line in `build.rs`; one more member of a manifest stands in `manifest.rs`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use semver::Version;

use crate::{
    barrier::{self, Barrier, Stored, Writes},
    clock::Timestamp,
    ids::{self, PluginName},
    limits,
};

mod auth;
mod component;
mod credential;
mod digest;
mod effort;
mod error;
mod header;
mod manifest;
mod publisher;
mod request;
mod schema;
mod signature;
mod size;
mod staging;
#[cfg(test)]
mod tests;
mod upload_store;
mod verb;

pub use auth::{Auth, Subjects};
pub use component::{Component, Import, inspect, with_manifest};
pub use credential::CredentialSpec;
pub use digest::Digest;
pub use error::Error;
pub use manifest::{CallSpec, HttpAsk, Kind, Manifest, Requires, Target};
pub use publisher::Publisher;
pub use request::RequestSchema;
pub use schema::Schema;
pub use signature::sign;
pub use upload_store::{Author, Staged, Upload, Uploaded};
pub use verb::{Method, fixed_action};

use staging::Staging;
use upload_store::{Entry, Index, UploadStore};

/// A plugin that is here.
#[derive(Clone, Debug)]
pub struct Found {
    pub component: Arc<Component>,
    code: Code,
}

#[derive(Clone, Debug)]
enum Code {
    /// It came with the server: its digest is known to be ours.
    Shipped(Arc<[u8]>),
    Uploaded(Entry),
}

impl Found {
    pub fn shipped(&self) -> bool {
        matches!(self.code, Code::Shipped(_))
    }

    pub fn publisher(&self) -> Publisher {
        self.uploaded().map_or(Publisher::Shipped, Uploaded::publisher)
    }

    pub fn uploaded(&self) -> Option<&Uploaded> {
        match &self.code {
            Code::Shipped(_) => None,
            Code::Uploaded(entry) => Some(&entry.uploaded),
        }
    }

    pub fn bytes(&self) -> usize {
        match &self.code {
            Code::Shipped(wasm) => wasm.len(),
            Code::Uploaded(entry) => entry.uploaded.bytes,
        }
    }
}

/// Which version of a plugin is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The one that came with the server.
    Shipped,
    Exact(Version),
}

impl Wanted {
    /// `shipped`, or a version.
    pub fn parse(text: &str) -> Result<Self, ids::Error> {
        match text {
            "shipped" => Ok(Self::Shipped),
            version => Version::parse(version)
                .map(Self::Exact)
                .map_err(|_| ids::Error("must be `shipped` or a version like 1.2.3")),
        }
    }
}

/// The plugins that there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shipped: Vec<Found>,
    store: UploadStore,
    staging: Staging,
    uploaded: ArcSwap<Index>,
}

impl Catalog {
    /// Names and components of the shipped plugins, and what is uploaded to this store. The name in a manifest must
    /// be the same.
    pub fn open(shipped: Vec<(String, Arc<[u8]>)>, barrier: &Barrier) -> Result<Self, Error> {
        let found = shipped.into_iter().map(|(name, wasm)| {
            let component = inspect(&wasm)?;
            match component.manifest.name.as_str() == name {
                true => Ok(Found { component: Arc::new(component), code: Code::Shipped(wasm) }),
                false => Err(Error::OtherName(name)),
            }
        });
        let shipped = found.collect::<Result<_, Error>>()?;
        let (store, staging) = (UploadStore::new(barrier), Staging::new(barrier));
        Ok(Self(Arc::new(Inner { shipped, store, staging, uploaded: ArcSwap::default() })))
    }

    /// Reads anew what is uploaded.
    pub async fn reload(&self) -> Result<(), barrier::Error> {
        let index = self.0.store.read_all(&self.0.uploaded.load()).await?;
        self.0.uploaded.store(Arc::new(index));
        Ok(())
    }

    /// What is shipped comes first: nobody else's bytes pass for it.
    pub fn find(&self, name: &PluginName, wanted: &Wanted) -> Result<Found, Error> {
        let mut named = self.all().into_iter().filter(|found| found.component.manifest.name == *name).peekable();
        if named.peek().is_none() {
            return Err(Error::UnknownPlugin);
        }
        let version = |found: &Found| match wanted {
            Wanted::Shipped => found.shipped(),
            Wanted::Exact(version) => found.component.manifest.version == *version,
        };
        named.find(version).ok_or(Error::UnknownVersion)
    }

    pub fn is_shipped(&self, name: &PluginName) -> bool {
        self.0.shipped.iter().any(|found| found.component.manifest.name == *name)
    }

    /// What is shipped, then what is uploaded, in the order of names and versions.
    pub fn all(&self) -> Vec<Found> {
        let uploaded = self.0.uploaded.load();
        let there = uploaded.values().filter(|entry| !entry.uploaded.deleted);
        let found =
            |entry: &Entry| Some(Found { component: entry.component.clone()?, code: Code::Uploaded(entry.clone()) });
        self.0.shipped.iter().cloned().chain(there.filter_map(found)).collect()
    }

    /// Is there room for one more, or for this one again? Why not. A name and version are remembered for good.
    pub fn check_room(&self, name: &PluginName, version: &Version) -> Result<(), &'static str> {
        let uploaded = self.0.uploaded.load();
        let there = uploaded.values().filter(|entry| !entry.uploaded.deleted).count();
        let is_known = uploaded.contains_key(&(name.clone(), version.clone()));
        match () {
            () if there >= limits::PLUGINS => Err("there are 1000 plugins already"),
            () if !is_known && uploaded.len() >= limits::PLUGINS_REMEMBERED => {
                Err("there are and have been 10,000 versions of plugins, which are remembered")
            }
            () => Ok(()),
        }
    }

    /// The very bytes that its digest stands for.
    pub async fn bytes(&self, found: &Found) -> Result<Arc<[u8]>, Error> {
        match &found.code {
            Code::Shipped(wasm) => Ok(wasm.clone()),
            Code::Uploaded(entry) => self.0.store.bytes(&found.component, &entry.uploaded).await,
        }
    }

    /// What the name and version have stood for, were it only once.
    pub async fn record(&self, name: &PluginName, version: &Version) -> Result<Option<Stored<Uploaded>>, Error> {
        Ok(self.0.store.record(name, version).await?)
    }

    /// Proposes to keep a plugin, in place of `old`.
    pub fn propose(&self, to: &mut Writes, old: Option<&Stored<Uploaded>>, upload: Upload<'_>, by: Author) {
        if upload.staged.is_some() {
            self.0.staging.end(to, upload.component);
        }
        self.0.store.put(to, old, upload, by);
    }

    /// Proposes to keep parts of a plugin that is too large for one batch, from part `from` on; with the first of them, who
    /// has begun.
    pub fn stage(&self, to: &mut Writes, component: &Component, from: usize, bytes: &[u8], by: &Author) -> Staged {
        if from == 0 {
            self.0.staging.begin(to, component, by);
        }
        self.0.store.stage(to, component, from, bytes)
    }

    /// Proposes to take away what was staged and has not become a plugin; `now` is what the record
    /// says of the name and version.
    pub fn unstage(&self, to: &mut Writes, now: Option<&Stored<Uploaded>>, component: &Component, staged: &Staged) {
        self.0.store.unstage(to, now, component, staged);
        self.0.staging.end(to, component);
    }

    /// Deletes parts that were staged long ago and have not become a plugin. Says of how many uploads.
    pub async fn sweep_staged(&self, now: Timestamp) -> Result<usize, barrier::Error> {
        self.0.staging.sweep(now).await
    }

    pub fn propose_deletion(&self, to: &mut Writes, name: &PluginName, version: &Version, old: &Stored<Uploaded>) {
        self.0.store.delete(to, name, version, old);
    }

    /// Makes `to`, by which a mount begins to use the plugin, and its deletion see each other.
    pub fn pin(&self, to: &mut Writes, found: &Found) {
        if let Code::Uploaded(entry) = &found.code {
            self.0.store.pin(to, &found.component, entry);
        }
    }
}

mod shipped {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
}

/// What came with the server: name and component.
pub fn shipped() -> Vec<(String, Arc<[u8]>)> {
    shipped::SHIPPED.iter().map(|(name, wasm)| ((*name).to_owned(), Arc::from(*wasm))).collect()
}
