//! Prove, persist, publish: how a mount's setting changes.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Error, Installed, Kind, Live, Mounts, Previous, Record, Refusal, Spec, attend, grant,
    prove::{Trial, Valid},
    removed,
};
use crate::{
    barrier::{Stored, Writes},
    catalog::Found,
    clock::Timestamp,
    fence::Counter,
    ids::{MountId, MountName},
    problem::Problem,
};

/// A change of a mount that has been tried and can be stored.
#[derive(Debug)]
pub struct Change {
    kind: Kind,
    name: MountName,
    record: Option<Stored<Record>>,
    /// None: the mount is removed.
    next: Option<(Record, Found)>,
    /// What the plugin's `check` told.
    pub notes: Vec<String>,
    /// So that it is not let go, and compiled again, before it is in force.
    _tried: Option<Arc<Live>>,
}

impl Change {
    /// The mount, if what it holds becomes another plugin's.
    pub fn given_away(&self) -> Option<&MountId> {
        let (old, (next, _)) = (&self.record.as_ref()?.value, self.next.as_ref()?);
        ((&old.plugin, old.publisher) != (&next.plugin, next.publisher)).then_some(&old.id)
    }

    /// What is tried says of the host's own users that it is them.
    pub fn proves_users(&self) -> bool {
        let found = self.next.as_ref().map(|(_, found)| found);
        found.is_some_and(|found| found.component.manifest.auth.proves_users())
    }
}

impl Mounts {
    /// Tries a new value of a mount's setting with the real plugin. `adopts`: what the mount holds
    /// is given to this plugin, whoever's it was.
    pub async fn prepare(&self, kind: Kind, name: MountName, value: &Value, adopts: bool) -> Result<Change, Refusal> {
        self.tried(kind, name, value, (adopts, true)).await
    }

    /// The same for a plugin that is shipped, with its defaults: that these go together was seen when it was built.
    pub async fn prepare_shipped(&self, kind: Kind, name: MountName, value: &Value) -> Result<Change, Refusal> {
        self.tried(kind, name, value, (false, false)).await
    }

    async fn tried(
        &self,
        kind: Kind,
        name: MountName,
        value: &Value,
        (adopts, checks): (bool, bool),
    ) -> Result<Change, Refusal> {
        let spec = Spec::parse(value).map_err(Refusal::Invalid)?;
        let valid = self.validate(kind, &spec).await?;
        grant::check(&spec, &valid.asked)?;
        self.check_trust(&valid.found.component.digest, valid.found.publisher())?;
        let record = self.record(kind, &name).await?;
        self.check_second(kind, &name, &spec)?;
        let old = record.as_ref().map(|record| &record.value);
        let proved_users = old.and_then(|old| old.live.as_ref()).is_some_and(|live| self.proves_users(live));
        let (next, is_live) = next(old, &spec, &valid, (self.0.clock.now(), adopts, proved_users))?;
        let id = next.id.clone();
        let trial = if is_live && checks { Trial::Check(id) } else { Trial::Compile };
        let found = valid.found.clone();
        let (notes, live) = self.prove((kind, &name), &spec, valid, trial).await?;
        Ok(Change { kind, name, record, next: Some((next, found)), notes, _tried: Some(live) })
    }

    /// A second factor is another auth mount, which says of the server's own users that it is them.
    fn check_second(&self, kind: Kind, name: &MountName, spec: &Spec) -> Result<(), Problem> {
        let Some(second) = &spec.second else { return Ok(()) };
        if kind != Kind::Auth || second.mount == *name {
            return Err(Problem::new("/second", "invalid_value", "is for an auth mount, and names another one"));
        }
        let mount = self.get(Kind::Auth, &second.mount);
        let live = mount.as_ref().and_then(|mount| mount.live().ok());
        match live.is_some_and(|live| live.proves_users() && live.plugin.exports().credentials) {
            true => Ok(()),
            false => Err(Problem::new("/second/mount", "unknown_mount", "is not a mount that can be a second factor")),
        }
    }

