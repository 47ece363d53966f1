//! Can this plugin answer with this setting, and may it?

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Attempts, Error, Granted, Installed, Kind, Live, Mount, Mounts, Refusal, Spec, State, compiled::Patience, grant,
};
use crate::{
    catalog::{self, Digest, Found, Manifest, Publisher, Wanted},
    ids::{MountId, MountName},
    problem::Problem,
    runtime::{self, Bounds, Check, Facts, Fault, Grant, egress::Credentials, types::GuestError},
    security::{self, Rules},
};

/// A setting with which a plugin could answer.
pub(super) struct Valid {
    pub(super) found: Found,
    pub(super) config: Arc<[u8]>,
    pub(super) grant: Arc<Grant>,
    pub(super) credentials: Arc<Credentials>,
    /// By name.
    pub(super) asked: Granted,
}

/// How far a version is tried.
pub(super) enum Trial {
    Compile,
    /// With the data of this mount.
    Check(MountId),
}

impl Valid {
    pub(super) fn installed(&self, spec: &Spec) -> Installed {
        let component = &self.found.component;
        Installed {
            version: component.manifest.version.clone(),
            digest: component.digest.clone(),
            wanted: spec.version.clone(),
            config: spec.config.clone(),
            grant: spec.grant.clone(),
            deny: spec.deny.clone(),
            asked: self.asked.clone(),
        }
    }
}

impl Mounts {
    /// Where the members of a mount's value are that are never shown, below its `config`. None:
    /// the plugin is not there to say.
    pub fn secret_members(&self, value: &Value) -> Option<Vec<String>> {
        let found = self.find(&Spec::parse(value).ok()?).ok()?;
        Some(found.component.manifest.config.write_only().to_vec())
    }

    pub(super) fn find(&self, spec: &Spec) -> Result<Found, Refusal> {
        let wanted = Wanted::parse(&spec.version)
            .map_err(|_| Problem::new("/version", "invalid_value", "must be a version, or shipped"))?;
        self.0.catalog.find(&spec.plugin, &wanted).map_err(|error| match error {
            catalog::Error::UnknownVersion => {
                Problem::new("/version", "unknown_version", "is not a version of this plugin that is here").into()
            }
            _ => Problem::new("/plugin", "unknown_plugin", "is not a plugin that is here").into(),
        })
    }

    /// Is the plugin there, and the configuration valid? Gives what is granted of what it asks for.
    pub(super) async fn validate(&self, kind: Kind, spec: &Spec) -> Result<Valid, Refusal> {
        let found = self.find(spec)?;
        let manifest = &found.component.manifest;
        let fits = match manifest.kind {
            catalog::Kind::Auth => Kind::Auth,
            catalog::Kind::Secrets => Kind::Secrets,
        };
        if fits != kind {
            return Err(Problem::new("/plugin", "wrong_kind", "is not a plugin for this kind of mount").into());
        }
        // The schema is bounded in itself, and over a large configuration may take a while all the same.
        let (component, config) = (found.component.clone(), Value::Object(spec.config.clone()));
        let checking = tokio::task::spawn_blocking(move || (component.manifest.check_config(&config), config));
        let (checked, config) =
            checking.await.map_err(|_| Error::Broken("its setting could not be checked".to_owned()))?;
        if let Err(problems) = checked {
            return Err(Refusal::Invalid(problems.into_iter().map(|problem| problem.below("/config")).collect()));
        }
        let config = manifest.config.with_defaults(config);
        let asked = manifest.asked(&config);
        let grant = Arc::new(grant::given(spec, &asked));
        let credentials = Arc::new(manifest.credentials(&config));
        let shown = manifest.config.concealed(config);
        let config = serde_json::to_vec(&shown).expect("JSON serialises").into();
        let subjects = if manifest.auth.proves_users() { vec!["users".to_owned()] } else { Vec::new() };
        let asked = Granted { subjects, ..grant::names(&asked) };
        Ok(Valid { found, config, grant, credentials, asked })
    }

    /// May this plugin run at all, by the rules of this moment?
    pub fn check_trust(&self, digest: &Digest, publisher: Publisher) -> Result<(), Problem> {
        match barred(&self.0.security.rules(), digest, publisher) {
            None => Ok(()),
            Some(Barred { code, why }) => Err(Problem::new("/version", code, why)),
        }
    }

