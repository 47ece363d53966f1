use std::{fmt, sync::Arc};

use jsonschema::Validator;
use serde_json::{Map, Value};

use super::schema::{build, collect, properties};
use crate::problem::Problem;

/// The JSON Schema of what a call takes. Who makes the request is not its author: what it costs
/// to check one is bounded when the plugin comes in.
#[derive(Clone)]
pub struct RequestSchema {
    document: Arc<Value>,
    validator: Arc<Validator>,
}

impl fmt::Debug for RequestSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSchema").finish_non_exhaustive()
    }
}

impl RequestSchema {
    pub(super) fn new(document: Value) -> Result<Self, &'static str> {
        let validator = build(&document)?;
        Ok(Self { document: Arc::new(document), validator: Arc::new(validator) })
    }

    /// As the manifest has it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What is wrong with a body, in our own words.
    pub fn check(&self, body: &Value) -> Result<(), Vec<Problem>> {
        collect(&self.validator, body)
    }

    /// The same of a query, whose members are text: one that is to be a number or a truth value
    /// must read as one.
    pub fn check_query(&self, query: &Map<String, Value>) -> Result<(), Vec<Problem>> {
        let mut members = query.clone();
        for (name, schema) in properties(&self.document) {
            if let Some(member) = members.get_mut(name)
                && let Some(read) = member.as_str().and_then(|text| read(text, &schema["type"]))
            {
                *member = read;
            }
        }
        self.check(&Value::Object(members))
    }
}

/// A number or a truth value, where the schema wants one and no text.
fn read(text: &str, types: &Value) -> Option<Value> {
    let wants = |name: &str| match types {
        Value::String(only) => only == name,
        Value::Array(some) => some.iter().any(|one| one == name),
        _ => false,
    };
    let value: Value = serde_json::from_str(text).ok()?;
    let fits = match &value {
        Value::Number(_) => wants("integer") || wants("number"),
        Value::Bool(_) => wants("boolean"),
        _ => false,
    };
    (fits && !wants("string")).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits;

    fn places(found: Result<(), Vec<Problem>>) -> Vec<(String, String)> {
        found.err().into_iter().flatten().map(|p| (p.at, p.code.into_owned())).collect()
    }

    #[test]
    fn a_body_is_held_to_its_schema_and_never_quoted() {
        let schema = RequestSchema::new(json!({
            "type": "object", "additionalProperties": false, "required": ["name"],
            "properties": {"name": {"type": "string", "maxLength": 3}, "list": {"type": "array", "items": {"$ref": "#/$defs/n"}}},
            "$defs": {"n": {"type": "integer", "minimum": 1}},
        }))
        .unwrap();
        assert!(schema.check(&json!({"name": "a", "list": [1]})).is_ok());
        assert_eq!(places(schema.check(&json!({}))), [("/name".into(), "missing".into())]);
        let found = schema.check(&json!({"name": "canary", "list": [1, 0, "canary"], "x": 1}));
        assert!(found.as_ref().is_err_and(|found| found.iter().all(|p| !p.message.contains("canary"))));
        let mut found = places(found);
        found.sort();
        let expected = [
            ("/list/1", "out_of_range"),
            ("/list/2", "wrong_type"),
            ("/name", "out_of_range"),
            ("/x", "unknown_member"),
        ];
        assert_eq!(found, expected.map(|(at, code)| (at.to_owned(), code.to_owned())));
    }

    #[test]
    fn of_several_forms_the_first_says_what_it_lacks() {
        let schema = RequestSchema::new(json!({
            "type": "object", "oneOf": [{"required": ["plaintext"]}, {"required": ["batch"]}],
        }))
        .unwrap();
        assert_eq!(places(schema.check(&json!({}))), [("/plaintext".into(), "missing".into())]);
        assert_eq!(
            places(schema.check(&json!({"plaintext": 1, "batch": 2}))),
            [(String::new(), "invalid_value".into())]
        );
    }

    #[test]
    fn the_text_of_a_query_is_read_as_what_it_is_to_be() {
        let schema = RequestSchema::new(json!({
            "type": "object", "additionalProperties": false,
            "properties": {"n": {"type": ["integer", "null"]}, "on": {"type": "boolean"}, "text": {"type": "string"}},
        }))
        .unwrap();
        let check = |query: Value| places(schema.check_query(query.as_object().unwrap()));
        assert_eq!(check(json!({"n": "7", "on": "true", "text": "7"})), []);
        assert_eq!(check(json!({"n": "x"})), [("/n".into(), "wrong_type".into())]);
        assert_eq!(check(json!({"on": "1"})), [("/on".into(), "wrong_type".into())]);
        assert_eq!(check(json!({"more": "1"})), [("/more".into(), "unknown_member".into())]);
    }

    #[test]
    fn a_schema_that_costs_more_than_it_says_is_refused() {
        // Each refers to the next one twice.
        let ladder = |below: &str| {
            let mut defs = Map::new();
            for at in 0..20 {
                let next = json!({"$ref": format!("#/{below}/d{}", at + 1)});
                defs.insert(format!("d{at}"), json!({"anyOf": [next.clone(), next]}));
            }
            defs.insert("d20".to_owned(), json!({"type": "object"}));
            defs
        };
        let (named, again) = (
            ladder("properties/$defs/x"),
            (0..8).fold(json!({}), |inner, _| json!({"allOf": [inner], "unevaluatedProperties": false})),
        );
        for bad in [
            json!({"$ref": "#/$defs/d0", "$defs": ladder("$defs")}),
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"$ref": "#/properties/a"}}}),
            json!({"$ref": "https://example.com/schema"}),
            json!({"$dynamicRef": "#x"}),
            json!({"$ref": "#/nowhere"}),
            // Where it names a member and holds no definitions.
            json!({"properties": {"$defs": {"anyOf": [{"$ref": "#/properties/$defs/x/d0"}], "x": named}}}),
            // Each looks once more at all that stands beside it.
            again,
            json!({"enum": vec![0; limits::SCHEMA_NODES]}),
            json!({"type": "nonsense"}),
            json!({"pattern": "("}),
        ] {
            assert!(
                RequestSchema::new(bad.clone()).is_err(),
                "{}",
                bad.to_string().chars().take(80).collect::<String>()
            );
        }
    }
}
