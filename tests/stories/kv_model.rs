//! Secrets against a model of them: random calls on both databases at once, which must answer alike and as the
//! model says. PATCH is RFC 7396; a listing shows what is there, no more than the caller may list, whole and in
//! byte order however it is cut into pages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, Client, Sessions, Storage, TestServer, eventually};

#[derive(Clone, Debug)]
enum Call {
    Create(Value, Value),
    Put(Value, Option<u64>),
    Patch(Value),
    Describe(Value),
    Delete,
    Undelete,
    Restore(u64),
    Destroy(u64),
    Purge,
    Read(Option<u64>),
}

/// Texts that stand nowhere else: whatever is not a name is a secret.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        // Up to 15 digits, which every number of JSON holds.
        1 => (any::<i32>(), 0..4).prop_map(|(whole, places)| (f64::from(whole) / 10_f64.powi(places)).into()),
        2 => "[a-zé]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            3 => prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]|é|", json_value(), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn call() -> impl Strategy<Value = Call> {
    let version = || prop::option::of(0..6_u64);
    prop_oneof![
        4 => (object(), object()).prop_map(|(data, metadata)| Call::Create(data, metadata)),
        4 => (object(), version()).prop_map(|(data, expected)| Call::Put(data, expected)),
        5 => object().prop_map(Call::Patch),
        2 => object().prop_map(Call::Describe),
        2 => Just(Call::Delete),
        2 => Just(Call::Undelete),
        1 => (1..6_u64).prop_map(Call::Restore),
        1 => (1..6_u64).prop_map(Call::Destroy),
        1 => Just(Call::Purge),
        3 => version().prop_map(Call::Read),
    ]
}

/// Few enough that calls meet, with a secret and a folder of one name, and all that bytes are ordered by.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["a", "a/a", "a/b", "a/a/Z", "a b", "a b/x", "Z", "é/~x", "é/a", "~x", "~x/y", "b", "b/a", "n/o/ne"][..],
    )
}

#[derive(Clone, Default)]
struct Version {
    data: Value,
    deleted: bool,
    destroyed: bool,
}

#[derive(Clone, Default)]
struct Secret {
    versions: Vec<Version>,
    metadata: Value,
}

/// What is in the caller's own folder.
#[derive(Default)]
struct Model(BTreeMap<String, Secret>);

/// A status, and the data that is read.
type Told = (u16, Option<Value>);

impl Model {
    fn call(&mut self, name: &str, call: &Call) -> Told {
        if hidden(name) {
            return (403, None);
        }
        let found = self.0.get_mut(name);
        let told = |status| (status, None);
        match (call, found) {
            (Call::Create(..), Some(_)) => told(422),
            (Call::Create(data, metadata), None) => {
                let secret = Secret { versions: Vec::new(), metadata: metadata.clone() };
                self.0.entry(name.to_owned()).or_insert(secret).write(data.clone());
                told(200)
            }
            (Call::Put(data, expected), found) => {
                let current = found.as_ref().map_or(0, |secret| secret.versions.len() as u64);
                if expected.is_some_and(|expected| expected != current) {
                    return told(409);
                }
                let secret = self
                    .0
                    .entry(name.to_owned())
                    .or_insert_with(|| Secret { metadata: json!({}), ..Secret::default() });
                secret.write(data.clone());
                told(200)
            }
            (_, None) => told(404),
            (Call::Patch(patch), Some(secret)) => {
                let Some(mut data) = secret.readable() else { return told(404) };
                merge(&mut data, patch);
                secret.write(data);
                told(200)
            }
            (Call::Describe(patch), Some(secret)) => {
                merge(&mut secret.metadata, patch);
                told(200)
            }
            (Call::Delete, Some(secret)) => {
                let readable = secret.readable().is_some();
                secret.versions.last_mut().into_iter().for_each(|newest| newest.deleted = true);
                told(if readable { 200 } else { 404 })
            }
            (Call::Undelete, Some(secret)) => {
                let newest = secret.versions.last_mut().filter(|newest| !newest.destroyed);
                let Some(newest) = newest else { return told(404) };
                newest.deleted = false;
                told(200)
            }
            (Call::Restore(number), Some(secret)) => match secret.version(*number) {
                Some(version) => {
                    secret.write(version);
                    told(200)
                }
                None => told(422),
            },
            (Call::Destroy(number), Some(secret)) => match secret.kept(*number) {
                Some(version) => {
                    version.destroyed = true;
                    told(200)
                }
                None => told(422),
            },
            (Call::Purge, Some(_)) => {
                self.0.remove(name);
                told(200)
            }
            (Call::Read(number), Some(secret)) => {
                let read = secret.version(number.unwrap_or(secret.versions.len() as u64));
                read.map_or(told(404), |data| (200, Some(data)))
            }
        }
    }

