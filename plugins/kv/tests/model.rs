//! Any row of calls comes out as a simple model of the rules says, and leaves no stray entry.

use std::collections::{BTreeMap, BTreeSet};

use coffer_plugin_kv::Kv;
use coffer_plugin_sdk::{
    Result,
    serde_json::{Value, json},
    testing::Host,
};
use proptest::prelude::*;

const MOST: usize = 3;
const PATHS: [&str; 4] = ["a", "a/1", "a/b", "b"];

#[derive(Clone, Debug)]
enum Step {
    Create { ttl: Option<u64> },
    Update { ttl: Option<Option<u64>>, expected: Option<u64> },
    Patch,
    Delete,
    Read { version: Option<u64> },
    Restore { version: u64 },
    Undelete { version: Option<u64> },
    Destroy { version: u64 },
    Purge,
    Wait { millis: u64 },
}

#[derive(Default)]
struct Model {
    now: u64,
    written: u64,
    secrets: BTreeMap<&'static str, Secret>,
}

struct Secret {
    expires_at: Option<u64>,
    newest: u64,
    versions: BTreeMap<u64, Version>,
}

struct Version {
    data: Value,
    deleted: bool,
    destroyed: bool,
}

type Verdict = std::result::Result<u64, &'static str>;

impl Secret {
    fn is_readable(&self, version: u64) -> bool {
        self.versions.get(&version).is_some_and(|v| !v.deleted && !v.destroyed)
    }

    fn add(&mut self, data: Value) -> Verdict {
        self.newest += 1;
        self.versions.insert(self.newest, Version { data, deleted: false, destroyed: false });
        while self.versions.len() > MOST {
            self.versions.pop_first();
        }
        Ok(self.newest)
    }
}

impl Model {
    fn data(&mut self) -> Value {
        self.written += 1;
        json!({"written": self.written})
    }

