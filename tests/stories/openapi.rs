//! `openapi.json`: complete and true.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::TestServer;

/// Every operation that api.md names and this server has.
const OPERATIONS: &[(&str, &str)] = &[
    ("post", "/auth/token/create"),
    ("post", "/token/renew"),
    ("post", "/token/revoke"),
    ("post", "/token/introspect"),
    ("get", "/sessions/current"),
    ("get", "/sessions"),
    ("post", "/sessions/{session_id}/revoke"),
    ("post", "/sessions/revoke"),
    ("post", "/users/create"),
    ("post", "/users/{username}/delete"),
    ("get", "/users/me"),
    ("get", "/users"),
    ("get", "/users/{username}"),
    ("post", "/users/{username}/update"),
    ("post", "/users/{username}/password"),
    ("get", "/users/{username}/credentials/{mount}"),
    ("post", "/users/{username}/credentials/{mount}"),
    ("delete", "/users/{username}/credentials/{mount}/{id}"),
    ("post", "/secrets/create"),
    ("get", "/secrets"),
    ("get", "/secrets/{secret_id}"),
    ("put", "/secrets/{secret_id}"),
    ("patch", "/secrets/{secret_id}"),
    ("delete", "/secrets/{secret_id}"),
    ("get", "/leases"),
    ("get", "/leases/{lease_id}"),
    ("post", "/leases/{lease_id}/renew"),
    ("post", "/leases/{lease_id}/revoke"),
    ("post", "/leases/{lease_id}/forget"),
    ("post", "/leases/revoke"),
    ("get", "/sys/settings"),
    ("post", "/sys/setting"),
    ("get", "/sys/setting/{key}"),
    ("put", "/sys/setting/{key}"),
    ("delete", "/sys/setting/{key}"),
    ("get", "/sys/security"),
    ("post", "/sys/security"),
    ("get", "/sys/plugins"),
    ("put", "/sys/plugins/{name}/{version}"),
    ("get", "/sys/plugins/{name}/{version}"),
    ("delete", "/sys/plugins/{name}/{version}"),
    ("get", "/sys/mounts"),
    ("get", "/sys/mounts/{kind}/{mount}"),
    ("get", "/sys/mounts/{kind}/{mount}/log"),
    ("get", "/sys/mounts/{kind}/{mount}/failures"),
    ("get", "/sys/roles"),
    ("get", "/sys/roles/{name}"),
    ("put", "/sys/roles/{name}"),
    ("delete", "/sys/roles/{name}"),
    ("get", "/sys/policies"),
    ("get", "/sys/policies/{name}"),
    ("put", "/sys/policies/{name}"),
    ("delete", "/sys/policies/{name}"),
    ("post", "/sys/policies/explain"),
    ("post", "/sys/init"),
    ("post", "/sys/unseal"),
    ("post", "/sys/seal"),
    ("get", "/sys/seal-status"),
    ("get", "/sys/health"),
];

async fn document(server: &TestServer) -> Value {
    server.anonymous().get("/openapi.json").await.expect(200)
}

/// Names of path parameters do not matter.
fn shape(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "patch", "delete", "head"];
    let each = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("a path item").clone();
        let path = shape(path);
        item.into_iter()
            .filter(|(method, _)| methods.contains(&method.as_str()))
            .map(move |(method, operation)| ((method, path.clone()), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(each).collect()
}

#[tokio::test]
async fn every_operation_is_listed_once_and_in_full() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths = document["paths"].as_object().expect("paths");
    let in_full = |path: &String| path.starts_with("/api/v1/") || path == "/metrics";
    assert!(paths.keys().all(in_full), "paths are written in full");
    let listed = operations(&document);
    let missing: Vec<_> = OPERATIONS
        .iter()
        .filter(|(method, path)| !listed.contains_key(&((*method).to_owned(), shape(&format!("/api/v1{path}")))))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let mut ids = BTreeSet::new();
    for ((method, path), operation) in &listed {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has an operationId"));
        assert!(ids.insert(id.to_owned()), "{id} is given twice");
        let answers = operation["responses"].as_object().unwrap_or_else(|| panic!("{method} {path} has answers"));
        let leads_on = path.ends_with("/browser") && answers.contains_key("303");
        assert!(answers.contains_key("200") || leads_on, "{method} {path}: success is 200");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is in this document"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn what_the_document_lists_is_routed() {
    let server = TestServer::start().await;
    for (method, path) in operations(&document(&server).await).into_keys() {
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let path = path.strip_prefix("/api/v1").unwrap_or(&path).replace("{}", "kv%2Fx");
        let answer = server.anonymous().call(method.clone(), &path).await;
        // Whatever it says to nobody in particular: it is there, and takes that method.
        assert!(![404, 405, 501].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn operations_that_need_a_token_say_so() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let everywhere = document["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
    for ((method, path), operation) in operations(&document) {
        if method != "get" || path.contains("{}") {
            continue;
        }
        let own = operation["security"].as_array();
        let declared = own.map_or(everywhere, |schemes| !schemes.is_empty() && schemes[0] != serde_json::json!({}));
        let answer = server.anonymous().get(path.strip_prefix("/api/v1").unwrap_or(&path)).await;
        assert_eq!(declared, answer.status == 401, "{path} answers {}", answer.status);
    }
}
