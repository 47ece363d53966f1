//! What ends a lease before its time: its session, its user, its mount. And who revokes it, where there
//! are several nodes.

use std::time::Duration;

use serde_json::json;

use super::leases::{borrow, id, mount, mounted, renew, revoke, shown, until_gone};
use crate::harness::{Builder, Lender, Nodes, Outside, TestServer, eventually, own_address};

on_every_store!(what_a_session_has_borrowed_ends_with_it, a_session_that_ends_while_the_server_is_dead_is_found);

async fn what_a_session_has_borrowed_ends_with_it(server: Builder) {
    let server = server.start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    let child = ada.with_session(ada.child(None, json!({})).await.expect(200));
    let lease = borrow(&ada, "own").await;
    borrow(&child, "childs").await;
    let stays = borrow(&other, "stays").await;
    // A renewed session is the same session.
    let session = ada.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    let ada = ada.with_session(session);
    assert_eq!(shown(&ada, &lease).await.expect(200)["state"], "active");
    ada.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    // From that moment on nobody prolongs it, not even its user in another session.
    let refused = renew(&other, &lease, json!({})).await;
    assert!([403, 422].contains(&refused.status.as_u16()), "{}", refused.text);
    until_gone(&outside, "own").await;
    until_gone(&outside, "childs").await;
    assert!(outside.has("stays"));
    assert_eq!(shown(&other, &stays).await.expect(200)["state"], "active");
    // A user who is disabled, or deleted, keeps nothing.
    admin.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
    until_gone(&outside, "stays").await;
    let bob = server.login("bob").await;
    borrow(&bob, "bobs").await;
    admin.post("/users/bob/delete", json!({})).await.expect(200);
    until_gone(&outside, "bobs").await;
}

async fn a_session_that_ends_while_the_server_is_dead_is_found(server: Builder) {
    let mut server = server.start().await;
    let (_, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let short = ada.with_session(ada.child(None, json!({ "ttl": "5s" })).await.expect(200));
    let lease = borrow(&short, "short").await;
    assert!(lease["max_expires_at"].as_str() < borrow(&ada, "long").await["expires_at"].as_str());
    ada.post("/sessions/revoke", json!({ "others": true })).await.expect(200);
    server.kill9();
    server.launch();
    server.wait_ready().await;
    until_gone(&outside, "short").await;
    assert!(outside.has("long"));
    assert_eq!(outside.count("DELETE", "short"), 1);
}

#[tokio::test]
async fn sessions_beyond_the_limit_of_a_user_take_their_leases_with_them() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    borrow(&ada, "oldest").await;
    admin.post("/sys/security", json!({ "sessions": { "max_per_user": 1 } })).await.expect(200);
    let newest = server.login("ada").await;
    borrow(&newest, "newest").await;
    until_gone(&outside, "oldest").await;
    assert!(outside.has("newest"));
}

