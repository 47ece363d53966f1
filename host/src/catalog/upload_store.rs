use std::{collections::BTreeMap, sync::Arc};

use semver::Version;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Component, Digest, Error, Import, Manifest, Publisher};
use crate::{
    barrier::{self, Barrier, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{PluginName, PublisherKey, UserId},
    limits,
    storage::{Expect, Version as EntryVersion},
};

/// What the store keeps of an uploaded plugin beside its bytes. All that `inspect` has found is
/// in it, so that a node that starts need not read the bytes of plugins that nobody uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Uploaded {
    pub digest: Digest,
    pub bytes: usize,
    /// The folder of its parts, of one that was too large for one batch; the others' stand beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<String>,
    signer: Option<PublisherKey>,
    manifest: String,
    imports: Vec<Import>,
    exports: Vec<String>,
    pub uploaded_at: Timestamp,
    pub uploaded_by: UserId,
    /// Deleted: what the name and version stood for is remembered, so that they never stand for
    /// something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl Uploaded {
    pub fn publisher(&self) -> Publisher {
        self.signer.map_or(Publisher::Unsigned, Publisher::Key)
    }

    /// Its parts are those that were staged there.
    pub(super) fn is_staged_at(&self, staged: &str) -> bool {
        self.staged.as_deref() == Some(staged)
    }

    /// Where its parts stand.
    fn folder(&self, name: &PluginName, version: &Version) -> String {
        folder(name, version, self.staged.as_deref())
    }

    /// What is left of it: which bytes the name and version stood for, and whose deed it was.
    fn tombstone(&self) -> Self {
        Self {
            digest: self.digest.clone(),
            bytes: 0,
            staged: None,
            signer: self.signer,
            manifest: String::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            uploaded_at: self.uploaded_at,
            uploaded_by: self.uploaded_by.clone(),
            deleted: true,
        }
    }

    /// As `inspect` had it.
    fn component(&self) -> Result<Component, Error> {
        Ok(Component {
            manifest: Manifest::parse(&self.manifest)?,
            text: self.manifest.clone(),
            digest: self.digest.clone(),
            signer: self.signer,
            imports: self.imports.clone(),
            exports: self.exports.iter().cloned().collect(),
        })
    }
}

/// A plugin that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    pub component: &'a Component,
    pub bytes: &'a [u8],
    /// The parts of one that is too large for one batch, all of which have been stored.
    pub staged: Option<&'a Staged>,
}

/// Who uploads it, and when.
#[derive(Clone, Debug)]
pub struct Author {
    pub user: UserId,
    pub at: Timestamp,
}

/// Parts that have been written, and as what: a record may be made that speaks of them.
#[derive(Debug, Default)]
pub struct Staged(Vec<(String, EntryVersion)>);

impl Staged {
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

/// One uploaded plugin as it was last read.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    version: EntryVersion,
    pub(super) uploaded: Arc<Uploaded>,
    /// None: this release of the server does not understand its manifest.
    pub(super) component: Option<Arc<Component>>,
}

pub(super) type Index = BTreeMap<(PluginName, Version), Entry>;

/// Where uploaded plugins are kept: encrypted like everything else, so every node has them.
#[derive(Clone, Debug)]
pub(super) struct UploadStore {
    records: View,
    parts: View,
}

impl UploadStore {
    pub(super) fn new(barrier: &Barrier) -> Self {
        Self { records: barrier.view(Prefix::Plugin), parts: barrier.view(Prefix::PluginPart) }
    }

