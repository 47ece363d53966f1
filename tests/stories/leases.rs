//! Leases: what an engine lends for a time, and how it is taken back.

use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Client, Lender, Outside, SOON, TestServer, eventually};

on_every_store!(
    what_is_lent_is_used_renewed_and_revoked,
    what_is_not_renewed_is_taken_back,
    what_a_dead_server_had_begun_is_undone_after_it_is_back,
    what_cannot_be_taken_back_is_shown_and_tried_again,
);

/// Everybody may borrow.
pub const BORROW: &str = r#"permit (principal in Role::"user", action, resource in Resource::"secrets/db");"#;

pub async fn mounted(server: &TestServer, lender: Lender) -> (Client, Outside) {
    let outside = Outside::start().await;
    let admin = server.admin().await;
    mount(&admin, "db", &lender, &outside).await;
    admin.put("/sys/policies/borrow", json!({ "text": BORROW })).await.expect(200);
    (admin, outside)
}

pub async fn mount(admin: &Client, mount: &str, lender: &Lender, outside: &Outside) {
    let name = lender.name;
    let upload = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/{name}/1.0.0"));
    let wasm = lender.build(outside);
    upload.header("content-type", "application/wasm").body(wasm).await.expect(200);
    let value = json!({ "plugin": name, "version": "1.0.0", "grant": outside.grant() });
    admin.put(&format!("/sys/setting/secrets/{mount}"), json!({ "value": value })).await.expect(200);
}

pub async fn borrow(client: &Client, role: &str) -> Value {
    let lent = client.post("/secrets/create", json!({ "name": role, "mount": "db", "data": {} })).await.expect(200);
    assert_eq!((&lent["secret_id"], &lent["ok"]), (&json!(format!("db/{role}")), &json!(true)));
    lent["lease"].clone()
}

pub fn id(lease: &Value) -> String {
    lease["lease_id"].as_str().unwrap_or_else(|| panic!("a lease: {lease}")).to_owned()
}

pub async fn shown(client: &Client, lease: &Value) -> Answer {
    client.get(&format!("/leases/{}", id(lease))).await
}

pub async fn renew(client: &Client, lease: &Value, body: Value) -> Answer {
    client.post(&format!("/leases/{}/renew", id(lease)), body).await
}

pub async fn revoke(client: &Client, lease: &Value) -> Answer {
    client.post(&format!("/leases/{}/revoke", id(lease)), json!({})).await
}

pub async fn until_gone(outside: &Outside, role: &str) {
    eventually("the role is gone", || async { (!outside.has(role)).then_some(()) }).await;
}

pub fn listed(answer: &Value) -> Vec<String> {
    answer["leases"].as_array().unwrap_or_else(|| panic!("leases: {answer}")).iter().map(id).collect()
}

fn moment(value: &Value) -> std::time::SystemTime {
    humantime::parse_rfc3339(value.as_str().unwrap_or_else(|| panic!("a time: {value}"))).expect("a time")
}

#[expect(clippy::disallowed_methods, reason = "beside what another process says")]
fn left(value: &Value) -> u64 {
    moment(value).duration_since(std::time::SystemTime::now()).unwrap_or_default().as_secs()
}

