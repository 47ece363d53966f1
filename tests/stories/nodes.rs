//! Three servers on one database and one Redis are one: once a change is answered, none of them acts on
//! what was before it, whatever becomes of the wires between them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Call, Client, Nodes, Way, canary, eventually, unique};

/// One more kind of change that must be known everywhere is one more row: what works for the victim before,
/// and not after.
struct Row {
    name: &'static str,
    /// What the victim asks, below `/api/v1`.
    probe: &'static str,
    role: &'static str,
    /// Asked at the first node, by the admin, by another session of the victim's, or by the victim.
    change: fn(admin: &Client, other: &Client, victim: &Client) -> Call,
    /// How it is undone for the next row.
    undo: Option<fn(&Client) -> Call>,
}

fn setting(admin: &Client, key: &str, value: Value) -> Call {
    admin.post("/sys/setting", json!({ "key": key, "value": value }))
}

fn roles(admin: &Client, given: &str) -> Call {
    admin.post("/sys/security", json!({ "logins": { "roles": { "password": [given] } } }))
}

fn update(admin: &Client, victim: &Client, change: Value) -> Call {
    admin.post(&format!("/users/{}/update", victim.username), change)
}

const FORBID: &str = r#"forbid (principal in Role::"user", action, resource in Resource::"secrets/kv");"#;
const SECRET: &str = "/secrets/kv/~/x";

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "a session is ended by its token",
            role: "user",
            probe: SECRET,
            change: |_, _, victim| victim.post("/token/revoke", json!({ "token": victim.token() })),
            undo: None,
        },
        Row {
            name: "a session is ended by its id",
            role: "user",
            probe: "/users/me",
            change: |_, _, victim| victim.post(&format!("/sessions/{}/revoke", victim.session_id()), json!({})),
            undo: None,
        },
        Row {
            name: "the others of a user end",
            role: "user",
            probe: SECRET,
            change: |_, other, _| other.post("/sessions/revoke", json!({ "others": true })),
            undo: None,
        },
        Row {
            name: "a user is disabled",
            role: "user",
            probe: SECRET,
            change: |admin, _, victim| update(admin, victim, json!({ "disabled": true })),
            undo: None,
        },
        Row {
            name: "an admin is one no more",
            role: "admin",
            probe: "/sys/settings",
            change: |admin, _, victim| update(admin, victim, json!({ "role": "user" })),
            undo: None,
        },
        Row {
            name: "a policy forbids it",
            role: "user",
            probe: SECRET,
            change: |admin, _, _| admin.put("/sys/policies/nothing", json!({ "text": FORBID })),
            undo: Some(|admin| admin.delete("/sys/policies/nothing")),
        },
        Row {
            name: "a user is deleted",
            role: "user",
            probe: SECRET,
            change: |admin, _, victim| admin.post(&format!("/users/{}/delete", victim.username), json!({})),
            undo: None,
        },
        Row {
            name: "a secrets mount is disabled",
            role: "user",
            probe: SECRET,
            change: |admin, _, _| setting(admin, "secrets/kv", json!({ "enabled": false })),
            undo: Some(|admin| setting(admin, "secrets/kv", json!({ "enabled": true }))),
        },
        Row {
            name: "logins may no longer give the role",
            role: "user",
            probe: SECRET,
            change: |admin, _, _| roles(admin, "admin"),
            undo: Some(|admin| roles(admin, "*")),
        },
        Row {
            name: "all that came in by a mount ends",
            role: "user",
            probe: "/users/me",
            change: |admin, _, _| setting(admin, "auth/password", json!({ "end_sessions": true })),
            undo: None,
        },
    ]
}

/// What is done to the wires of the last node while the change is made at the first.
const FAULTS: [(&str, Option<Way>, Option<Way>); 8] = [
    ("all is well", None, None),
    ("Redis is out of reach", Some(Way::Swallow), None),
    ("the database is out of reach", None, Some(Way::Swallow)),
    ("both are out of reach", Some(Way::Swallow), Some(Way::Swallow)),
    ("Redis answers late", Some(Way::Hold), None),
    ("the database answers late", None, Some(Way::Hold)),
    ("all takes long", Some(Way::Late(Duration::from_millis(60))), Some(Way::Late(Duration::from_millis(60)))),
    (
        "what was sent first comes last",
        Some(Way::Shuffle(Duration::from_millis(50))),
        Some(Way::Shuffle(Duration::from_millis(50))),
    ),
];

/// An answer within a time in which one is worth having.
async fn soon(client: &Client, path: &str) -> Option<u16> {
    let asked = tokio::time::timeout(Duration::from_millis(800), client.get(path).attempt());
    asked.await.ok().flatten().map(|answer| answer.status.as_u16())
}

async fn victim(nodes: &Nodes, row: &Row) -> Vec<Client> {
    let victim = nodes.login(0, &unique("victim"), row.role).await;
    victim.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    let everywhere = nodes.everywhere(&victim);
    for client in &everywhere {
        eventually("it works before", || async { (soon(client, row.probe).await == Some(200)).then_some(()) }).await;
    }
    everywhere
}

