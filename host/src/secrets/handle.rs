use std::{net::IpAddr, sync::Arc};

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Error, Secrets};
use crate::{
    clock::Timestamp,
    ids::{RequestId, SecretPath, SessionId, UserId, Username},
    lease::{Borrower, GrantedAction, Lease},
    mount::{self, Attempts, Mount},
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
    /// What is lent is lent to it, and not for longer.
    pub session: SessionId,
    pub ends_at: Timestamp,
    /// What a plugin may be shown, if it is granted.
    pub headers: Arc<[(String, String)]>,
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

/// Members of an answer that are the host's: no engine gives them.
pub const RESERVED: [&str; 3] = ["secret_id", "lease", "warnings"];

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

    /// The same on a mount that has been looked up. Runs the engine until what it wrote is stored, and what it
    /// lends with it.
    pub(super) async fn handle_at<A: Action>(
        &self,
        mount: &Mount,
        permit: &Permit<A, SecretPath>,
        operation: Operation,
        asker: &Asker,
    ) -> Result<Map<String, Value>, Error> {
        let path = permit.resource();
        let lends = mount.live()?.plugin.exports().leases && !operation.read_only;
        // Before it makes anything that would have to be unmade; kept until it is stored.
        let _reserved = match lends {
            true => Some(self.leases.reserve(&mount.id, &asker.user, &asker.request).await?),
            false => None,
        };
        let mut attempts = self.attempts(mount, path.path(), &operation, asker)?;
        loop {
            let mut outcome = attempts.run(handle(path.path(), &operation)).await?;
            let (mut writes, spec) = (outcome.writes, outcome.value.lease.take());
            let mut answer = outcome.value.object();
            // Before anything is stored: what the client is not told of it could not give back.
            if RESERVED.iter().any(|reserved| answer.contains_key(*reserved)) {
                return Err(Error::Contract("a reserved name in the answer"));
            }
            if spec.is_some() && !lends {
                return Err(Error::Contract("a lease from a call or an engine that can make none"));
            }
            let borrower = asker.borrower(permit.action());
            let lease = match spec {
                Some(spec) => {
                    // Whoever takes it back later must still be there.
                    self.mounts.rest_on(&mut writes, mount).await?;
                    Some(self.leases.issue(&mut writes, &mount.id, path, &borrower, spec))
                }
                None => None,
            };
            if attempts.commit(writes, outcome.may_rerun).await? {
                answer.insert("secret_id".to_owned(), json!(path.to_string()));
                if !outcome.value.warnings.is_empty() {
                    answer.insert("warnings".to_owned(), json!(outcome.value.warnings));
                }
                if let Some(lease) = lease {
                    answer.insert("lease".to_owned(), told(&lease));
                }
                return Ok(answer);
            }
        }
    }

    /// Runs the engine until what it wrote is stored, for an operation that lends nothing.
    pub(super) async fn ask(
        &self,
        mount: &Mount,
        path: &str,
        operation: &Operation,
        asker: &Asker,
    ) -> Result<Response, Error> {
        let mut attempts = self.attempts(mount, path, operation, asker)?;
        loop {
            let outcome = attempts.run(handle(path, operation)).await?;
            if outcome.value.lease.is_some() {
                return Err(Error::Contract("a lease where none can be made"));
            }
            if attempts.commit(outcome.writes, outcome.may_rerun).await? {
                return Ok(outcome.value);
            }
        }
    }

    fn attempts(
        &self,
        mount: &Mount,
        path: &str,
        operation: &Operation,
        asker: &Asker,
    ) -> Result<Attempts, mount::Error> {
        Ok(self.mounts.call(mount, facts(mount, asker), path)?.read_only(operation.read_only))
    }
}

impl Asker {
    fn borrower(&self, action: &impl Action) -> Borrower {
        let Self { user, session, ends_at, request, .. } = self.clone();
        Borrower { user, session, ends_at, request, granted: GrantedAction::of(action) }
    }
}

fn told(lease: &Lease) -> Value {
    let Lease { id, expires_at, max_expires_at, renewable, .. } = lease;
    let (id, ends, most) = (id.to_string(), expires_at.to_string(), max_expires_at.to_string());
    json!({"lease_id": id, "expires_at": ends, "max_expires_at": most, "renewable": renewable})
}

fn handle(path: &str, operation: &Operation) -> Handle {
    let body = Zeroizing::new(serde_json::to_vec(&operation.body).expect("JSON serialises"));
    Handle(Request { operation: operation.name.clone(), path: path.to_owned(), body: body.into() })
}

fn facts(mount: &Mount, asker: &Asker) -> Facts {
    Facts {
        mount_path: mount.name.to_string(),
        request_id: asker.request.to_string(),
        principal: Some(asker.user.to_string()),
        principal_name: Some(asker.name.to_string()),
        client_address: asker.address,
        headers: mount.shown(&asker.headers),
        ..Facts::default()
    }
}
