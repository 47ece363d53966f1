//! Plugin files: what they are, what they ask for, and which bytes a name and version stand for.
//!
//! Owns the digest, the manifest and its check of a configuration. Never runs anything. A plugin
//! that is shipped is one more line in `build.rs`; one more member of a manifest stands in
//! `manifest.rs`.

use std::sync::Arc;

use semver::Version;

use crate::ids::PluginName;

mod component;
mod digest;
mod error;
mod manifest;
mod schema;
mod size;
#[cfg(test)]
mod tests;

pub use component::{Component, Import, inspect};
pub use digest::Digest;
pub use error::Error;
pub use manifest::{Auth, CallSpec, HttpAsk, Kind, Manifest, Method, Requires, Subjects, Target};
pub use schema::Schema;

/// A plugin whose bytes are at hand.
#[derive(Clone, Debug)]
pub struct Found {
    pub component: Arc<Component>,
    pub wasm: Arc<[u8]>,
    /// It came with the server: its digest is known to be ours.
    pub shipped: bool,
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
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "shipped" => Ok(Self::Shipped),
            version => Version::parse(version).map(Self::Exact).map_err(|_| Error::Version),
        }
    }
}

/// The plugins that there are. Cheap to clone. Uploaded ones come with the plugin platform.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Vec<Found>>);

impl Catalog {
    /// Names and components of the shipped plugins. The name in the manifest must be the same.
    pub fn new(shipped: Vec<(String, Arc<[u8]>)>) -> Result<Self, Error> {
        let found = shipped.into_iter().map(|(name, wasm)| {
            let component = inspect(&wasm)?;
            match component.manifest.name.as_str() == name {
                true => Ok(Found { component: Arc::new(component), wasm, shipped: true }),
                false => Err(Error::OtherName(name)),
            }
        });
        Ok(Self(Arc::new(found.collect::<Result<_, Error>>()?)))
    }

    pub fn find(&self, name: &PluginName, wanted: &Wanted) -> Result<Found, Error> {
        let named = |found: &&Found| found.component.manifest.name == *name;
        let version = |found: &&Found| match wanted {
            Wanted::Shipped => found.shipped,
            Wanted::Exact(version) => found.component.manifest.version == *version,
        };
        if !self.0.iter().any(|found| named(&found)) {
            return Err(Error::UnknownPlugin);
        }
        self.0.iter().filter(named).find(version).cloned().ok_or(Error::UnknownVersion)
    }

    pub fn all(&self) -> impl Iterator<Item = &Found> {
        self.0.iter()
    }
}

mod shipped {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
}

/// What came with the server: name and component.
pub fn shipped() -> Vec<(String, Arc<[u8]>)> {
    shipped::SHIPPED.iter().map(|(name, wasm)| ((*name).to_owned(), Arc::from(*wasm))).collect()
}