async fn told(faults: &[usize]) {
    let nodes = Nodes::start(3).await;
    for at in faults {
        let (fault, redis, postgres) = FAULTS[*at];
        for row in rows() {
            let admin = nodes.admin().await;
            let victims = victim(&nodes, &row).await;
            let other = nodes.login(0, &victims[0].username, row.role).await;
            let last = &nodes.wires[2];
            last.redis.set(redis.unwrap_or(Way::Through));
            last.postgres.set(postgres.unwrap_or(Way::Through));
            // Every node has used it just now, as far as it can.
            for victim in &victims {
                soon(victim, row.probe).await;
            }
            let answer = (row.change)(&admin, &other, &victims[0]).await;
            assert_eq!(answer.status, 200, "{}, {fault}: {}", row.name, answer.text);
            // From here on nowhere.
            let clock = coffer::clock::Clock::system();
            let begin = clock.monotonic();
            while clock.monotonic() - begin < Duration::from_millis(600) {
                for (node, victim) in victims.iter().enumerate() {
                    let status = soon(victim, row.probe).await;
                    assert_ne!(status, Some(200), "{}, {fault}: node {node} has not heard", row.name);
                }
            }
            nodes.heal();
            for victim in &victims {
                eventually("the node is back", || async {
                    let status = soon(victim, row.probe).await;
                    assert_ne!(status, Some(200), "{}, {fault}: after it", row.name);
                    status.filter(|status| *status < 500 || row.name.contains("mount is disabled"))
                })
                .await;
            }
            if let Some(undo) = row.undo {
                undo(&admin).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_change_is_known_everywhere_when_it_is_answered() {
    told(&[0]).await;
}

#[tokio::test]
async fn a_change_is_known_everywhere_though_a_node_is_cut_off() {
    told(&[1, 2, 3]).await;
}

#[tokio::test]
async fn a_change_is_known_everywhere_though_a_node_hears_late() {
    told(&[4, 5]).await;
}

#[tokio::test]
async fn a_change_is_known_everywhere_though_all_is_slow_and_out_of_order() {
    told(&[6, 7]).await;
}

#[tokio::test]
async fn what_was_made_at_one_node_is_there_at_the_others_at_once() {
    let nodes = Nodes::start(3).await;
    let admin = nodes.admin().await;
    nodes.login(0, "ada", "user").await;
    for round in 0..4 {
        let ada = nodes.login(1, "ada", "user").await;
        let id = format!("kv/~/r{round}");
        ada.post("/secrets/create", json!({ "secret_id": id, "value": canary("x") })).await.expect(200);
        for ada in nodes.everywhere(&ada) {
            ada.get(&format!("/secrets/{id}")).await.expect(200);
        }
        let mount = format!("team{round}");
        setting(&admin, &format!("secrets/{mount}"), json!({ "plugin": "kv" })).await.expect(200);
        for admin in nodes.everywhere(&admin) {
            admin.get(&format!("/secrets/{mount}/x")).await.expect(404);
            admin.put(&format!("/secrets/{mount}/x"), json!({ "value": canary("y") })).await.expect(200);
            admin.delete(&format!("/secrets/{mount}/x")).await.expect(200);
        }
        let next = nodes.servers[2].here(&ada);
        let session = next.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
        for ada in nodes.everywhere(&ada.with_session(session)) {
            ada.get("/users/me").await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_seal_of_the_store_is_a_seal_of_every_node() {
    let nodes = Nodes::start(3).await;
    let admin = nodes.admin().await;
    let everywhere = nodes.everywhere(&admin);
    for admin in &everywhere {
        admin.get("/users/me").await.expect(200);
    }
    nodes.wires[2].postgres.set(Way::Hold);
    admin.post("/sys/seal", json!({})).await.expect(200);
    for _ in 0..5 {
        for (node, admin) in everywhere.iter().enumerate() {
            assert_ne!(soon(admin, "/users/me").await, Some(200), "node {node}");
        }
    }
    nodes.heal();
    for admin in &everywhere {
        eventually("it says why", || async {
            admin.get("/users/me").attempt().await.filter(|answer| answer.text.contains("sealed"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_node_that_dies_or_leaves_holds_nobody_up_for_long() {
    let mut nodes = Nodes::start(3).await;
    let admin = nodes.admin().await;
    let change = || admin.post("/sys/security", json!({ "passwords": { "min_length": 14 } }));
    let clock = coffer::clock::Clock::system();
    nodes.servers[1].kill9();
    let begin = clock.monotonic();
    change().await.expect(200);
    assert!(clock.monotonic() - begin > Duration::from_secs(1), "it was waited for");
    eventually("it is struck off the roll", || async {
        let begin = clock.monotonic();
        change().await.expect(200);
        (clock.monotonic() - begin < Duration::from_secs(1)).then_some(())
    })
    .await;
    nodes.servers[1].launch();
    nodes.servers[1].wait_ready().await;
    let back = nodes.servers[1].here(&admin);
    eventually("it is back", || async { (soon(&back, "/users/me").await == Some(200)).then_some(()) }).await;
    // One that is told to stop says so.
    assert!(nodes.servers[1].sigterm().success());
    let begin = clock.monotonic();
    change().await.expect(200);
    assert!(clock.monotonic() - begin < Duration::from_secs(1), "nobody waits for who has left");
}
