use std::sync::Arc;

use super::{
    Action, Caller, Document, Error, Permit, Policies, Policy, PolicyPath, Resource,
    compile::BUILT_IN,
    decide::Rules,
    stored::{Store, Text, compile},
};
use crate::{
    barrier::{self, Stored, Writes},
    fence::Counter,
    ids::{self, PolicyName},
    limits,
};

/// What is to become of a text of policies.
#[derive(Clone, Debug)]
pub struct Change {
    /// None deletes it.
    pub text: Option<String>,
    /// The version that the change rests on; 0 is none.
    pub expected: Option<u64>,
    /// Try it, store nothing.
    pub dry_run: bool,
    /// Even if nobody could change the policies back.
    pub force: bool,
}

impl Policies {
    /// Tried as a whole, stored in one batch, in force everywhere when this returns. None: the text
    /// is gone.
    pub async fn change<A: Action>(
        &self,
        permit: &Permit<A, PolicyPath>,
        change: Change,
    ) -> Result<Option<Policy>, Error> {
        let name = &permit.resource().0;
        let store = self.0.store.as_ref().filter(|_| name.as_str() != BUILT_IN).ok_or(Error::BuiltIn)?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            // All of them are tried together, so none may change meanwhile.
            store.fence.rest_on(&mut writes, Counter::Policies).await?;
            let texts = store.texts().await?;
            let current = texts.iter().find(|(found, _)| found == name).map(|(_, stored)| stored.clone());
            let number = current.as_ref().map_or(0, |stored| stored.value.number);
            if change.expected.is_some_and(|expected| expected != number) {
                return Err(Error::Conflict);
            }
            if current.is_none() && change.text.is_none() {
                return Err(Error::NotFound);
            }
            let documents = changed(&texts, name, change.text.as_deref())?;
            let compiled = compile(documents).await.map_err(Error::Problems)?;
            if !change.force {
                self.check_lock_out(permit.caller(), &PolicyPath(name.clone()).path(), Rules::new(compiled))?;
            }
            let after = change.text.clone().map(|text| Text {
                text,
                number: number + 1,
                updated_at: self.0.clock.now(),
                updated_by: Some(permit.caller().user.clone()),
            });
            let shown = after.clone().map(|after| after.shown(name.clone()));
            if change.dry_run || self.store(store, writes, name, (current, after)).await? {
                return Ok(shown);
            }
        }
        Err(Error::Busy)
    }

    /// False: something has changed meanwhile, and it is to be tried again.
    async fn store(
        &self,
        store: &Store,
        mut writes: Writes,
        name: &PolicyName,
        (before, after): (Option<Stored<Text>>, Option<Text>),
    ) -> Result<bool, Error> {
        store.view.expect_as_read(&mut writes, name.as_str(), before.as_ref());
        match &after {
            Some(after) => drop(store.view.put(&mut writes, name.as_str(), after, None)),
            None => store.view.delete(&mut writes, name.as_str()),
        }
        store.fence.raise(&mut writes, Counter::Policies);
        match store.barrier.commit(writes).await {
            Ok(()) => {}
            Err(barrier::Error::Conflict) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        store.fence.settle(&[Counter::Policies]).await;
        self.refresh().await?;
        Ok(true)
    }

    /// Whoever makes the change must be able to take it back, as far as policies go; and where that
    /// is no admin, so must an admin who stands in the same place. What they could not do before is
    /// not asked of them afterwards.
    fn check_lock_out(&self, caller: &Caller, path: &str, after: Rules) -> Result<(), Error> {
        let own = Caller { scope: None, root: false, ..caller.clone() };
        let other = (caller.root || !caller.is_admin()).then(|| caller.as_admin());
        let before = self.0.rules.load_full();
        let after = Arc::new(after);
        for caller in [own].iter().chain(&other) {
            for action in [ids::Action::Create, ids::Action::Update] {
                let may = |rules: &Rules| self.decide_by(rules, caller, action, path).allows();
                if may(&before) && !may(&after) {
                    return Err(Error::LockedOut);
                }
            }
        }
        Ok(())
    }
}

/// All texts as they would be, within the bounds.
fn changed(
    texts: &[(PolicyName, Stored<Text>)],
    name: &PolicyName,
    text: Option<&str>,
) -> Result<Vec<Document>, Error> {
    let others = texts.iter().filter(|(found, _)| found != name);
    let others = others.map(|(name, stored)| (name, stored.value.text.as_str()));
    let documents: Vec<Document> = others
        .chain(text.map(|text| (name, text)))
        .map(|(name, text)| Document { name: name.to_string(), text: text.to_owned() })
        .collect();
    let bytes: usize = documents.iter().map(|document| document.text.len()).sum();
    match text.is_none() || (documents.len() <= limits::POLICY_TEXTS && bytes <= limits::POLICY_TEXTS_BYTES) {
        true => Ok(documents),
        false => Err(Error::TooMany),
    }
}
