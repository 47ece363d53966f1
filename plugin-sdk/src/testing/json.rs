//! What a test says as JSON, and what a plugin gets of it.

use serde_json::Value;

/// What comes in a URL is text, and null does not come.
pub(super) fn as_query(query: Value) -> Value {
    let Value::Object(members) = query else { return query };
    let text = |(name, value): (String, Value)| match value {
        Value::Number(_) | Value::Bool(_) => (name, Value::String(value.to_string())),
        Value::String(_) => (name, value),
        _ => panic!("{name} comes in a URL, where there are texts only"),
    };
    members.into_iter().filter(|(_, value)| !value.is_null()).map(text).collect()
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    if value.is_null() { Vec::new() } else { value.to_string().into_bytes() }
}

pub(super) fn value(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(bytes).expect("an answer is JSON") }
}