async fn what_is_lent_is_used_renewed_and_revoked(server: Builder) {
    let server = server.start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let lease = borrow(&ada, "app-1").await;
    assert!(outside.has("app-1"));
    assert!((590..=600).contains(&left(&lease["expires_at"])), "{lease}");
    assert!((1190..=1200).contains(&left(&lease["max_expires_at"])), "{lease}");
    assert_eq!(lease["renewable"], true);
    let seen = shown(&ada, &lease).await.expect(200);
    assert_eq!((&seen["secret_id"], &seen["state"]), (&json!("db/app-1"), &json!("active")));
    assert_eq!((&seen["user_id"], &seen["session_id"]), (&json!(ada.id), &json!(ada.session_id())));
    assert!(seen["renewed_at"].is_null() && seen["reason"].is_null());

    let renewed = renew(&ada, &lease, json!({ "increment": "15m" })).await.expect(200);
    assert!((890..=900).contains(&left(&renewed["expires_at"])), "{renewed}");
    assert_eq!(renewed["max_expires_at"], lease["max_expires_at"]);
    assert!(renewed["renewed_at"].is_string());
    // As long as at first; and never beyond the end, whatever is asked for or the plugin answers.
    let renewed = renew(&ada, &lease, json!({})).await.expect(200);
    assert!((590..=600).contains(&left(&renewed["expires_at"])), "{renewed}");
    for increment in [json!(100_000), json!(13)] {
        let renewed = renew(&ada, &lease, json!({ "increment": increment })).await.expect(200);
        assert!(left(&lease["max_expires_at"]).abs_diff(left(&renewed["expires_at"])) <= 1, "{increment}: {renewed}");
        assert!(moment(&renewed["expires_at"]) <= moment(&lease["max_expires_at"]), "{increment}");
        assert_eq!(renewed["max_expires_at"], lease["max_expires_at"]);
    }
    assert_eq!(outside.count("PUT", "app-1"), 4);
    for bad in [json!(0), json!("11y"), json!(-1), json!(400_000_000), json!("x")] {
        renew(&ada, &lease, json!({ "increment": bad })).await.expect_at(422, ["body", "increment"]);
    }
    renew(&ada, &lease, json!({ "ttl": 5 })).await.expect_type(422, "unknown_member");

    assert_eq!(revoke(&ada, &lease).await.expect(200), json!({ "revoked": 1, "revoking": 0 }));
    assert!(!outside.has("app-1"));
    // Whose it was is known no more: to whoever may not touch others' it is like any other.
    shown(&ada, &lease).await.expect_forbidden();
    shown(&admin, &lease).await.expect(404);
    assert_eq!(renew(&ada, &lease, json!({})).await.status, 403);
    assert_eq!(revoke(&admin, &lease).await.status, 404);
    assert_eq!(listed(&ada.get("/leases").await.expect(200)), Vec::<String>::new());
}

async fn what_is_not_renewed_is_taken_back(server: Builder) {
    let server = server.start().await;
    let (_, outside) = mounted(&server, Lender { ttl: 1, max_ttl: 3600, ..Lender::default() }).await;
    let ada = server.login("ada").await;
    let (short, long) = (borrow(&ada, "short").await, borrow(&ada, "long").await);
    renew(&ada, &long, json!({ "increment": 600 })).await.expect(200);
    until_gone(&outside, "short").await;
    eventually("the lease is gone", || async { (shown(&ada, &short).await.status != 200).then_some(()) }).await;
    assert!(outside.has("long"));
    assert_eq!(outside.count("DELETE", "short"), 1, "once is enough");
    assert_eq!(listed(&ada.get("/leases").await.expect(200)), [id(&long)]);
    // The trail names what was done without a request.
    let trail = server.trail();
    let worked: Vec<_> = trail.0.iter().filter(|record| record["operation"] == "leases.revoke").collect();
    assert!(worked.iter().any(|record| record["values"]["lease"] == json!(id(&short)) && record["user"] == ada.id));
    assert!(worked.iter().any(|record| record["decision"] == "revoked"), "{worked:?}");
}

