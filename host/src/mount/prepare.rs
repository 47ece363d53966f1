//! Prove, persist, publish: how a mount's setting changes.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use serde_json::Value;

use super::removed;
use super::{Attempts, Error, Kind, Mount, MountId, MountName, Mounts, Record, Refusal, Spec, State};
use crate::{
    barrier::{Stored, Writes},
    catalog::{self, Found, Manifest, Wanted},
    fence::Counter,
    problem::Problem,
    runtime::{Bounds, Check, Facts, Fault, Grant, HostGrant, types::GuestError},
    security,
};

/// A change of a mount that has been tried and can be stored.
#[derive(Debug)]
pub struct Change {
    kind: Kind,
    name: MountName,
    record: Option<Stored<Record>>,
    /// None: the mount is removed.
    spec: Option<Spec>,
    /// What the plugin's `check` told.
    pub notes: Vec<String>,
}

/// A setting with which a plugin could answer.
pub(super) struct Valid {
    pub(super) found: Found,
    pub(super) config: Arc<[u8]>,
    pub(super) grant: Arc<Grant>,
}

impl Mounts {
    /// Tries a new value of a mount's setting with the real plugin.
    pub async fn prepare(&self, kind: Kind, name: MountName, value: &Value) -> Result<Change, Refusal> {
        let spec = Spec::parse(value).map_err(Refusal::Invalid)?;
        let record = self.record(kind, &name).await?;
        if record.as_ref().is_some_and(|record| record.value.plugin != spec.plugin) {
            return Err(Problem::new("/plugin", "mount_holds_data", "holds what another plugin has stored").into());
        }
        self.check_second(kind, &name, &spec)?;
        let notes = self.prove(kind, &name, &spec, record.as_ref().map(|record| record.value.id.clone())).await?;
        Ok(Change { kind, name, record, spec: Some(spec), notes })
    }

    /// A second factor is another auth mount, which says of the server's own users that it is them.
    fn check_second(&self, kind: Kind, name: &MountName, spec: &Spec) -> Result<(), Problem> {
        let Some(second) = &spec.second else { return Ok(()) };
        if kind != Kind::Auth || second.mount == *name {
            return Err(Problem::new("/second", "invalid_value", "is for an auth mount, and names another one"));
        }
        let mount = self.get(Kind::Auth, &second.mount);
        let live = mount.as_ref().and_then(|mount| mount.live().ok());
        match live.is_some_and(|live| live.proves_users() && live.plugin.exports().credentials) {
            true => Ok(()),
            false => Err(Problem::new("/second/mount", "unknown_mount", "is not a mount that can be a second factor")),
        }
    }

    pub async fn prepare_removal(&self, kind: Kind, name: MountName) -> Result<Change, Error> {
        let record = self.record(kind, &name).await?;
        Ok(Change { kind, name, record, spec: None, notes: Vec::new() })
    }

    /// Adds to the batch of the setting what belongs with it. Answers the id of a mount that is
    /// removed by it.
    pub fn propose(&self, to: &mut Writes, change: &Change) -> Option<MountId> {
        let view = &self.0.view;
        let key = format!("{}/{}", change.kind.as_str(), change.name);
        view.expect_as_read(to, &key, change.record.as_ref());
        self.0.fence.raise(to, Counter::Mounts);
        let old = change.record.as_ref().map(|record| record.value.clone());
        match (&change.spec, old) {
            (Some(spec), None) => {
                let record = Record { id: MountId::new(), plugin: spec.plugin.clone(), created_at: self.0.clock.now() };
                view.put(to, &key, &record, None);
                None
            }
            (None, Some(record)) => {
                view.delete(to, &key);
                view.put(to, &removed::key(&record.id), &self.0.clock.now(), None);
                Some(record.id)
            }
            _ => None,
        }
    }

    /// Where the members of a mount's value are that are never shown, below its `config`. None:
    /// the plugin is not there to say.
    pub fn secret_members(&self, value: &Value) -> Option<Vec<String>> {
        let spec = Spec::parse(value).ok()?;
        let found = self.0.catalog.find(&spec.plugin, &Wanted::parse(&spec.version).ok()?).ok()?;
        Some(found.component.manifest.config.write_only().to_vec())
    }

    /// Is the plugin there, the configuration valid, and everything granted that was asked for?
    pub(super) fn validate(&self, kind: Kind, spec: &Spec) -> Result<Valid, Refusal> {
        let wanted = Wanted::parse(&spec.version)
            .map_err(|_| Problem::new("/version", "invalid_value", "must be a version, or shipped"))?;
        let found = self.0.catalog.find(&spec.plugin, &wanted).map_err(|error| match error {
            catalog::Error::UnknownVersion => {
                Problem::new("/version", "unknown_version", "is not a version of this plugin that is here")
            }
            _ => Problem::new("/plugin", "unknown_plugin", "is not a plugin that is here"),
        })?;
        let manifest = &found.component.manifest;
        let fits = match manifest.kind {
            catalog::Kind::Auth => Kind::Auth,
            catalog::Kind::Secrets => Kind::Secrets,
        };
        if fits != kind {
            return Err(Problem::new("/plugin", "wrong_kind", "is not a plugin for this kind of mount").into());
        }
        let config = Value::Object(spec.config.clone());
        if let Err(problems) = manifest.check_config(&config) {
            return Err(Refusal::Invalid(problems.into_iter().map(|problem| problem.below("/config")).collect()));
        }
        let config = manifest.config.with_defaults(config);
        let grant = granted(&manifest.asked(&config), spec)?;
        let shown = manifest.config.concealed(config);
        let config = serde_json::to_vec(&shown).expect("JSON serialises").into();
        Ok(Valid { found, config, grant: Arc::new(grant) })
    }

