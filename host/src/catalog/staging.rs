//! Pieces of plugins that have not become one yet: who began, and when, so that what a node that died has left goes.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Author, Component, Uploaded, upload_store};
use crate::{
    barrier::{self, Barrier, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{PluginName, UserId},
    limits,
};

/// Stands from the first piece until there is a record that speaks of them.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    at: Timestamp,
    by: UserId,
}

#[derive(Clone, Debug)]
pub(super) struct Staging {
    notes: View,
    parts: View,
    records: View,
}

impl Staging {
    pub(super) fn new(barrier: &Barrier) -> Self {
        let view = |prefix| barrier.view(prefix);
        let (parts, records) = (view(Prefix::PluginPart), view(Prefix::Plugin));
        Self { notes: view(Prefix::PluginStaged), parts, records }
    }

    pub(super) fn begin(&self, to: &mut Writes, component: &Component, by: &Author) {
        self.notes.put(to, &key(component), &Note { at: by.at, by: by.user.clone() }, None);
    }

    /// They have become a plugin, or are gone.
    pub(super) fn end(&self, to: &mut Writes, component: &Component) {
        self.notes.delete(to, &key(component));
    }

    /// Deletes what was begun so long ago that nobody goes on with it. Says of how many uploads.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<usize, barrier::Error> {
        let mut gone = 0;
        for key in self.notes.list("", None, None, limits::LIST_MOST).await?.keys {
            match self.sweep_one(&key, now).await {
                Ok(is_gone) => gone += usize::from(is_gone),
                // Somebody uploads the same bytes anew; and one that cannot be read keeps no other waiting.
                Err(barrier::Error::Conflict) => {}
                Err(error @ barrier::Error::Corrupt(_)) => tracing::error!(%error, "parts of a plugin are not swept"),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    async fn sweep_one(&self, key: &str, now: Timestamp) -> Result<bool, barrier::Error> {
        let Some(note) = self.notes.get::<Note>(key).await? else { return Ok(false) };
        let Some((place, staged)) = key.rsplit_once('/') else { return Ok(false) };
        if now.since(note.value.at) < limits::PLUGIN_STAGED_KEPT {
            return Ok(false);
        }
        let record: Option<Stored<Uploaded>> = self.records.get(place).await?;
        let is_one = record.as_ref().is_some_and(|record| !record.value.deleted && record.value.is_staged_at(staged));
        let mut writes = Writes::default();
        self.notes.expect_as_read(&mut writes, key, Some(&note));
        self.notes.delete(&mut writes, key);
        self.records.expect_as_read(&mut writes, place, record.as_ref());
        if !is_one {
            let parts = self.parts.list(&format!("{key}/"), None, None, limits::LIST_MOST).await?.keys;
            parts.iter().for_each(|part| self.parts.delete(&mut writes, part));
        }
        self.notes.commit(writes).await?;
        Ok(!is_one)
    }
}

/// The folder of the pieces, as `upload_store` has it.
fn key(component: &Component) -> String {
    let (name, version): (&PluginName, &Version) = (&component.manifest.name, &component.manifest.version);
    upload_store::folder(name, version, Some(upload_store::staging_folder(component))).trim_end_matches('/').to_owned()
}