async fn what_a_dead_server_had_begun_is_undone_after_it_is_back(server: Builder) {
    let mut server = server.start().await;
    let (_, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let kept = borrow(&ada, "kept").await;
    outside.set_holds(true);
    let asked = tokio::spawn({
        let call = ada.post("/secrets/create", json!({ "name": "lost", "mount": "db", "data": {} }));
        async move { call.attempt().await.is_none() }
    });
    eventually("the role is there", || async { outside.has("lost").then_some(()) }).await;
    server.kill9();
    assert!(asked.await.expect("no panic"), "nobody was told of it");
    outside.set_holds(false);
    server.launch();
    server.wait_ready().await;
    until_gone(&outside, "lost").await;
    assert!(outside.has("kept"));
    // What was committed is what it was; nothing is left of the other.
    let ada = server.login("ada").await;
    assert_eq!(shown(&ada, &kept).await.expect(200)["state"], "active");
    eventually("only one is left", || async {
        (listed(&ada.get("/leases").await.expect(200)) == [id(&kept)]).then_some(())
    })
    .await;
}

async fn what_cannot_be_taken_back_is_shown_and_tried_again(server: Builder) {
    let mut server = server.start().await;
    let (admin, outside) = mounted(&server, Lender { ttl: 1, max_ttl: 60, ..Lender::default() }).await;
    let ada = server.login("ada").await;
    let lease = borrow(&ada, "app").await;
    outside.set_down(true);
    let failing = eventually("it fails", || async {
        let seen = shown(&ada, &lease).await.expect(200);
        (seen["state"] == "failing" && seen["failures"].as_u64() >= Some(2)).then_some(seen)
    })
    .await;
    assert_eq!(failing["reason"], "the plugin refuses: unavailable");
    assert!(failing["again_at"].is_string());
    renew(&ada, &lease, json!({})).await.expect_at(422, ["path", "lease_id"]);
    // Whoever operates it sees it among all that fails.
    let found = admin.get("/leases?prefix=&state=failing").await.expect(200);
    assert_eq!(listed(&found), [id(&lease)]);
    assert_eq!(listed(&admin.get("/leases?prefix=&state=active").await.expect(200)), Vec::<String>::new());
    assert!([502, 503].contains(&revoke(&ada, &lease).await.status.as_u16()));
    // Not even a restart forgets it.
    server.restart().await;
    assert!(outside.has("app"));
    outside.set_down(false);
    until_gone(&outside, "app").await;
    eventually("the lease is gone", || async { (shown(&ada, &lease).await.status != 200).then_some(()) }).await;
}

/// For a service that is gone for good: or its plugin could never be deleted.
#[tokio::test]
async fn what_can_never_be_taken_back_is_forgotten_by_an_operator_alone() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let (lease, sound) = (borrow(&ada, "app").await, borrow(&ada, "sound").await);
    let forget =
        async |client: &Client, lease: &Value| client.post(&format!("/leases/{}/forget", id(lease)), json!({})).await;
    forget(&admin, &lease).await.expect_at(422, ["path", "lease_id"]);
    outside.set_down(true);
    assert!([502, 503].contains(&revoke(&ada, &lease).await.status.as_u16()));
    // Whose it is may not leave it lying about.
    forget(&ada, &lease).await.expect_forbidden();
    let told = forget(&admin, &lease).await.expect(200);
    assert_eq!((&told["state"], &told["secret_id"]), (&json!("failing"), &json!("db/app")));
    shown(&admin, &lease).await.expect(404);
    assert_eq!(listed(&admin.get("/leases?prefix=").await.expect(200)), [id(&sound)]);
    assert!(outside.has("app"), "nobody has ended it");
    outside.set_down(false);
    revoke(&ada, &sound).await.expect(200);
    admin.delete("/sys/setting/secrets/db").await.expect(200);
    admin.delete("/sys/plugins/lender/1.0.0").await.expect(200);
}

#[tokio::test]
async fn a_call_that_ends_badly_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    // It traps after the deed.
    ada.put("/secrets/db/trapped", json!({ "data": {} })).await.expect(502);
    assert!(outside.has("trapped"));
    // What is announced and not yet undone is told to whoever looks.
    let seen = admin.get("/leases?prefix=db/trapped").await.expect(200);
    assert_eq!(seen["leases"][0]["state"], "unresolved");
    assert!(seen["leases"][0]["session_id"].is_null() && seen["leases"][0]["user_id"] == ada.id);
    // Its call could still be under way.
    revoke(&ada, &seen["leases"][0]).await.expect(503);
    renew(&ada, &seen["leases"][0], json!({})).await.expect_at(422, ["path", "lease_id"]);
    until_gone(&outside, "trapped").await;
    // The service said no: there is nothing to undo, and it is undone all the same.
    outside.set_down(true);
    ada.post("/secrets/create", json!({ "name": "refused", "mount": "db", "data": {} })).await.expect(503);
    outside.set_down(false);
    eventually("it is looked after", || async { (outside.count("DELETE", "refused") > 0).then_some(()) }).await;
    eventually("nothing is left", || async { listed(&ada.get("/leases").await.expect(200)).is_empty().then_some(()) })
        .await;
}