    /// Secrets and folders below one, as a listing shows them.
    fn list(&self, below: &str, recursive: bool) -> (Vec<String>, Vec<String>) {
        let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
        let (mut secrets, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for (name, _) in self.0.iter().filter(|(_, secret)| secret.readable().is_some()) {
            match name.strip_prefix(&prefix).map(|rest| rest.split_once('/')) {
                Some(Some((folder, _))) if !recursive => drop(folders.insert(format!("{prefix}{folder}/"))),
                Some(_) => drop(secrets.insert(name.clone())),
                None => {}
            }
        }
        (secrets.into_iter().collect(), folders.into_iter().collect())
    }
}

impl Secret {
    fn write(&mut self, data: Value) {
        self.versions.push(Version { data, ..Version::default() });
    }

    fn kept(&mut self, number: u64) -> Option<&mut Version> {
        let versions = self.versions.len() as u64;
        self.versions.get_mut(number.checked_sub(1)? as usize).filter(|_| versions - number < 10)
    }

    fn version(&mut self, number: u64) -> Option<Value> {
        let version = self.kept(number)?;
        (!version.deleted && !version.destroyed).then(|| version.data.clone())
    }

    fn readable(&self) -> Option<Value> {
        self.clone().version(self.versions.len() as u64)
    }
}

/// RFC 7396, section 2, word for word.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().expect("it is one now");
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.remove(name)),
            value => merge(members.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

/// What the policy of this story keeps from its owner.
fn hidden(name: &str) -> bool {
    name == "b" || name.starts_with("b/")
}

async fn ask(ada: &Client, name: &str, call: &Call) -> Answer {
    let id = format!("kv/~/{name}");
    let whole = percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC).to_string();
    let at = |verb: &str| format!("/secrets/{whole}{verb}");
    match call {
        Call::Create(data, metadata) => {
            ada.post("/secrets/create", json!({ "secret_id": id, "data": data, "metadata": metadata })).await
        }
        Call::Put(data, None) => ada.put(&at(""), json!({ "data": data })).await,
        Call::Put(data, Some(expected)) => {
            ada.put(&at(""), json!({ "data": data, "expected_version": expected })).await
        }
        Call::Patch(patch) => ada.patch(&at(""), json!({ "data": patch })).await,
        Call::Describe(patch) => ada.post(&at(":metadata"), json!({ "metadata": patch })).await,
        Call::Delete => ada.delete(&at("")).await,
        Call::Undelete => ada.post(&at(":undelete"), json!({})).await,
        Call::Restore(version) => ada.post(&at(":restore"), json!({ "version": version })).await,
        Call::Destroy(version) => ada.post(&at(":destroy"), json!({ "versions": [version] })).await,
        Call::Purge => ada.post(&at(":purge"), json!({})).await,
        Call::Read(None) => ada.get(&at("")).await,
        Call::Read(Some(version)) => ada.get(&at(&format!("?version={version}"))).await,
    }
}

/// What must be the same on every server: all but times, ids of users and of requests.
fn alike(value: &Value, user: &str) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !name.ends_with("_at") && *name != "request_id");
            kept.map(|(name, value)| (name.clone(), alike(value, user))).collect()
        }
        Value::Array(values) => values.iter().map(|value| alike(value, user)).collect(),
        Value::String(text) => text.replace(user, "ada").into(),
        other => other.clone(),
    }
}

