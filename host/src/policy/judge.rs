//! What a decision would be, and who else there is to ask about: for `explain`.

use std::collections::BTreeSet;

use cedar_policy::EntityUid;

use super::{
    Caller, Policies,
    cedar::{Question, TYPES},
};
use crate::ids::{self, RoleName, UserId};

/// A decision, taken apart.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub allowed: bool,
    pub reason: String,
    /// The policies that decide it, `<document>/<n>`, or that fail.
    pub policies: Vec<String>,
    /// Some policy that was considered reads the time, the address or the age of the login: at
    /// another time, from another place, it may be otherwise.
    pub conditional: bool,
}

/// Whom a policy can name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Principal {
    Role(RoleName),
    Group(String),
    User(UserId),
}

impl Principal {
    pub(super) fn of(uid: &EntityUid) -> Option<Self> {
        let (kind, id) = (uid.type_name(), uid.id().unescaped());
        match kind {
            kind if *kind == TYPES.role => RoleName::parse(id).ok().map(Self::Role),
            kind if *kind == TYPES.group => Some(Self::Group(id.to_owned())),
            kind if *kind == TYPES.user => UserId::parse(id).ok().map(Self::User),
            _ => None,
        }
    }
}

impl Policies {
    /// What would be decided, and by what.
    pub fn judge(&self, caller: &Caller, action: ids::Action, path: &str, verb: &str) -> Judgement {
        let question = Question { caller, action, path, verb };
        let generation = (self.0.generation)();
        // Both of the same rules, whatever is put in force meanwhile.
        let rules = self.0.rules.load();
        let reason = rules.decide(&question, generation, &self.0.clock);
        let conditional = rules.is_conditional(&question);
        let policies = reason.policies().to_vec();
        Judgement { allowed: reason.allows(), reason: reason.to_string(), policies, conditional }
    }

    /// Everybody whom a policy in force names.
    pub fn principals(&self) -> BTreeSet<Principal> {
        self.0.rules.load().principals()
    }

    /// Does a policy in force name this role?
    pub fn names_role(&self, role: &RoleName) -> bool {
        self.principals().contains(&Principal::Role(role.clone()))
    }
}