#[tokio::test]
async fn nothing_is_lent_by_get_nor_by_an_engine_that_could_not_take_it_back() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    for path in ["intends", "ends"] {
        ada.get(&format!("/secrets/db/{path}")).await.expect(502);
    }
    ada.get("/secrets/db/reads").await.expect(200);
    assert!(outside.roles().is_empty());
    let lender = Lender { leases: false, name: "careless", ..Lender::default() };
    mount(&admin, "careless", &lender, &outside).await;
    for method in [reqwest::Method::POST, reqwest::Method::PATCH] {
        let path = if method == "POST" { "/secrets/create" } else { "/secrets/careless/x" };
        let body =
            if method == "POST" { json!({ "secret_id": "careless/x", "data": {} }) } else { json!({ "data": {} }) };
        admin.call(method, path).json(body).await.expect(502);
    }
    assert!(outside.roles().is_empty());
    assert_eq!(listed(&admin.get("/leases?prefix=").await.expect(200)), Vec::<String>::new());
}

#[tokio::test]
async fn others_leases_are_like_those_that_are_not_there() {
    let server = TestServer::start().await;
    let (admin, _outside) = mounted(&server, Lender::default()).await;
    let (ada, bob) = (server.login("ada").await, server.login("bob").await);
    let lease = borrow(&ada, "app").await;
    let none = json!({ "lease_id": "0".repeat(24) });
    for (theirs, missing) in [
        (shown(&bob, &lease).await, shown(&bob, &none).await),
        (renew(&bob, &lease, json!({})).await, renew(&bob, &none, json!({})).await),
        (revoke(&bob, &lease).await, revoke(&bob, &none).await),
    ] {
        assert_eq!(theirs.likeness(), missing.likeness(), "whether it exists is not told");
        theirs.expect_forbidden();
    }
    for query in ["?username=ada", "?prefix=db", "?prefix=", "?prefix=db&username=ada", "?prefix=db/nothing"] {
        bob.get(&format!("/leases{query}")).await.expect_forbidden();
    }
    assert_eq!(bob.get("/leases?username=ada").await.likeness(), bob.get("/leases?username=nobody").await.likeness());
    for body in [json!({ "prefix": "db" }), json!({ "username": "ada" }), json!({ "session_id": ada.session_id() })] {
        bob.post("/leases/revoke", body).await.expect_forbidden();
    }
    assert_eq!(listed(&bob.get("/leases").await.expect(200)), Vec::<String>::new());
    assert_eq!(shown(&ada, &lease).await.expect(200)["state"], "active");
    // Whoever may is told.
    shown(&admin, &none).await.expect(404);
    assert_eq!(shown(&admin, &lease).await.expect(200)["user_id"], ada.id);
    renew(&admin, &lease, json!({ "increment": 700 })).await.expect(200);
    assert_eq!(listed(&admin.get("/leases?username=ada").await.expect(200)), [id(&lease)]);
    admin.get("/leases?username=nobody").await.expect(404);
    admin.post("/leases/revoke", json!({ "username": "nobody" })).await.expect_at(422, ["body", "username"]);
    for bad in ["x", "ABCDEFABCDEFABCDEFABCDEF"] {
        bob.get(&format!("/leases/{bad}")).await.expect(422);
    }
    for path in ["/leases", "/leases/000000000000000000000000"] {
        server.anonymous().get(path).await.expect_unauthorized();
    }
}

