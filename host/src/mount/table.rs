use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Error, Inner, Kind, Live, Mount, Mounts, Record, Refusal, Spec, State, attempts::Queues, compiled::Patience,
    watch::Watch,
};
use crate::{
    barrier::{self, Stored},
    catalog::Wanted,
    document::Document,
    fence::Counter,
    ids::{MountId, MountName, PluginName},
    limits,
    runtime::Tally,
};

/// The mounts as of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Of the fence's counter, when this was read.
    generation: Option<u64>,
    /// From then on, by monotonic time, what did not come up over what may have passed is tried again.
    again_at: Option<Duration>,
    mounts: BTreeMap<(Kind, MountName), Arc<Mount>>,
    /// One of them is: looked at by every request.
    is_compiling: bool,
}

impl Table {
    pub(super) fn get(&self, kind: Kind, name: &MountName) -> Option<Arc<Mount>> {
        self.mounts.get(&(kind, name.clone())).cloned()
    }

    pub(super) fn is_compiling(&self) -> bool {
        self.is_compiling
    }

    pub(super) fn by_id(&self, id: &MountId) -> Option<Arc<Mount>> {
        self.mounts.values().find(|mount| mount.id == *id).cloned()
    }

    /// Nothing has changed since, and nothing is to be tried again.
    fn is_of(&self, generation: u64, now: Duration) -> bool {
        self.generation == Some(generation) && self.again_at.is_none_or(|at| now < at)
    }

    /// Ids of mounts that do not answer.
    fn silent(&self) -> impl Iterator<Item = String> {
        self.mounts.values().filter(|mount| mount.live().is_err()).map(|mount| mount.id.to_string())
    }

    pub(super) fn of_kind(&self, kind: Kind) -> Vec<Arc<Mount>> {
        self.mounts.values().filter(|mount| mount.kind == kind).cloned().collect()
    }
}

/// What a mount has whatever its plugin and setting are.
#[derive(Default)]
struct Kept {
    tally: Arc<Tally>,
    queues: Arc<Queues>,
}

impl Kept {
    fn of(before: &Mount) -> Self {
        let queues = before.live().map(|live| live.queues.clone()).unwrap_or_default();
        Self { tally: before.tally.clone(), queues }
    }
}

impl Mount {
    /// Made from this very setting, and not broken by what may have passed.
    fn is_as(&self, document: &Document, record: &Stored<Record>) -> bool {
        let same = self.number == document.number && self.revision == Some(record.version);
        same && !matches!(self.state, State::Broken(_) | State::Passing(_) | State::Compiling(_))
    }
}

impl Inner {
    /// Forgets compiled plugins that no mount of this table runs, or may go back to.
    fn let_go(&self, table: &Table) {
        let live = table.mounts.values().filter_map(|mount| Some(mount.live().ok()?.digest().clone()));
        let previous =
            table.mounts.values().filter_map(|mount| Some(mount.previous.as_ref()?.installed.digest.clone()));
        let compiling = table.mounts.values().filter_map(|mount| match &mount.state {
            State::Compiling(digest) => Some(digest.clone()),
            _ => None,
        });
        self.compiled.let_go(&live.chain(previous).chain(compiling).collect());
    }
}

