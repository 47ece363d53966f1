//! What a plugin is told of a request besides its body, and what of its own it keeps.

use serde_json::{Value, json};

use super::hostile::{mount, plugin, upload};
use crate::harness::guests::{header_reader, renewing};
use crate::harness::{Builder, Client, TestServer};

on_every_store!(what_a_method_writes_when_it_vouches_again_is_kept);

const ASKS: &str = "[requires]\nheaders = [\"x-team\", \"x-other\"]\n";

#[tokio::test]
async fn a_plugin_sees_the_headers_that_it_is_granted_and_no_other() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let granted = json!({ "grant": { "headers": ["x-team"] } });
    mount(&admin, ("secrets", "ears"), ASKS, &header_reader(), granted).await.expect(200);
    let ask = async |name: &str| {
        let call = admin.call(reqwest::Method::GET, &format!("/secrets/ears/{name}"));
        call.header("x-team", "blue").header("x-other", "canary").header("cookie", "a=b").await.expect(200)
    };
    assert_eq!(ask("x-team").await["saw"], "blue");
    assert_eq!(ask("X-Team").await["saw"], "blue");
    for name in ["x-other", "authorization", "cookie", "user-agent", "host", "x-absent"] {
        assert_eq!((&ask(name).await["ok"], &ask(name).await["saw"]), (&json!(true), &Value::Null), "{name}");
    }
    // Taken away, it is gone with the next call.
    let denied = json!({ "grant": { "headers": [] } });
    admin.post("/sys/setting", json!({ "key": "secrets/ears", "value": denied })).await.expect(200);
    assert_eq!(ask("x-team").await["ok"], true);
    // What it does not ask for cannot be granted, and some cannot be asked for.
    let more = json!({ "grant": { "headers": ["user-agent"] } });
    let refused = admin.post("/sys/setting", json!({ "key": "secrets/ears", "value": more })).await;
    refused.expect_problem(422, ["body", "value", "grant", "headers", "0"], "not_asked_for");
    for (at, header) in ["authorization", "cookie", "x-forwarded-for", "X-Team"].into_iter().enumerate() {
        let (name, asks) = (format!("nosy-{at}"), format!("[requires]\nheaders = [\"{header}\"]\n"));
        upload(&admin, &name, plugin(&name, "secrets", &asks, &header_reader())).await.expect(422);
    }
}

const COUNTS: &str = "[auth]\nidentifier = \"username\"\nsubjects = \"external\"\n
[[calls]]\npath = \"\"\noperation = \"counted\"\nmethod = \"GET\"\naction = \"use\"\n";

async fn what_a_method_writes_when_it_vouches_again_is_kept(server: Builder) {
    let server = server.start().await;
    let admin = server.admin().await;
    admin.post("/sys/security", json!({ "logins": { "roles": { "counts": ["user"] } } })).await.expect(200);
    admin.post("/sys/security", json!({ "plugins": { "require_signature": false } })).await.expect(200);
    let open = json!({ "provision": true, "roles": { "staff": { "give": ["user"] } } });
    mount(&admin, ("auth", "counts"), COUNTS, &renewing("42"), open).await.expect(200);
    let login = json!({ "grant_type": "counts", "username": "x" });
    let session = server.anonymous().post("/token/create", login).await.expect(200);
    let mut ada = server.anonymous().with_session(session);
    let counted = async |admin: &Client| admin.get("/auth/counts/counted").await.expect(200)["n"].clone();
    assert_eq!(counted(&admin).await, Value::Null);
    for count in ["A", "B", "C"] {
        let body = json!({ "refresh_token": ada.refresh_token() });
        let session = server.anonymous().post("/token/renew", body).await.expect(200);
        ada = ada.with_session(session);
        assert_eq!(counted(&admin).await, count);
    }
    ada.get("/users/me").await.expect(200);
}
