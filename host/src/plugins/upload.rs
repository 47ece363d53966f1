use std::sync::Arc;

use super::{Error, Plugin, PluginPath, Plugins};
use crate::{
    barrier::{self, Writes},
    catalog::{self, Author, Component, Digest, Publisher, Staged, Wanted},
    limits,
    policy::{Create, Permit},
    problem::Problem,
};

/// What is stored at once of a plugin.
const PIECE: usize = limits::PLUGIN_PARTS_AT_ONCE * limits::PLUGIN_PART_BYTES;

/// A file that somebody wants to be a plugin.
#[derive(Clone, Debug)]
pub struct Upload {
    pub wasm: Arc<[u8]>,
    pub digest: Digest,
}

impl Upload {
    pub fn new(wasm: Arc<[u8]>) -> Self {
        Self { digest: Digest::of(&wasm), wasm }
    }
}

impl Plugins {
    /// Once for a name and version; the same bytes again are refused too, so that who is told
    /// 200 knows that it was this upload.
    pub async fn upload(&self, permit: &Permit<Create, PluginPath>, upload: Upload) -> Result<Plugin, Error> {
        let path = permit.resource();
        let parts = &self.parts;
        if parts.catalog.is_shipped(&path.name) {
            let shipped = parts.catalog.find(&path.name, &Wanted::Exact(path.version.clone()));
            let same = shipped.is_ok_and(|found| found.component.digest == upload.digest);
            return Err(if same { Error::Exists } else { Error::Shipped });
        }
        // Cheap, and says so before anything is compiled. It is asked again below.
        if self.is_taken(path, &upload.digest).await?.is_err() {
            return Err(Error::Exists);
        }
        let component = inspected(upload.wasm.clone()).await?;
        self.check(path, &component)?;
        parts.mounts.try_out(upload.wasm.clone()).await?;
        self.store(permit, &component, &upload).await?;
        let found = parts.catalog.find(&path.name, &Wanted::Exact(path.version.clone()))?;
        Ok(self.shown(found, permit.caller()))
    }

    async fn store(
        &self,
        permit: &Permit<Create, PluginPath>,
        component: &Component,
        upload: &Upload,
    ) -> Result<(), Error> {
        let (parts, wasm) = (&self.parts, &*upload.wasm);
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let Ok(old) = self.is_taken(permit.resource(), &upload.digest).await? else { return Err(Error::Exists) };
            let (mut writes, by) =
                (Writes::default(), Author { user: permit.caller().user.clone(), at: parts.clock.now() });
            let staged = match wasm.len() > PIECE {
                true => Some(self.stage(component, wasm, &by).await?),
                false => None,
            };
            let upload = catalog::Upload { component, bytes: wasm, staged: staged.as_ref() };
            parts.catalog.propose(&mut writes, old.as_ref(), upload, by);
            match (self.commit(writes).await, staged) {
                (Ok(true), _) => return Ok(()),
                (Ok(false), None) => {}
                (Ok(false), Some(staged)) => self.unstage(component, &staged).await,
                // It may have been stored: the record that speaks of the parts would lose them.
                (Err(error), _) => return Err(error),
            }
        }
        Err(barrier::Error::Conflict.into())
    }

    /// A database gives one batch only so much time: a large plugin is written piece by piece, and
    /// is there when its record is. What a node that died has left is written over by the next
    /// upload of the same bytes, or swept.
    async fn stage(&self, component: &Component, wasm: &[u8], by: &Author) -> Result<Staged, Error> {
        let mut staged = Staged::default();
        for (number, piece) in wasm.chunks(PIECE).enumerate() {
            let mut writes = Writes::default();
            let from = number * limits::PLUGIN_PARTS_AT_ONCE;
            staged.extend(self.parts.catalog.stage(&mut writes, component, from, piece, by));
            self.parts.barrier.commit(writes).await?;
        }
        Ok(staged)
    }

    /// Parts that were staged long ago and have not become a plugin go.
    pub async fn sweep_staged(&self) -> Result<(), barrier::Error> {
        if self.parts.barrier.is_sealed() {
            return Ok(());
        }
        match self.parts.catalog.sweep_staged(self.parts.clock.now()).await? {
            0 => {}
            uploads => tracing::info!(uploads, "parts of plugins that have not become one are gone"),
        }
        Ok(())
    }

    /// Of an upload that somebody else was faster with.
    async fn unstage(&self, component: &Component, staged: &Staged) {
        let (parts, manifest) = (&self.parts, &component.manifest);
        let work = async {
            let now = parts.catalog.record(&manifest.name, &manifest.version).await?;
            let mut writes = Writes::default();
            parts.catalog.unstage(&mut writes, now.as_ref(), component, staged);
            match parts.barrier.commit(writes).await {
                // The same bytes are being uploaded by somebody else: the parts are theirs now.
                Ok(()) | Err(barrier::Error::Conflict) => Ok(()),
                Err(error) => Err(Error::from(error)),
            }
        };
        if let Err(error) = work.await {
            tracing::warn!(%error, "parts of a plugin that has not become one are left");
        }
    }

    /// `Err`: by something that is there, or by other bytes that once were.
    async fn is_taken(
        &self,
        path: &PluginPath,
        digest: &Digest,
    ) -> Result<Result<Option<barrier::Stored<catalog::Uploaded>>, ()>, Error> {
        let old = self.parts.catalog.record(&path.name, &path.version).await?;
        let taken = old.as_ref().is_some_and(|old| !old.value.deleted || old.value.digest != *digest);
        Ok(if taken { Err(()) } else { Ok(old) })
    }

    fn check(&self, path: &PluginPath, component: &Component) -> Result<(), Error> {
        let manifest = &component.manifest;
        let other = |what: &str| {
            let at = format!("/path/{what}");
            Error::Refused(vec![Problem::new(at, "invalid_value", "is not what the plugin's manifest says")])
        };
        if manifest.name != path.name {
            return Err(other("name"));
        }
        if manifest.version != path.version {
            return Err(other("version"));
        }
        let publisher = component.signer.map_or(Publisher::Unsigned, Publisher::Key);
        let trusted = self.parts.mounts.check_trust(&component.digest, publisher);
        trusted.map_err(|problem| Error::Refused(vec![Problem { at: "/body".to_owned(), ..problem }]))?;
        let room = self.parts.catalog.check_room(&manifest.name, &manifest.version);
        room.map_err(|why| Error::Refused(vec![Problem::new("/body", "too_many", why)]))
    }
}

/// Reading a large component takes a while.
async fn inspected(wasm: Arc<[u8]>) -> Result<Component, Error> {
    let reading = tokio::task::spawn_blocking(move || catalog::inspect(&wasm));
    let ended = reading.await.map_err(|_| catalog::Error::Component("it cannot be read"))?;
    Ok(ended?)
}
