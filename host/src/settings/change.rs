use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    Error, Key, Settings, View,
    lock_out::{LoginMount, LoginsAfter},
    view::in_force,
    wishes::Wishes,
};
use crate::{
    barrier::{self, Stored, Writes, layout::Prefix},
    document::{Author, Current, Document},
    fence::Counter,
    ids::MountId,
    limits,
    mount::{self, Kind, Spec},
    policy::{Action, Permit},
    problem::Problem,
    security::Rules,
    session::EpochOf,
};

/// What is to become of a setting.
#[derive(Clone, Debug)]
pub enum Edit {
    /// RFC 7396: what is not named stays, so what GET does not show survives.
    Merge(Value),
    Replace(Value),
    /// Back to the default.
    Delete,
}

#[derive(Clone, Debug)]
pub struct Change {
    pub edit: Edit,
    /// The version that the change rests on; 0 is none.
    pub expected: Option<u64>,
    /// Try it, store nothing.
    pub dry_run: bool,
    /// Even if nobody can log in as admin afterwards.
    pub force: bool,
    /// It comes from an address that a session could be bound to.
    pub from_known_address: bool,
}

/// Written by every change of what may log in, so that such changes see each other.
const LOGINS: &str = "logins";

/// A change that has been tried, and what it rests on.
struct Tried {
    current: Current,
    logins: Option<Stored<Zeroizing<Vec<u8>>>>,
    value: Option<Value>,
    wishes: Wishes,
    proven: Proven,
}

enum Proven {
    Value,
    Mount(Box<mount::Change>),
}

impl Settings {
    /// Tried, stored in one batch, in force when this returns.
    pub async fn change<A: Action>(&self, permit: &Permit<A, Key>, change: Change) -> Result<View, Error> {
        let key = permit.resource();
        for _ in 0..limits::CHANGE_ATTEMPTS {
            // What others have changed is to be seen: whether anybody can log in rests on all of it.
            let logins = self.barrier.view(Prefix::Boot).get_bytes(LOGINS).await?;
            self.fence.ask().await?;
            self.security.refresh().await?;
            self.mounts.refresh().await?;
            let current = self.documents.read(&key.to_string()).await?;
            if change.expected.is_some_and(|expected| expected != current.number()) {
                return Err(Error::Conflict);
            }
            let mut value = edited(key, &current, change.edit.clone())?;
            let wishes = Wishes::take(key, value.as_mut())?;
            if wishes.adopt {
                self.check_may_adopt(permit.caller(), key)?;
            }
            self.check_exposure(key, &current, value.as_ref(), &change.edit)?;
            self.check_roles_it_gives(permit.caller(), key, &current, value.as_ref()).await?;
            self.check_server(key, &current, value.as_ref(), &wishes)?;
            self.check_names(key, &current, value.as_ref()).await?;
            let proven = self.prove(key, value.as_ref(), &change, &wishes).await?;
            if change.dry_run {
                return Ok(self.preview(key, &current, value));
            }
            let author = Author { user: Some(permit.caller().user.clone()), at: self.clock.now() };
            let tried = Tried { current, logins, value, wishes, proven };
            let Some(document) = self.store(key, tried, author).await? else { continue };
            return Ok(self.view(key, Some(&document).filter(|document| !document.deleted)));
        }
        Err(barrier::Error::Conflict.into())
    }

    async fn prove(&self, key: &Key, value: Option<&Value>, change: &Change, wishes: &Wishes) -> Result<Proven, Error> {
        match (key, value) {
            (Key::Security, _) => {
                let rules = value.map_or_else(|| Ok(Rules::default()), Rules::parse).map_err(Error::Invalid)?;
                self.check_binding(&rules, change)?;
                self.check_lock_out(&LoginsAfter { rules: &rules, changed: None }, change).await?;
                Ok(Proven::Value)
            }
            (Key::Mount(kind, name), Some(value)) => {
                let prepared = self.mounts.prepare(*kind, name.clone(), value, wishes.adopt).await?;
                self.check_no_leases_out(&prepared).await?;
                if *kind == Kind::Auth {
                    let spec = Spec::parse(value).ok();
                    let becomes = spec.and_then(|spec| LoginMount::after(&prepared, name, &spec));
                    self.check_login_mount(name, becomes, change).await?;
                }
                Ok(Proven::Mount(Box::new(prepared)))
            }
            (Key::Mount(kind, name), None) => {
                let prepared = self.mounts.prepare_removal(*kind, name.clone()).await?;
                if *kind == Kind::Auth {
                    self.check_login_mount(name, None, change).await?;
                }
                Ok(Proven::Mount(Box::new(prepared)))
            }
            (Key::Custom(_), _) => Ok(Proven::Value),
            (Key::Unknown(_), _) => Err(Error::Unknown),
        }
    }

