use serde::{Deserialize, Serialize};

use super::{
    Error, Leases, Requester,
    record::{Lease, Record, State},
};
use crate::{
    barrier::{self, Stored, View},
    ids::{Action, Folder, LeaseId, SessionId, UserId, Username},
    limits,
    policy::{Reason, Refusal, Resource},
};

/// Whose leases, or from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    User(UserId),
    Session(SessionId),
    /// None: everything, also what auth methods have left. Policy is asked about each.
    Below(Option<Folder>),
}

/// The same in policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// `sys/users/<name>/leases`.
    User(Username),
    /// Who may end a session may take back what it has borrowed: `sys/sessions/<id>`.
    Session(SessionId),
    /// `sys/leases/secrets/<folder>`.
    Below(Option<Folder>),
}

impl Resource for Scope {
    fn path(&self) -> String {
        match self {
            Self::User(name) => format!("sys/users/{name}/leases"),
            Self::Session(id) => id.path(),
            Self::Below(None) => "sys/leases/secrets".to_owned(),
            Self::Below(Some(folder)) => format!("sys/leases/{}", Resource::path(folder)),
        }
    }
}

/// One lease, whosever it is: `sys/leases/<id>`.
impl Resource for LeaseId {
    fn path(&self) -> String {
        format!("sys/leases/{self}")
    }
}

/// Which of them.
#[derive(Clone, Default, Debug)]
pub struct Filter {
    pub state: Option<State>,
    pub below: Option<Folder>,
    pub session: Option<SessionId>,
}

#[derive(Debug)]
pub struct Page {
    pub leases: Vec<Lease>,
    /// After which to go on.
    pub next: Option<Place>,
}

/// A place in a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place(String);

impl Leases {
    pub async fn get(&self, id: &LeaseId) -> Result<Option<Lease>, barrier::Error> {
        let now = self.0.clock.now();
        Ok(self.store().get(id).await?.map(|stored| Lease::of(id, &stored.value, now)))
    }

    /// As somebody may see it: what they are forbidden is as if it were not there.
    pub async fn show(&self, id: &LeaseId, by: Requester<'_>) -> Result<Lease, Error> {
        let now = self.0.clock.now();
        Ok(Lease::of(id, &self.found(id, by, Action::Read).await?.value, now))
    }

    pub(super) async fn found(&self, id: &LeaseId, by: Requester<'_>, action: Action) -> Result<Stored<Record>, Error> {
        let found = self.store().get(id).await?.ok_or(Error::NotFound)?;
        let allows = |action| self.allows(by, action, None, &found.value.path);
        match allows(action) {
            true => Ok(found),
            // Whoever sees it is not told that it is not there.
            false if allows(Action::Read) => {
                Err(Error::Forbidden(Refusal { reason: Reason::Other("forbidden where it came from") }))
            }
            false => Err(Error::NotFound),
        }
    }

    pub async fn user(&self, name: &Username) -> Result<Option<UserId>, Error> {
        let found = self.0.directory.by_name(name).await;
        Ok(found
            .map_err(|error| match error {
                crate::directory::Error::Store(error) => Error::Store(error),
                _ => Error::NotFound,
            })?
            .map(|user| user.id))
    }

    /// In the order of their index: by path and id, or by id. What is forbidden is not shown.
    pub async fn list(
        &self,
        of: &Selection,
        filter: &Filter,
        by: Requester<'_>,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, Error> {
        let (index, prefix) = self.index(of);
        let below = filter.below.as_ref().map(|folder| format!("{}/", Resource::path(folder)));
        let (mut leases, mut examined, mut after) = (Vec::new(), 0, after.map(|place| place.0));
        let now = self.0.clock.now();
        loop {
            let most = limits::LIST_MOST.min(limit.max(1) * 2);
            let (keys, more) = self.store().ids((index, &prefix), after.as_deref(), most).await?;
            let ids: Vec<LeaseId> = keys.iter().map(|(_, id)| id.clone()).collect();
            let mut found = self.store().get_many(&ids).await?.into_iter().peekable();
            for (key, id) in keys {
                if leases.len() >= limit || examined >= limits::LIST_EXAMINED {
                    return Ok(Page { leases, next: after.map(Place) });
                }
                examined += 1;
                after = Some(key);
                // One that is not found has just gone.
                let Some((_, record)) = found.next_if(|(found, _)| *found == id) else { continue };
                let lease = Lease::of(&id, &record, now);
                let is_below = below.as_ref().is_none_or(|below| format!("{}/", lease.path).starts_with(below));
                let is_of = filter.session.as_ref().is_none_or(|session| lease.session.as_ref() == Some(session));
                let is_meant = is_below && is_of && filter.state.is_none_or(|state| lease.state == state);
                if is_meant && self.allows(by, Action::List, Some(of), &lease.path) {
                    leases.push(lease);
                }
            }
            if !more {
                return Ok(Page { leases, next: None });
            }
        }
    }

    pub(super) fn index(&self, of: &Selection) -> (&View, String) {
        let store = self.store();
        match of {
            Selection::User(user) => (&store.users, format!("{user}/")),
            Selection::Session(session) => (&store.sessions, format!("{session}/")),
            Selection::Below(None) => (&store.paths, String::new()),
            Selection::Below(Some(folder)) => (&store.paths, format!("{}/", Resource::path(folder))),
        }
    }
}
