//! `GET /secrets`: what is there, as far as the caller may know.

use serde_json::{Value, json};

use super::hostile::{BOUNDS, mount};
use crate::harness::guests::engine;
use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_folder_shows_its_secrets_and_folders, pages_follow_in_byte_order_without_a_gap);

async fn fill(client: &Client, ids: &[&str]) {
    for id in ids {
        client.post("/secrets/create", json!({ "secret_id": id, "value": canary("listed") })).await.expect(200);
    }
}

fn names(list: &Value) -> Vec<String> {
    let secrets = list["secrets"].as_array().unwrap_or_else(|| panic!("a list of secrets: {list}"));
    secrets.iter().map(|secret| secret["secret_id"].as_str().expect("an id").to_owned()).collect()
}

async fn a_folder_shows_its_secrets_and_folders(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    fill(&admin, &["kv/apps/a", "kv/apps/web/db", "kv/apps/web/tls.crt", "kv/apps/z", "kv/other/x", "kv/apps-b/x"])
        .await;
    for prefix in ["kv/apps/", "kv/apps"] {
        let list = admin.get("/secrets").query(&[("prefix", prefix)]).await.expect(200);
        assert_eq!(names(&list), ["kv/apps/a", "kv/apps/z"]);
        assert_eq!(list["folders"], json!(["kv/apps/web/"]));
        assert_eq!(list["next_cursor"], Value::Null);
        let first = &list["secrets"][0];
        assert_eq!(first["version"], 1);
        assert!(first["updated_at"].is_string() && first["data"].is_null(), "{first}");
        assert!(
            first
                .as_object()
                .is_some_and(|members| members.contains_key("expires_at") && members.contains_key("metadata"))
        );
    }
    let list = admin.get("/secrets?prefix=kv/apps/&recursive=true").await.expect(200);
    assert_eq!(names(&list), ["kv/apps/a", "kv/apps/web/db", "kv/apps/web/tls.crt", "kv/apps/z"]);
    let list = admin.get("/secrets?prefix=kv/none/").await.expect(200);
    assert_eq!((names(&list).len(), &list["folders"]), (0, &json!([])));
    let list = admin.get("/secrets?prefix=kv").await.expect(200);
    assert_eq!(list["folders"], json!(["kv/apps-b/", "kv/apps/", "kv/other/"]));
    admin.delete("/secrets/kv/apps/a").await.expect(200);
    assert_eq!(
        names(&admin.get("/secrets?prefix=kv/apps").await.expect(200)),
        ["kv/apps/z"],
        "what is deleted is not listed"
    );
}