    /// All that there is and can be read; what has not changed is taken over from `old`. Whoever wants what cannot be read
    /// finds that it is not there, and everybody else goes on.
    pub(super) async fn read_all(&self, old: &Index) -> Result<Index, barrier::Error> {
        let (mut index, mut after) = (Index::new(), None::<String>);
        loop {
            let page = self.records.list("", None, after.as_deref(), limits::LIST_DEFAULT).await?;
            for (key, stored) in page.keys.iter().zip(self.records.get_each_bytes(&page.keys).await?) {
                let stored = match stored {
                    Ok(stored) => stored,
                    Err(barrier::Error::Corrupt(_)) => {
                        tracing::error!(plugin = key, "what the store has of an uploaded plugin cannot be read");
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let (Some(stored), Some(place)) = (stored, place_of(key)) else { continue };
                let known = old.get(&place).filter(|entry| entry.version == stored.version).cloned();
                match known.or_else(|| read(stored.version, &stored.value)) {
                    Some(entry) => drop(index.insert(place, entry)),
                    None => tracing::error!(plugin = key, "what the store has of an uploaded plugin is not a record"),
                }
            }
            match page.more {
                true => after = page.keys.last().cloned(),
                false => return Ok(index),
            }
        }
    }

    pub(super) async fn record(
        &self,
        name: &PluginName,
        version: &Version,
    ) -> Result<Option<Stored<Uploaded>>, barrier::Error> {
        self.records.get(&key(name, version)).await
    }

    /// The very bytes that the digest stands for.
    pub(super) async fn bytes(&self, component: &Component, uploaded: &Uploaded) -> Result<Arc<[u8]>, Error> {
        let length = uploaded.bytes;
        let folder = uploaded.folder(&component.manifest.name, &component.manifest.version);
        let keys: Vec<String> = (0..length.div_ceil(limits::PLUGIN_PART_BYTES)).map(|n| part(&folder, n)).collect();
        let mut wasm = Vec::with_capacity(length.min(limits::UPLOAD_BYTES));
        // A few at a time, as they were written: each look has its time. The digest tells whether
        // they belong together.
        for some in keys.chunks(limits::PLUGIN_PARTS_AT_ONCE) {
            for found in self.parts.get_many_bytes(some).await? {
                wasm.extend_from_slice(&found.ok_or(Error::UnknownVersion)?.value);
            }
        }
        match Digest::of(&wasm) == component.digest {
            true => Ok(wasm.into()),
            false => Err(barrier::Error::Corrupt(folder).into()),
        }
    }

    /// In one batch: a plugin is there whole, or not at all. Of one that was staged, if it still stands as it was
    /// written.
    pub(super) fn put(&self, to: &mut Writes, old: Option<&Stored<Uploaded>>, upload: Upload<'_>, by: Author) {
        let Upload { component, bytes, staged } = upload;
        let (name, version) = (&component.manifest.name, &component.manifest.version);
        match staged {
            None => drop(self.put_parts(to, &folder(name, version, None), 0, bytes)),
            Some(staged) => self.expect(to, staged),
        }
        let uploaded = Uploaded {
            digest: component.digest.clone(),
            bytes: bytes.len(),
            staged: staged.map(|_| staging_folder(component).to_owned()),
            signer: component.signer,
            manifest: component.text.clone(),
            imports: component.imports.clone(),
            exports: component.exports.iter().cloned().collect(),
            uploaded_at: by.at,
            uploaded_by: by.user,
            deleted: false,
        };
        let key = key(name, version);
        self.records.expect_as_read(to, &key, old);
        self.records.put(to, &key, &uploaded, None);
    }

    /// Some parts of one that is too large for one batch, from part `from` on. No record speaks of
    /// them yet. The folder is these bytes' own: nobody else's upload writes there but the same.
    pub(super) fn stage(&self, to: &mut Writes, component: &Component, from: usize, bytes: &[u8]) -> Staged {
        let folder = folder(&component.manifest.name, &component.manifest.version, Some(staging_folder(component)));
        Staged(self.put_parts(to, &folder, from, bytes))
    }

    /// Takes away what was staged, unless somebody has made a plugin of it meanwhile.
    pub(super) fn unstage(
        &self,
        to: &mut Writes,
        now: Option<&Stored<Uploaded>>,
        component: &Component,
        staged: &Staged,
    ) {
        let in_use = now.is_some_and(|now| !now.value.deleted && now.value.digest == component.digest);
        if in_use {
            return;
        }
        self.records.expect_as_read(to, &key(&component.manifest.name, &component.manifest.version), now);
        self.expect(to, staged);
        staged.0.iter().for_each(|(key, _)| self.parts.delete(to, key));
    }

    /// Makes `to` rest on all of it standing as it was written.
    fn expect(&self, to: &mut Writes, staged: &Staged) {
        for (key, version) in &staged.0 {
            self.parts.expect(to, key, Expect::Version(*version));
        }
    }

    fn put_parts(&self, to: &mut Writes, folder: &str, from: usize, bytes: &[u8]) -> Vec<(String, EntryVersion)> {
        let put = |(number, bytes): (usize, &[u8])| {
            let key = part(folder, from + number);
            let version = self.parts.put_bytes(to, &key, Zeroizing::new(bytes.to_vec()), None);
            (key, version)
        };
        bytes.chunks(limits::PLUGIN_PART_BYTES).enumerate().map(put).collect()
    }

    pub(super) fn delete(&self, to: &mut Writes, name: &PluginName, version: &Version, old: &Stored<Uploaded>) {
        let key = key(name, version);
        self.records.expect(to, &key, Expect::Version(old.version));
        self.records.put(to, &key, &old.value.tombstone(), None);
        let folder = old.value.folder(name, version);
        for number in 0..old.value.bytes.div_ceil(limits::PLUGIN_PART_BYTES) {
            self.parts.delete(to, &part(&folder, number));
        }
    }

    /// Makes `to` rest on the plugin being there, and a deletion at the same time see it.
    pub(super) fn pin(&self, to: &mut Writes, component: &Component, entry: &Entry) {
        let key = key(&component.manifest.name, &component.manifest.version);
        self.records.expect(to, &key, Expect::Version(entry.version));
        self.records.put(to, &key, &*entry.uploaded, None);
    }
}

fn read(version: EntryVersion, value: &[u8]) -> Option<Entry> {
    let uploaded: Uploaded = serde_json::from_slice(value).ok()?;
    let component = match uploaded.component() {
        _ if uploaded.deleted => None,
        Ok(component) => Some(Arc::new(component)),
        Err(error) => {
            tracing::warn!(digest = %uploaded.digest, %error, "an uploaded plugin is not understood by this release");
            None
        }
    };
    Some(Entry { version, uploaded: Arc::new(uploaded), component })
}

fn key(name: &PluginName, version: &Version) -> String {
    format!("{name}/{version}")
}

pub(super) fn folder(name: &PluginName, version: &Version, staged: Option<&str>) -> String {
    match staged {
        None => format!("{name}/{version}/"),
        Some(staged) => format!("{name}/{version}/{staged}/"),
    }
}

/// Names the folder of parts that are staged.
pub(super) fn staging_folder(component: &Component) -> &str {
    &component.digest.as_str()[..16]
}

fn part(folder: &str, number: usize) -> String {
    format!("{folder}{number:04}")
}

fn place_of(key: &str) -> Option<(PluginName, Version)> {
    let (name, version) = key.split_once('/')?;
    Some((PluginName::parse(name).ok()?, Version::parse(version).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As stores have it: the names of members and of folders are not to change.
    #[test]
    fn a_plugin_in_pieces_is_found_where_it_was_put() {
        let stored = |staged: &str| {
            format!(
                r#"{{"digest":"{0}","bytes":5000000,{staged}"signer":null,"manifest":"","imports":[],"exports":[],
                "uploaded_at":1767323045678,"uploaded_by":"{1}"}}"#,
                "ab".repeat(32),
                "0".repeat(24),
            )
        };
        let (name, version) = (PluginName::parse("big").unwrap(), Version::new(1, 2, 3));
        for (staged, at) in [("", "big/1.2.3/"), (r#""staged":"abababababababab","#, "big/1.2.3/abababababababab/")] {
            let uploaded: Uploaded = serde_json::from_str(&stored(staged)).unwrap();
            assert_eq!((uploaded.folder(&name, &version).as_str(), uploaded.deleted), (at, false));
            assert_eq!(part(at, 4), format!("{at}0004"));
        }
    }
}