impl Mounts {
    /// Forgets every mount, and the configuration in it: the store is sealed.
    pub fn clear(&self) {
        if self.0.table.load().generation.is_some() {
            self.0.table.store(Arc::default());
            self.0.fence.brought_up(None, []);
            self.0.attended.clear();
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
        // Before anything is read: what is compiled from here on is news again.
        let news = self.0.compiled.take_news();
        if !news && old.is_of(generation, self.0.clock.monotonic()) {
            return Ok(());
        }
        let read = self.read_anew(generation, &old).await;
        if news && read.is_err() {
            self.0.compiled.tell_news();
        }
        match read {
            // Nothing has changed: whoever is answered still is, while what is to be tried again waits.
            Err(error) if !news && old.generation == Some(generation) && !self.0.barrier.is_sealed() => {
                tracing::warn!(%error, "mounts that do not come up cannot be tried again");
                let again_at = Some(self.0.clock.monotonic() + limits::MOUNT_AGAIN);
                self.publish_table(Table { again_at, ..(*old).clone() });
                Ok(())
            }
            read => read,
        }
    }

    async fn read_anew(&self, generation: u64, old: &Table) -> Result<(), barrier::Error> {
        // Everybody waits for this table: for all mounts together no longer than so. When a node starts, nobody is
        // served yet.
        let patience = if old.generation.is_none() { limits::COMPILE_AT_START } else { limits::COMPILE_PATIENCE };
        let until = self.0.clock.monotonic() + patience;
        self.0.catalog.reload().await?;
        let mut mounts = BTreeMap::new();
        for kind in [Kind::Auth, Kind::Secrets] {
            for (key, document) in self.0.documents.each_below(&format!("{}/", kind.as_str())).await? {
                let Some(name) = Kind::of_key(&key).and_then(|(_, name)| MountName::parse(name).ok()) else { continue };
                let both = match document {
                    Ok(document) => self.both((kind, &name), document).await,
                    Err(error) => Err(error),
                };
                let (document, record) = match both {
                    Ok(Some(both)) => both,
                    Ok(None) => continue,
                    Err(barrier::Error::Corrupt(row)) => {
                        tracing::error!(mount = %name, kind = kind.as_str(), row, "a mount does not come up");
                        let mount = self.unreadable((kind, &name), old.get(kind, &name)).await?;
                        mounts.insert((kind, name), Arc::new(mount));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let mount = match old.get(kind, &name) {
                    Some(mount) if mount.is_as(&document, &record) => mount,
                    before => {
                        let same = before.filter(|before| before.id == record.value.id);
                        let kept = same.map(|before| Kept::of(&before)).unwrap_or_default();
                        Arc::new(self.build((kind, name.clone()), &document, record, (kept, until)).await)
                    }
                };
                mounts.insert((kind, name), mount);
            }
        }
        let is_any = |of: fn(&State) -> bool| mounts.values().any(|mount: &Arc<Mount>| of(&mount.state));
        let is_compiling = is_any(|state| matches!(state, State::Compiling(_)));
        let is_passing = is_any(|state| matches!(state, State::Passing(_)));
        let again_at = is_passing.then(|| self.0.clock.monotonic() + limits::MOUNT_AGAIN);
        let table = Table { generation: Some(generation), again_at, mounts, is_compiling };
        self.0.let_go(&table);
        self.0.fence.brought_up(table.generation, table.silent());
        self.publish_table(table);
        Ok(())
    }

    fn publish_table(&self, table: Table) {
        self.0.table.store(Arc::new(table));
        // Sealed meanwhile: what was read is to be forgotten.
        if self.0.barrier.is_sealed() {
            self.clear();
        }
    }

    fn is_current(&self) -> bool {
        let generation = self.0.fence.generation(Counter::Mounts);
        self.0.table.load().is_of(generation, self.0.clock.monotonic()) && !self.0.compiled.has_news()
    }

    pub(super) async fn record(
        &self,
        kind: Kind,
        name: &MountName,
    ) -> Result<Option<barrier::Stored<Record>>, barrier::Error> {
        self.0.view.get(&kind.key(name)).await
    }

    /// Setting and record of one moment: they are written together, and read one after the other.
    async fn both(
        &self,
        (kind, name): (Kind, &MountName),
        mut document: Document,
    ) -> Result<Option<(Document, Stored<Record>)>, barrier::Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let Some(record) = self.record(kind, name).await? else { return Ok(None) };
            if record.value.number.is_none_or(|number| number == document.number) {
                return Ok(Some((document, record)));
            }
            let current = self.0.documents.read(&kind.key(name)).await?;
            let Some(read) = current.document() else { return Ok(None) };
            document = read.clone();
        }
        Err(barrier::Error::Conflict)
    }

    /// What the store has of it cannot be read: it answers nobody, and all others go on.
    async fn unreadable(
        &self,
        (kind, name): (Kind, &MountName),
        before: Option<Arc<Mount>>,
    ) -> Result<Mount, barrier::Error> {
        let record = match self.record(kind, name).await {
            Ok(record) => record.map(|stored| stored.value),
            Err(barrier::Error::Corrupt(_)) => None,
            Err(error) => return Err(error),
        };
        let was = before.map(|before| (before.id.clone(), before.spec.plugin.clone()));
        let is = record.map(|record| (record.id, record.plugin));
        // If nobody can tell which mount it is, it is none that anything else speaks of.
        let unknown = || (MountId::new(), PluginName::parse("unknown").expect("a constant"));
        let (id, plugin) = is.or(was).unwrap_or_else(unknown);
        let state = State::Broken("what the store has of it cannot be read".to_owned());
        Ok(Mount::trial(id, kind, name.clone(), Spec::shipped(plugin), state))
    }

    /// A stored mount comes up whatever is wrong with it: a bad plugin never keeps the server down.
    async fn build(
        &self,
        (kind, name): (Kind, MountName),
        document: &Document,
        stored: Stored<Record>,
        (Kept { tally, queues }, until): (Kept, Duration),
    ) -> Mount {
        let record = stored.value;
        let said = Spec::parse(&document.value);
        let mut spec = said.as_ref().map_or_else(|_| Spec::shipped(record.plugin.clone()), Spec::clone);
        let mut pending = None;
        if let (Some(needs), Some(live)) = (&record.needs, &record.live) {
            pending = Some((spec.version.clone(), needs.clone()));
            spec = live.over(&spec);
        }
        let state = match said {
            Err(_) => State::Broken("its setting cannot be read".to_owned()),
            Ok(_) if !spec.enabled => State::Disabled,
            Ok(_) => match self.revive(kind, &spec, &record, Patience::Until(until)).await {
                Ok(live) => {
                    let plugin = live.plugin.counted(tally.clone(), &live.manifest().version.to_string());
                    State::Live(Arc::new(Live { plugin, queues, ..live }))
                }
                Err(Refusal::Failed(Error::Compiling(digest))) => State::Compiling(digest),
                Err(Refusal::Failed(error)) if error.is_passing() => State::Passing(told(&Refusal::Failed(error))),
                Err(refusal) => State::Broken(told(&refusal)),
            },
        };
        if let State::Broken(why) | State::Passing(why) = &state {
            tracing::error!(mount = %name, kind = kind.as_str(), why, "a mount does not come up");
        }
        let (number, revision, unmigrated) = (document.number, Some(stored.version), record.to_migrate());
        let (id, previous, rolled_back) = (record.id, record.previous, record.rolled_back);
        Mount { id, kind, name, spec, number, revision, pending, previous, unmigrated, rolled_back, state, tally }
    }

    /// What stands in the mount is shown to nobody else's plugin, and to no other bytes of the
    /// version that was enabled.
    pub(super) async fn revive(
        &self,
        kind: Kind,
        spec: &Spec,
        record: &Record,
        patience: Patience,
    ) -> Result<Live, Refusal> {
        let valid = self.validate(kind, spec).await?;
        if (&record.plugin, record.publisher) != (&spec.plugin, valid.found.publisher()) {
            return Err(Error::Broken("what it holds belongs to another publisher's plugin".to_owned()).into());
        }
        let pinned = record.live.as_ref().filter(|_| Wanted::parse(&spec.version) != Ok(Wanted::Shipped));
        if pinned.is_some_and(|live| live.digest != valid.found.component.digest) {
            return Err(Error::Broken("the plugin is not the one that was enabled".to_owned()).into());
        }
        let live = self.bring_up(valid, patience).await?;
        let reach = record.previous.as_ref().filter(|previous| previous.is_within_reach(self.0.clock.now()));
        let watch = reach.map(|previous| Watch::until(previous.at.after(limits::ROLLBACK_WINDOW)));
        Ok(Live { watch, ..live })
    }
}

/// The first of what is wrong, in our own words.
fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(problems) => {
            let first = problems.first().map(|problem| format!("{} {}", problem.at, problem.message));
            format!("its setting does not fit its plugin: {}", first.unwrap_or_default())
        }
        Refusal::Failed(Error::Broken(why) | Error::Passing(why)) => why.clone(),
        Refusal::Failed(error) => error.to_string(),
    }
}
