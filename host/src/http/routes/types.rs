//! Names for the types that only plugins' manifests describe: generators of clients make little of what has none.

use serde_json::{Map, Value, json};

/// Schemas by their names.
#[derive(Default)]
pub struct Types(Map<String, Value>);

impl Types {
    /// A reference to the schema, once it has been given this name; what it has lists of gets a name too.
    pub fn name(&mut self, name: String, mut schema: Value) -> Value {
        plain(&mut schema);
        for inner in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            if inner["items"]["properties"].is_object() {
                inner["items"] = self.name(format!("{name}Item"), inner["items"].take());
            }
        }
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        self.0.insert(name, schema);
        reference
    }

    pub fn add_to(self, document: &mut Value) {
        for (name, schema) in self.0 {
            document["components"]["schemas"][name] = schema;
        }
    }
}

/// A form has texts and nothing else, so where JSON has more, what a form takes is a type of its own.
pub fn forms(document: &mut Value) {
    let mut made = Vec::new();
    let items = document["paths"].as_object_mut().into_iter().flat_map(|items| items.values_mut());
    for operation in items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        let Some(content) = operation.pointer_mut("/requestBody/content") else { continue };
        let schema = &content["application/x-www-form-urlencoded"]["schema"]["$ref"];
        if let Some(reference) = schema.as_str().map(str::to_owned)
            && content["application/json"]["schema"]["$ref"] == reference
        {
            content["application/x-www-form-urlencoded"]["schema"]["$ref"] = format!("{reference}Form").into();
            made.push(reference);
        }
    }
    for reference in made {
        let (pointer, name) = (reference.trim_start_matches('#'), reference.rsplit('/').next().unwrap_or_default());
        let mut schema = document.pointer(pointer).cloned().unwrap_or_default();
        let mut texts = Map::new();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let is_text = |kind: &Value| kind == "string";
            if is_text(&member["type"]) || member["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_text)) {
                let mut member = member.clone();
                member["type"] = "string".into();
                texts.insert(name.clone(), member);
            }
        }
        schema["properties"] = Value::Object(texts);
        document["components"]["schemas"][format!("{name}Form")] = schema;
    }
}

/// What generators of clients make too little of, said otherwise, in every schema of the document: an object of
/// whatever members says so, and a default (for them, a member that is always there) is left to the words.
pub fn tidy(document: &mut Value) {
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        tidied(schema);
    }
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in items.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            parameter.get_mut("schema").into_iter().for_each(tidied);
        }
        for place in ["/requestBody/content", "/responses/200/content"] {
            for content in
                operation.pointer_mut(place).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
            {
                content.get_mut("schema").into_iter().for_each(tidied);
            }
        }
    }
}

fn tidied(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(value) = members.remove("default").filter(|value| !value.is_null() && *value != false) {
        let said = members.get("description").and_then(Value::as_str).unwrap_or_default();
        let said = format!("{said} If left out: {value}.").trim().to_owned();
        members.insert("description".to_owned(), said.into());
    }
    let is_object =
        |kind: &Value| kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&"object".into()));
    let is_free =
        ["properties", "additionalProperties", "allOf", "anyOf", "oneOf"].iter().all(|of| !members.contains_key(*of));
    if is_free && members.get("type").is_some_and(is_object) {
        members.insert("additionalProperties".to_owned(), true.into());
    }
    for of in ["allOf", "anyOf", "oneOf"] {
        members.get_mut(of).and_then(Value::as_array_mut).into_iter().flatten().for_each(tidied);
    }
    members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut).for_each(tidied);
    for of in ["items", "additionalProperties"] {
        members.get_mut(of).into_iter().for_each(tidied);
    }
}

/// Without what only says which members go together (the plugin sees to that), and with the type of what is one of
/// some values: generators make `any` of either.
fn plain(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    let is_condition = |of: &Value| {
        let parts = of.as_array().map(Vec::as_slice).unwrap_or_default();
        parts
            .iter()
            .all(|part| part.as_object().is_some_and(|part| part.keys().all(|key| key == "required" || key == "not")))
    };
    for of in ["oneOf", "anyOf"] {
        if members.get(of).is_some_and(is_condition) {
            members.remove(of);
        }
    }
    if let Some(first) = members.get("enum").and_then(|values| values.get(0)).filter(|_| !members.contains_key("type"))
    {
        let kind = if first.is_string() { "string" } else { "integer" };
        members.insert("type".to_owned(), kind.into());
    }
    members.values_mut().for_each(|inner| match inner {
        Value::Array(inner) => inner.iter_mut().for_each(plain),
        inner => plain(inner),
    });
}

/// `random-bytes` is `RandomBytes`.
pub fn pascal(name: &str) -> String {
    let capital = |part: &str| part.get(..1).map_or(String::new(), str::to_uppercase) + part.get(1..).unwrap_or("");
    name.split(['-', '_']).map(capital).collect()
}