    /// None: something that the change rests on has moved, and it is to be tried again.
    async fn store(&self, key: &Key, tried: Tried, author: Author) -> Result<Option<Document>, Error> {
        let Tried { current, logins, value, wishes, proven } = tried;
        let mut writes = Writes::default();
        let enabled = value.as_ref().is_some_and(is_enabled);
        if matches!(key, Key::Security | Key::Mount(Kind::Auth, _)) {
            // Of two changes at once that each leave the other's login, one is seen by the other.
            let boot = self.barrier.view(Prefix::Boot);
            boot.expect_as_read(&mut writes, LOGINS, logins.as_ref());
            boot.put_bytes(&mut writes, LOGINS, Zeroizing::default(), None);
        }
        let document = self.documents.write(&mut writes, &key.to_string(), &current, value, author);
        self.fence.raise(&mut writes, Counter::Settings);
        let mut counters = vec![Counter::Settings];
        if let Proven::Mount(change) = proven {
            let removed = self.mounts.propose(&mut writes, &change, document.number);
            counters.push(Counter::Mounts);
            if let (Key::Mount(Kind::Auth, _), false, Some(id)) = (key, enabled, self.mount_id(key)) {
                // Whoever is just logging in by it is not in afterwards.
                self.sessions.end_all(&mut writes, EpochOf::Logins(id));
                counters.push(Counter::Epochs);
            }
            let ended = removed.or_else(|| wishes.end_sessions.then(|| self.mount_id(key)).flatten());
            if let Some(id) = ended {
                self.sessions.end_all(&mut writes, EpochOf::Mount(id));
                counters.push(Counter::Epochs);
            }
        }
        match self.barrier.commit(writes).await {
            Ok(()) => {}
            Err(barrier::Error::Conflict) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        self.fence.settle(&counters).await;
        self.security.refresh().await?;
        self.mounts.refresh().await?;
        Ok(Some(document))
    }

    fn mount_id(&self, key: &Key) -> Option<MountId> {
        match key {
            Key::Mount(kind, name) => self.mounts.get(*kind, name).map(|mount| mount.id.clone()),
            _ => None,
        }
    }

    fn preview(&self, key: &Key, current: &Current, value: Option<Value>) -> View {
        let now = self.clock.now();
        let document = value.map(|value| Document {
            value,
            number: current.number(),
            updated_at: current.document().map_or(now, |document| document.updated_at),
            updated_by: current.document().and_then(|document| document.updated_by.clone()),
            deleted: false,
        });
        // What it was may have hidden more than what it becomes.
        let hidden = self.secret_members(key, current.document().map(|document| &document.value));
        self.view_without(key, document.as_ref(), &hidden)
    }
}

fn is_enabled(mount: &Value) -> bool {
    Spec::parse(mount).is_ok_and(|spec| spec.enabled)
}

fn edited(key: &Key, current: &Current, edit: Edit) -> Result<Option<Value>, Error> {
    let value = match edit {
        Edit::Delete => match current.document() {
            None if *key != Key::Security => return Err(Error::NotFound),
            _ => return Ok(None),
        },
        Edit::Replace(value) => value,
        Edit::Merge(patch) => {
            // Into what is in force: of what was never set, that is the default.
            let mut value = in_force(key, current.document());
            json_patch::merge(&mut value, &patch);
            value
        }
    };
    match serde_json::to_vec(&value).is_ok_and(|bytes| bytes.len() <= limits::SETTING_BYTES) {
        true => Ok(Some(value)),
        false => Err(Error::Invalid(vec![Problem::new("", "too_long", "must be at most 256 KiB of JSON")])),
    }
}
