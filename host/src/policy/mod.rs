//! Who may do what: rules, decisions, and the permit that proves one.
//!
//! Owns the schema, the policies in force and the cache of decisions; is the only maker of
//! `Permit`. Never knows HTTP, and never looks up what a path leads to: the decision needs the
//! path alone, so a refusal tells nobody what exists. One more thing that policies may go by is
//! one more attribute in `schema.cedarschema` and in `cedar.rs`; one more kind of thing that is
//! permitted is one more `Resource`, beside the service that owns it.
//!
//! Nobody is locked out unawares: a change after which whoever makes it (or, where that is no
//! admin, an admin) could no longer change the policies is refused unless it is forced. And the
//! token that shares of the root key make may always mend them, whatever they say.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use crate::{barrier::Barrier, clock::Clock, fence::Fence, ids};

mod caller;
mod cedar;
mod change;
mod compile;
mod decide;
mod error;
mod index;
mod judge;
mod permit;
mod places;
mod reason;
mod stored;
#[cfg(test)]
mod tests;

pub use caller::Caller;
pub use change::Change;
pub use compile::{Compiled, Document, Problem};
pub use error::Error;
pub use judge::{Judgement, Principal};
pub use permit::{Action, Create, Delete, List, Manage, Permit, Put, Read, Refusal, Resource, Update, Use, Verb};
pub use places::is_canonical;
pub use reason::Reason;
pub use stored::{AllPolicies, Policy, PolicyPath};

use cedar::Question;
use decide::Rules;
use stored::Store;

/// The policies in force. A cheap handle.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

struct Inner {
    rules: ArcSwap<Rules>,
    generation: Box<dyn Fn() -> u64 + Send + Sync>,
    clock: Clock,
    /// None: the built-in ones and what is published by hand.
    store: Option<Store>,
}

impl Policies {
    /// The built-in ones and, from the first `refresh` on, those that are stored.
    pub fn open(barrier: &Barrier, fence: Fence, clock: Clock) -> Self {
        let generation = stored::generation(fence.clone());
        Self::of(clock, Box::new(generation), Some(Store::new(barrier, fence)))
    }

    /// The built-in ones. `generation` must move whenever users, roles, policies or settings may
    /// have changed: a decision of before is then not used again.
    #[cfg(test)]
    pub fn new(clock: Clock, generation: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self::of(clock, Box::new(generation), None)
    }

    fn of(clock: Clock, generation: Box<dyn Fn() -> u64 + Send + Sync>, store: Option<Store>) -> Self {
        let compiled = Compiled::new(&[]).expect("the built-in policies fit the schema");
        let rules = ArcSwap::from_pointee(Rules::new(compiled));
        Self(Arc::new(Inner { rules, generation, clock, store }))
    }

    /// Puts these in force in place of those before: what was decided under them is forgotten.
    pub fn publish(&self, compiled: Compiled) {
        self.0.rules.store(Arc::new(Rules::new(compiled)));
    }

    /// The only maker of permits: within the session's scope, and allowed by the policies, for
    /// each of the actions.
    pub fn permit<A: Action, R: Resource>(
        &self,
        caller: &Caller,
        action: A,
        resource: R,
    ) -> Result<Permit<A, R>, Refusal> {
        let path = resource.path();
        let mut reason = Reason::NoAction;
        for each in action.actions() {
            reason = self.decide(&Question { caller, action: *each, path: &path, verb: action.verb() });
            if !reason.allows() {
                break;
            }
        }
        match reason.allows() {
            true => Ok(Permit::new(action, resource, caller.clone(), reason)),
            false => Err(Refusal { reason }),
        }
    }

    /// Would it be permitted? For what is only shown, as the names in a listing.
    pub fn allows(&self, caller: &Caller, action: ids::Action, path: &str) -> bool {
        self.explain(caller, action, path).allows()
    }

    /// Does a policy say no to it, or can that not be told (one fails, it is no path, none can be asked)? Not where
    /// none says anything, nor by the session's scope: for what is permitted by another name already.
    pub fn forbids(&self, caller: &Caller, action: ids::Action, path: &str) -> bool {
        let reason = self.explain(&Caller { scope: None, ..caller.clone() }, action, path);
        !reason.allows() && reason != Reason::NoPolicy
    }

    /// Would it be permitted, and why?
    pub fn explain(&self, caller: &Caller, action: ids::Action, path: &str) -> Reason {
        self.decide(&Question { caller, action, path, verb: "" })
    }

    /// The folders at or below `below` where the caller's permissions begin, in byte order, none
    /// within another: where a listing without a prefix starts.
    pub fn roots(&self, caller: &Caller, action: ids::Action, below: &str) -> Vec<String> {
        let question = Question { caller, action, path: below, verb: "" };
        self.0.rules.load().roots(&question, (self.0.generation)(), &self.0.clock)
    }

    fn decide(&self, question: &Question<'_>) -> Reason {
        // Before the rules: a change that comes between leaves a decision that is not used again.
        let generation = (self.0.generation)();
        self.0.rules.load().decide(question, generation, &self.0.clock)
    }
}

impl Policies {
    /// By rules that are perhaps not in force yet: what is decided is kept in those rules alone.
    fn decide_by(&self, rules: &Rules, caller: &Caller, action: ids::Action, path: &str) -> Reason {
        let question = Question { caller, action, path, verb: "" };
        rules.decide(&question, (self.0.generation)(), &self.0.clock)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}
