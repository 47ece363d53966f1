//! What is routed is described, and the other way round: both read as text, for a router tells nothing of itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::DOCUMENT;

const TABLE: &str = include_str!("mod.rs");

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// The way of secrets and their verbs, which `path::target` takes apart, and their second form, which is not described.
const OF_SECRETS: (&str, &str) = ("/secrets/{secret_id}", "/secrets");

/// Calls of auth mounts: which there are, manifests say.
const OF_MOUNTS: &str = "/auth/{mount}/{*path}";

/// Another spelling, whose canonical one is listed by its own route.
const SPELLINGS: &[(&str, &str)] = &[("/users/delete", "/users/{username}/delete"), ("/docs/", "/docs")];

/// Pages for people, which are no part of the API.
const PAGES: &[&str] = &["/docs", "/docs/{page}"];

/// Names of parameters do not matter.
fn shape(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Method and path of each route, by its first spelling.
fn routed() -> BTreeSet<(String, String)> {
    let code = TABLE.split("#[cfg(test)]").next().unwrap();
    let (_, table) = code.split_once("pub fn routes()").unwrap();
    let mut found = BTreeSet::new();
    // Each path stands in quotes, and what follows it up to the next path names its methods.
    let mut texts = table.split('"').skip(1).step_by(2).zip(table.split('"').skip(2).step_by(2)).peekable();
    while let Some((path, mut after)) = texts.next() {
        if !path.starts_with('/') || path.starts_with("/api/v1") {
            continue;
        }
        // Another spelling of the same follows a comma and nothing else.
        while after.trim() == "," {
            after = texts.next().unwrap().1;
        }
        let methods = METHODS.iter().filter(|method| {
            after.match_indices(&format!("{method}(")).any(|(at, _)| {
                let before = after[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
            })
        });
        for method in methods {
            found.insert(((*method).to_owned(), path.to_owned()));
            if path == OF_SECRETS.1 {
                found.insert(((*method).to_owned(), OF_SECRETS.0.to_owned()));
            }
        }
    }
    found
}

/// The same as `openapi.json` has it.
fn described() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_slice(&DOCUMENT).unwrap();
    let items = document["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &Value)| {
        let path = path.strip_prefix("/api/v1").unwrap_or(path).to_owned();
        item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
    };
    items.flat_map(of).collect()
}

#[test]
fn every_route_is_described() {
    let described: BTreeSet<_> = described().into_iter().map(|(method, path)| (method, shape(&path))).collect();
    let routed = routed();
    assert!(routed.len() > 60, "{routed:?}");
    let lost: Vec<_> = routed
        .iter()
        .filter(|(method, path)| match path.as_str() {
            OF_MOUNTS => false,
            page if PAGES.contains(&page) => false,
            // A verb of an engine comes by POST: which there are, manifests say.
            secrets if secrets == OF_SECRETS.0 => method != "post",
            secrets if secrets == OF_SECRETS.1 => method == "get",
            other => {
                let named = SPELLINGS.iter().find(|(spelling, _)| *spelling == other).map_or(other, |(_, path)| path);
                !PAGES.contains(&named) && !described.contains(&(method.clone(), shape(named)))
            }
        })
        .filter(|(method, path)| !described.contains(&(method.clone(), shape(path))))
        .collect();
    assert!(lost.is_empty(), "routes that openapi.json does not have: {lost:?}");
}

#[test]
fn every_operation_is_routed() {
    let routed: BTreeSet<_> = routed().into_iter().map(|(method, path)| (method, shape(&path))).collect();
    let lost: Vec<_> = described()
        .into_iter()
        .filter(|(method, path)| {
            // `{secret_id}:history` and `{key}:history` are of the route below which they stand.
            let plain = path.rsplit_once("}:").map_or(path.clone(), |(path, _)| format!("{path}}}"));
            let call = plain.starts_with("/auth/").then(|| shape(OF_MOUNTS));
            let is_routed = |path: String| routed.contains(&(method.clone(), path));
            !is_routed(shape(&plain)) && !call.is_some_and(is_routed)
        })
        .collect();
    assert!(lost.is_empty(), "operations that no route has: {lost:?}");
}
