//! Policies: put in force, refused, explained.

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary};

on_every_store!(a_policy_is_in_force_when_it_is_answered, policies_outlive_a_restart,);

const READERS: &str = r#"permit (principal in Role::"user", action in [Action::"read", Action::"list"], resource in Resource::"secrets/kv/apps");"#;

fn text(text: &str) -> Value {
    json!({ "text": text })
}

async fn secret(admin: &Client, id: &str) {
    admin.post("/secrets/create", json!({ "secret_id": id, "value": canary("s") })).await.expect(200);
}

async fn a_policy_is_in_force_when_it_is_answered(server: Builder) {
    let server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    secret(&admin, "kv/apps/web/db").await;
    for round in 1..4 {
        ada.get("/secrets/kv/apps/web/db").await.expect_forbidden();
        let put = admin.put("/sys/policies/readers", text(READERS)).await.expect(200);
        assert_eq!(
            (&put["name"], &put["text"], &put["version"]),
            (&json!("readers"), &json!(READERS), &json!(1)),
            "{round}"
        );
        ada.get("/secrets/kv/apps/web/db").await.expect(200);
        ada.delete("/secrets/kv/apps/web/db").await.expect_forbidden();
        admin
            .put(
                "/sys/policies/apps",
                text(r#"forbid (principal in Role::"user", action, resource in Resource::"secrets/kv/apps/web");"#),
            )
            .await
            .expect(200);
        ada.get("/secrets/kv/apps/web/db").await.expect_forbidden();
        admin.delete("/sys/policies/apps").await.expect(200);
        ada.get("/secrets/kv/apps/web/db").await.expect(200);
        admin.delete("/sys/policies/readers").await.expect(200);
        admin.delete("/sys/policies/readers").await.expect(404);
    }
    ada.get("/secrets/kv/apps/web/db").await.expect_forbidden();
}

async fn policies_outlive_a_restart(server: Builder) {
    let mut server = server.start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    secret(&admin, "kv/apps/x").await;
    admin.put("/sys/policies/readers", text(READERS)).await.expect(200);
    server.restart().await;
    ada.get("/secrets/kv/apps/x").await.expect(200);
    assert_eq!(admin.get("/sys/policies/readers").await.expect(200)["text"], READERS);
}

#[tokio::test]
async fn policies_are_listed_and_shown() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for name in ["zz", "apps", "m-1"] {
        admin.put(&format!("/sys/policies/{name}"), text(READERS)).await.expect(200);
    }
    let (mut names, mut path) = (Vec::new(), "/sys/policies?limit=2".to_owned());
    loop {
        let page = admin.get(&path).await.expect(200);
        for policy in page["policies"].as_array().expect("a list") {
            assert!(policy.get("text").is_none(), "{policy}");
            names.push(policy["name"].as_str().expect("a name").to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/sys/policies?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["apps", "coffer", "m-1", "zz"]);
    let built_in = admin.get("/sys/policies/coffer").await.expect(200);
    assert_eq!((&built_in["built_in"], &built_in["version"]), (&json!(true), &json!(0)));
    assert!(built_in["text"].as_str().is_some_and(|text| text.contains("Role::\"admin\"")), "{built_in}");
    admin.put("/sys/policies/coffer", text(READERS)).await.expect_type(422, "built_in");
    admin.delete("/sys/policies/coffer").await.expect_type(422, "built_in");
    admin.get("/sys/policies/none").await.expect(404);
    admin.get("/sys/policies/No%20name").await.expect_at(422, ["path", "name"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_told_by_line_and_column_and_not_quoted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let secret = canary("text");
    let of_text = [
        (format!("permit (principal, action, resource)\n  when {{ \"{secret}\" }};"), 2),
        (format!("\n\npermit (principal in Team::\"{secret}\", action, resource);"), 3),
        (format!("// {secret}\npermit (principal, action == Action::\"{secret}\", resource);"), 2),
        (format!("permit (principal, action, resource) when {{ context.{} }};", secret.replace('-', "_")), 1),
        (format!("forbid (principal in Role::\"{secret} \", action, resource);"), 1),
        (secret.clone(), 1),
    ];
    for (policy, line) in of_text {
        let answer = admin.put("/sys/policies/x", text(&policy)).await;
        assert!(!answer.text.contains(&secret) && !answer.text.contains(&secret.replace('-', "_")), "{}", answer.text);
        let problem = answer.expect_type(422, "invalid_policy")["detail"][0].clone();
        assert_eq!(
            (&problem["loc"][0], &problem["loc"][1], &problem["loc"][2]),
            (&json!("body"), &json!("text"), &json!(line)),
            "{policy}"
        );
        assert!(
            problem["loc"][3].is_u64() && problem["msg"].as_str().is_some_and(|msg| msg.contains("line")),
            "{problem}"
        );
    }
    // The same words about the same place are said once.
    let twice =
        r#"permit (principal, action == Action::"fly", resource == Resource::"secrets") when { context.nope };"#;
    let told = admin.put("/sys/policies/x", text(twice)).await.expect_type(422, "invalid_policy");
    let problems: Vec<String> = told["detail"].as_array().expect("a list").iter().map(Value::to_string).collect();
    let once: std::collections::BTreeSet<_> = problems.iter().collect();
    assert_eq!(once.len(), problems.len(), "{told}");
    for body in [
        json!({}),
        json!({ "text": 5 }),
        json!({ "text": READERS, "x": 1 }),
        json!({ "text": READERS, "force": "yes" }),
    ] {
        admin.put("/sys/policies/x", body).await.expect(422);
    }
    admin.put("/sys/policies/x", json!({ "text": "x".repeat(70_000) })).await.expect_type(422, "invalid_policy");
    admin
        .put("/sys/policies/x", json!({ "text": READERS, "expected_version": 3 }))
        .await
        .expect_type(409, "version_conflict");
    admin.get("/sys/policies/x").await.expect(404);
    let tried = json!({ "text": READERS, "dry_run": true });
    admin.put("/sys/policies/x", tried).await.expect(200);
    admin.get("/sys/policies/x").await.expect(404);
}

#[tokio::test]
async fn an_admin_does_not_lock_the_admins_out_unawares() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let lock = |force: bool| json!({ "text": "forbid (principal, action, resource);", "force": force });
    admin.put("/sys/policies/x", lock(false)).await.expect_type(422, "locked_out");
    admin.get("/users").await.expect(200);
    admin.put("/sys/policies/x", lock(true)).await.expect(200);
    admin.get("/users").await.expect_forbidden();
    admin.delete("/sys/policies/x").await.expect_forbidden();
    // The token that shares of the root key make is the way back in, and to nothing else.
    let root = server.anonymous().with_token(server.ready["root_token"].as_str().expect("a token"));
    root.get("/users").await.expect_forbidden();
    root.delete("/sys/policies/x").await.expect(200);
    admin.get("/users").await.expect(200);
}

#[tokio::test]
async fn policies_are_for_whole_sessions_with_a_right_to_them() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    ada.put("/sys/policies/x", text("permit (principal, action, resource);")).await.expect_forbidden();
    ada.post("/sys/policies/explain", json!({ "action": "read", "path": "secrets" })).await.expect_forbidden();
    let limited = admin.with_session(admin.child(None, json!({ "max_uses": 9 })).await.expect(200));
    limited.put("/sys/policies/x", text(READERS)).await.expect_type(403, "limited_session");
    limited.put("/sys/roles/ops", json!({})).await.expect_type(403, "limited_session");
    let narrow = admin.with_session(admin.child(Some("update:sys/policies/x"), json!({})).await.expect(200));
    narrow.put("/sys/policies/x", text(READERS)).await.expect_forbidden();
    let enough = "create:sys/policies/x update:sys/policies/x";
    let narrow = admin.with_session(admin.child(Some(enough), json!({})).await.expect(200));
    narrow.put("/sys/policies/x", text(READERS)).await.expect(200);
    narrow.put("/sys/policies/y", text(READERS)).await.expect_forbidden();
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let calls: Vec<_> = (0..6)
        .map(|at| tokio::spawn(admin.put(&format!("/sys/policies/p{at}"), text(READERS)).into_future()))
        .collect();
    let mut put = Vec::new();
    for (at, call) in calls.into_iter().enumerate() {
        let answer = call.await.expect("an answer");
        match answer.status.as_u16() {
            200 => put.push(json!(format!("p{at}"))),
            503 => {}
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(!put.is_empty());
    let listed = admin.get("/sys/policies").await.expect(200);
    let names: Vec<Value> =
        listed["policies"].as_array().expect("a list").iter().map(|policy| policy["name"].clone()).collect();
    assert!(put.iter().all(|name| names.contains(name)), "{put:?} {names:?}");
}

#[tokio::test]
async fn a_decision_is_explained() {
    let server = TestServer::start().await;
    let (admin, ada) = (server.admin().await, server.login("ada").await);
    admin.put("/sys/policies/readers", text(READERS)).await.expect(200);
    let conditional = r#"permit (principal in Group::"github/team:1", action, resource in Resource::"secrets/kv/apps")
        when { context.address.known };
        forbid (principal in Role::"user", action, resource in Resource::"secrets/kv/apps/prod");"#;
    admin.put("/sys/policies/teams", text(conditional)).await.expect(200);
    let ask = async |question: Value| admin.post("/sys/policies/explain", question).await.expect(200);

    let own = ask(json!({ "action": "delete", "path": "sys/users/bob" })).await;
    assert_eq!((&own["allowed"], &own["reason"]), (&json!(true), &json!("allowed by coffer.admin")));
    assert_eq!(own["policies"], json!(["coffer.admin"]));
    assert_eq!(own["who"], json!([{ "role": "admin", "policies": ["coffer.admin"], "conditional": false }]));

    let hers = ask(json!({ "username": "ADA", "action": "read", "path": "secrets/kv/apps/web" })).await;
    assert_eq!(
        (&hers["allowed"], &hers["policies"], &hers["roles"]),
        (&json!(true), &json!(["readers/1"]), &json!(["user"]))
    );
    let who = hers["who"].as_array().expect("a list");
    let of = |kind: &str, name: &str| who.iter().find(|able| able[kind] == name).cloned();
    assert_eq!(of("role", "user").expect("told")["policies"], json!(["readers/1"]));
    assert_eq!(of("group", "github/team:1").expect("told")["conditional"], true);

    let no = ask(json!({ "username": "ada", "action": "read", "path": "secrets/kv/apps/prod/db" })).await;
    assert_eq!((&no["allowed"], &no["reason"]), (&json!(false), &json!("forbidden by teams/2")));
    let no = ask(json!({ "username": "ada", "action": "update", "path": "secrets/kv/apps/web" })).await;
    assert_eq!((&no["allowed"], &no["reason"]), (&json!(false), &json!("no policy allows")));
    // By a mount that may give the role nobody has it.
    let no = ask(json!({ "username": "ada", "method": "ldap", "action": "read", "path": "secrets/kv/apps/web" })).await;
    assert_eq!((&no["allowed"], &no["roles"]), (&json!(false), &json!([])));
    // Somebody's own folder names its owner.
    let home = ask(json!({ "action": "read", "path": format!("secrets/kv/users/{}/x", ada.id) })).await;
    let who = home["who"].as_array().expect("a list");
    assert!(who.iter().any(|able| able["username"] == "ada" && able["user"] == ada.id.as_str()), "{home}");
    assert!(!who.iter().any(|able| able["role"] == "user"), "{home}");
    // A narrowed session is told that it is its scope.
    let scope = "read:sys/policies/explain";
    let narrow = admin.with_session(admin.child(Some(scope), json!({})).await.expect(200));
    let question = json!({ "action": "read", "path": "secrets/kv/apps/web" });
    let told = narrow.post("/sys/policies/explain", question.clone()).await.expect(200);
    assert_eq!((&told["allowed"], &told["reason"]), (&json!(false), &json!("scope")));
    // As is the truth: what is explained is what happens.
    ada.get("/secrets/kv/apps/web").await.expect(404);
    ada.get("/secrets/kv/apps/prod/db").await.expect_forbidden();
    admin.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    let no = ask(json!({ "username": "ada", "action": "read", "path": "secrets/kv/apps/web" })).await;
    assert_eq!(no["allowed"], false);

    for (member, value) in [
        ("action", json!("fly")),
        ("path", json!("/secrets")),
        ("path", json!("secrets/../sys")),
        ("path", json!("")),
        ("path", json!("secret/kv/apps")),
        ("path", json!("kv/apps/web")),
        ("path", json!("secrets/")),
        ("path", json!("secrets/KV/x")),
        ("path", json!("secrets/kv/a:b")),
        ("path", json!("secrets/kv/a/~")),
        ("path", json!("secrets/kv/x/")),
        ("path", json!("sys/~/x")),
        ("username", json!("a b")),
        ("method", json!("No")),
        ("address", json!("x")),
    ] {
        let mut wrong = question.clone();
        wrong[member] = value;
        admin.post("/sys/policies/explain", wrong).await.expect_at(422, ["body", member]);
    }
    for (username, able) in [("ada", false), ("bob", true)] {
        // The own folder of whom it is asked about; this one is disabled, that one is not.
        let own = json!({ "username": username, "action": "read", "path": "secrets/kv/~/x" });
        if username == "bob" {
            server.create_user("bob", "user").await;
        }
        let told = ask(own).await;
        assert_eq!(told["allowed"], able, "{told}");
        let who = told["who"].as_array().expect("a list");
        assert_eq!(who.iter().any(|one| one["username"] == username), able, "{told}");
    }
    for place in ["secrets", "secrets/kv", "auth/github/groups", "sys/setting/custom/x", "sys/leases/secrets/kv"] {
        ask(json!({ "action": "list", "path": place })).await;
    }
    let mut nobody = question;
    nobody["username"] = json!("nobody");
    admin.post("/sys/policies/explain", nobody).await.expect_at(422, ["body", "username"]);
}