async fn pages_follow_in_byte_order_without_a_gap(server: Builder) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    let ids: Vec<String> =
        ["B", "a", "é", "z", "0", "Z", "aa", "a b"].iter().map(|name| format!("kv/~/p/{name}")).collect();
    fill(&ada, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut want: Vec<String> = ids.iter().map(|id| id.replace('~', &format!("users/{}", ada.id))).collect();
    want.sort();
    for limit in ["1", "3", "8", "1000"] {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("prefix", "kv/~/p/"), ("limit", limit)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = ada.get("/secrets").query(&query).await.expect(200);
            assert!(names(&page).len() <= limit.parse().expect("a number"));
            seen.extend(names(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
            assert!(seen.len() <= want.len(), "the pages end");
        }
        assert_eq!(seen, want);
    }
}

#[tokio::test]
async fn a_cursor_is_sealed() {
    let server = TestServer::start().await;
    let (ada, bob) = (server.login("ada").await, server.login("bob").await);
    fill(&ada, &["kv/~/a", "kv/~/b", "kv/~/c"]).await;
    let page = ada.get("/secrets?prefix=kv/~/&limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("there is more").to_owned();
    let mut bent = cursor.clone().into_bytes();
    let middle = bent.len() / 2;
    bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).expect("ASCII");
    for bad in [bent.as_str(), "x", "", &cursor[1..]] {
        ada.get("/secrets").query(&[("prefix", "kv/~/"), ("cursor", bad)]).await.expect_at(422, ["query", "cursor"]);
    }
    // It belongs to the listing that gave it.
    ada.get("/secrets")
        .query(&[("prefix", "kv/~/other/"), ("cursor", &cursor)])
        .await
        .expect_at(422, ["query", "cursor"]);
    bob.get("/secrets").query(&[("prefix", "kv/~/"), ("cursor", &cursor)]).await.expect_at(422, ["query", "cursor"]);
}

#[tokio::test]
async fn recursion_goes_into_no_folder_that_may_not_be_listed() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    fill(&admin, &["kv/apps/a", "kv/apps/closed/deep/y", "kv/apps/closed/x", "kv/apps/open/z"]).await;
    // The folder itself is closed, and nothing is said of what lies in it.
    let text = r#"
        permit (principal in Role::"user", action == Action::"list", resource in Resource::"secrets/kv/apps");
        forbid (principal in Role::"user", action == Action::"list", resource == Resource::"secrets/kv/apps/closed");
    "#;
    admin.put("/sys/policies/apps", json!({ "text": text })).await.expect(200);
    ada.get("/secrets?prefix=kv/apps/closed").await.expect_forbidden();
    for query in ["prefix=kv/apps&recursive=true", "prefix=kv/apps/&recursive=true", "recursive=true"] {
        let list = ada.get(&format!("/secrets?{query}")).await.expect(200);
        assert_eq!(names(&list), ["kv/apps/a", "kv/apps/open/z"], "{query}");
        assert!(!list.to_string().contains("closed"), "{list}");
    }
    // Page by page as well.
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("prefix", "kv/apps"), ("recursive", "true"), ("limit", "1")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let list = ada.get("/secrets").query(&query).await.expect(200);
        seen.extend(names(&list));
        match list["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, ["kv/apps/a", "kv/apps/open/z"]);
    // Whoever may list it goes in.
    let all = names(&admin.get("/secrets?prefix=kv/apps&recursive=true").await.expect(200));
    assert_eq!(all.len(), 4, "{all:?}");
    // What lies in it can still be asked for by who knows where it is.
    let deep = ada.get("/secrets?prefix=kv/apps/closed/deep").await.expect(200);
    assert_eq!(names(&deep), ["kv/apps/closed/deep/y"]);
}

#[tokio::test]
async fn without_a_prefix_everybody_sees_what_they_may() {
    let server = TestServer::start().await;
    let (admin, ada, bob) = (server.admin().await, server.login("ada").await, server.login("bob").await);
    let nothing = bob.get("/secrets").await.expect(200);
    assert_eq!((names(&nothing).len(), &nothing["next_cursor"]), (0, &Value::Null), "empty, not 403");
    fill(&admin, &["kv/apps/a"]).await;
    fill(&ada, &["kv/~/x", "kv/~/deep/y"]).await;
    fill(&bob, &["kv/~/z"]).await;
    let recursive = [("recursive", "true")];
    let hers = names(&ada.get("/secrets").query(&recursive).await.expect(200));
    assert_eq!(hers, [format!("kv/users/{}/deep/y", ada.id), format!("kv/users/{}/x", ada.id)]);
    let his = names(&bob.get("/secrets").query(&recursive).await.expect(200));
    assert_eq!(his, [format!("kv/users/{}/z", bob.id)]);
    let all = names(&admin.get("/secrets").query(&recursive).await.expect(200));
    assert_eq!(all.len(), 4, "{all:?}");
    server.anonymous().get("/secrets").await.expect_unauthorized();
}

#[tokio::test]
async fn what_a_listing_cannot_be_asked_is_named() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    for limit in ["0", "1001", "-1", "x", "1.5", ""] {
        ada.get("/secrets").query(&[("prefix", "kv/~/"), ("limit", limit)]).await.expect_at(422, ["query", "limit"]);
    }
    for prefix in ["kv//", "kv/../", "kv/~/a%2f", "KV", "kv/~/a:b"] {
        ada.get("/secrets").query(&[("prefix", prefix)]).await.expect_at(422, ["query", "prefix"]);
    }
    ada.get("/secrets?prefix=kv/~/&recursive=maybe").await.expect_at(422, ["query", "recursive"]);
    ada.get("/secrets?prefix=kv/~/&colour=red").await.expect_at(422, ["query", "colour"]);
    server.admin().await.get("/secrets?prefix=nowhere/").await.expect(404);
}

