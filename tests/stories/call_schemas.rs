//! What a plugin's manifest says of a call is held to before the plugin is asked.

use serde_json::{Value, json};

use super::hostile;
use crate::harness::guests::auth_with_calls;
use crate::harness::{Answer, Client, Guest, TestServer, canary};

const CALLS: &str = r#"
[[calls]]
path = "{key}"
operation = "paint"
action = "use"
method = "POST"
request = { type = "object", additionalProperties = false, required = ["colour"], properties = { colour = { enum = ["red", "blue"] }, coats = { type = "integer", minimum = 1, maximum = 3 }, spots = { type = "array", maxItems = 600, items = { type = "object", required = ["x"] } } } }

[[calls]]
path = "{key}"
operation = "look"
action = "use"
method = "GET"
request = { type = "object", additionalProperties = false, properties = { n = { type = "integer", minimum = 1 }, near = { type = "boolean" }, tint = { type = "string", maxLength = 4 } } }

[[calls]]
path = "{key}"
operation = "anything"
action = "use"
method = "POST"
"#;

async fn upload(admin: &Client, name: &str, manifest: &str) -> Answer {
    let wasm = Guest::new(name, "1.0.0").with_manifest(manifest).build();
    let call = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/{name}/1.0.0"));
    call.header("content-type", "application/wasm").body(wasm).await
}

async fn calls(admin: &Client) -> Value {
    admin.get("/sys/mounts/secrets/wall").await.expect(200)["calls"].clone()
}

#[tokio::test]
async fn a_body_that_does_not_fit_never_reaches_the_guest() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    upload(&admin, "wall", CALLS).await.expect(200);
    let value = json!({ "plugin": "wall", "version": "1.0.0" });
    admin.post("/sys/setting", json!({ "key": "secrets/wall", "value": value })).await.expect(200);
    let secret = canary("colour");
    let many: Vec<Value> =
        (0..600).map(|at| if at == 599 { json!({ "y": secret }) } else { json!({ "x": at }) }).collect();
    let wrong = [
        (json!({}), &["body", "colour"][..], "missing"),
        (json!({ "colour": secret }), &["body", "colour"], "invalid_value"),
        (json!({ "colour": "red", "coats": 4 }), &["body", "coats"], "out_of_range"),
        (json!({ "colour": "red", "coats": "1" }), &["body", "coats"], "wrong_type"),
        (json!({ "colour": "red", "shade": secret }), &["body", "shade"], "unknown_member"),
        (json!({ "colour": "red", "spots": [{ "x": 1 }, { "y": secret }] }), &["body", "spots", "1", "x"], "missing"),
        (json!({ "colour": "red", "spots": many }), &["body", "spots", "599", "x"], "missing"),
        (json!({ "colour": "red", "spots": vec![json!({ "x": 1 }); 601] }), &["body", "spots"], "out_of_range"),
    ];
    for (body, loc, kind) in wrong {
        let answer = admin.post("/secrets/wall/north:paint", body.clone()).await;
        assert!(!answer.text.contains(&secret), "{}", answer.text);
        let refused = answer.expect(422);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let told: Vec<String> = refused["detail"][0]["loc"].as_array().expect("a place").iter().map(text).collect();
        assert_eq!(
            (told, &refused["detail"][0]["type"]),
            (loc.iter().map(|at| (*at).to_owned()).collect(), &json!(kind))
        );
    }
    let queries = [
        ("n=x", "n", "wrong_type"),
        ("n=0", "n", "out_of_range"),
        ("n=1.5", "n", "wrong_type"),
        ("near=yes", "near", "wrong_type"),
        ("tint=green", "tint", "out_of_range"),
        ("more=1", "more", "unknown_member"),
    ];
    for (query, name, kind) in queries {
        let answer = admin.get(&format!("/secrets/wall/north:look?{query}")).await;
        answer.expect_problem(422, ["query", name], kind);
    }
    assert_eq!(calls(&admin).await, 0, "nothing of it reached the plugin");
    let good = json!({ "colour": "red", "coats": 2, "spots": [{ "x": 1 }] });
    admin.post("/secrets/wall/north:paint", good).await.expect(200);
    admin.get("/secrets/wall/north:look?n=2&near=true&tint=12").await.expect(200);
    admin.get("/secrets/wall/north:look").await.expect(200);
    admin.get("/secrets:look?secret_id=wall/north&n=2").await.expect(200);
    admin.get("/secrets:look?secret_id=wall/north&n=x").await.expect_problem(422, ["query", "n"], "wrong_type");
    // Where the manifest says nothing, the plugin looks for itself.
    admin.post("/secrets/wall/north:anything", json!({ "at": ["all"] })).await.expect(200);
    assert_eq!(calls(&admin).await, 5);
    // Who may not is told so, whatever the body is.
    server.login("ada").await.post("/secrets/wall/north:paint", json!({ "coats": 9 })).await.expect_forbidden();
}

