//! Users and roles: who there is, by id, by name and by identity.
//!
//! Owns the user records, the names that lead to them, the links from an identity (mount,
//! subject) to a user, and the rule that an admin remains. Never knows sessions or what a role
//! may do, and never commits: it proposes writes, and the use case commits them once, with
//! whatever belongs with them. On `Conflict` the use case calls again, and what was lost to
//! somebody else is then an answer (`Exists`, `LastAdmin`). Several changes of one batch go into
//! the same `Writes`, one after the other: each sees what those before it propose; an error
//! leaves them unfit to be stored. One more thing that is known of a user is one more member of
//! `User`.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    barrier::{self, Barrier, View, Writes, layout::Prefix},
    clock::Clock,
    ids::{MountId, UserId, Username},
};

mod admins;
mod change;
mod error;
mod keys;
mod links;
mod listing;
mod names;
mod roles;
#[cfg(test)]
mod tests;
mod user;

use names::Names;

pub use change::Change;
pub use error::Error;
pub use roles::Role;
pub use user::{Kind, Link, NewUser, User};

/// Everybody's entry. A cheap handle.
#[derive(Clone, Debug)]
pub struct Directory {
    barrier: Barrier,
    clock: Clock,
    users: View,
    names: View,
    links: View,
    roles: View,
    holders: View,
    order: Arc<Names>,
}

/// Roles that are always there.
pub const ADMIN: &str = "admin";
pub const USER: &str = "user";

impl Directory {
    pub fn new(barrier: Barrier, clock: Clock) -> Self {
        Self {
            users: barrier.view(Prefix::User),
            names: barrier.view(Prefix::UserName),
            links: barrier.view(Prefix::Link),
            roles: barrier.view(Prefix::Role),
            holders: barrier.view(Prefix::Holder),
            order: Arc::default(),
            barrier,
            clock,
        }
    }

    /// One read of one entry.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, Error> {
        Ok(self.users.get(id.as_str()).await?.map(|stored| stored.value))
    }

    pub async fn by_name(&self, name: &Username) -> Result<Option<User>, Error> {
        let found = self.names.get_many_bytes(&keys::of_name(&self.barrier, name)?).await?;
        if found.iter().all(Option::is_none) {
            self.look_at_nobody().await?;
        }
        self.told_by(found).await
    }

    /// What a name that leads to somebody costs, for one that does not: time tells nobody who is there.
    async fn look_at_nobody(&self) -> Result<(), Error> {
        let found = self.names.get_many_bytes(&keys::NOBODY).await?;
        if let [Some(lead), Some(user)] = &found[..] {
            std::hint::black_box(decode::<keys::Leads>(&lead.value, keys::NOBODY[0])?);
            std::hint::black_box(decode::<User>(&user.value, keys::NOBODY[1])?);
        }
        Ok(())
    }

    /// Whose identity this is, if anybody's. The link of a deleted user leads nowhere.
    pub async fn by_link(&self, mount: &MountId, subject: &str) -> Result<Option<User>, Error> {
        let found = self.links.get_many_bytes(&keys::of_link(&self.barrier, mount, subject)?).await?;
        self.told_by(found).await
    }

    /// The user that the first of these entries names.
    async fn told_by(
        &self,
        found: Vec<Option<barrier::Stored<zeroize::Zeroizing<Vec<u8>>>>>,
    ) -> Result<Option<User>, Error> {
        let Some(entry) = found.into_iter().flatten().next() else { return Ok(None) };
        match decode::<keys::Leads>(&entry.value, "name or link")?.user {
            Some(id) => self.user(&id).await,
            None => Ok(None),
        }
    }
}

/// What stands at `key`, or what `to` is already about to make of it. `to` rests on it then.
async fn read_for_change<T: Serialize + DeserializeOwned>(
    view: &View,
    to: &mut Writes,
    key: &str,
) -> Result<Option<T>, Error> {
    if let Some(pending) = view.pending(to, key) {
        return pending.map(|stored| decode(&stored.value, key)).transpose();
    }
    let stored = view.get(key).await?;
    view.expect_as_read(to, key, stored.as_ref());
    Ok(stored.map(|stored| stored.value))
}

fn decode<T: DeserializeOwned>(bytes: &[u8], key: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| barrier::Error::Corrupt(key.to_owned()).into())
}
