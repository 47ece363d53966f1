//! Calls of an auth mount's own, besides logins: `auth/github/groups`. What they are and which action they take, its
//! manifest says.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Client, Error, Login, Refusal,
    begin::{facts, fault},
};
use crate::{
    barrier,
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
        if !live.plugin.exports().engine {
            return Err(Refusal::NoCall.into());
        }
        // What does not fit the manifest never reaches the guest.
        permitted(live.manifest(), of, (method, permit.action().action))?.check(body).map_err(Error::Invalid)?;
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

/// The call, by the manifest of the plugin that gets it.
fn permitted<'a>(
    manifest: &'a Manifest,
    of: &OwnPath,
    (method, action): (Method, Action),
) -> Result<&'a CallSpec, Error> {
    let other = method.other();
    match (declared(manifest, of, method), declared(manifest, of, other)) {
        (Some(call), _) if call.action == action => Ok(call),
        // Another version has come between the decision and the call: what it takes was not decided.
        (Some(_), _) => Err(barrier::Error::Conflict.into()),
        (None, Some(_)) => Err(Refusal::OnlyBy(other.as_str()).into()),
        (None, None) => Err(Refusal::NoCall.into()),
    }
}

/// What the manifest says of it.
fn declared<'a>(manifest: &'a Manifest, of: &OwnPath, method: Method) -> Option<&'a CallSpec> {
    manifest.call(&of.operation, method, of.path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_was_swapped_meanwhile_gets_no_call_that_was_decided_by_the_other() {
        let version = |action: &str| {
            let head = "[plugin]\nname = \"hub\"\nversion = \"1.0.0\"\nkind = \"auth\"\napi = \"1.0\"\n";
            let call = "[[calls]]\npath = \"\"\noperation = \"sync\"\nmethod = \"POST\"\naction";
            Manifest::parse(&format!("{head}{call} = \"{action}\"\n")).unwrap()
        };
        let of = OwnPath { mount: MountName::parse("hub").unwrap(), path: String::new(), operation: "sync".to_owned() };
        let (decided, before, after) = ((Method::Post, Action::Use), version("use"), version("manage"));
        assert!(permitted(&before, &of, decided).is_ok());
        let swapped = permitted(&after, &of, decided);
        assert!(matches!(swapped, Err(Error::Store(barrier::Error::Conflict))), "{swapped:?}");
        let by_get = permitted(&before, &of, (Method::Get, Action::Use));
        assert!(matches!(by_get, Err(Error::Refused(Refusal::OnlyBy("POST")))), "{by_get:?}");
        let none = OwnPath { operation: "other".to_owned(), ..of };
        assert!(matches!(permitted(&before, &none, decided), Err(Error::Refused(Refusal::NoCall))));
    }
}
