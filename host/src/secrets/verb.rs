use serde_json::{Map, Value};

use super::{Asker, Error, Operation, Secrets};
use crate::{
    catalog::{self, Manifest},
    ids::{Action, SecretPath},
    mount::Kind,
    policy::{Permit, Verb},
};

/// By which method a verb was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Post,
}

/// Verbs that mean the same in every engine: their action is the host's to say.
const FIXED: [(&str, Method, Action); 7] = [
    ("history", Method::Get, Action::Read),
    ("metadata", Method::Get, Action::Read),
    ("metadata", Method::Post, Action::Update),
    ("restore", Method::Post, Action::Update),
    ("undelete", Method::Post, Action::Update),
    ("destroy", Method::Post, Action::Delete),
    ("purge", Method::Post, Action::Manage),
];

impl Secrets {
    /// Which action a verb on this path takes. A verb nobody knows takes `use`: who may not use
    /// anything there learns nothing, and who may learns afterwards that there is none.
    pub fn action_of(&self, path: &SecretPath, name: &str, method: Method) -> Verb {
        let fixed = FIXED.iter().find(|(verb, by, _)| *verb == name && *by == method).map(|(_, _, action)| *action);
        let declared = || {
            let mount = self.mounts.get(Kind::Secrets, path.mount())?;
            action(mount.live().ok()?.manifest(), name, method)
        };
        let action = fixed.or_else(declared).unwrap_or(Action::Use);
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
        self.known(permit.resource(), &operation.name, method)?;
        self.handle(permit, operation, asker).await
    }

    fn known(&self, path: &SecretPath, name: &str, method: Method) -> Result<(), Error> {
        let mount = self.mount(path.mount())?;
        let manifest = mount.live()?.manifest();
        if action(manifest, name, method).is_some() {
            return Ok(());
        }
        let other = if method == Method::Get { Method::Post } else { Method::Get };
        match action(manifest, name, other) {
            Some(_) => Err(Error::Method(other)),
            None => Err(Error::UnknownVerb),
        }
    }
}

/// The action that the manifest gives a verb of a secret.
fn action(manifest: &Manifest, name: &str, method: Method) -> Option<Action> {
    let method = match method {
        Method::Get => catalog::Method::Get,
        Method::Post => catalog::Method::Post,
    };
    manifest.call(name, method, false).map(|call| call.action)
}
