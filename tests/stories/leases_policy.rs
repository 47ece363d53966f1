//! What policies say of leases.

use serde_json::{Value, json};

use super::leases::{borrow, id, listed, mounted, renew, revoke, shown, until_gone};
use crate::harness::{Client, Lender, TestServer};

async fn publish(admin: &Client, name: &str, text: &str) {
    admin.put(&format!("/sys/policies/{name}"), json!({ "text": text })).await.expect(200);
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

async fn found(client: &Client, query: &str) -> Vec<String> {
    sorted(listed(&client.get(&format!("/leases?{query}")).await.expect(200)))
}

#[tokio::test]
async fn what_is_forbidden_below_a_folder_is_neither_shown_nor_revoked() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let (ada, operator) = (server.login("ada").await, server.login("bob").await);
    let text = format!(
        r#"permit (principal == User::"{bob}", action, resource in Resource::"sys/leases");
        permit (principal == User::"{bob}", action, resource in Resource::"sys/users");
        permit (principal == User::"{bob}", action, resource in Resource::"sys/sessions");
        forbid (principal == User::"{bob}", action, resource in Resource::"sys/leases/secrets/db/prod");
        forbid (principal == User::"{bob}", action == Action::"delete", resource in Resource::"sys/leases/secrets/db/test");"#,
        bob = operator.id
    );
    publish(&admin, "operator", &text).await;
    let (mut open, mut closed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for role in ["a", "prod2", "pro"] {
        open.push(borrow(&ada, role).await);
    }
    for role in ["prod", "prod/x", "prod/x/y"] {
        closed.push(borrow(&ada, role).await);
    }
    for role in ["test/x", "test/y"] {
        kept.push(borrow(&ada, role).await);
    }
    let seen = sorted(open.iter().chain(&kept).map(id).collect());
    let all = sorted(open.iter().chain(&closed).chain(&kept).map(id).collect());
    for query in ["prefix=", "prefix=db", "username=ada", "username=ada&prefix=db"] {
        assert_eq!(found(&operator, query).await, seen, "{query}");
        assert_eq!(found(&admin, query).await, all, "{query}");
    }
    // Page by page it is the same.
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut call = operator.get("/leases?prefix=db&limit=1");
        if let Some(cursor) = &cursor {
            call = call.query(&[("cursor", cursor.as_str())]);
        }
        let page = call.await.expect(200);
        pages.extend(listed(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(sorted(pages), seen);
    // Below the folder itself nothing may be asked; however its name is written.
    for query in ["prefix=db/prod", "prefix=db/prod/", "prefix=db%2Fprod/x"] {
        operator.get(&format!("/leases?{query}")).await.expect_forbidden();
    }
    operator.post("/leases/revoke", json!({ "prefix": "db/prod" })).await.expect_forbidden();
    // One by its id is like one that is not there.
    let none = json!({ "lease_id": "0".repeat(24) });
    for lease in &closed {
        for (theirs, missing) in [
            (shown(&operator, lease).await, shown(&operator, &none).await),
            (renew(&operator, lease, json!({})).await, renew(&operator, &none, json!({})).await),
            (revoke(&operator, lease).await, revoke(&operator, &none).await),
        ] {
            assert_eq!((theirs.status.as_u16(), theirs.likeness()), (404, missing.likeness()));
        }
    }
    // One that may be seen is.
    shown(&operator, &kept[0]).await.expect(200);
    revoke(&operator, &kept[0]).await.expect_forbidden();
    // Many at once: what may be is revoked, and no more is claimed.
    let told = operator.post("/leases/revoke", json!({ "prefix": "db/test" })).await;
    told.expect_forbidden();
    for (body, count) in [
        (json!({ "prefix": "db" }), 3),
        (json!({ "username": "ada" }), 3),
        (json!({ "session_id": ada.session_id() }), 3),
    ] {
        // What is being revoked already, and not gone yet, is counted again.
        let told = operator.post("/leases/revoke", body).await.expect(200);
        assert!(told["revoking"].as_u64() <= Some(count), "{told}");
    }
    for role in ["a", "prod2", "pro"] {
        until_gone(&outside, role).await;
    }
    for lease in closed.iter().chain(&kept) {
        assert_eq!(shown(&ada, lease).await.expect(200)["state"], "active");
    }
    assert_eq!(operator.post("/leases/revoke", json!({ "prefix": "db" })).await.expect(200)["revoking"], 0);
    // Their holder gives them back, whatever others may.
    assert_eq!(ada.post("/leases/revoke", json!({ "username": "me" })).await.expect(200)["revoking"], 5);
    until_gone(&outside, "prod/x/y").await;
}

#[tokio::test]
async fn who_may_no_longer_borrow_prolongs_nothing_and_gives_back() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let (ada, operator) = (server.login("ada").await, server.login("bob").await);
    let text = format!(r#"permit (principal == User::"{}", action, resource in Resource::"sys/leases");"#, operator.id);
    publish(&admin, "operator", &text).await;
    let (lease, other) = (borrow(&ada, "app").await, borrow(&ada, "other").await);
    renew(&ada, &lease, json!({})).await.expect(200);
    let state = async |lease: &Value| shown(&ada, lease).await.expect(200)["expires_at"].clone();
    let before = state(&lease).await;
    // What was done to borrow it is forbidden now; other things are not.
    let no = r#"forbid (principal, action == Action::"create", resource in Resource::"secrets/db/app");"#;
    publish(&admin, "no", no).await;
    let asked = outside.count("PUT", "app");
    renew(&ada, &lease, json!({ "increment": 700 })).await.expect_forbidden();
    // Nor does anybody for her whom it is forbidden to as well.
    renew(&admin, &lease, json!({ "increment": 700 })).await.expect_forbidden();
    assert_eq!((state(&lease).await, outside.count("PUT", "app")), (before, asked), "its plugin was not asked");
    renew(&ada, &other, json!({})).await.expect(200);
    let no = r#"forbid (principal, action == Action::"update", resource in Resource::"secrets/db/app");"#;
    publish(&admin, "no", no).await;
    renew(&ada, &lease, json!({})).await.expect(200);
    // No permission at all: an admin may prolong it, who could borrow it; an operator of leases could not.
    publish(&admin, "borrow", r#"permit (principal in Role::"nobody", action, resource);"#).await;
    renew(&ada, &lease, json!({})).await.expect_forbidden();
    renew(&operator, &lease, json!({})).await.expect_forbidden();
    renew(&admin, &lease, json!({})).await.expect(200);
    revoke(&ada, &lease).await.expect(200);
    assert!(!outside.has("app"));
    ada.post("/leases/revoke", json!({ "username": "me" })).await.expect(200);
    until_gone(&outside, "other").await;
}
