//! Prove, persist, publish: how a mount's setting changes.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Error, Installed, Kind, Live, Mounts, Record, Refusal, Spec, attend, grant, next::next, prove::Trial, removed,
};
use crate::{
    barrier::{Stored, Writes},
    catalog::Found,
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
    next: Option<(Record, Option<Found>)>,
    /// What answers then cannot take back what the version before may have lent.
    forgets_leases: bool,
    /// What answers then says of the host's own users that it is them.
    pub proves_users: bool,
    /// What the plugin's `check` told.
    pub notes: Vec<String>,
    /// So that it is not let go, and compiled again, before it is in force.
    _tried: Vec<Arc<Live>>,
}

impl Change {
    /// The mount, if what it holds becomes another plugin's.
    pub fn given_away(&self) -> Option<&MountId> {
        let (old, (next, _)) = (&self.record.as_ref()?.value, self.next.as_ref()?);
        ((&old.plugin, old.publisher) != (&next.plugin, next.publisher)).then_some(&old.id)
    }

    /// The mount, if nobody could take back afterwards what it has lent.
    pub fn forgets_leases(&self) -> Option<&MountId> {
        self.record.as_ref().filter(|_| self.forgets_leases).map(|record| &record.value.id)
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
        let record = self.record(kind, &name).await?;
        let old = record.as_ref().map(|record| &record.value);
        let current = self.0.documents.read(&kind.key(&name)).await?;
        let said = current.document().and_then(|document| Spec::parse(&document.value).ok());
        if let (Some(old), Some(said), false) = (old, &said, adopts)
            && is_nothing_to_its_plugin(said, &spec)
        {
            if said.second != spec.second {
                self.check_second(kind, &name, &spec)?;
            }
            let next = Some((old.clone(), None));
            let proves_users = self.would_prove_users_by(old, &spec);
            let (forgets_leases, notes, _tried) = (false, Vec::new(), Vec::new());
            return Ok(Change { kind, name, record, next, forgets_leases, proves_users, notes, _tried });
        }
        let valid = self.validate(kind, &spec).await?;
        grant::check(&spec, &valid.asked)?;
        // Nothing comes to answer by it: it is tried when it is to.
        let owner = (&spec.plugin, valid.found.publisher());
        let is_off =
            !spec.enabled && old.is_some_and(|old| (&old.plugin, old.publisher) == owner && old.live.is_some());
        if !is_off {
            self.check_trust(&valid.found.component.digest, valid.found.publisher())?;
        }
        if !is_off || said.is_none_or(|said| said.second != spec.second) {
            self.check_second(kind, &name, &spec)?;
        }
        let proved_users = old.and_then(|old| old.live.as_ref()).is_some_and(|live| self.proves_users(live));
        let (mut next, is_live) = next(old, &spec, &valid, (self.0.clock.now(), adopts, proved_users))?;
        let (found, mut notes, mut tried) = (valid.found.clone(), Vec::new(), Vec::new());
        if !is_live {
            let (under, live) = self.on_terms_of((kind, &name), &spec, next).await?;
            next = under;
            tried.extend(live);
        }
        if !is_off {
            let trial = if is_live && checks { Trial::Check(next.id.clone()) } else { Trial::Compile };
            let (told, live) = self.prove((kind, &name), &spec, valid, trial).await?;
            notes = told;
            tried.push(live);
        }
        let proves_users = self.would_prove_users_by(&next, &spec);
        let forgets_leases =
            is_live && !found.component.takes_back() && old.is_some_and(|old| self.took_back(old, &next));
        let next = Some((next, Some(found)));
        Ok(Change { kind, name, record, next, forgets_leases, proves_users, notes, _tried: tried })
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

    /// What was live, if it is another one than what comes, can take back what it has lent; so can one of which nobody can tell.
    fn took_back(&self, old: &Record, next: &Record) -> bool {
        let (Some(old), Some(next)) = (&old.live, &next.live) else { return false };
        old.digest != next.digest && self.found(old).is_none_or(|found| found.component.takes_back())
    }

    fn found(&self, installed: &Installed) -> Option<Found> {
        self.0.catalog.all().into_iter().find(|found| found.component.digest == installed.digest)
    }

    /// As the manifest says; nobody can tell of one that is gone.
    fn proves_users(&self, live: &Installed) -> bool {
        self.found(live).is_some_and(|found| found.component.manifest.auth.proves_users())
    }

    /// The same of what answers under this record and setting.
    fn would_prove_users_by(&self, record: &Record, spec: &Spec) -> bool {
        let waits = record.live.as_ref().filter(|_| record.needs.is_some());
        let by = waits.map_or_else(|| spec.clone(), |live| live.over(spec));
        self.find(&by).is_ok_and(|found| found.component.manifest.auth.proves_users())
    }

    pub async fn prepare_removal(&self, kind: Kind, name: MountName) -> Result<Change, Error> {
        let record = self.record(kind, &name).await?;
        let (next, forgets_leases, proves_users) = (None, false, false);
        Ok(Change { kind, name, record, next, forgets_leases, proves_users, notes: Vec::new(), _tried: Vec::new() })
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
                found.iter().for_each(|found| self.0.catalog.pin(to, found));
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

/// The plugin and what it is given stay, and it is not brought up by this: so it need not be there, nor anything that it asks.
fn is_nothing_to_its_plugin(said: &Spec, spec: &Spec) -> bool {
    let stays = (&said.plugin, &said.version) == (&spec.plugin, &spec.version)
        && (&said.config, &said.grant, &said.deny) == (&spec.config, &spec.grant, &spec.deny);
    stays && (said.enabled || !spec.enabled)
}
