//! How fast it is: `make bench`. Not a promise, and not run with the tests.

use std::future::Future;
use std::time::Duration;

use coffer::clock::Clock;
use serde_json::json;

use crate::harness::{Builder, Client, Sessions, Storage, TestServer, canary};

const SPAN: Duration = Duration::from_secs(5);
const CLIENTS: usize = 32;

/// Calls `ask` from several clients for a while and prints how often it was answered.
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn measure<F>(what: &str, ask: impl Fn(usize) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (ask, count) = (ask.clone(), count.clone());
            tokio::spawn(tokio::time::timeout(SPAN, async move {
                loop {
                    ask(client).await;
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }))
        })
        .collect();
    for client in clients {
        let _: Result<(), _> = client.await.expect("no panic");
    }
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    println!("{what:<60} {:>8.0} a second", count as f64 / SPAN.as_secs_f64());
}

async fn measure_all(server: Builder, name: &str) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/read", "value": canary("read") })).await.expect(200);
    let ask = |call: fn(&Client, usize) -> crate::harness::Call| {
        let ada = ada.clone();
        move |client| {
            let call = call(&ada, client);
            async move { drop(call.await.expect(200)) }
        }
    };
    measure(&format!("{name}: health"), ask(|ada, _| ada.get("/sys/health"))).await;
    measure(&format!("{name}: read a secret"), ask(|ada, _| ada.get("/secrets/kv/~/read"))).await;
    let write = ask(|ada, client| ada.put(&format!("/secrets/kv/~/w{client}"), json!({ "value": canary("write") })));
    measure(&format!("{name}: write a version, one path a client"), write).await;
    let one_time = {
        let ada = ada.clone();
        move |_| {
            let ada = ada.clone();
            async move { drop(ada.child(None, json!({ "one_time": true })).await.expect(200)) }
        }
    };
    measure(&format!("{name}: make a one-time token"), one_time).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench"]
async fn sqlite_and_embedded_sessions() {
    measure_all(TestServer::builder(), "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench"]
async fn postgres_and_redis() {
    let builder = TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Redis);
    measure_all(builder, "PostgreSQL and Redis").await;
}

#[tokio::test]
#[ignore = "make bench"]
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn ready() {
    let clock = Clock::system();
    for _ in 0..5 {
        let mut server = TestServer::builder().prepare().await;
        let begin = clock.now();
        server.launch();
        server.wait_ready().await;
        println!("ready after {:?}", clock.now().since(begin));
    }
}
