//! What a change of a mount's setting would do with what stands in its configuration: show a secret, send it to
//! somebody else, or ask somebody else who people are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Mounts, Spec, grant};
use crate::{
    catalog::{Found, HttpAsk, Target},
    problem,
    runtime::{Grant, egress::Credentials},
};

/// A value of a setting as its plugin understands it.
struct Understood {
    config: Value,
    given: Grant,
    bound: Credentials,
    found: Found,
}

impl Understood {
    fn write_only(&self) -> &[String] {
        self.found.component.manifest.config.write_only()
    }

    /// It, or all of what it stands in, is a secret.
    fn hides(&self, place: &str) -> bool {
        let below =
            |secret: &str| place.strip_prefix(secret).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.write_only().iter().any(|secret| below(secret))
    }
}

impl Mounts {
    fn understood(&self, value: &Value) -> Option<Understood> {
        let spec = Spec::parse(value).ok()?;
        let found = self.find(&spec).ok()?;
        let manifest = &found.component.manifest;
        let config = manifest.config.with_defaults(Value::Object(spec.config.clone()));
        let given = grant::given(&spec, &manifest.asked(&config));
        let bound = manifest.credentials(&config);
        Some(Understood { config, given, bound, found })
    }

    /// What of the configuration nobody may carry over from the old value into the new one, who does not know it: JSON
    /// Pointers. Secrets that the new one would hand to a host that had no part in it, or would not hide any more. Who may
    /// change a setting may not learn so what stands in it. If nobody can say what was a secret, all of it was.
    pub fn exposed(&self, old: &Value, new: &Value) -> Vec<String> {
        // What cannot be read is refused elsewhere, with its place.
        let Some(is) = self.understood(new) else { return Vec::new() };
        let is_there = |place: &String| is.config.pointer(place).is_some_and(|value| !value.is_null());
        let Some(was) = self.understood(old) else {
            let members = is.config.as_object().into_iter().flatten().map(|(name, _)| problem::pointer("", name));
            return members.filter(is_there).collect();
        };
        let elsewhere = !is.given.http.iter().all(|host| was.given.http.contains(host));
        let bound_otherwise = |name: &str| {
            let (before, now) = (was.bound.0.get(name), is.bound.0.get(name));
            now.is_some_and(|now| {
                before.is_none_or(|before| {
                    before.place != now.place || !now.hosts.iter().all(|host| before.hosts.contains(host))
                })
            })
        };
        let manifest = &is.found.component.manifest;
        let rebound = |place: &str| manifest.credentials_from(place).any(bound_otherwise);
        let sent = is.write_only().iter().filter(|place| elsewhere || rebound(place));
        let shown = was.write_only().iter().filter(|place| !is.hides(place));
        let exposed: BTreeSet<&String> = sent.chain(shown).filter(|place| is_there(place)).collect();
        exposed.into_iter().cloned().collect()
    }

    /// Where the configuration names hosts that are asked who somebody is, and names another one than before.
    pub fn moved(&self, old: &Value, new: &Value) -> Vec<String> {
        let Some(is) = self.understood(new) else { return Vec::new() };
        let was = self.understood(old);
        let before = was.as_ref().map_or_else(|| old.get("config").unwrap_or(&Value::Null), |was| &was.config);
        let asks = |understood: &Understood| understood.found.component.manifest.requires.http.clone();
        let asked: Vec<HttpAsk> = was.iter().chain([&is]).flat_map(asks).collect();
        let places: BTreeSet<&str> = asked
            .iter()
            .filter_map(|ask| match ask.target() {
                Target::FromConfig(place) => Some(place),
                Target::Host(_) => None,
            })
            .collect();
        let is_other = |place: &&str| {
            let [before, now] = [before, &is.config].map(|config| config.pointer(place).unwrap_or(&Value::Null));
            before != now
        };
        places.into_iter().filter(is_other).map(str::to_owned).collect()
    }

    /// May its plugin say of the host's own users that it is them? So it is held if nobody can tell.
    pub fn would_prove_users(&self, spec: &Spec) -> bool {
        self.find(spec).map_or(true, |found| found.component.manifest.auth.proves_users())
    }
}
