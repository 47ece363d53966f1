//! What callers send, and what they are answered. A member that does not stand here is refused.

use coffer_plugin_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};
use serde::Deserializer;

pub type Object = Map<String, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    pub data: Object,
    pub ttl: Option<Span>,
    pub metadata: Option<Object>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub data: Object,
    #[serde(default, deserialize_with = "told")]
    pub ttl: Option<Option<Span>>,
    pub metadata: Option<Object>,
    pub expected_version: Option<u64>,
}

/// `data` and `metadata` are merged into what is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub data: Option<Object>,
    #[serde(default, deserialize_with = "told")]
    pub ttl: Option<Option<Span>>,
    pub metadata: Option<Object>,
    pub expected_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    pub expected_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub version: Option<u64>,
}

/// Without `metadata` it asks; with it, it merges.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub metadata: Option<Object>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    pub version: u64,
}

/// The newest version, or that one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undelete {
    pub version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    pub versions: Vec<u64>,
}

/// What a change answers.
#[derive(Serialize)]
pub struct Changed {
    pub version: u64,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// There, even if it is null.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