#[tokio::test]
async fn a_narrow_session_handles_what_it_has_borrowed_itself_and_nothing_else() {
    let server = TestServer::start().await;
    let (_, _outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let own = borrow(&ada, "own").await;
    let narrow = ada.with_session(ada.child(Some("create:secrets/db/narrow"), json!({})).await.expect(200));
    let lease = borrow(&narrow, "narrow").await;
    assert_eq!(listed(&narrow.get("/leases").await.expect(200)), [id(&lease)]);
    renew(&narrow, &lease, json!({})).await.expect(200);
    for refused in [shown(&narrow, &own).await, renew(&narrow, &own, json!({})).await, revoke(&narrow, &own).await] {
        refused.expect_forbidden();
    }
    for body in [json!({ "username": "ada" }), json!({ "session_id": ada.session_id() })] {
        narrow.post("/leases/revoke", body).await.expect_forbidden();
    }
    revoke(&narrow, &lease).await.expect(200);
    // A token for one use borrows, and what it has borrowed stays until its time is over.
    let once = ada.with_session(ada.child(None, json!({ "one_time": true })).await.expect(200));
    let lease = borrow(&once, "once").await;
    assert!(left(&lease["max_expires_at"]) <= 600, "no lease outlives its session: {lease}");
    assert_eq!(shown(&ada, &lease).await.expect(200)["state"], "active");
}

#[tokio::test]
async fn lists_go_page_by_page_and_by_folder() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    mount(&admin, "dbx", &Lender { name: "other", ..Lender::default() }, &outside).await;
    let ada = server.login("ada").await;
    let mut all = Vec::new();
    for role in ["a/1", "a/2", "a/2/deeper", "ab/3", "b/4"] {
        all.push(id(&borrow(&ada, role).await));
    }
    let other = admin.post("/secrets/create", json!({ "secret_id": "dbx/a/5", "data": {} })).await.expect(200);
    let pages = async |client: &Client, query: &str| {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut call = client.get(&format!("/leases?limit=2{query}"));
            if let Some(cursor) = &cursor {
                call = call.query(&[("cursor", cursor.as_str())]);
            }
            let page = call.await.expect(200);
            let ids = listed(&page);
            assert!(ids.len() <= 2);
            found.extend(ids);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return found,
            }
        }
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(pages(&ada, "").await, sorted(all.clone()), "by id");
    assert_eq!(pages(&ada, "&prefix=db/a&username=ada").await, sorted(all[..3].to_vec()));
    // Of the whole mount the order is that of folders; a role and what is below it are told by their ids.
    assert_eq!(sorted(pages(&admin, "&prefix=db/a").await), sorted(all[..3].to_vec()));
    assert_eq!(sorted(pages(&admin, "&prefix=db/a/2/").await), sorted(all[1..3].to_vec()));
    let whole = pages(&admin, "&prefix=db").await;
    assert_eq!((&whole[0], &whole[3..]), (&all[0], &all[3..]), "by path");
    assert_eq!(sorted(whole), sorted(all.clone()));
    assert_eq!(pages(&admin, "&prefix=").await.len(), 6);
    assert_eq!(pages(&admin, "&prefix=dbx").await, [id(&other["lease"])]);
    assert_eq!(pages(&admin, "&prefix=d").await, Vec::<String>::new());
    assert_eq!(pages(&admin, "&prefix=db&state=failing").await, Vec::<String>::new());
    // A cursor is good for its own listing and its own user.
    let cursor = ada.get("/leases?limit=2").await.expect(200)["next_cursor"].as_str().expect("more").to_owned();
    for (client, query) in [(&ada, "username=ada&prefix=db"), (&admin, "limit=2"), (&ada, "state=active")] {
        client.get(&format!("/leases?{query}")).query(&[("cursor", &cursor)]).await.expect_at(422, ["query", "cursor"]);
    }
    for bad in ["state=bad", "prefix=db/../x", "limit=0", "x=1"] {
        admin.get(&format!("/leases?{bad}")).await.expect(422);
    }

    // And many go at once.
    let gone = admin.post("/leases/revoke", json!({ "prefix": "db/a" })).await.expect(200);
    assert_eq!(gone, json!({ "revoked": 0, "revoking": 3 }));
    for role in ["a/1", "a/2", "a/2/deeper"] {
        until_gone(&outside, role).await;
    }
    assert!(outside.has("ab/3") && outside.has("b/4") && outside.has("a/5"));
    ada.post("/leases/revoke", json!({ "username": "me" })).await.expect(200);
    until_gone(&outside, "b/4").await;
    assert!(outside.has("a/5"), "somebody else's");
    for bad in [json!({}), json!({ "prefix": "db", "username": "ada" }), json!({ "prefix": 1 }), json!({ "x": "y" })] {
        admin.post("/leases/revoke", bad).await.expect(422);
    }
}

