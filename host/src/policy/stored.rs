//! The policies as they are kept, and how every node comes to have the same in force.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{Compiled, Document, Error, List, Permit, Policies, Problem, Read, Resource, compile::BUILT_IN};
use crate::{
    barrier::{self, Barrier, Stored, View, layout::Prefix},
    clock::Timestamp,
    fence::{Counter, Fence},
    ids::{Action, PolicyName, UserId},
    limits,
};

/// A text of policies as it is shown.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: PolicyName,
    pub text: String,
    /// Counts the changes of this text, from 1; 0 is built in.
    pub version: u64,
    /// None: built in.
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<UserId>,
}

impl Policy {
    pub fn is_built_in(&self) -> bool {
        self.version == 0
    }
}

/// A text of policies in policy: `sys/policies/<name>`.
#[derive(Clone, Debug)]
pub struct PolicyPath(pub PolicyName);

impl Resource for PolicyPath {
    fn path(&self) -> String {
        format!("{}/{}", AllPolicies.path(), self.0)
    }
}

/// All of them: `sys/policies`.
#[derive(Clone, Copy, Debug)]
pub struct AllPolicies;

impl Resource for AllPolicies {
    fn path(&self) -> String {
        super::decide::MENDABLE.to_owned()
    }
}

/// As it stands in the store, under its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) number: u64,
    pub(super) updated_at: Timestamp,
    #[serde(default)]
    pub(super) updated_by: Option<UserId>,
}

impl Text {
    pub(super) fn shown(self, name: PolicyName) -> Policy {
        let Self { text, number, updated_at, updated_by } = self;
        Policy { name, text, version: number, updated_at: Some(updated_at), updated_by }
    }
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) barrier: Barrier,
    pub(super) fence: Fence,
    pub(super) view: View,
    /// Of the fence's counter, when what is in force was read.
    read: AtomicU64,
    /// One at a time reads them anew: an older reading must not replace a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

impl Store {
    pub(super) fn new(barrier: &Barrier, fence: Fence) -> Self {
        let view = barrier.view(Prefix::Policy);
        let (read, refreshing) = (AtomicU64::new(u64::MAX), tokio::sync::Mutex::default());
        Self { barrier: barrier.clone(), fence, view, read, refreshing }
    }

    /// All of them, by name. They are few: `limits::POLICY_TEXTS`.
    pub(super) async fn texts(&self) -> Result<Vec<(PolicyName, Stored<Text>)>, barrier::Error> {
        let page = self.view.list("", None, None, limits::LIST_MOST).await?;
        let mut texts = Vec::new();
        for (key, stored) in page.keys.iter().zip(self.view.get_many(&page.keys).await?) {
            let Some(stored) = stored else { continue };
            let name = PolicyName::parse(key).map_err(|_| barrier::Error::Corrupt(key.clone()))?;
            texts.push((name, stored));
        }
        Ok(texts)
    }
}

/// Moves whenever users, roles, policies or settings may have changed.
pub(super) fn generation(fence: Fence) -> impl Fn() -> u64 + Send + Sync {
    const DECISIVE: [Counter; 4] = [Counter::Users, Counter::Roles, Counter::Policies, Counter::Settings];
    move || DECISIVE.into_iter().fold(0, |sum: u64, counter| sum.wrapping_add(fence.generation(counter)))
}

/// Off the threads that serve requests: many policies take their time.
pub(super) async fn compile(documents: Vec<Document>) -> Result<Compiled, Vec<Problem>> {
    let compiled = tokio::task::spawn_blocking(move || Compiled::new(&documents)).await;
    compiled.unwrap_or_else(|_| Err(vec![Problem::whole("", "cannot be compiled")]))
}

impl Policies {
    /// Puts in force what is stored, if it has changed since the last time.
    pub async fn refresh(&self) -> Result<(), barrier::Error> {
        let Some(store) = &self.0.store else { return Ok(()) };
        let is_current = || store.read.load(Ordering::Acquire) == store.fence.generation(Counter::Policies);
        if is_current() {
            return Ok(());
        }
        let _one = store.refreshing.lock().await;
        if is_current() {
            return Ok(());
        }
        let generation = store.fence.generation(Counter::Policies);
        let texts = store.texts().await?;
        let documents = texts.into_iter().map(|(name, stored)| Document { name: name.into(), text: stored.value.text });
        match compile(documents.collect()).await {
            Ok(compiled) => self.publish(compiled),
            // Stored by a server that knew more, or less. Whatever they would forbid is forbidden,
            // until somebody mends them.
            Err(problems) => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(first, "stored policies cannot be read: nothing is allowed but to mend them");
                self.publish(Compiled::closed());
            }
        }
        store.read.store(generation, Ordering::Release);
        Ok(())
    }

    /// Those whose names the caller may list, in byte order; the built-in one among them.
    pub async fn list(
        &self,
        permit: &Permit<List, AllPolicies>,
        after: Option<&PolicyName>,
        limit: usize,
    ) -> Result<(Vec<Policy>, Option<PolicyName>), Error> {
        let mut all = vec![built_in()];
        if let Some(store) = &self.0.store {
            all.extend(store.texts().await?.into_iter().map(|(name, stored)| stored.value.shown(name)));
        }
        let may = |name: &PolicyName| self.allows(permit.caller(), Action::List, &PolicyPath(name.clone()).path());
        all.retain(|policy| after.is_none_or(|after| policy.name > *after) && may(&policy.name));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|policy| policy.name.clone());
        Ok((all, next))
    }

    pub async fn get(&self, permit: &Permit<Read, PolicyPath>) -> Result<Policy, Error> {
        let name = &permit.resource().0;
        if name.as_str() == BUILT_IN {
            return Ok(built_in());
        }
        let store = self.0.store.as_ref().ok_or(Error::NotFound)?;
        let stored: Option<Stored<Text>> = store.view.get(name.as_str()).await?;
        Ok(stored.ok_or(Error::NotFound)?.value.shown(name.clone()))
    }
}

fn built_in() -> Policy {
    let name = PolicyName::parse(BUILT_IN).expect("a constant");
    let text = super::compile::BUILT_IN_TEXT.to_owned();
    Policy { name, text, version: 0, updated_at: None, updated_by: None }
}
