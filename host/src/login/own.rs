//! Calls of an auth mount's own, besides logins: `auth/github/groups`. What they are and which action they take, its
//! manifest says.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Client, Error, Login, Refusal,
    begin::{facts, fault},
};
use crate::{
    catalog::{CallSpec, Manifest, Method},
    directory::User,
    ids::{Action, MountName},
    mount::Kind,
    policy::{Permit, Resource, Verb},
    runtime::{Facts, Handle, types::Request},
};

/// What such a call is about: `auth/<mount>/<path>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnPath {
    pub mount: MountName,
    /// What it is done to; empty for the mount itself.
    pub path: String,
    /// The last segment.
    pub operation: String,
}

impl Resource for OwnPath {
    fn path(&self) -> String {
        let Self { mount, path, operation } = self;
        match path.is_empty() {
            true => format!("auth/{mount}/{operation}"),
            false => format!("auth/{mount}/{path}/{operation}"),
        }
    }
}

impl Login {
    /// Which action it takes. One that nobody knows takes `manage`: who may not learns nothing, and who may learns
    /// afterwards that there is none.
    pub fn own_action(&self, of: &OwnPath, method: Method) -> Verb {
        let declared = || {
            let mount = self.mounts.get(Kind::Auth, &of.mount)?;
            declared(mount.live().ok()?.manifest(), of, method).map(|call| call.action)
        };
        Verb { action: declared().unwrap_or(Action::Manage), name: of.operation.clone() }
    }

    /// Runs the plugin's engine until what it wrote is stored. By GET it may write nothing.
    pub async fn own_call(
        &self,
        permit: &Permit<Verb, OwnPath>,
        (method, body): (Method, &Map<String, Value>),
        (user, client): (&User, &Client),
    ) -> Result<Map<String, Value>, Error> {
        let of = permit.resource();
        let mount = self.mounts.get(Kind::Auth, &of.mount).ok_or(Refusal::NoCall)?;
        let live = mount.live()?;
        let other = if method == Method::Get { Method::Post } else { Method::Get };
        match (declared(live.manifest(), of, method), declared(live.manifest(), of, other)) {
            _ if !live.plugin.exports().engine => return Err(Refusal::NoCall.into()),
            // What does not fit the manifest never reaches the guest.
            (Some(call), _) => call.check(body).map_err(Error::Invalid)?,
            (None, Some(_)) => return Err(Refusal::OnlyBy(other.as_str()).into()),
            (None, None) => return Err(Refusal::NoCall.into()),
        }
        let facts = Facts {
            principal: Some(user.id.to_string()),
            principal_name: Some(user.username.to_string()),
            ..facts(&mount, client, None)
        };
        let body = Zeroizing::new(serde_json::to_vec(body).expect("JSON serialises"));
        let mut attempts = self.mounts.call(&mount, facts, &of.path)?.read_only(method == Method::Get);
        loop {
            let (operation, path) = (of.operation.clone(), of.path.clone());
            let outcome = attempts.run(Handle(Request { operation, path, body: body.clone().into() })).await?;
            if outcome.value.lease.is_some() {
                return Err(fault("a lease from an auth mount"));
            }
            if attempts.commit(outcome.writes, outcome.may_rerun).await? {
                let mut answer = outcome.value.object();
                if answer.contains_key("warnings") {
                    return Err(fault("a reserved name in the answer"));
                }
                if !outcome.value.warnings.is_empty() {
                    answer.insert("warnings".to_owned(), outcome.value.warnings.into());
                }
                return Ok(answer);
            }
        }
    }
}

/// What the manifest says of it.
fn declared<'a>(manifest: &'a Manifest, of: &OwnPath, method: Method) -> Option<&'a CallSpec> {
    manifest.call(&of.operation, method, of.path.is_empty())
}