#[tokio::test]
async fn the_command_line_shows_prolongs_and_ends_leases() {
    let server = TestServer::start().await;
    let (_, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let cli = server.user_cli_with("ada", &ada.password).await;
    let (one, two) = (borrow(&ada, "one").await, borrow(&ada, "two").await);
    let list = cli.run(&["lease", "list", "-o", "json"]).await.json();
    assert_eq!(list["leases"].as_array().map(Vec::len), Some(2));
    let shown = cli.run(&["lease", "show", &id(&one), "-o", "json"]).await.json();
    assert_eq!(shown["secret_id"], "db/one");
    let renewed = cli.run(&["lease", "renew", &id(&one), "--increment", "20m", "-o", "json"]).await.json();
    assert!(left(&one["max_expires_at"]).abs_diff(left(&renewed["expires_at"])) <= 1, "{renewed}");
    cli.run(&["lease", "renew", &id(&one), "--increment", "never"]).await.failed(7);
    cli.run(&["lease", "revoke", &id(&one)]).await.done();
    assert!(!outside.has("one"));
    cli.run(&["lease", "show", &id(&one)]).await.failed(5);
    cli.run(&["lease", "list", "--prefix", "db"]).await.failed(5);
    cli.run(&["lease", "revoke"]).await.failed(2);
    let admin = server.admin_cli("admin").await;
    let found = admin.run(&["lease", "list", "--prefix", "db", "--state", "active", "-o", "json"]).await.json();
    assert_eq!(listed(&found), [id(&two)]);
    // It has not failed.
    admin.run(&["lease", "forget", &id(&two)]).await.failed(7);
    admin.run(&["lease", "revoke", "--prefix", "db"]).await.done();
    tokio::time::timeout(SOON, until_gone(&outside, "two")).await.expect("soon");
}

#[tokio::test]
async fn what_is_lent_is_handed_to_no_other_plugin() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let lease = borrow(&ada, "r").await;
    let adopt = async || {
        let value = json!({ "plugin": "kv", "version": "shipped", "grant": { "http": null }, "adopt": true });
        admin.post("/sys/setting", json!({ "key": "secrets/db", "value": value })).await
    };
    adopt().await.expect_problem(422, ["body", "value", "plugin"], "leases_out");
    revoke(&ada, &lease).await.expect(200);
    until_gone(&outside, "r").await;
    eventually("it is forgotten", || async { (shown(&admin, &lease).await.status == 404).then_some(()) }).await;
    adopt().await.expect(200);
}

#[tokio::test]
async fn what_is_lent_is_left_to_no_version_that_takes_nothing_back() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let lease = borrow(&ada, "r").await;
    let next = Lender { leases: false, version: "1.1.0", ..Lender::default() };
    let call = admin.call(reqwest::Method::PUT, "/sys/plugins/lender/1.1.0");
    call.header("content-type", "application/wasm").body(next.build(&outside)).await.expect(200);
    let upgrade = async || {
        let value = json!({ "key": "secrets/db", "value": { "version": "1.1.0" } });
        admin.post("/sys/setting", value).await
    };
    upgrade().await.expect_problem(422, ["body", "value", "version"], "leases_out");
    revoke(&ada, &lease).await.expect(200);
    eventually("it is forgotten", || async { (shown(&admin, &lease).await.status == 404).then_some(()) }).await;
    upgrade().await.expect(200);
}
