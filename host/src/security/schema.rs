use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type},
};

use super::{OPERATIONS, Rules};
use crate::limits;

/// What `sys/settings` shows of the shape: what `openapi.json` says of the document, in one piece and with the defaults.
pub fn schema() -> Value {
    let mut parts = Vec::new();
    <Rules as ToSchema>::schemas(&mut parts);
    let named = |(name, schema): (String, RefOr<Schema>)| (name, written(schema));
    let parts: BTreeMap<String, Value> = parts.into_iter().map(named).collect();
    let mut whole = written(Rules::schema());
    inline(&mut whole, &parts);
    add_defaults(&mut whole, &serde_json::to_value(Rules::default()).expect("our own document serialises"));
    whole
}

pub(super) fn operations() -> Schema {
    list(text().enum_values(Some(OPERATIONS.iter().copied())))
        .description(Some("What asks for a recent login besides what always does: names as the audit trail has them."))
        .into()
}

pub(super) fn publishers() -> Schema {
    list(text().pattern(Some("^ed25519:[A-Za-z0-9+/]{43}=$")))
        .max_items(Some(limits::PUBLISHERS))
        .description(Some("Keys whose signature is good enough: `ed25519:` and base64."))
        .into()
}

pub(super) fn denied() -> Schema {
    list(text().pattern(Some("^[0-9a-f]{64}$")))
        .max_items(Some(limits::DENIED_PLUGINS))
        .description(Some("SHA-256 of plugins that may not run, in hex, whatever signature they bear."))
        .into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn list(of: ObjectBuilder) -> ArrayBuilder {
    ArrayBuilder::new().items(of)
}

fn written(schema: impl serde::Serialize) -> Value {
    serde_json::to_value(schema).expect("our own schemas serialise")
}

/// The types themselves in the place of their names.
fn inline(schema: &mut Value, parts: &BTreeMap<String, Value>) {
    let named = schema.get("$ref").and_then(Value::as_str).and_then(|name| parts.get(name.rsplit('/').next()?));
    if let Some(part) = named {
        *schema = part.clone();
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(|inner| inline(inner, parts)),
        Value::Array(items) => items.iter_mut().for_each(|inner| inline(inner, parts)),
        _ => {}
    }
}

/// To each member by itself: of an object that is a member, to its members.
fn add_defaults(schema: &mut Value, default: &Value) {
    let members = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, member) in members.into_iter().flat_map(Map::iter_mut) {
        match &default[name] {
            inner @ Value::Object(_) if member.get("properties").is_some() => add_defaults(member, inner),
            inner => member["default"] = inner.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::draft202012::options().offline().build(&schema()).unwrap()
    }

    #[test]
    fn the_shape_is_in_one_piece_and_the_default_fits_it() {
        let schema = schema();
        assert!(!schema.to_string().contains("$ref"), "{schema}");
        let default = serde_json::to_value(Rules::default()).unwrap();
        assert!(validator().is_valid(&default), "{schema}");
        assert_eq!(schema.pointer("/properties/sessions/properties/idle/default"), Some(&json!("30m")));
        let of = |member: &str| schema.pointer(&format!("/properties/sessions/properties/{member}")).unwrap().clone();
        assert_eq!(of("bind")["enum"], json!(["none", "caller"]));
        assert_eq!(of("over_limit")["enum"], json!(["end_oldest", "refuse"]));
        assert_eq!(schema.pointer("/properties/step_up/properties/operations/items/enum"), Some(&json!(OPERATIONS)));
    }

    /// Bounds that rest on one member alone are told by the shape as they are held.
    #[test]
    fn the_shape_takes_what_the_rules_take() {
        let digest = "a".repeat(64);
        let documents = [
            (json!({}), true),
            (json!({"sessions": {"idle": 90, "absolute": "7d"}}), true),
            (json!({"sessions": {"idle": "soon"}}), false),
            (json!({"sessions": {"idle": -1}}), false),
            (json!({"sessions": {"bind": "caller", "over_limit": "refuse"}}), true),
            (json!({"sessions": {"bind": "list"}}), false),
            (json!({"sessions": {"bind": 1}}), false),
            (json!({"sessions": {"over_limit": 1}}), false),
            (json!({"sessions": {"max_per_user": 0}}), false),
            (json!({"sessions": {"max_per_user": 1001}}), false),
            (json!({"sessions": {"bind_ipv6_prefix": 129}}), false),
            (json!({"sessions": {"default_max_uses": null}}), true),
            (json!({"sessions": {"default_max_uses": 0}}), false),
            (json!({"sessions": {"surprise": 1}}), false),
            (json!({"sessions": []}), false),
            (json!({"passwords": {"min_length": 7}}), false),
            (json!({"passwords": {"max_length": 5000}}), false),
            (json!({"passwords": {"refuse_common": "yes"}}), false),
            (json!({"passwords": {"argon2": {"memory_kib": 1}}}), false),
            (json!({"passwords": {"argon2": {"iterations": 17}}}), false),
            (json!({"passwords": {"argon2": {"parallelism": 4}}}), true),
            (json!({"logins": {"failures": 0}}), false),
            (json!({"logins": {"failures_per_address": 100_001}}), false),
            (json!({"logins": {"roles": {"password": ["*"]}}}), true),
            (json!({"logins": {"roles": {"password": "*"}}}), false),
            (json!({"step_up": {"operations": ["secrets.read"]}}), true),
            (json!({"step_up": {"operations": "secrets.read"}}), false),
            (json!({"plugins": {"denied": [digest]}}), true),
            (json!({"plugins": {"denied": ["A"]}}), false),
            (json!({"plugins": {"publishers": ["me"]}}), false),
            (json!({"plugins": {"max_memory": "64MB"}}), false),
            (json!({"plugins": {"max_cpu_ms": 0}}), false),
            (json!({"plugins": {"max_wall_ms": 60_001}}), false),
            (json!({"mounts": {"keep_removed": true}}), false),
            (json!({"surprise": {}}), false),
        ];
        let validator = validator();
        for (document, good) in documents {
            assert_eq!(validator.is_valid(&document), good, "by its shape: {document}");
            assert_eq!(Rules::parse(&document).is_ok(), good, "by the rules: {document}");
        }
    }
}
