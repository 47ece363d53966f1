use serde::{Deserialize, Serialize};

use super::{Error, Leases, record::Record};
use crate::{
    ids,
    policy::{Action, Caller, Reason, Refusal, Resource},
};

/// What somebody did to be lent something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GrantedAction {
    actions: Vec<ids::Action>,
    /// The verb of the call, which policies may go by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    verb: String,
}

impl GrantedAction {
    pub fn of(action: &impl Action) -> Self {
        Self { actions: action.actions().to_vec(), verb: action.verb().to_owned() }
    }
}

impl Action for GrantedAction {
    fn actions(&self) -> &[ids::Action] {
        &self.actions
    }

    fn verb(&self) -> &str {
        &self.verb
    }
}

/// Where it was done.
struct Lent(String);

impl Resource for Lent {
    fn path(&self) -> String {
        self.0.clone()
    }
}

/// Of leases of which it was not written down: by any of these a call may lend, so whoever may still do one of them
/// there may have it prolonged.
const MAY_LEND: [ids::Action; 3] = [ids::Action::Use, ids::Action::Create, ids::Action::Update];

impl Leases {
    /// Nobody prolongs what they could not borrow now: not for themselves, and not for others.
    pub(super) fn may_borrow(&self, caller: &Caller, record: &Record) -> Result<(), Error> {
        let ask = |granted| self.0.policies.permit(caller, granted, Lent(record.path.clone())).map(drop);
        let decided = match &record.granted {
            Some(granted) => ask(granted.clone()),
            None => {
                let any = MAY_LEND.map(|action| ask(GrantedAction { actions: vec![action], verb: String::new() }));
                any.into_iter().reduce(Result::or).unwrap_or(Err(Refusal { reason: Reason::Other("nothing lends") }))
            }
        };
        decided.map_err(Error::Forbidden)
    }
}