/// All pages of a listing of that size: names below the caller's folder, and folders.
async fn list(ada: &Client, below: &str, recursive: bool, limit: usize) -> (Vec<String>, Vec<String>) {
    let home = format!("kv/users/{}/", ada.id);
    let (mut secrets, mut folders, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let (prefix, limit) = (format!("kv/~/{below}"), limit.to_string());
        let mut query = vec![("prefix", prefix.as_str()), ("limit", &limit)];
        query.extend(recursive.then_some(("recursive", "true")));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = ada.get("/secrets").query(&query).await.expect(200);
        let (found, below) = (page["secrets"].as_array().expect("a list"), page["folders"].as_array().expect("a list"));
        assert!(found.len() + below.len() <= limit.parse().expect("a number"), "{page}");
        let name = |value: &Value| {
            let told = value.as_str().and_then(|id| id.strip_prefix(&home));
            told.unwrap_or_else(|| panic!("{value} is below {home}")).to_owned()
        };
        secrets.extend(found.iter().map(|one| name(&one["secret_id"])));
        folders.extend(below.iter().map(name));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return (secrets, folders),
        }
    }
}

async fn lists_are_right(ada: &Client, model: &Model) {
    for below in ["", "a", "a/a", "a b", "Z", "é", "~x", "none"] {
        for recursive in [false, true] {
            let expected = model.list(below, recursive);
            for limit in [1, 2, 5, 1000] {
                let found = list(ada, below, recursive, limit).await;
                assert_eq!(found, expected, "{below:?} recursive {recursive} limit {limit}");
            }
        }
    }
}

#[tokio::test]
async fn random_calls_are_answered_as_the_model_says_on_both_databases() {
    let sqlite = TestServer::start().await;
    let postgres = TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Redis).start().await;
    let mut owners = Vec::new();
    for server in [&sqlite, &postgres] {
        let (admin, ada) = (server.admin().await, server.login("ada").await);
        let text = format!(
            r#"forbid (principal == User::"{0}", action, resource in Resource::"secrets/kv/users/{0}/b");"#,
            ada.id
        );
        admin.put("/sys/policies/hidden", json!({ "text": text })).await.expect(200);
        owners.push(ada);
    }
    let (mut runner, calls) = (TestRunner::deterministic(), (name(), call()));
    let mut model = Model::default();
    for round in 0..500 {
        let (name, call) = calls.new_tree(&mut runner).expect("a call").current();
        let expected = model.call(name, &call);
        let mut answers = Vec::new();
        for ada in &owners {
            let answer = ask(ada, name, &call).await;
            let data = matches!(call, Call::Read(_)).then(|| answer.body.get("data").cloned()).flatten();
            assert_eq!((answer.status.as_u16(), data), expected, "{round}: {name} {call:?}: {}", answer.text);
            answers.push(alike(&answer.body, &ada.id));
        }
        assert_eq!(answers[0], answers[1], "{round}: {name} {call:?}");
        if round % 100 == 99 {
            for ada in &owners {
                lists_are_right(ada, &model).await;
                assert_metadata(ada, &model).await;
            }
        }
    }
    // What has come to its end is not there, and makes place for another.
    let ending: Vec<String> = model.list("", true).0.into_iter().step_by(2).collect();
    assert!(ending.len() > 1, "{ending:?}");
    for ada in &owners {
        for name in &ending {
            ada.patch(&path(name), json!({ "ttl": "1s" })).await.expect(200);
        }
        for name in &ending {
            eventually("it ends", || async { (ada.get(&path(name)).await.status == 404).then_some(()) }).await;
        }
    }
    ending.iter().for_each(|name| drop(model.0.remove(name)));
    for ada in &owners {
        lists_are_right(ada, &model).await;
        for (place, name) in ending.iter().enumerate() {
            let again = match place % 2 {
                0 => ada.put(&path(name), json!({ "data": {}, "expected_version": 0 })).await,
                _ => ada.post("/secrets/create", json!({ "secret_id": format!("kv/~/{name}"), "data": {} })).await,
            };
            assert_eq!(again.expect(200)["version"], 1);
        }
    }
}

async fn assert_metadata(ada: &Client, model: &Model) {
    for (name, secret) in &model.0 {
        let told = ada.get(&path(name).replace("?", ":metadata?")).await.expect(200);
        assert_eq!(told["metadata"], secret.metadata, "{name}");
        assert_eq!(told["version"], secret.versions.len(), "{name}");
    }
}

fn path(name: &str) -> String {
    let id = format!("kv/~/{name}");
    format!("/secrets?secret_id={}", percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC))
}