    /// Compiles the plugin and has it check the configuration, with the data it would have.
    async fn prove(
        &self,
        kind: Kind,
        name: &MountName,
        spec: &Spec,
        id: Option<MountId>,
    ) -> Result<Vec<String>, Refusal> {
        let live = Arc::new(self.bring_up(kind, spec).await?);
        let id = id.unwrap_or_else(MountId::new);
        let mount = Mount { id, kind, name: name.clone(), spec: spec.clone(), number: 0, state: State::Disabled };
        let facts = Facts { mount_path: name.to_string(), ..Facts::default() };
        let inner = &self.0;
        let parts = (&inner.barrier, &inner.clock, &inner.queues);
        let mut attempts =
            Attempts::new(parts, &mount, &live, (facts, ""), (self.bounds(live.manifest()), self.passwords()));
        match attempts.run(Check).await {
            Ok(outcome) => Ok(outcome.value),
            Err(Error::Fault(Fault::Refused(error))) => Err(refused(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// What the manifest asks for, capped by the rules.
    pub(super) fn bounds(&self, manifest: &Manifest) -> Bounds {
        let rules = self.0.security.rules();
        let (asked, most) = (manifest.bounds(), &rules.plugins);
        Bounds {
            memory: asked.memory.min(security::bytes(&most.max_memory).unwrap_or(asked.memory)),
            cpu: asked.cpu.min(Duration::from_millis(most.max_cpu_ms.into())),
            wall: asked.wall.min(Duration::from_millis(most.max_wall_ms.into())),
            ..asked
        }
    }
}

/// What the plugin's `check` has against the configuration: `at` points into it.
fn refused(error: GuestError) -> Refusal {
    match error.problems.is_empty() {
        true => Problem::new("/config", "invalid_value", error.message).into(),
        false => Refusal::Invalid(error.problems.into_iter().map(|problem| problem.below("/config")).collect()),
    }
}

/// Hosts and headers are given by name, and only what is asked for; the host's own functions
/// come with the plugin.
fn granted(asked: &Grant, spec: &Spec) -> Result<Grant, Refusal> {
    let mut grant = Grant { crypto: asked.crypto.clone(), ..Grant::default() };
    for (at, name) in spec.grant.http.iter().enumerate() {
        let at = || format!("/grant/http/{at}");
        let (name, networks) = networks(name).ok_or_else(|| no_network(at()))?;
        let plain = name.strip_prefix("http://");
        let name = plain.unwrap_or(name);
        let wanted = asked.http.iter().find(|host| format!("{}:{}", host.host, host.port) == *name);
        let host = wanted.ok_or_else(|| not_asked(at()))?;
        grant.http.push(HostGrant { plain: plain.is_some(), networks, ..host.clone() });
    }
    for (at, name) in spec.grant.headers.iter().enumerate() {
        if !asked.headers.contains(name) {
            return Err(not_asked(format!("/grant/headers/{at}")).into());
        }
        grant.headers.insert(name.clone());
    }
    Ok(grant)
}

/// `host:port 10.1.0.0/16`: a host, and the private networks in which it may be.
fn networks(name: &str) -> Option<(&str, Vec<IpNet>)> {
    let (host, networks) = name.split_once(' ').unwrap_or((name, ""));
    let networks = networks.split_ascii_whitespace().map(|net| net.parse().ok());
    Some((host, networks.collect::<Option<_>>()?))
}

fn no_network(at: String) -> Problem {
    Problem::new(at, "invalid_value", "must be host:port, or host:port and networks in CIDR notation")
}

fn not_asked(at: String) -> Problem {
    Problem::new(at, "not_asked_for", "is not what the plugin asks for")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(http: &[&str]) -> Result<Vec<HostGrant>, Refusal> {
        let host = |host: &str, port| HostGrant { host: host.to_owned(), port, ..HostGrant::default() };
        let asked = Grant { http: vec![host("api.example", 443), host("git.corp", 8080)], ..Grant::default() };
        let mut spec = Spec::shipped(crate::ids::PluginName::parse("kv").unwrap());
        spec.grant.http = http.iter().map(|name| (*name).to_owned()).collect();
        granted(&asked, &spec).map(|grant| grant.http)
    }

    #[test]
    fn a_host_is_granted_by_name_and_its_private_networks_beside_it() {
        let granted = grant(&["api.example:443", "http://git.corp:8080 10.1.0.0/16 fd00::/8"]).unwrap();
        assert!(!granted[0].plain && granted[0].networks.is_empty());
        assert_eq!((granted[1].host.as_str(), granted[1].plain, granted[1].networks.len()), ("git.corp", true, 2));
        for bad in ["api.example", "api.example:443 10.0.0.1x", "other.example:443", "api.example:80", ""] {
            assert!(grant(&[bad]).is_err(), "{bad}");
        }
    }
}
