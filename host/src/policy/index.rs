use std::collections::HashMap;

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint, ResourceConstraint};

use super::{
    cedar::{Question, TYPES, uid},
    compile::Rule,
    places,
};
use crate::ids::Action;

/// Which policies can match, by the head of each: whom, where, what. A policy whose head does
/// not match is false without a look at its conditions, so leaving it out changes nothing; one
/// whose head names nobody or no folder is always considered.
#[derive(Debug, Default)]
pub struct Index {
    anyone: Places,
    by_principal: HashMap<EntityUid, Places>,
}

#[derive(Debug, Default)]
struct Places {
    anywhere: Vec<Head>,
    by_path: HashMap<String, Vec<Head>>,
}

#[derive(Debug)]
struct Head {
    rule: u32,
    /// A bit for each action.
    actions: u8,
}

impl Index {
    pub fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in (0..).zip(rules) {
            let places = match rule.policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => &mut index.anyone,
                PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    index.by_principal.entry(uid).or_default()
                }
            };
            let heads = match rule.policy.resource_constraint() {
                ResourceConstraint::Any | ResourceConstraint::Is(_) => &mut places.anywhere,
                ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
                    places.by_path.entry(uid.id().unescaped().to_owned()).or_default()
                }
            };
            heads.push(Head { rule: at, actions: actions(&rule.policy.action_constraint()) });
        }
        index
    }

    /// Numbers of the policies to be considered, in order.
    pub fn slice(&self, question: &Question<'_>) -> Vec<u32> {
        let wanted = bit(question.action);
        let mut found: Vec<u32> = self
            .places(question)
            .flat_map(|places| {
                let around = std::iter::once(question.path).chain(places::ancestors(question.path));
                let fixed = around.filter_map(|path| places.by_path.get(path)).flatten();
                places.anywhere.iter().chain(fixed)
            })
            .filter(|head| head.actions & wanted != 0)
            .map(|head| head.rule)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Numbers of all policies that may speak of this caller, wherever.
    pub fn of_caller(&self, question: &Question<'_>) -> Vec<u32> {
        let all = |places: &'_ Places| -> Vec<u32> {
            places.anywhere.iter().chain(places.by_path.values().flatten()).map(|head| head.rule).collect()
        };
        self.places(question).flat_map(all).collect()
    }

    fn places<'a>(&'a self, question: &Question<'_>) -> impl Iterator<Item = &'a Places> {
        let types = &*TYPES;
        let caller = question.caller;
        let user = uid(&types.user, caller.user.as_str());
        let roles = caller.roles.iter().map(|role| uid(&types.role, role.as_str()));
        let groups = caller.groups.iter().map(|group| uid(&types.group, group));
        let named = std::iter::once(user).chain(roles).chain(groups).filter_map(|uid| self.by_principal.get(&uid));
        std::iter::once(&self.anyone).chain(named).collect::<Vec<_>>().into_iter()
    }
}

fn actions(constraint: &ActionConstraint) -> u8 {
    let of = |uid: &EntityUid| Action::parse(uid.id().unescaped()).map_or(u8::MAX, bit);
    match constraint {
        ActionConstraint::Any => u8::MAX,
        ActionConstraint::Eq(uid) => of(uid),
        ActionConstraint::In(uids) => uids.iter().map(of).fold(0, |all, one| all | one),
    }
}

fn bit(action: Action) -> u8 {
    1 << action as u8
}
