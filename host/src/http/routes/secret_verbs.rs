//! Verbs in `openapi.json`. They are the engines' own, so they are described by the manifests
//! that came with the server, and nothing of it is written twice.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::types::{Types, pascal};
use crate::catalog::{self, CallSpec, Kind, Manifest, Method};

/// A path of a secret's own, as manifests write it.
const SECRET: &str = "{key}";

/// Path items by their paths, of all verbs of the shipped engines.
pub fn paths(types: &mut Types) -> Map<String, Value> {
    let shipped = catalog::shipped();
    // A plugin that cannot be read cannot be mounted either.
    let manifests = shipped.iter().filter_map(|(_, wasm)| catalog::inspect(wasm).ok()).map(|found| found.manifest);
    items(types, &manifests.collect::<Vec<_>>())
}

fn items(types: &mut Types, manifests: &[Manifest]) -> Map<String, Value> {
    let mut verbs: BTreeMap<(&str, Method), Vec<(&Manifest, &CallSpec)>> = BTreeMap::new();
    for manifest in manifests.iter().filter(|manifest| manifest.kind == Kind::Secrets) {
        for call in manifest.calls.iter().filter(|call| call.path == SECRET) {
            verbs.entry((&call.operation, call.method)).or_default().push((manifest, call));
        }
    }
    let mut items = Map::new();
    for ((verb, method), calls) in verbs {
        let item = items.entry(format!("/api/v1/secrets/{{secret_id}}:{verb}")).or_insert_with(|| json!({}));
        item[if method == Method::Get { "get" } else { "post" }] = operation(types, verb, method, &calls);
    }
    items
}

fn operation(types: &mut Types, verb: &str, method: Method, calls: &[(&Manifest, &CallSpec)]) -> Value {
    let engines = calls.iter().map(|(manifest, _)| manifest.name.to_string()).collect::<Vec<_>>().join(", ");
    let (by, answered) = if method == Method::Get { ("get", "View") } else { ("post", "Result") };
    let named = |manifest: &Manifest, what: &str| format!("{}{}{what}", pascal(manifest.name.as_str()), pascal(verb));
    let answers = calls.iter().map(|(manifest, call)| types.name(named(manifest, answered), response(call)));
    let answers = one_of(answers.collect());
    let mut operation = json!({
        "tags": ["secrets"],
        "summary": format!("`{verb}`, of engines: {engines}."),
        "operationId": format!("{by}_secret_{}", verb.replace('-', "_")),
        "parameters": [{
            "name": "secret_id",
            "in": "path",
            "description": "Percent-encoded: `kv%2Fapps%2Fdb`.",
            "required": true,
            "schema": {"type": "string"},
        }],
        "responses": {
            "200": {"description": "It is done.", "content": {"application/json": {"schema": answers}}},
            "default": {"$ref": "#/components/responses/Error"},
        },
    });
    if method == Method::Get {
        let asked = calls.iter().flat_map(|(_, call)| query(call));
        operation["parameters"].as_array_mut().into_iter().for_each(|parameters| parameters.extend(asked.clone()));
    } else {
        let needs = calls.iter().all(|(_, call)| !members(call.request.as_ref(), "required").is_empty());
        let taken = calls.iter().map(|(manifest, call)| types.name(named(manifest, ""), request(call)));
        let content = json!({"application/json": {"schema": one_of(taken.collect())}});
        operation["requestBody"] = json!({"content": content, "required": needs});
    }
    operation
}

fn request(call: &CallSpec) -> Value {
    call.request.clone().unwrap_or_else(|| json!({"type": "object"}))
}

/// As the plugin answers, with what the host adds.
fn response(call: &CallSpec) -> Value {
    let method = call.method;
    let mut schema = call.response.clone().unwrap_or_else(|| json!({"type": "object"}));
    let mut required = members(Some(&schema), "required");
    required.insert(0, json!("secret_id"));
    schema["required"] = Value::Array(required);
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["secret_id"] = json!({"type": "string"});
    if method == Method::Post {
        schema["properties"]["lease"] = json!({"$ref": "#/components/schemas/Lent"});
    }
    schema["properties"]["warnings"] = json!({"type": "array", "items": {"type": "string"}});
    schema
}

/// What a call by GET takes stands in its query.
fn query(call: &CallSpec) -> Vec<Value> {
    let required = members(call.request.as_ref(), "required");
    let properties = call.request.as_ref().and_then(|schema| schema["properties"].as_object()).into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let required = required.iter().any(|member| member == name);
        json!({"name": name, "in": "query", "required": required, "schema": schema})
    };
    properties.map(parameter).collect()
}

fn members(schema: Option<&Value>, name: &str) -> Vec<Value> {
    schema.and_then(|schema| schema[name].as_array()).cloned().unwrap_or_default()
}

fn one_of(mut schemas: Vec<Value>) -> Value {
    schemas.dedup();
    match schemas.len() {
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    }
}
