//! Sessions that are kept in the database are for one server: another one is refused, and takes over when
//! the first has died.

use std::sync::Arc;

use serde_json::json;

use crate::harness::{Postgres, Shared, TestServer, eventually, finish};

#[tokio::test]
async fn a_second_server_is_refused_and_takes_over_from_one_that_died() {
    let postgres = Postgres::create().await;
    let (key, secrets) = (hex::encode(coffer::ids::random::<32>()), Arc::default());
    let shared = || Shared {
        postgres: postgres.url.clone(),
        sessions: "embedded".to_owned(),
        key: key.clone(),
        secrets: Arc::clone(&secrets),
    };
    let mut first = TestServer::builder().shared(shared()).start().await;
    let body = json!({ "code": first.init_code() });
    let made = first.anonymous().post("/sys/init", body).await.expect(200);
    let root = first.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
    root.get("/sys/settings").await.expect(200);

    let refused = |said: std::process::Output| {
        assert!(!said.status.success());
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("another node") && said.contains("the same Redis"), "{said}");
    };
    let mut second = TestServer::builder().shared(shared()).prepare().await;
    refused(finish(second.command()).await);
    root.get("/sys/settings").await.expect(200);

    // Nothing that the first one could say any more: its claim lapses.
    first.kill9();
    second.launch();
    second.wait_ready().await;
    let root = second.here(&root);
    eventually("the second server has taken over", || async {
        root.get("/sys/settings").attempt().await.filter(|answer| answer.status == 200)
    })
    .await;
    refused(finish(first.command()).await);
    // One that stops says so, and nobody has to wait.
    assert!(second.sigterm().success());
    first.launch();
    first.wait_ready().await;
    first.here(&root).get("/sys/settings").await.expect(200);
    first.services.postgres = Some(postgres);
}
