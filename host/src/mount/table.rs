use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::prepare::Valid;
use super::{Inner, Kind, Live, Mount, Mounts, Record, Spec, State};
use crate::{
    barrier,
    catalog::{Digest, Found},
    document::Document,
    fence::Counter,
    ids::{MountId, MountName},
    runtime::{self, Plugin},
};

/// The mounts as of one moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Of the fence's counter, when this was read.
    generation: Option<u64>,
    mounts: BTreeMap<(Kind, MountName), Arc<Mount>>,
}

impl Table {
    pub(super) fn get(&self, kind: Kind, name: &MountName) -> Option<Arc<Mount>> {
        self.mounts.get(&(kind, name.clone())).cloned()
    }

    pub(super) fn by_id(&self, id: &MountId) -> Option<Arc<Mount>> {
        self.mounts.values().find(|mount| mount.id == *id).cloned()
    }

    pub(super) fn of_kind(&self, kind: Kind) -> Vec<Arc<Mount>> {
        self.mounts.values().filter(|mount| mount.kind == kind).cloned().collect()
    }
}

/// Compiled plugins by digest: several mounts share one, and a reload compiles nothing again.
#[derive(Debug, Default)]
pub(super) struct Compiled(Mutex<HashMap<Digest, Plugin>>);

impl Mount {
    /// Made from this very setting, and not broken by what may have passed.
    fn is_as(&self, document: &Document, record: &Record) -> bool {
        self.number == document.number && self.id == record.id && !matches!(self.state, State::Broken(_))
    }
}

impl Inner {
    pub(super) async fn compile(&self, found: &Found) -> Result<Plugin, runtime::Error> {
        let digest = &found.component.digest;
        let known = self.compiled.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        if let Some(plugin) = known {
            return Ok(plugin.apart());
        }
        let plugin = self.runtime.compile(found.wasm.clone()).await?;
        let mut compiled = self.compiled.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(compiled.entry(digest.clone()).or_insert(plugin).apart())
    }
}

impl Mounts {
    /// Forgets every mount, and the configuration in it: the store is sealed.
    pub fn clear(&self) {
        if self.0.table.load().generation.is_some() {
            self.0.table.store(Arc::default());
        }
    }

    /// Reads the table anew if a mount has changed since the last time.
    pub async fn refresh(&self) -> Result<(), barrier::Error> {
        if self.is_current() {
            return Ok(());
        }
        let _one = self.0.refreshing.lock().await;
        let generation = self.0.fence.generation(Counter::Mounts);
        let old = self.0.table.load_full();
        if old.generation == Some(generation) {
            return Ok(());
        }
        let mut mounts = BTreeMap::new();
        for kind in [Kind::Auth, Kind::Secrets] {
            for (key, document) in self.0.documents.below(&format!("{}/", kind.as_str())).await? {
                let Some(name) = Kind::of_key(&key).and_then(|(_, name)| MountName::parse(name).ok()) else { continue };
                let Some(record) = self.record(kind, &name).await? else { continue };
                let mount = match old.get(kind, &name) {
                    Some(mount) if mount.is_as(&document, &record.value) => mount,
                    _ => Arc::new(self.build(kind, name.clone(), &document, record.value).await),
                };
                mounts.insert((kind, name), mount);
            }
        }
        self.0.table.store(Arc::new(Table { generation: Some(generation), mounts }));
        // Sealed meanwhile: what was read is to be forgotten.
        if self.0.barrier.is_sealed() {
            self.clear();
        }
        Ok(())
    }

    fn is_current(&self) -> bool {
        self.0.table.load().generation == Some(self.0.fence.generation(Counter::Mounts))
    }

    pub(super) async fn record(
        &self,
        kind: Kind,
        name: &MountName,
    ) -> Result<Option<barrier::Stored<Record>>, barrier::Error> {
        self.0.view.get(&format!("{}/{name}", kind.as_str())).await
    }

    /// A stored mount comes up whatever is wrong with it: a bad plugin never keeps the server down.
    async fn build(&self, kind: Kind, name: MountName, document: &Document, record: Record) -> Mount {
        let spec = Spec::parse(&document.value);
        let state = match &spec {
            Err(_) => State::Broken("its setting cannot be read".to_owned()),
            Ok(spec) if !spec.enabled => State::Disabled,
            Ok(spec) => match self.bring_up(kind, spec).await {
                Ok(live) => State::Live(Arc::new(live)),
                Err(refusal) => State::Broken(refusal.to_string()),
            },
        };
        if let State::Broken(why) = &state {
            tracing::error!(mount = %name, kind = kind.as_str(), why, "a mount does not come up");
        }
        let spec = spec.unwrap_or_else(|_| Spec::shipped(record.plugin));
        Mount { id: record.id, kind, name, spec, number: document.number, state }
    }

    pub(super) async fn bring_up(&self, kind: Kind, spec: &Spec) -> Result<Live, super::Refusal> {
        let Valid { found, config, grant } = self.validate(kind, spec)?;
        let plugin = self.0.compile(&found).await.map_err(|error| super::Error::Broken(error.to_string()))?;
        Ok(Live { plugin, component: found.component, config, grant, credentials: Arc::default() })
    }
}