#[tokio::test]
async fn a_call_of_an_auth_mount_is_held_to_its_manifest_as_well() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let more = format!("{CALLS}{}", CALLS.replace("{key}", "").replace("paint", "paint-all"));
    hostile::mount(&admin, ("auth", "wall"), &more, &auth_with_calls("(call $ok)"), json!({})).await.expect(200);
    let secret = canary("colour");
    for path in ["/auth/wall/north/paint", "/auth/wall/paint-all"] {
        for (body, loc, kind) in [
            (json!({}), vec!["body", "colour"], "missing"),
            (json!({ "colour": secret }), vec!["body", "colour"], "invalid_value"),
            (json!({ "colour": "red", "coats": "1" }), vec!["body", "coats"], "wrong_type"),
            (json!({ "colour": "red", "shade": secret }), vec!["body", "shade"], "unknown_member"),
            (json!({ "colour": "red", "spots": [{ "y": secret }] }), vec!["body", "spots", "0", "x"], "missing"),
        ] {
            let answer = admin.post(path, body).await;
            assert!(!answer.text.contains(&secret), "{}", answer.text);
            let refused = answer.expect(422);
            let told: Vec<String> = refused["detail"][0]["loc"]
                .as_array()
                .expect("a place")
                .iter()
                .map(|at| at.as_str().map_or_else(|| at.to_string(), str::to_owned))
                .collect();
            assert_eq!(
                (told, &refused["detail"][0]["type"]),
                (loc.iter().map(ToString::to_string).collect(), &json!(kind))
            );
        }
    }
    for (query, name, kind) in
        [("n=x", "n", "wrong_type"), ("n=0", "n", "out_of_range"), ("more=1", "more", "unknown_member")]
    {
        for path in ["/auth/wall/north/look", "/auth/wall/look"] {
            admin.get(&format!("{path}?{query}")).await.expect_problem(422, ["query", name], kind);
        }
    }
    // By another method, or at another place, there is no such call, whatever is sent.
    admin.get("/auth/wall/north/paint").await.expect(405);
    admin.post("/auth/wall/paint", json!({ "colour": "red" })).await.expect(404);
    let calls = async || admin.get("/sys/mounts/auth/wall").await.expect(200)["calls"].clone();
    assert_eq!(calls().await, 0, "nothing of it reached the plugin");
    admin.post("/auth/wall/north/paint", json!({ "colour": "red", "coats": 2 })).await.expect(200);
    admin.post("/auth/wall/paint-all", json!({ "colour": "blue" })).await.expect(200);
    admin.get("/auth/wall/north/look?n=2&near=true").await.expect(200);
    assert_eq!(calls().await, 3);
    // Who may not is told so, whatever the body is.
    server.login("ada").await.post("/auth/wall/north/paint", json!({ "coats": 9 })).await.expect_forbidden();
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_keeps_its_plugin_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let call = |request: &str| {
        format!(
            "[[calls]]\npath = \"{{key}}\"\noperation = \"x\"\naction = \"use\"\nmethod = \"POST\"\nrequest = {request}\n"
        )
    };
    for request in [
        r##"{ "$ref" = "#" }"##,
        r#"{ "$ref" = "https://example.com/schema" }"#,
        r#"{ type = "nonsense" }"#,
        r#"{ properties = { a = { pattern = "(" } } }"#,
    ] {
        let refused = upload(&admin, "odd", &call(request)).await;
        refused.expect_at(422, ["body", "manifest", "calls", "0", "request"]);
    }
    upload(&admin, "odd", &call(r#"{ type = "object" }"#)).await.expect(200);
}
