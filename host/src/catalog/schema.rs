use std::{fmt, sync::Arc};

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::{Map, Value, json};

use crate::{
    limits,
    problem::{self, Problem},
};

/// The JSON Schema of a mount's configuration.
#[derive(Clone)]
pub struct Schema {
    document: Arc<Value>,
    validator: Arc<Validator>,
    write_only: Arc<[String]>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("write_only", &self.write_only).finish_non_exhaustive()
    }
}

impl Schema {
    /// With no schema there is nothing to configure. `place` is where it stands, for problems.
    pub(super) fn new(document: Option<Value>, place: &str) -> Result<Self, Problem> {
        let document = document.unwrap_or_else(|| json!({"type": "object", "additionalProperties": false}));
        let wrong = |message: &'static str| Problem::new(place, "invalid_value", message);
        if document.get("type") != Some(&Value::from("object")) {
            return Err(wrong("must be a JSON Schema of type object"));
        }
        let validator = build(&document).map_err(wrong)?;
        let mut write_only = Vec::new();
        find_write_only(&document, "", &mut write_only);
        if count_write_only(&document) != write_only.len() {
            return Err(wrong("has a writeOnly that does not stand in properties"));
        }
        Ok(Self { document: Arc::new(document), validator: Arc::new(validator), write_only: write_only.into() })
    }

    /// As the manifest has it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// JSON Pointers of the members that are secrets.
    pub fn write_only(&self) -> &[String] {
        &self.write_only
    }

    /// What is wrong is told by place and kind; neither the value nor a validator's text is quoted.
    pub fn check(&self, config: &Value) -> Result<(), Vec<Problem>> {
        collect(&self.validator, config)
    }

    /// The configuration with the schema's defaults where it says nothing.
    pub fn with_defaults(&self, mut config: Value) -> Value {
        fill(&self.document, &mut config);
        config
    }

    /// The configuration as a plugin sees it: each secret replaced by its name.
    pub fn concealed(&self, mut config: Value) -> Value {
        for pointer in self.write_only.iter() {
            if let Some(secret) = config.pointer_mut(pointer).filter(|value| !value.is_null()) {
                *secret = json!({"$credential": pointer.trim_start_matches('/')});
            }
        }
        config
    }
}

/// Its author may be a stranger: what it may cost to check a value is bounded here.
pub(super) fn build(document: &Value) -> Result<Validator, &'static str> {
    let mut left = limits::SCHEMA_NODES;
    if !is_bounded(document, document, 0, &mut left) {
        return Err("is too large, leads back to itself or elsewhere");
    }
    let patterns =
        PatternOptions::regex().size_limit(limits::SCHEMA_PATTERN_BYTES).dfa_size_limit(limits::SCHEMA_PATTERN_BYTES);
    let options = jsonschema::draft202012::options().offline().with_pattern_options(patterns);
    options.build(document).map_err(|_| "is not a JSON Schema that can be used")
}

/// What may come of it when every reference is followed: few nodes, and an end.
fn is_bounded(schema: &Value, root: &Value, depth: usize, left: &mut usize) -> bool {
    if depth > limits::JSON_DEPTH || *left == 0 {
        return false;
    }
    *left -= 1;
    match schema {
        Value::Array(items) => items.iter().all(|item| is_bounded(item, root, depth + 1, left)),
        Value::Object(members) => members.iter().all(|(name, value)| match (name.as_str(), value) {
            ("$dynamicRef" | "$recursiveRef" | "$id" | "$anchor" | "$dynamicAnchor", Value::String(_)) => false,
            ("$ref", Value::String(to)) => {
                let target = to.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                target.is_some_and(|target| is_bounded(target, root, depth + 1, left))
            }
            // Counted where it is referred to. Further in, it may as well be the name of a member.
            ("$defs", Value::Object(_)) if depth == 0 => true,
            (_, value) => {
                // Once more over all that stands beside it and below.
                if name.starts_with("unevaluated") {
                    *left /= 4;
                }
                is_bounded(value, root, depth + 1, left)
            }
        }),
        _ => true,
    }
}

