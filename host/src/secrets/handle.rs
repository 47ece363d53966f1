use std::net::IpAddr;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Error, Secrets};
use crate::{
    ids::{RequestId, SecretPath, UserId, Username},
    mount::Mount,
    policy::{Action, Permit},
    runtime::{
        Facts, Handle,
        types::{Request, Response},
    },
};

/// Who asks, as the plugin is told.
#[derive(Clone, Debug)]
pub struct Asker {
    pub user: UserId,
    pub name: Username,
    pub address: Option<IpAddr>,
    pub request: RequestId,
}

/// What is asked of the engine.
#[derive(Debug)]
pub struct Operation {
    /// One of the plain six, or a verb of the manifest.
    pub name: String,
    pub body: Map<String, Value>,
    /// It came by GET: it may write nothing.
    pub read_only: bool,
}

impl Secrets {
    /// One operation on one secret; the answer is the engine's object with the id.
    pub async fn handle<A: Action>(
        &self,
        permit: &Permit<A, SecretPath>,
        operation: Operation,
        asker: &Asker,
    ) -> Result<Map<String, Value>, Error> {
        let mount = self.mount(permit.resource().mount())?;
        self.handle_at(&mount, permit, operation, asker).await
    }

    pub(super) async fn handle_at<A: Action>(
        &self,
        mount: &Mount,
        permit: &Permit<A, SecretPath>,
        operation: Operation,
        asker: &Asker,
    ) -> Result<Map<String, Value>, Error> {
        let path = permit.resource();
        let response = self.ask(mount, path.path(), &operation, asker).await?;
        let mut answer = response.object();
        if ["secret_id", "lease", "warnings"].iter().any(|reserved| answer.contains_key(*reserved)) {
            return Err(Error::Contract("a reserved name in the answer"));
        }
        if response.lease.is_some() {
            return Err(Error::Contract("a lease from an engine that may not make one"));
        }
        answer.insert("secret_id".to_owned(), json!(path.to_string()));
        if !response.warnings.is_empty() {
            answer.insert("warnings".to_owned(), json!(response.warnings));
        }
        Ok(answer)
    }

    /// Runs the engine until what it wrote is stored.
    pub(super) async fn ask(
        &self,
        mount: &Mount,
        path: &str,
        operation: &Operation,
        asker: &Asker,
    ) -> Result<Response, Error> {
        let body = Zeroizing::new(serde_json::to_vec(&operation.body).expect("JSON serialises"));
        let attempts = self.mounts.call(mount, facts(mount, asker), path)?;
        let mut attempts = attempts.read_only(operation.read_only);
        loop {
            let request =
                Request { operation: operation.name.clone(), path: path.to_owned(), body: body.clone().into() };
            let outcome = attempts.run(Handle(request)).await?;
            if attempts.commit(outcome.writes, outcome.may_rerun).await? {
                return Ok(outcome.value);
            }
        }
    }
}

fn facts(mount: &Mount, asker: &Asker) -> Facts {
    Facts {
        mount_path: mount.name.to_string(),
        request_id: asker.request.to_string(),
        principal: Some(asker.user.to_string()),
        principal_name: Some(asker.name.to_string()),
        client_address: asker.address,
        ..Facts::default()
    }
}
