//! Property: a name that goes in by the command line comes back as it was, or is refused.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{TestServer, canary};

/// Names as people have them, and as they should not.
fn names() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[a-zA-Z0-9_.@+=,&;!$'()~ -]{1,12}",
        2 => "[а-яёéü€字🔑]{1,8}",
        1 => "[ -~]{1,10}",
        1 => any::<String>(),
        1 => Just("..".to_owned()),
        1 => Just("%2e%2e".to_owned()),
        1 => Just("-o".to_owned()),
    ];
    proptest::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"))
}

#[tokio::test]
async fn a_name_comes_back_as_it_was_or_is_refused() {
    let server = TestServer::start().await;
    let cli = server.admin_cli("admin").await;
    let admin = server.admin().await;
    let mut runner = TestRunner::deterministic();
    let strategy = names();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..60 {
        let name = strategy.new_tree(&mut runner).expect("a name").current();
        // No system takes it as an argument.
        if name.contains('\0') {
            continue;
        }
        let id = format!("kv/names/{name}");
        let put = cli.run_with(&["secret", "put", "-o", "json", "--", &id], canary("name").as_bytes()).await;
        match put.code {
            Some(0) => {
                taken += 1;
                assert_eq!(put.json()["secret_id"], id.as_str());
                let got = cli.run(&["secret", "get", "-o", "json", "--", &id]).await.json();
                assert_eq!(got["secret_id"], id.as_str());
                let listed = cli.run(&["secret", "list", "-r", "kv/names", "-o", "json"]).await.json();
                let ids: Vec<&Value> =
                    listed["secrets"].as_array().expect("a list").iter().map(|one| &one["secret_id"]).collect();
                assert!(ids.contains(&&json!(id)), "{id:?} in {ids:?}");
                // By nothing but its own name.
                admin.get("/secrets").query(&[("secret_id", &id)]).await.expect(200);
                cli.run(&["secret", "purge", "--yes", "--", &id]).await.done();
            }
            Some(2) => {
                refused += 1;
                let told = admin.put(&format!("/secrets?{}", query(&id)), json!({ "value": "x" })).await;
                assert_eq!(told.status.as_u16(), 422, "the server would have refused {id:?} as well: {}", told.text);
            }
            other => panic!("{id:?}: {other:?}: {}", put.err),
        }
    }
    assert!(taken > 10 && refused > 10, "{taken} taken, {refused} refused");
}

fn query(id: &str) -> String {
    format!("secret_id={}", percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC))
}