/// What is wrong with a value, up to a number of things.
pub(super) fn collect(validator: &Validator, value: &Value) -> Result<(), Vec<Problem>> {
    let mut found = Vec::new();
    for error in validator.iter_errors(value) {
        explain(&error, value, &mut found);
        if found.len() >= limits::SCHEMA_PROBLEMS {
            found.truncate(limits::SCHEMA_PROBLEMS);
            break;
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn find_write_only(schema: &Value, place: &str, into: &mut Vec<String>) {
    for (name, member) in properties(schema) {
        let at = problem::pointer(place, name);
        match member.get("writeOnly") {
            Some(Value::Bool(true)) => into.push(at),
            _ => find_write_only(member, &at, into),
        }
    }
}

/// How often the word stands anywhere at all: in an array or a branch it would not be found
/// again in a configuration, and the secret would be shown.
fn count_write_only(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => {
            let here = usize::from(members.get("writeOnly") == Some(&Value::Bool(true)));
            here + members.values().map(count_write_only).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count_write_only).sum(),
        _ => 0,
    }
}

fn fill(schema: &Value, config: &mut Value) {
    let Value::Object(members) = config else { return };
    for (name, member) in properties(schema) {
        match (members.get_mut(name), member.get("default")) {
            (Some(value), _) => fill(member, value),
            (None, Some(default)) => fill_in(members, name, default),
            (None, None) => {}
        }
    }
}

fn fill_in(members: &mut Map<String, Value>, name: &str, default: &Value) {
    members.insert(name.to_owned(), default.clone());
}

fn explain(error: &ValidationError<'_>, value: &Value, into: &mut Vec<Problem>) {
    let at = error.instance_path().as_str();
    let (code, message): (&'static str, String) = match error.kind() {
        Kind::Required { property } => {
            let member = problem::pointer(at, property.as_str().unwrap_or_default());
            into.push(Problem::new(member, "missing", "is required"));
            return;
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let unknown = unexpected.iter().map(|name| problem::pointer(at, name));
            into.extend(unknown.map(|member| Problem::new(member, "unknown_member", "is not known here")));
            return;
        }
        // Where a schema names no member at all, the validator says no more than that.
        Kind::FalseSchema if error.schema_path().as_str().ends_with("/additionalProperties") => {
            let members = value.pointer(at).and_then(Value::as_object).into_iter().flatten();
            let unknown = members.map(|(name, _)| problem::pointer(at, name));
            into.extend(unknown.map(|member| Problem::new(member, "unknown_member", "is not known here")));
            return;
        }
        // Of several forms none fits: what the first, which stands for the plain one, has against it.
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } if context.iter().any(|form| !form.is_empty()) => {
            context
                .iter()
                .find(|form| !form.is_empty())
                .into_iter()
                .flatten()
                .for_each(|error| explain(error, value, into));
            return;
        }
        Kind::Type { .. } => ("wrong_type", "has the wrong type".to_owned()),
        Kind::Enum { .. } | Kind::Constant { .. } => ("invalid_value", "is not one of the values allowed".to_owned()),
        Kind::Minimum { limit } => ("out_of_range", format!("must be at least {limit}")),
        Kind::Maximum { limit } => ("out_of_range", format!("must be at most {limit}")),
        Kind::ExclusiveMinimum { limit } => ("out_of_range", format!("must be more than {limit}")),
        Kind::ExclusiveMaximum { limit } => ("out_of_range", format!("must be less than {limit}")),
        Kind::MultipleOf { .. } => ("out_of_range", "is not a multiple of what it must be".to_owned()),
        Kind::MinLength { limit } => ("out_of_range", format!("must have at least {limit} characters")),
        Kind::MaxLength { limit } => ("out_of_range", format!("must have at most {limit} characters")),
        Kind::MinItems { limit } => ("out_of_range", format!("must have at least {limit} items")),
        Kind::MaxItems { limit } => ("out_of_range", format!("must have at most {limit} items")),
        Kind::MinProperties { limit } => ("out_of_range", format!("must have at least {limit} members")),
        Kind::MaxProperties { limit } => ("out_of_range", format!("must have at most {limit} members")),
        Kind::UniqueItems => ("invalid_value", "has an item twice".to_owned()),
        Kind::Pattern { .. } | Kind::Format { .. } => {
            ("invalid_value", "does not have the form it must have".to_owned())
        }
        Kind::FalseSchema => ("unknown_member", "is not known here".to_owned()),
        _ => ("invalid_value", "is not valid".to_owned()),
    };
    into.push(Problem::new(at, code, message));
}
