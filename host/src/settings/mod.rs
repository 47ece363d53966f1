//! Settings: how an admin changes the server while it runs.
//!
//! Owns the list of keys, and the one way a change goes: tried, stored in one batch, in force
//! when it is answered. Never applies a setting itself. One more built-in key is one more variant
//! of `Key`.

mod change;
mod error;
mod guard;
mod key;
mod lock_out;
mod view;
mod wishes;

pub use change::{Change, Edit};
pub use error::Error;
pub use key::Key;
pub use view::{Past, View};

use crate::{
    barrier::Barrier,
    clock::Clock,
    directory::Directory,
    document::Documents,
    fence::Fence,
    ids::Action,
    lease::Leases,
    mount::Mounts,
    policy::{List, Permit, Policies, Read, Resource},
    security::Security,
    session::Sessions,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Settings {
    barrier: Barrier,
    clock: Clock,
    directory: Directory,
    documents: Documents,
    fence: Fence,
    leases: Leases,
    mounts: Mounts,
    policies: Policies,
    security: Security,
    sessions: Sessions,
}

/// All settings in policy: `sys/setting`.
#[derive(Clone, Copy, Debug)]
pub struct AllSettings;

impl Resource for AllSettings {
    fn path(&self) -> String {
        "sys/setting".to_owned()
    }
}

impl Resource for Key {
    fn path(&self) -> String {
        format!("sys/setting/{self}")
    }
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub barrier: Barrier,
    pub clock: Clock,
    pub directory: Directory,
    pub documents: Documents,
    pub fence: Fence,
    pub leases: Leases,
    pub mounts: Mounts,
    pub policies: Policies,
    pub security: Security,
    pub sessions: Sessions,
}

impl Settings {
    pub fn new(parts: Parts) -> Self {
        let Parts { barrier, clock, directory, documents, fence, leases, mounts, policies, security, sessions } = parts;
        Self { barrier, clock, directory, documents, fence, leases, mounts, policies, security, sessions }
    }

    /// Every setting, by key; built-in ones stand there with their default.
    pub async fn list(
        &self,
        permit: &Permit<List, AllSettings>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<View>, Option<String>), Error> {
        let mut all = self.documents.below("").await?;
        let built_in = crate::security::KEY;
        let mut keys: Vec<(String, Option<crate::document::Document>)> =
            all.drain(..).map(|(key, document)| (key, Some(document))).collect();
        if !keys.iter().any(|(key, _)| key == built_in) {
            keys.push((built_in.to_owned(), None));
        }
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        keys.retain(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        // What may not be read is not shown.
        let may_read = |key: &str| {
            let path = format!("{}/{key}", AllSettings.path());
            self.policies.allows(permit.caller(), Action::Read, &path)
        };
        keys.retain(|(key, _)| may_read(key));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(|(key, _)| key.clone());
        let views = keys.into_iter().filter_map(|(key, document)| {
            let key = Key::parse(&key).ok()?;
            Some(self.view(&key, document.as_ref()))
        });
        Ok((views.collect(), next))
    }

    pub async fn get(&self, permit: &Permit<Read, Key>) -> Result<View, Error> {
        let key = permit.resource();
        let current = self.documents.read(&key.to_string()).await?;
        match (current.document(), key) {
            (None, Key::Security) => Ok(self.view(key, None)),
            (None, _) => Err(Error::NotFound),
            (document, _) => Ok(self.view(key, document)),
        }
    }

    /// What the setting has been, newest first.
    pub async fn history(&self, permit: &Permit<Read, Key>) -> Result<Vec<Past>, Error> {
        let key = permit.resource();
        let past = self.documents.history(&key.to_string()).await?;
        match past.is_empty() && *key != Key::Security {
            true => Err(Error::NotFound),
            false => {
                let hidden = self.ever_secret(key, &past);
                Ok(past.into_iter().map(|document| self.past(key, document, &hidden)).collect())
            }
        }
    }
}
