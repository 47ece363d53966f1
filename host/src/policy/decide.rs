use std::sync::Arc;

use cedar_policy::{AuthorizationError, Authorizer, Decision, PolicySet, Response};
use moka::sync::Cache;

use super::{Caller, Compiled, Reason, cedar::Question, judge::Principal, places, reason::Names};
use crate::{clock::Clock, ids, ids::RoleName, ids::UserId, limits};

/// The policies in force, with what was decided under them: other policies bring other caches.
#[derive(Debug)]
pub(super) struct Rules {
    compiled: Compiled,
    decisions: Cache<Asked, Reason>,
    /// Policies chosen by the index, put together once: few choices serve all requests.
    slices: Cache<Vec<u32>, Arc<PolicySet>>,
}

/// Policies stand below it. Whoever holds shares of the root key can always mend them.
pub(super) const MENDABLE: &str = "sys/policies";

/// All that a decision goes by, if no policy considered reads the context.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Asked {
    generation: u64,
    user: UserId,
    roles: Vec<RoleName>,
    groups: Vec<String>,
    action: ids::Action,
    path: String,
}

impl Rules {
    pub fn new(compiled: Compiled) -> Self {
        // A slice weighs what stands in it.
        let weigh = |considered: &Vec<u32>, _: &Arc<PolicySet>| u32::try_from(considered.len()).unwrap_or(u32::MAX);
        let slices = Cache::builder().weigher(weigh).max_capacity(limits::SLICED_POLICIES).build();
        Self { compiled, decisions: Cache::new(limits::DECISIONS), slices }
    }

    /// Scope takes away; policies decide besides. `generation` tells decisions of before a
    /// change of users, roles or settings from those after it.
    pub fn decide(&self, question: &Question<'_>, generation: u64, clock: &Clock) -> Reason {
        let Question { caller, action, path, .. } = *question;
        if !places::is_canonical(path) {
            return Reason::InvalidPath;
        }
        if caller.scope.as_ref().is_some_and(|scope| !scope.covers(action, path)) {
            return Reason::Scope;
        }
        if caller.root && places::is_within(path, MENDABLE) {
            return Reason::Root;
        }
        let asked = Asked::new(question, generation);
        if let Some(reason) = self.decisions.get(&asked) {
            return reason;
        }
        let considered = self.compiled.index.slice(question);
        let reads_context = considered.iter().any(|at| self.rule(*at).reads_context);
        let reason = self.evaluate(question, considered, reads_context.then(|| clock.now()));
        if !reads_context {
            self.decisions.insert(asked, reason.clone());
        }
        reason
    }

    /// Folders at or below `below` from which the caller may do this, none within another.
    pub fn roots(&self, question: &Question<'_>, generation: u64, clock: &Clock) -> Vec<String> {
        let below = question.path;
        let mut candidates = vec![below.to_owned(), places::home(&question.caller.user)];
        let of_caller = self.compiled.index.of_caller(question);
        candidates.extend(of_caller.iter().flat_map(|at| self.rule(*at).places.iter().cloned()));
        // A scope may begin further down than the policies do.
        let scope = question.caller.scope.as_ref().map(ToString::to_string).unwrap_or_default();
        candidates.extend(scope.split(' ').filter_map(|part| Some(part.split_once(':')?.1.to_owned())));
        candidates.retain(|path| places::is_within(path, below));
        candidates.sort_unstable();
        candidates.dedup();
        let mut roots: Vec<String> = Vec::new();
        for path in candidates {
            let is_inside = roots.iter().any(|root| places::is_within(&path, root));
            if !is_inside && self.decide(&Question { path: &path, ..*question }, generation, clock).allows() {
                roots.push(path);
            }
        }
        roots
    }

    /// Does a decision on this read time, address or age of the login?
    pub fn is_conditional(&self, question: &Question<'_>) -> bool {
        self.compiled.index.slice(question).iter().any(|at| self.rule(*at).reads_context)
    }

    /// Everybody whom a policy names.
    pub fn principals(&self) -> std::collections::BTreeSet<Principal> {
        let named = self.compiled.rules.iter().flat_map(|rule| rule.policy.entity_literals());
        named.filter_map(|uid| Principal::of(&uid)).collect()
    }

    /// How many decisions are remembered.
    #[cfg(test)]
    pub fn kept(&self) -> u64 {
        self.decisions.run_pending_tasks();
        self.decisions.entry_count()
    }

    fn evaluate(&self, question: &Question<'_>, considered: Vec<u32>, now: Option<crate::clock::Timestamp>) -> Reason {
        if considered.is_empty() {
            return Reason::NoPolicy;
        }
        let asked = question.request(now).and_then(|request| Ok((request, question.entities()?)));
        match (asked, self.policies(considered)) {
            (Ok((request, entities)), Ok(policies)) => {
                reason(&Authorizer::new().is_authorized(&request, &policies, &entities))
            }
            (Err(cause), _) | (_, Err(cause)) => {
                tracing::error!(cause, "a decision cannot be asked for");
                Reason::Unaskable
            }
        }
    }

    fn policies(&self, considered: Vec<u32>) -> Result<Arc<PolicySet>, String> {
        if let Some(policies) = self.slices.get(&considered) {
            return Ok(policies);
        }
        let chosen = considered.iter().map(|at| self.rule(*at).policy.clone());
        let policies = Arc::new(PolicySet::from_policies(chosen).map_err(|error| error.to_string())?);
        self.slices.insert(considered, policies.clone());
        Ok(policies)
    }

    fn rule(&self, at: u32) -> &super::compile::Rule {
        &self.compiled.rules[at as usize]
    }
}

impl Asked {
    fn new(question: &Question<'_>, generation: u64) -> Self {
        let Caller { user, roles, groups, .. } = question.caller;
        Self {
            generation,
            user: user.clone(),
            roles: roles.clone(),
            groups: groups.clone(),
            action: question.action,
            path: question.path.to_owned(),
        }
    }
}

/// Cedar skips a policy that fails; were it a `forbid`, that would open what it closes.
pub(super) fn reason(response: &Response) -> Reason {
    let failed =
        response.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
    let failed: Names = failed.map(ToString::to_string).collect();
    if !failed.is_empty() {
        return Reason::Failed(failed);
    }
    let deciding: Names = response.diagnostics().reason().map(ToString::to_string).collect();
    match (response.decision(), deciding.is_empty()) {
        (Decision::Allow, _) => Reason::Allowed(deciding),
        (Decision::Deny, true) => Reason::NoPolicy,
        (Decision::Deny, false) => Reason::Forbidden(deciding),
    }
}