#[tokio::test]
async fn what_a_session_or_user_has_borrowed_can_be_taken_back_without_ending_it() {
    let server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let (ada, other) = (server.login("ada").await, server.login("ada").await);
    borrow(&ada, "one").await;
    borrow(&other, "two").await;
    let asked = ada.post("/leases/revoke", json!({ "session_id": other.session_id() })).await.expect(200);
    assert_eq!(asked["revoking"], 1);
    until_gone(&outside, "two").await;
    assert!(outside.has("one"));
    other.get("/users/me").await.expect(200);
    let asked = admin.post("/leases/revoke", json!({ "username": "ada" })).await.expect(200);
    assert_eq!(asked["revoking"], 1);
    until_gone(&outside, "one").await;
    ada.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn a_disabled_mount_lends_nothing_and_still_renews_and_revokes() {
    let mut server = TestServer::start().await;
    let (_, outside) = mounted(&server, Lender { ttl: 8, max_ttl: 600, ..Lender::default() }).await;
    let ada = server.login("ada").await;
    let (left, kept, revoked) = (borrow(&ada, "left").await, borrow(&ada, "kept").await, borrow(&ada, "revoked").await);
    let admin = server.admin().await;
    let off = json!({ "key": "secrets/db", "value": { "enabled": false } });
    admin.post("/sys/setting", off).await.expect(200);
    ada.post("/secrets/create", json!({ "secret_id": "db/more", "data": {} })).await.expect_type(503, "mount_disabled");
    renew(&ada, &kept, json!({ "increment": 300 })).await.expect(200);
    revoke(&ada, &revoked).await.expect(200);
    assert!(!outside.has("revoked") && outside.has("left") && outside.has("kept"));
    server.restart().await;
    until_gone(&outside, "left").await;
    assert!(outside.has("kept"));
    // Of the service it is gone a moment before it is here.
    eventually("the lease is gone", || async { (shown(&ada, &left).await.status != 200).then_some(()) }).await;
    shown(&ada, &kept).await.expect(200);
}

#[tokio::test]
async fn a_mount_that_is_removed_takes_back_what_it_has_lent() {
    let mut server = TestServer::start().await;
    let (admin, outside) = mounted(&server, Lender::default()).await;
    let ada = server.login("ada").await;
    let (one, two) = (borrow(&ada, "one").await, borrow(&ada, "two").await);
    outside.set_down(true);
    admin.delete("/sys/setting/secrets/db").await.expect(200);
    eventually("it is tried", || async { (shown(&ada, &one).await.expect(200)["state"] == "failing").then_some(()) })
        .await;
    admin.delete("/sys/plugins/lender/1.0.0").await.expect_type(422, "plugin_in_use");
    // What is mounted there now has no part in it.
    admin.put("/sys/setting/secrets/db", json!({ "value": { "plugin": "kv" } })).await.expect(200);
    server.restart().await;
    outside.set_down(false);
    until_gone(&outside, "one").await;
    until_gone(&outside, "two").await;
    eventually("nothing is left", || async { (shown(&ada, &two).await.status == 403).then_some(()) }).await;
    server.admin().await.delete("/sys/plugins/lender/1.0.0").await.expect(200);
}

#[tokio::test]
async fn a_mount_whose_service_hangs_keeps_no_other_mounts_leases_waiting() {
    let server = TestServer::start().await;
    let (admin, hanging) = mounted(&server, Lender { ttl: 1, max_ttl: 60, ..Lender::default() }).await;
    let other = Outside::start().await;
    mount(&admin, "other", &Lender { name: "other", ttl: 3, max_ttl: 60, ..Lender::default() }, &other).await;
    hanging.set_hangs(true);
    let ada = server.login("ada").await;
    // Each of them takes its plugin's four seconds, four at a time.
    for role in 0..40 {
        borrow(&ada, &format!("stuck-{role}")).await;
    }
    eventually("it hangs", || async {
        (0..40).any(|role| hanging.count("DELETE", &format!("stuck-{role}")) > 0).then_some(())
    })
    .await;
    // One after the other: in one look at everything each would wait more than ten seconds for what hangs.
    let each = async {
        for role in ["one", "two", "three"] {
            let body = json!({ "secret_id": format!("other/{role}"), "data": {} });
            admin.post("/secrets/create", body).await.expect(200);
            until_gone(&other, role).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), each).await.expect("nobody waits for what hangs");
    // Nor does who ends a session wait for it.
    let lease = admin.post("/secrets/create", json!({ "secret_id": "other/long", "data": {} })).await.expect(200);
    renew(&admin, &lease["lease"], json!({ "increment": 50 })).await.expect(200);
    admin.post("/token/revoke", json!({ "token": admin.token() })).await.expect(200);
    until_gone(&other, "long").await;
    assert!((0..40).all(|role| hanging.has(&format!("stuck-{role}"))));
    hanging.set_hangs(false);
}

#[tokio::test]
async fn of_several_nodes_one_revokes_what_is_due_and_any_goes_on_for_a_dead_one() {
    let outside = Outside::start_at(own_address()).await;
    let mut nodes = Nodes::start(3).await;
    let admin = nodes.admin().await;
    admin.post("/sys/security", json!({ "plugins": { "require_signature": false } })).await.expect(200);
    mount(&admin, "db", &Lender { ttl: 2, max_ttl: 600, ..Lender::default() }, &outside).await;
    let everywhere = nodes.everywhere(&admin);
    outside.set_slow(true);
    let mut leases = Vec::new();
    for role in 0..12 {
        leases.push(borrow(&everywhere[role % 3], &format!("r{role}")).await);
    }
    for role in 0..12 {
        until_gone(&outside, &format!("r{role}")).await;
    }
    eventually("nothing is left", || async {
        let left = admin.get("/leases?prefix=").await.expect(200);
        left["leases"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    for role in 0..12 {
        assert_eq!(outside.count("DELETE", &format!("r{role}")), 1, "r{role} was taken back more than once");
    }
    // Of one lease that all of them want gone at once it is told the truth, and it goes once.
    outside.set_slow(false);
    let lease = borrow(&admin, "wanted").await;
    let path = format!("/leases/{}/revoke", id(&lease));
    let (a, b, c) = tokio::join!(
        everywhere[0].post(&path, json!({})),
        everywhere[1].post(&path, json!({})),
        everywhere[2].post(&path, json!({}))
    );
    let told = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
    assert!(told.contains(&200) && told.iter().all(|status| [200, 404, 503].contains(status)), "{told:?}");
    assert_eq!(outside.count("DELETE", "wanted"), 1);
    // The node that lent it dies; the others take it back.
    borrow(&everywhere[0], "orphan").await;
    nodes.servers[0].kill9();
    until_gone(&outside, "orphan").await;
    nodes.servers[0].launch();
    nodes.servers[0].wait_ready().await;
}