    /// The version that the call answers, or its code.
    fn take(&mut self, path: &'static str, step: &Step) -> Verdict {
        let now = self.now;
        self.secrets.retain(|_, secret| secret.expires_at.is_none_or(|end| end > now));
        let end = |ttl: u64| now + ttl * 1000;
        let data = self.data();
        let secret = self.secrets.get_mut(path);
        let fresh = Secret { expires_at: None, newest: 0, versions: BTreeMap::new() };
        match (step, secret) {
            (Step::Wait { millis }, _) => {
                self.now += millis;
                Ok(0)
            }
            (Step::Create { .. }, Some(_)) => Err("exists"),
            (Step::Create { ttl }, None) => {
                let secret = Secret { expires_at: ttl.map(end), ..fresh };
                self.secrets.entry(path).or_insert(secret).add(data)
            }
            (Step::Update { expected: Some(expected), .. }, found)
                if *expected != found.as_ref().map_or(0, |secret| secret.newest) =>
            {
                Err("conflict")
            }
            (Step::Update { ttl, .. }, _) => {
                let secret = self.secrets.entry(path).or_insert(fresh);
                if let Some(ttl) = ttl {
                    secret.expires_at = ttl.map(end);
                }
                secret.add(data)
            }
            (_, None) => Err("not-found"),
            (Step::Patch, Some(secret)) if secret.is_readable(secret.newest) => {
                let mut merged = secret.versions[&secret.newest].data.clone();
                merged["patched"] = data["written"].clone();
                secret.add(merged)
            }
            (Step::Delete, Some(secret)) if secret.is_readable(secret.newest) => {
                let newest = secret.newest;
                secret.versions.get_mut(&newest).unwrap().deleted = true;
                Ok(newest)
            }
            (Step::Patch | Step::Delete, Some(_)) => Err("not-found"),
            (Step::Read { version }, Some(secret)) => {
                let version = version.unwrap_or(secret.newest);
                if secret.is_readable(version) { Ok(version) } else { Err("not-found") }
            }
            (Step::Restore { version }, Some(secret)) if secret.is_readable(*version) => {
                let data = secret.versions[version].data.clone();
                secret.add(data)
            }
            (Step::Restore { .. }, Some(_)) => Err("invalid"),
            (Step::Undelete { version }, Some(secret)) => {
                let absent = if version.is_some() { "invalid" } else { "not-found" };
                let newest = secret.newest;
                let found = secret.versions.get_mut(&version.unwrap_or(newest)).filter(|version| !version.destroyed);
                found.ok_or(absent)?.deleted = false;
                Ok(newest)
            }
            (Step::Destroy { version }, Some(secret)) => {
                secret.versions.get_mut(version).ok_or("invalid")?.destroyed = true;
                Ok(0)
            }
            (Step::Purge, Some(_)) => {
                self.secrets.remove(path);
                Ok(0)
            }
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for (path, secret) in &self.secrets {
            if secret.expires_at.is_some_and(|end| end <= self.now) {
                continue;
            }
            let place = if secret.is_readable(secret.newest) { "live" } else { "gone" };
            keys.insert(format!("{place}/{path}"));
            let kept = secret.versions.iter().filter(|(_, version)| !version.destroyed);
            keys.extend(kept.map(|(number, _)| format!("data/{path}/{number}")));
        }
        keys
    }
}

fn call(host: &Host, model: &mut Model, path: &str, step: &Step) -> Result<Value> {
    let written = model.written + 1;
    let data = json!({"written": written});
    match step {
        Step::Create { ttl } => host.post::<Kv>("create", path, json!({"data": data, "ttl": ttl})),
        Step::Update { ttl, expected } => {
            let mut body = json!({"data": data, "expected_version": expected});
            if let Some(ttl) = ttl {
                body["ttl"] = json!(ttl);
            }
            host.post::<Kv>("update", path, body)
        }
        Step::Patch => host.post::<Kv>("patch", path, json!({"data": {"patched": written}})),
        Step::Delete => host.post::<Kv>("delete", path, json!({})),
        Step::Read { version } => host.get::<Kv>("read", path, json!({"version": version.map(|v| v.to_string())})),
        Step::Restore { version } => host.post::<Kv>("restore", path, json!({"version": version})),
        Step::Undelete { version } => host.post::<Kv>("undelete", path, json!({"version": version})),
        Step::Destroy { version } => host.post::<Kv>("destroy", path, json!({"versions": [version]})),
        Step::Purge => host.post::<Kv>("purge", path, json!({})),
        Step::Wait { millis } => {
            host.advance_ms(*millis);
            Ok(json!({}))
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let version = 1..6_u64;
    prop_oneof![
        2 => prop::option::of(1..4_u64).prop_map(|ttl| Step::Create { ttl }),
        5 => (prop::option::of(prop::option::of(1..4_u64)), prop::option::weighted(0.3, 0..4_u64))
            .prop_map(|(ttl, expected)| Step::Update { ttl, expected }),
        2 => Just(Step::Patch),
        2 => Just(Step::Delete),
        2 => prop::option::of(version.clone()).prop_map(|version| Step::Read { version }),
        1 => version.clone().prop_map(|version| Step::Restore { version }),
        1 => prop::option::of(version.clone()).prop_map(|version| Step::Undelete { version }),
        1 => version.prop_map(|version| Step::Destroy { version }),
        1 => Just(Step::Purge),
        2 => prop::sample::select(vec![1, 500, 999, 1000, 2500]).prop_map(|millis| Step::Wait { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_row_of_calls_comes_out_as_the_model_says(
        steps in prop::collection::vec((0..PATHS.len(), step()), 1..40)
    ) {
        let host = Host::new();
        host.set_config(json!({"max_versions": MOST}));
        let mut model = Model::default();
        for (at, step) in steps {
            let path = PATHS[at];
            let answer = call(&host, &mut model, path, &step);
            let verdict = model.take(path, &step);
            match (&answer, verdict) {
                (Ok(answer), Ok(version)) => {
                    if version > 0 {
                        prop_assert_eq!(answer["version"].as_u64(), Some(version), "{:?}", step);
                    }
                    if let Step::Read { .. } = step {
                        prop_assert_eq!(&answer["data"], &model.secrets[path].versions[&version].data);
                    }
                }
                (Err(error), Err(code)) => prop_assert_eq!(&error.code, code, "{:?}", step),
                (answer, verdict) => prop_assert!(false, "{step:?}: {answer:?}, expected {verdict:?}"),
            }
            prop_assert_eq!(host.keys().into_iter().collect::<BTreeSet<_>>(), model.keys());
            let page = host.get::<Kv>("list", "", json!({"recursive": true})).unwrap();
            let listed: Vec<String> =
                page["entries"].as_array().unwrap().iter().map(|e| format!("live/{}", e["name"].as_str().unwrap())).collect();
            let alive: Vec<String> = model.keys().into_iter().filter(|key| key.starts_with("live/")).collect();
            prop_assert_eq!(listed, alive);
        }
    }
}
