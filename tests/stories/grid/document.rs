//! `openapi.json`, operation by operation, and whether an answer is what it says.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::Answer;

/// One operation of the document.
pub struct Operation {
    pub id: String,
    pub method: reqwest::Method,
    /// Below `/api/v1`, with `{names}`.
    pub path: String,
    /// The operation itself.
    pub says: Value,
    /// Of each status that is described.
    answers: BTreeMap<String, Validator>,
    /// What it answers where that is no JSON: a page for people, whatever the status, or a text.
    plain: Option<String>,
}

/// The whole of it.
pub struct Document {
    pub whole: Value,
    pub operations: Vec<Operation>,
    error: Validator,
    /// All that the `type` of a problem can be.
    types: BTreeSet<String>,
}

impl Document {
    pub fn read(whole: Value) -> Self {
        // What is not described must not be answered either.
        let mut strict = whole.clone();
        seal(&mut strict["components"]["schemas"], &whole);
        let error = validator(&strict, &json!({ "$ref": "#/components/schemas/Error" }));
        let mut operations = Vec::new();
        for (path, item) in whole["paths"].as_object().expect("paths") {
            // But for what everybody looks for elsewhere.
            let path = path.strip_prefix("/api/v1").unwrap_or(path).to_owned();
            for (method, says) in item.as_object().expect("a path item") {
                let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
                let id = says["operationId"].as_str().expect("an operationId").to_owned();
                let (answers, plain) = (answers(&strict, says, &whole), plain(says));
                operations.push(Operation { id, method, path: path.clone(), says: says.clone(), answers, plain });
            }
        }
        let table = whole["info"]["description"].as_str().expect("a description");
        let code = |row: &str| row.split('|').nth(2)?.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        let types = table.lines().filter_map(code).collect();
        Self { whole, operations, error, types }
    }

    pub fn operation(&self, id: &str) -> &Operation {
        let found = self.operations.iter().find(|operation| operation.id == id);
        found.unwrap_or_else(|| panic!("openapi.json has no operation {id}"))
    }

    /// What is wrong with an answer, by what the document says of it.
    pub fn against(&self, operation: &Operation, answer: &Answer) -> Option<String> {
        let status = answer.status.as_u16().to_string();
        let media = answer.headers.get("content-type").and_then(|media| media.to_str().ok());
        if let Some(plain) = &operation.plain
            && (answer.status.is_success() || answer.body.is_null())
        {
            let is_plain = media.is_some_and(|media| media.starts_with(plain));
            return (!is_plain && !answer.status.is_redirection()).then(|| format!("is {media:?}, not {plain}"));
        }
        let schema = match operation.answers.get(&status) {
            Some(schema) => schema,
            None if answer.status.is_success() => return Some(format!("{status} is not described")),
            None => &self.error,
        };
        if !media.is_some_and(|media| media.starts_with("application/json")) {
            return Some(format!("is {media:?}"));
        }
        let wrong: Vec<String> =
            schema.iter_errors(&answer.body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        (!wrong.is_empty()).then(|| format!("{} in {}", wrong.join("; "), answer.text))
    }

    /// A `type` that no list names. (What a plugin says of its own is the plugin's.)
    pub fn unlisted(&self, answer: &Answer) -> Option<String> {
        let problems = answer.body["detail"].as_array().map(Vec::as_slice).unwrap_or_default();
        let types = problems.iter().filter_map(|problem| problem["type"].as_str());
        let unlisted: Vec<&str> = types.filter(|kind| !self.types.contains(*kind)).collect();
        (!unlisted.is_empty()).then(|| format!("of a type that no list has: {unlisted:?} in {:.300}", answer.text))
    }

    /// A schema of the document by itself, with what it refers to.
    pub fn validator(&self, schema: &Value) -> Validator {
        validator(&self.whole, schema)
    }

    /// A schema itself, where this refers to one.
    pub fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        resolved(&self.whole, schema)
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("in this document");
            resolved(document, document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is there")))
        }
        None => schema,
    }
}

fn plain(says: &Value) -> Option<String> {
    let media = says["responses"]["200"]["content"].as_object().and_then(|content| content.keys().next());
    let is_plain = |media: &&String| *media != "application/json";
    // A click leads elsewhere, and what goes wrong with it is told to people as well.
    let leads = says["responses"]["303"].is_object().then(|| "text/html".to_owned());
    media.filter(is_plain).cloned().or(leads)
}

fn answers(strict: &Value, says: &Value, whole: &Value) -> BTreeMap<String, Validator> {
    let described = says["responses"].as_object().expect("answers");
    let described = described.iter().filter(|(status, _)| *status != "default");
    let schema = |(status, answer): (&String, &Value)| {
        let media = resolved(whole, answer)["content"].as_object().and_then(|content| content.get("application/json"));
        let mut schema = media.map_or(json!({ "type": "object" }), |media| media["schema"].clone());
        seal(&mut schema, whole);
        (status.clone(), validator(strict, &schema))
    };
    described.map(schema).collect()
}

fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::options().offline().should_validate_formats(true).build(&whole).expect("a schema")
}

/// Objects that are described have no other members.
fn seal(schema: &mut Value, whole: &Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(parts)) = members.get_mut("allOf") {
                for part in parts {
                    *part = resolved(whole, part).clone();
                    part.get_mut("properties")
                        .and_then(Value::as_object_mut)
                        .into_iter()
                        .flatten()
                        .for_each(|(_, inner)| seal(inner, whole));
                }
                members.insert("unevaluatedProperties".to_owned(), false.into());
                return;
            }
            let is_closed = members.get("properties").is_some_and(Value::is_object);
            members.values_mut().for_each(|inner| seal(inner, whole));
            if is_closed && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|inner| seal(inner, whole)),
        _ => {}
    }
}