    /// As the manifest says; nobody can tell of one that is gone.
    fn proves_users(&self, live: &Installed) -> bool {
        let all = self.0.catalog.all();
        let found = all.iter().find(|found| found.component.digest == live.digest);
        found.is_some_and(|found| found.component.manifest.auth.proves_users())
    }

    pub async fn prepare_removal(&self, kind: Kind, name: MountName) -> Result<Change, Error> {
        let record = self.record(kind, &name).await?;
        Ok(Change { kind, name, record, next: None, notes: Vec::new(), _tried: None })
    }

    /// Adds to the batch of the setting what belongs with it; `number` is the setting's. Answers
    /// the id of a mount that is removed by it.
    pub fn propose(&self, to: &mut Writes, change: &Change, number: u64) -> Option<MountId> {
        let view = &self.0.view;
        let key = change.kind.key(&change.name);
        view.expect_as_read(to, &key, change.record.as_ref());
        self.0.fence.raise(to, Counter::Mounts);
        match (&change.next, &change.record) {
            (Some((next, found)), _) => {
                self.0.catalog.pin(to, found);
                view.put(to, &key, &Record { number: Some(number), ..next.clone() }, None);
                None
            }
            (None, Some(record)) => {
                let id = record.value.id.clone();
                view.delete(to, &key);
                view.put(to, &removed::key(&id), &self.0.clock.now(), None);
                attend::depart(self, to, (change.kind, &change.name), &record.value);
                Some(id)
            }
            (None, None) => None,
        }
    }
}

/// What becomes of the record, and whether the version that the setting names is what answers then.
fn next(
    old: Option<&Record>,
    spec: &Spec,
    valid: &Valid,
    (now, adopts, proved_users): (Timestamp, bool, bool),
) -> Result<(Record, bool), Refusal> {
    let publisher = valid.found.publisher();
    let wanted = valid.installed(spec);
    let Some(old) = old else {
        let fresh = Record {
            id: MountId::new(),
            plugin: spec.plugin.clone(),
            created_at: now,
            publisher,
            number: None,
            live: Some(wanted),
            needs: None,
            previous: None,
            rolled_back: None,
        };
        return Ok((fresh, true));
    };
    let same_owner = old.plugin == spec.plugin && old.publisher == publisher;
    if !same_owner && !adopts {
        return Err(Problem::new("/plugin", "mount_holds_data", "holds what another plugin has stored").into());
    }
    let base = Record { plugin: spec.plugin.clone(), publisher, needs: None, ..old.clone() };
    let live = match &old.live {
        Some(live) if same_owner => live,
        _ => return Ok((Record { live: Some(wanted), previous: None, rolled_back: None, ..base }, true)),
    };
    if live.digest == wanted.digest {
        // What the way back would restore of the configuration may have been taken away since.
        let previous = old.previous.clone().filter(|_| live.has_terms_of(&wanted));
        return Ok((Record { live: Some(wanted), previous, ..base }, true));
    }
    let mut needs = grant::needs(spec, &wanted.asked, &live.asked);
    if proved_users {
        needs.subjects.clear();
    }
    if !needs.is_empty() && !valid.found.shipped() {
        return Ok((Record { needs: Some(needs), ..base }, false));
    }
    let goes_back = wanted.version < live.version;
    let reach = old.previous.as_ref().filter(|previous| previous.is_within_reach(now));
    if goes_back && !adopts && reach.is_none_or(|previous| previous.installed.digest != wanted.digest) {
        let why = "is older than what has written the data, which it need not understand";
        return Err(Problem::new("/version", "rollback_window", why).into());
    }
    let previous = (!goes_back).then(|| Previous { installed: live.clone(), at: now, migrating: false });
    Ok((Record { live: Some(wanted), previous, rolled_back: None, ..base }, true))
}
