//! Acknowledged means durable: kill -9 loses nothing that was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Builder, SOON, TestServer, canary, eventually};

on_every_store!(what_was_answered_outlives_a_kill);

async fn what_was_answered_outlives_a_kill(server: Builder) {
    let mut server = server.start().await;
    let ada = server.login("ada").await;
    let revoked = server.login("ada").await;
    let once = ada.with_session(ada.child(None, json!({ "one_time": true })).await.expect(200));
    once.get("/users/me").await.expect(200);
    ada.post("/token/revoke", json!({ "token": revoked.token() })).await.expect(200);

    for round in 0..3 {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (ada, stop, count) = (ada.clone(), stop.clone(), count.clone());
                tokio::spawn(async move {
                    let mut acknowledged: Vec<(String, String, Value)> = Vec::new();
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let (id, value) = (format!("kv/~/r{round}/w{writer}/{n}"), canary("durable"));
                        let body = json!({ "secret_id": id, "value": value });
                        match ada.post("/secrets/create", body).attempt().await {
                            Some(answer) if answer.status == 200 => {
                                acknowledged.push((id, value, answer.body["version"].clone()));
                                count.fetch_add(1, Ordering::Relaxed);
                            }
                            _ => break,
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        // In the middle of it: some have been answered, and more are on their way.
        eventually("some are answered", async || (count.load(Ordering::Relaxed) >= 20).then_some(())).await;
        server.kill9();
        stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.expect("no panic"));
        }
        server.launch();
        server.wait_ready().await;
        for (id, value, version) in &acknowledged {
            let read = ada.get("/secrets").query(&[("secret_id", id)]).await.expect(200);
            assert_eq!((&read["data"]["value"], &read["version"]), (&json!(value), version), "{id}");
        }
        assert!(!acknowledged.is_empty(), "the load was real");
        revoked.get("/users/me").await.expect_unauthorized();
        once.get("/users/me").await.expect_unauthorized();
    }
}

#[tokio::test]
async fn a_server_without_its_database_says_so_and_recovers() {
    use crate::harness::Storage;

    let server = TestServer::builder().storage(Storage::Postgres).start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    // Every connection is cut; the server opens new ones.
    server.services.postgres.as_ref().expect("this server has one").disconnect_everyone().await;
    let read = async {
        loop {
            let answer = ada.get("/secrets/kv/~/x").await;
            match answer.status.as_u16() {
                200 => break,
                status => assert_eq!(status, 503, "{}", answer.text),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, read).await.expect("it recovers without a restart");
}