    /// Compiles the plugin and has it check the configuration, with the data it would have.
    pub(super) async fn prove(
        &self,
        (kind, name): (Kind, &MountName),
        spec: &Spec,
        valid: Valid,
        trial: Trial,
    ) -> Result<(Vec<String>, Arc<Live>), Refusal> {
        let live = Arc::new(self.bring_up(valid, Patience::Endless).await?);
        let Trial::Check(id) = trial else { return Ok((Vec::new(), live)) };
        let mount = Mount::trial(id, kind, name.clone(), spec.clone(), State::Disabled);
        let facts = Facts { mount_path: name.to_string(), ..Facts::default() };
        let inner = &self.0;
        let parts = (&inner.barrier, &inner.clock);
        let mut attempts =
            Attempts::new(parts, &mount, &live, (facts, ""), (self.bounds(live.manifest()), self.passwords()));
        match attempts.run(Check).await {
            Ok(outcome) => Ok((outcome.value, live)),
            Err(Error::Fault(Fault::Refused(error))) => Err(refused(error)),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn bring_up(&self, valid: Valid, patience: Patience) -> Result<Live, Refusal> {
        let Valid { found, config, grant, credentials, .. } = valid;
        let plugin = self.compiled(&found, patience).await?;
        let publisher = found.publisher();
        let (component, queues) = (found.component, Arc::default());
        Ok(Live { plugin, component, publisher, config, grant, credentials, queues, watch: None })
    }

    /// Does it compile? For an upload that no mount uses yet.
    pub async fn try_out(&self, wasm: Arc<[u8]>) -> Result<(), Error> {
        self.0.runtime.compile(wasm).await.map(drop).map_err(|error| why(&error))
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

/// The engine's own trouble is nothing to the plugin.
pub(super) fn why(error: &runtime::Error) -> Error {
    match error {
        runtime::Error::Engine(_) => Error::Passing(error.to_string()),
        _ => Error::Broken(error.to_string()),
    }
}

/// Why a plugin may not run, whatever its mount's setting says.
pub(super) struct Barred {
    pub(super) code: &'static str,
    pub(super) why: &'static str,
}

/// Asked for every call, so that whom the rules trust no longer is stopped by the next one.
pub(super) fn barred(rules: &Rules, digest: &Digest, publisher: Publisher) -> Option<Barred> {
    let barred = |code, why| Some(Barred { code, why });
    let plugins = &rules.plugins;
    if plugins.denied.iter().any(|denied| denied == digest.as_str()) {
        return barred("denied_plugin", "is denied by the rules of this server");
    }
    match publisher {
        _ if !plugins.require_signature => None,
        Publisher::Shipped => None,
        Publisher::Unsigned => barred("unsigned", "has no signature, which the rules of this server demand"),
        Publisher::Key(key) if plugins.publishers.contains(&key) => None,
        Publisher::Key(_) => barred("unknown_publisher", "is signed by nobody whom this server trusts"),
    }
}

/// What the plugin's `check` has against the configuration: `at` points into it. That it cannot say now, or has failed, is
/// nothing against the configuration.
fn refused(error: GuestError) -> Refusal {
    if !error.is_ordinary() || matches!(error.code.as_str(), "unavailable" | "rate-limited") {
        return Error::Fault(Fault::Refused(error)).into();
    }
    match error.problems.is_empty() {
        true if error.message.is_empty() => Problem::new("/config", "invalid_value", "is not valid").into(),
        true => Problem::new("/config", "invalid_value", error.message).into(),
        false => Refusal::Invalid(error.problems.into_iter().map(|problem| problem.below("/config")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> GuestError {
        let retry_after = Some(Duration::from_secs(7));
        GuestError { code: code.to_owned(), message: "so it is".to_owned(), problems: Vec::new(), retry_after }
    }

    #[test]
    fn what_is_no_fault_of_a_configuration_is_not_said_to_be() {
        for code in ["unavailable", "rate-limited", "internal", "acme-limit"] {
            match refused(error(code)) {
                Refusal::Failed(Error::Fault(Fault::Refused(told))) => {
                    assert_eq!((told.code.as_str(), told.retry_after), (code, Some(Duration::from_secs(7))));
                }
                other => panic!("{code}: {other:?}"),
            }
        }
        for code in ["invalid", "denied", "not-found"] {
            match refused(error(code)) {
                Refusal::Invalid(problems) => assert_eq!((problems[0].at.as_str(), problems.len()), ("/config", 1)),
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
