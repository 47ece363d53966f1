use serde_json::{Map, Value};

use super::{Asker, Error, Operation, Secrets};
use crate::{
    barrier,
    catalog::{CallSpec, Method, fixed_action},
    ids::{Action, SecretPath},
    mount::{Kind, Mount},
    policy::{Permit, Verb},
    runtime::types::GuestError,
};

impl Secrets {
    /// Which action a verb on this path takes. A verb nobody knows takes `use`: who may not use
    /// anything there learns nothing, and who may learns afterwards that there is none.
    pub fn action_of(&self, path: &SecretPath, name: &str, method: Method) -> Verb {
        let declared = || {
            let mount = self.mounts.get(Kind::Secrets, path.mount())?;
            mount.live().ok()?.manifest().call(name, method, false).map(|call| call.action)
        };
        let action = fixed_action(name, method).or_else(declared).unwrap_or(Action::Use);
        Verb { action, name: name.to_owned() }
    }

    /// A verb on one secret, if the engine has it by this method.
    pub async fn verb(
        &self,
        permit: &Permit<Verb, SecretPath>,
        operation: Operation,
        asker: &Asker,
    ) -> Result<Map<String, Value>, Error> {
        let method = if operation.read_only { Method::Get } else { Method::Post };
        // Asked below: by the manifest of this moment the body was good, so that version gets it.
        let mount = self.mount(permit.resource().mount())?;
        let call = known(&mount, &operation.name, method)?;
        if fixed_action(&operation.name, method).is_none() && call.action != permit.action().action {
            // Another version has come between the decision and the call: what it takes was not decided.
            return Err(barrier::Error::Conflict.into());
        }
        let operation = checked(call, operation).await?;
        self.handle_at(&mount, permit, operation, asker).await
    }
}

/// The verb of the mount's engine.
fn known<'a>(mount: &'a Mount, name: &str, method: Method) -> Result<&'a CallSpec, Error> {
    let manifest = mount.live()?.manifest();
    // Of a secret: those of the mount itself are called elsewhere.
    let call = |method| manifest.call(name, method, false);
    call(method).ok_or_else(|| match call(method.other()) {
        Some(_) => Error::Method(method.other()),
        None => Error::UnknownVerb,
    })
}

/// What does not fit the manifest never reaches the guest.
async fn checked(call: &CallSpec, operation: Operation) -> Result<Operation, Error> {
    let checked = match is_large(&operation.body) {
        false => call.check(&operation.body).map(|()| operation),
        true => {
            let call = call.clone();
            let work = move || call.check(&operation.body).map(|()| operation);
            let ended = tokio::task::spawn_blocking(work).await;
            ended.map_err(|_| Error::Contract("the check of a body ended early"))?
        }
    };
    checked.map_err(|problems| {
        let (code, message) = ("invalid".to_owned(), String::new());
        Error::Refused(GuestError { code, message, problems, retry_after: None })
    })
}

/// So that checking it may take a while.
fn is_large(body: &Map<String, Value>) -> bool {
    fn spend(value: &Value, left: &mut usize) {
        *left = left.saturating_sub(match value {
            Value::String(text) => 1 + text.len() / 64,
            _ => 1,
        });
        match value {
            _ if *left == 0 => {}
            Value::Array(items) => items.iter().for_each(|item| spend(item, left)),
            Value::Object(members) => members.values().for_each(|member| spend(member, left)),
            _ => {}
        }
    }
    let mut left = 256;
    body.values().for_each(|value| spend(value, &mut left));
    left == 0
}
