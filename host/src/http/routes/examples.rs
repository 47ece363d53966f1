//! Examples in `openapi.json`: one of what each operation takes and one of what it answers, all in one file. A test holds
//! each to its schema, and fails for an operation that has none.

use serde_json::Value;

const FILE: &str = include_str!("examples.json");

const FORM: &str = "application/x-www-form-urlencoded";

pub fn add_to(document: &mut Value) {
    let examples: Value = serde_json::from_str(FILE).expect("our own examples are JSON");
    let items = document["paths"].as_object_mut().into_iter().flat_map(|items| items.values_mut());
    for operation in items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        let of = &examples["operations"][operation["operationId"].as_str().unwrap_or_default()];
        for (place, example) in [("/requestBody/content", &of["request"]), ("/responses/200/content", &of["response"])]
        {
            for (media_type, content) in
                operation.pointer_mut(place).and_then(Value::as_object_mut).into_iter().flatten()
            {
                let example = if media_type == FORM { texts(example) } else { example.clone() };
                if !example.is_null() && (media_type.ends_with("json") || media_type == FORM) {
                    content["example"] = example;
                }
            }
        }
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            // A plugin's is a text, a secret's a number.
            let example = match (parameter["name"].as_str().unwrap_or_default(), &parameter["schema"]["type"]) {
                ("version", kind) if kind == "string" => "1.0.0".into(),
                ("version", _) => 1.into(),
                (name, _) => examples["parameters"][name].clone(),
            };
            if !example.is_null() {
                parameter["example"] = example;
            }
        }
    }
}

/// A form has texts and nothing else.
fn texts(example: &Value) -> Value {
    let members = example.as_object().map(|members| members.iter().filter(|(_, value)| value.is_string()));
    members.map_or(Value::Null, |members| members.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::DOCUMENT, *};

    const JSON: &str = "application/json";

    fn document() -> Value {
        serde_json::from_slice(&DOCUMENT).unwrap()
    }

    fn operations(document: &Value) -> Vec<(String, Value)> {
        let items = document["paths"].as_object().unwrap().iter();
        items
            .flat_map(|(path, item)| {
                let of = |(method, operation): (&String, &Value)| (format!("{method} {path}"), operation.clone());
                item.as_object().unwrap().iter().map(of).collect::<Vec<_>>()
            })
            .collect()
    }

    fn wrong(document: &Value, schema: &Value, example: &Value) -> Option<String> {
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        let validator =
            jsonschema::draft202012::options().offline().should_validate_formats(true).build(&whole).unwrap();
        let told: Vec<_> = validator.iter_errors(example).map(|e| format!("{} {e}", e.instance_path())).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    #[test]
    fn every_operation_has_examples_and_they_are_what_its_schemas_say() {
        let document = document();
        let mut told = Vec::new();
        for (name, operation) in operations(&document) {
            let bodies = [operation.pointer("/requestBody/content"), operation.pointer("/responses/200/content")];
            let contents = bodies.into_iter().flatten().flat_map(|content| [content.get(JSON), content.get(FORM)]);
            for content in contents.flatten() {
                // It is itself.
                let free = name.ends_with("/openapi.json");
                match content.get("example") {
                    None if free => {}
                    None => told.push(format!("{name} ({}) has no example", operation["operationId"])),
                    Some(example) => told.extend(
                        wrong(&document, &content["schema"], example).map(|why| format!("{name}: {why} in {example}")),
                    ),
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let example = parameter.get("example");
                if example.is_none() && parameter["required"] == true && parameter["in"] == "path" {
                    told.push(format!("{name}: {} has no example", parameter["name"]));
                }
                let why = example.and_then(|example| wrong(&document, &parameter["schema"], example));
                told.extend(why.map(|why| format!("{name}: {}: {why}", parameter["name"])));
            }
        }
        assert!(told.is_empty(), "{}", told.join("\n"));
    }

    #[test]
    fn every_example_is_of_an_operation() {
        let (document, examples) = (document(), serde_json::from_str::<Value>(FILE).unwrap());
        let known: Vec<_> =
            operations(&document).into_iter().map(|(_, operation)| operation["operationId"].clone()).collect();
        for name in examples["operations"].as_object().unwrap().keys() {
            assert!(known.contains(&Value::from(name.as_str())), "{name}");
        }
    }

    #[test]
    fn every_way_to_prove_who_asks_is_described() {
        let document = document();
        let schemes = document["components"]["securitySchemes"].as_object().unwrap();
        assert_eq!(schemes.keys().collect::<Vec<_>>(), ["bearer", "client"]);
        for (name, operation) in operations(&document) {
            let asked = operation.get("security").unwrap_or(&document["security"]).as_array().unwrap();
            assert!(!asked.is_empty(), "{name}");
            for scheme in asked.iter().flat_map(|one| one.as_object().unwrap().keys()) {
                assert!(schemes.contains_key(scheme), "{name}: {scheme}");
            }
        }
    }

    #[test]
    fn what_is_a_type_has_a_name() {
        let document = document();
        let unnamed = |schema: &Value| schema["properties"].as_object().is_some_and(|members| !members.is_empty());
        for (name, operation) in operations(&document) {
            let bodies = [operation.pointer("/requestBody/content"), operation.pointer("/responses/200/content")];
            let contents = bodies.into_iter().flatten().flat_map(|content| content.as_object().unwrap().values());
            for content in contents {
                assert!(!unnamed(&content["schema"]), "{name}: {}", content["schema"]);
            }
        }
    }
}
