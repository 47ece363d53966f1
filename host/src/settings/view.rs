use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Key, Settings};
use crate::{
    clock::Timestamp,
    document::Document,
    ids::UserId,
    mount::{Condition, Kind, Mount, RolledBack},
    security::{self, Rules},
};

/// What is hidden of a mount whose plugin is not there to say what is a secret.
const UNKNOWN: &str = "/config";

/// A setting as it is shown. Members that only may be written are not in it.
#[derive(Clone, Debug)]
pub struct View {
    pub key: String,
    pub value: Value,
    pub default: Value,
    pub description: &'static str,
    pub schema: Value,
    /// 0: never set, or back at its default.
    pub version: u64,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<UserId>,
    /// Where the members are that are never shown: JSON Pointers into the value.
    pub secret_members: Vec<String>,
    pub state: Option<Value>,
}

/// One of the values that a setting has had.
#[derive(Clone, Debug)]
pub struct Past {
    pub version: u64,
    /// None: it was deleted.
    pub value: Option<Value>,
    pub updated_at: Timestamp,
    pub updated_by: Option<UserId>,
}

impl Settings {
    pub(super) fn view(&self, key: &Key, document: Option<&Document>) -> View {
        self.view_without(key, document, &[])
    }

    /// The same without what `more` names besides.
    pub(super) fn view_without(&self, key: &Key, document: Option<&Document>, more: &[String]) -> View {
        let mount = match key {
            Key::Mount(kind, name) => self.mounts.get(*kind, name),
            _ => None,
        };
        let mut secret_members = self.secret_members(key, document.map(|document| &document.value));
        // While another version waits, what the live one has hidden stays so.
        let live = mount.as_ref().and_then(|mount| mount.live().ok());
        let of_live = live.iter().flat_map(|live| live.manifest().config.write_only());
        for place in of_live.map(|member| format!("/config{member}")).chain(more.iter().cloned()) {
            if !secret_members.contains(&place) {
                secret_members.push(place);
            }
        }
        let default = default(key);
        let value = in_force(key, document);
        View {
            key: key.to_string(),
            value: without(value, &secret_members),
            default,
            description: description(key),
            schema: self.schema(key, mount.as_deref()),
            version: document.map_or(0, |document| document.number),
            updated_at: document.map(|document| document.updated_at),
            updated_by: document.and_then(|document| document.updated_by.clone()),
            secret_members,
            state: mount.map(|mount| state(&self.mounts.condition(&mount))),
        }
    }

    /// What any of these values has hidden, as far as it is known.
    pub(super) fn ever_secret(&self, key: &Key, past: &[Document]) -> BTreeSet<String> {
        let members = |document: &Document| self.secret_members(key, Some(&document.value));
        // All of it is hidden only where nobody knows.
        past.iter().flat_map(members).filter(|member| member != UNKNOWN).collect()
    }

    pub(super) fn past(&self, key: &Key, document: Document, ever: &BTreeSet<String>) -> Past {
        let mut hidden = self.secret_members(key, Some(&document.value));
        hidden.extend(ever.iter().cloned());
        Past {
            version: document.number,
            value: (!document.deleted).then(|| without(document.value, &hidden)),
            updated_at: document.updated_at,
            updated_by: document.updated_by,
        }
    }

    /// As the manifest of the plugin says that the value names. If that plugin is gone, nothing of
    /// its configuration is shown.
    pub(super) fn secret_members(&self, key: &Key, value: Option<&Value>) -> Vec<String> {
        let (Key::Mount(..), Some(value)) = (key, value) else { return Vec::new() };
        match self.mounts.secret_members(value) {
            Some(members) => members.into_iter().map(|member| format!("/config{member}")).collect(),
            None => vec![UNKNOWN.to_owned()],
        }
    }

    fn schema(&self, key: &Key, mount: Option<&Mount>) -> Value {
        match key {
            Key::Security => security::schema(),
            Key::Custom(_) | Key::Unknown(_) => json!({}),
            Key::Mount(..) => {
                let live = mount.and_then(|mount| mount.live().ok());
                let config =
                    live.map_or_else(|| json!({"type": "object"}), |live| live.manifest().config.document().clone());
                let names = json!({"type": "array", "items": {"type": "string"}});
                let denied = json!({
                    "type": "object",
                    "properties": {"http": names, "headers": names, "crypto": names},
                    "additionalProperties": false,
                });
                let mut granted = denied.clone();
                granted["properties"]["subjects"] = names;
                json!({
                    "type": "object",
                    "required": ["plugin"],
                    "properties": {
                        "plugin": {"type": "string"},
                        "version": {"type": "string", "default": "shipped"},
                        "enabled": {"type": "boolean", "default": true},
                        "config": config,
                        "grant": granted,
                        "deny": denied,
                        "provision": {"type": "boolean", "default": false},
                        "second": {
                            "type": "object",
                            "required": ["mount", "when"],
                            "properties": {"mount": {"type": "string"}, "when": {"enum": ["enrolled", "always"]}},
                        },
                        "roles": {"type": "object"},
                    },
                })
            }
        }
    }
}

fn default(key: &Key) -> Value {
    match key {
        Key::Security => serde_json::to_value(Rules::default()).expect("our own document serialises"),
        _ => Value::Null,
    }
}

/// The value that counts: the document's, with defaults for what it does not say.
pub(super) fn in_force(key: &Key, document: Option<&Document>) -> Value {
    let value = document.map_or_else(|| default(key), |document| document.value.clone());
    if *key == Key::Security { whole(&value) } else { value }
}

/// Defaults for what an older document does not say.
fn whole(value: &Value) -> Value {
    Rules::parse(value).ok().and_then(|rules| serde_json::to_value(rules).ok()).unwrap_or_else(|| value.clone())
}

const fn description(key: &Key) -> &'static str {
    match key {
        Key::Security => "What sessions, passwords, logins and plugins may be at most",
        Key::Mount(Kind::Auth, _) => "An auth method: which plugin, how configured, what it may do",
        Key::Mount(Kind::Secrets, _) => "A secrets engine: which plugin, how configured, what it may do",
        Key::Custom(_) => "Free for your own use",
        Key::Unknown(_) => "Not a setting",
    }
}

fn state(condition: &Condition) -> Value {
    let Condition { live, pending, health, reason, rolled_back, nodes: (ready, of) } = condition;
    let mut state = json!({
        "live": live.as_ref().map(|(version, digest)| json!({"version": version, "digest": digest})),
        "pending": pending.as_ref().map(|(version, needs)| json!({"version": version, "needs": needs})),
        "health": health.as_str(),
        "reason": reason,
        "nodes": {"ready": ready, "of": of},
    });
    if let Some(RolledBack { version, digest, reason, at }) = rolled_back {
        let at = at.to_string();
        state["rolled_back"] = json!({"version": version, "digest": digest, "reason": reason, "at": at});
    }
    state
}

fn without(mut value: Value, members: &[String]) -> Value {
    for member in members {
        let Some((above, name)) = member.rsplit_once('/') else { continue };
        if let Some(Value::Object(object)) = value.pointer_mut(above) {
            object.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_members_are_taken_out_wherever_they_are() {
        let value = json!({"config": {"a": 1, "deep": {"b/c": 2, "d": 3}}});
        let shown = without(value, &["/config/a".to_owned(), "/config/deep/b~1c".to_owned(), "/config/no".to_owned()]);
        assert_eq!(shown, json!({"config": {"deep": {"d": 3}}}));
    }
}
