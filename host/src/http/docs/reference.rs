//! The reference of the API: `openapi.json`, laid out for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::markdown::{Rendered, fragment};
use crate::http::html::escaped;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub fn render(document: &Value) -> Rendered {
    let mut page = Rendered {
        title: "API reference".to_owned(),
        lead: "Every operation with its parameters, bodies and answers, made of openapi.json.".to_owned(),
        headings: Vec::new(),
        html: "<h1 id=\"api-reference\">API reference</h1><p>Every operation, as \
               <a href=\"/api/v1/openapi.json\">openapi.json</a> has it, from which clients can be generated. \
               The <a href=\"/docs/api\">API guide</a> explains what they have in common.</p>"
            .to_owned(),
    };
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        page.section(name, name);
        page.html.push_str(&fragment(text(&tag["description"])));
        for (path, item) in entries(&document["paths"]) {
            for method in METHODS.iter().filter(|method| item[**method]["tags"][0] == name) {
                operation(&mut page.html, method, path, &item[*method], document);
            }
        }
    }
    page.section("schemas", "schemas");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let _ = write!(page.html, "<h3 id=\"schema-{0}\">{0}</h3>{1}", escaped(name), described(schema));
        members(&mut page.html, schema);
    }
    page.section("refusals", "refusals");
    page.html.push_str(&fragment(text(&document["info"]["description"])));
    page
}

impl Rendered {
    fn section(&mut self, id: &str, title: &str) {
        let mut title = title.to_owned();
        title.get_mut(..1).map(str::make_ascii_uppercase);
        let _ = write!(self.html, "<h2 id=\"{}\">{}</h2>", escaped(id), escaped(&title));
        self.headings.push((2, id.to_owned(), title));
    }
}

fn operation(html: &mut String, method: &str, path: &str, operation: &Value, document: &Value) {
    let (id, summary) = (escaped(text(&operation["operationId"])), fragment(text(&operation["summary"])));
    let (method, path) = (method.to_uppercase(), escaped(path));
    let _ = write!(html, "<section><h3 id=\"{id}\"><span class=\"method\">{method}</span> <code>{path}</code></h3>");
    let _ = write!(html, "{summary}{}", fragment(text(&operation["description"])));
    let security = operation.get("security").unwrap_or(&document["security"]);
    if list(security).iter().all(|one| one.as_object().is_none_or(Map::is_empty)) {
        html.push_str("<p class=\"note\">Needs no token.</p>");
    }
    parameters(html, &operation["parameters"]);
    let body = &operation["requestBody"];
    for (media_type, content) in entries(&body["content"]) {
        let needed = if body["required"] == true { "" } else { ", may be left out" };
        let _ = write!(html, "<p><b>Body</b> (<code>{}</code>{needed}): ", escaped(media_type));
        shown(html, content);
    }
    for (status, answer) in entries(&operation["responses"]) {
        let answer = answer["$ref"].as_str().and_then(|place| document.pointer(place.get(1..)?)).unwrap_or(answer);
        let (status, said) = (escaped(status), fragment(text(&answer["description"])));
        let said = said.trim().trim_start_matches("<p>").trim_end_matches("</p>");
        let _ = write!(html, "<p><b>{status}</b> {said} ");
        match entries(&answer["content"]).next() {
            Some((_, content)) => shown(html, content),
            None => html.push_str("</p>"),
        }
    }
    html.push_str("</section>\n");
}

fn parameters(html: &mut String, parameters: &Value) {
    if list(parameters).is_empty() {
        return;
    }
    html.push_str("<table><thead><tr><th>Parameter</th><th>In</th><th>Type</th><th></th></tr></thead><tbody>");
    for parameter in list(parameters) {
        let name = marked(text(&parameter["name"]), parameter["required"] == true);
        let (place, kind) = (escaped(text(&parameter["in"])), kind(&parameter["schema"]));
        let _ =
            write!(html, "<tr><td>{name}</td><td>{place}</td><td>{kind}</td><td>{}</td></tr>", described(parameter));
    }
    html.push_str("</tbody></table>");
}

/// Closes the paragraph that it goes on with.
fn shown(html: &mut String, content: &Value) {
    let _ = write!(html, "{}</p>", kind(&content["schema"]));
    members(html, &content["schema"]);
    let named = entries(&content["examples"]).map(|(_, example)| &example["value"]);
    for example in content.get("example").into_iter().chain(named) {
        let example = serde_json::to_string_pretty(example).unwrap_or_default();
        let _ = write!(html, "<pre><code class=\"language-json\">{}</code></pre>", escaped(&example));
    }
}

/// The members of an object that is described in its place.
fn members(html: &mut String, schema: &Value) {
    for one in ["allOf", "anyOf", "oneOf"].iter().flat_map(|of| list(&schema[*of])) {
        members(html, one);
    }
    if schema["properties"].as_object().is_none_or(Map::is_empty) {
        return;
    }
    let required = list(&schema["required"]);
    html.push_str("<table><thead><tr><th>Member</th><th>Type</th><th></th></tr></thead><tbody>");
    for (name, member) in entries(&schema["properties"]) {
        let needed = required.iter().any(|one| one == name);
        let (name, kind) = (marked(name, needed), kind(member));
        let _ = write!(html, "<tr><td>{name}</td><td>{kind}</td><td>{}</td></tr>", described(member));
    }
    html.push_str("</tbody></table>");
}

fn marked(name: &str, required: bool) -> String {
    let name = escaped(name);
    if required { format!("<b><code>{name}</code></b>") } else { format!("<code>{name}</code>") }
}

fn described(what: &Value) -> String {
    fragment(text(&what["description"]))
}

/// What a value may be, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(place) = schema["$ref"].as_str() {
        let name = escaped(place.rsplit('/').next().unwrap_or(place));
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (of, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if !list(&schema[of]).is_empty() {
            return list(&schema[of]).iter().map(kind).collect::<Vec<_>>().join(between);
        }
    }
    if let Some(constant) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&constant.to_string()));
    }
    if !list(&schema["enum"]).is_empty() {
        let values = list(&schema["enum"]).iter().map(|value| format!("<code>{}</code>", escaped(&value.to_string())));
        return values.collect::<Vec<_>>().join(", ");
    }
    let names = match &schema["type"] {
        Value::Array(names) => names.iter().map(|name| plain(text(name), schema)).collect::<Vec<_>>().join(" or "),
        Value::String(name) => plain(name, schema),
        _ => "any".to_owned(),
    };
    schema["format"].as_str().map_or(names.clone(), |format| format!("{names} ({})", escaped(format)))
}

fn plain(name: &str, schema: &Value) -> String {
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        name => escaped(name),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