#[tokio::test]
async fn what_is_stored_at_the_greatest_depth_can_still_be_listed() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    // The body's own object is the first of 32 levels.
    let metadata = (0..30).fold(json!({ "end": 1 }), |inner, _| json!({ "m": inner }));
    let body = json!({ "secret_id": "kv/~/deep", "value": canary("deep"), "metadata": metadata });
    ada.post("/secrets/create", body).await.expect(200);
    let listed = ada.get("/secrets?prefix=kv/~/").await.expect(200);
    assert_eq!(listed["secrets"][0]["metadata"], metadata);
}

/// Refuses whatever is asked of it with this code.
fn refusing(code: &str) -> Vec<u8> {
    let data = format!("(data (i32.const 3000) \"{code}\")");
    let body = format!(
        "(i32.store (i32.const 1088) (i32.const 1))
         (i32.store offset=8 (i32.const 1088) (i32.const 3000))
         (i32.store offset=12 (i32.const 1088) (i32.const {}))
         (i32.const 1088)",
        code.len()
    );
    engine("", &data, &body)
}

#[tokio::test]
async fn a_mount_that_cannot_be_listed_takes_nothing_from_the_others() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    fill(&admin, &["kv/apps/a"]).await;
    fill(&ada, &["kv/~/x"]).await;
    // One comes before `kv` and one behind it, and each way of failing is there.
    let endless = r#"(data (i32.const 3000) "{\"folders\":[\"a/\"],\"next\":\"\"}")"#;
    let nameless = r#"(data (i32.const 3000) "{\"entries\":[{}]}")"#;
    let guests = [
        ("a-none", refusing("unsupported")),
        ("absent", refusing("not-found")),
        ("b-traps", engine("", "", "(unreachable)")),
        ("nameless", engine("", nameless, "(call $answer (i32.const 3000) (i32.const 16))")),
        ("none", refusing("unsupported")),
        ("refuses", refusing("denied")),
        ("z-endless", engine("", endless, "(call $answer (i32.const 3000) (i32.const 28))")),
    ];
    for (name, wasm) in &guests {
        mount(&admin, ("secrets", name), BOUNDS, wasm, json!({})).await.expect(200);
    }
    // Whoever lists all learns of what fails, and not of what has no lists.
    let list = admin.get("/secrets").query(&[("recursive", "true")]).await.expect(200);
    assert_eq!(names(&list), ["kv/apps/a".to_owned(), format!("kv/users/{}/x", ada.id)]);
    let told = list["warnings"].as_array().expect("warnings");
    let told: Vec<_> = told.iter().map(|told| told.as_str().and_then(|told| told.split('/').next())).collect();
    assert_eq!(told, ["b-traps", "nameless", "refuses", "z-endless"].map(Some));
    // Who asks for one folder is answered as ever, and who lists nothing there learns nothing.
    admin.get("/secrets?prefix=none/").await.expect(405);
    admin.get("/secrets?prefix=b-traps/").await.expect_type(502, "plugin_failed");
    admin.get("/secrets?prefix=kv/apps/").await.expect(200);
    let hers = ada.get("/secrets").query(&[("recursive", "true")]).await.expect(200);
    assert_eq!((names(&hers).len(), &hers["warnings"]), (1, &Value::Null));
    // A mount that may not be listed is not named either.
    let text = r#"
        permit (principal in Role::"user", action == Action::"list", resource in Resource::"secrets");
        forbid (principal in Role::"user", action == Action::"list", resource in Resource::"secrets/b-traps");
    "#;
    admin.put("/sys/policies/all", json!({ "text": text })).await.expect(200);
    let hers = ada.get("/secrets").query(&[("recursive", "true")]).await.expect(200);
    assert!(!hers.to_string().contains("b-traps") && hers.to_string().contains("z-endless"), "{hers}");
}
