//! Property: what a secret is called goes in by a body, a path or a query and comes back as it was, or is
//! refused with the place; and all ways to say it agree. (By the command line: `cli_names`.)

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{TestServer, canary};

/// What a client encodes that encodes no more than it must.
const SPARING: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'\\');

fn names() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[a-zA-Z0-9_.@+=,&;!$'()~ -]{1,12}",
        2 => "[а-яёéü€字🔑]{1,8}",
        1 => "[ -~]{1,10}",
        1 => any::<String>(),
        1 => "[~.]{1,3}",
        1 => Just("%2e%2e".to_owned()),
        1 => Just("e\u{301}".to_owned()),
        1 => Just(String::new()),
    ];
    let folder = prop_oneof![Just("kv/"), Just("kv/~/"), Just("kv/names/"), Just("kv/~")];
    (folder, proptest::collection::vec(segment, 1..4))
        .prop_map(|(folder, segments)| folder.to_owned() + &segments.join("/"))
}

#[tokio::test]
async fn every_way_to_name_a_secret_means_the_same() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (mut runner, strategy) = (TestRunner::deterministic(), names());
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..150 {
        let id = strategy.new_tree(&mut runner).expect("a name").current();
        let value = canary("name");
        let whole = utf8_percent_encode(&id, NON_ALPHANUMERIC).to_string();
        let sparing = utf8_percent_encode(&id, SPARING).to_string();
        let made = admin.post("/secrets/create", json!({ "secret_id": id, "value": value })).await;
        let by_query = admin.get(&format!("/secrets?secret_id={whole}")).await;
        let by_path = admin.get(&format!("/secrets/{whole}")).await;
        // A client may write dots and slashes away before it sends.
        let plain = !id.split('/').any(|segment| matches!(segment, "" | "." | ".."));
        if made.status == 200 {
            taken += 1;
            let told = match id.strip_prefix("kv/~/") {
                Some(rest) => format!("kv/users/{}/{rest}", admin.id),
                None => id.clone(),
            };
            assert_eq!(made.body["secret_id"], told.as_str());
            let read = by_query.expect(200);
            assert_eq!((&read["secret_id"], &read["data"]["value"]), (&json!(told), &json!(value)));
            assert_eq!(by_path.expect(200), read);
            assert_eq!(admin.get(&format!("/secrets/{sparing}")).await.expect(200), read, "{id:?}");
            // What it is called in the answer is a name for it.
            assert_eq!(admin.get("/secrets").query(&[("secret_id", &told)]).await.expect(200), read);
            let folder = told.rsplit_once('/').expect("a folder").0;
            let listed = admin.get("/secrets").query(&[("prefix", folder), ("limit", "1000")]).await.expect(200);
            let ids = listed["secrets"].as_array().expect("a list").iter().map(|one| &one["secret_id"]);
            assert_eq!(ids.filter(|one| **one == told).count(), 1, "{told:?} in {listed}");
            let history = admin.get(&format!("/secrets/{whole}%3Ahistory")).await.expect(200);
            assert_eq!(history, admin.get(&format!("/secrets:history?secret_id={whole}")).await.expect(200));
            let purge = match taken % 2 {
                0 => admin.post(&format!("/secrets/{sparing}:purge"), json!({})),
                _ => admin.post(&format!("/secrets:purge?secret_id={whole}"), json!({})),
            };
            purge.await.expect(200);
            admin.get("/secrets").query(&[("secret_id", &told)]).await.expect(404);
        } else {
            refused += 1;
            let why = made.expect_at(422, ["body", "secret_id"]);
            let words = |refused: &Value| refused["detail"][0]["msg"].clone();
            let same = by_query.expect_at(422, ["query", "secret_id"]);
            assert_eq!(words(&same), words(&why), "{id:?}");
            // What stands behind a colon is a verb in a path.
            if plain && !id.contains(':') {
                let same = by_path.expect_at(422, ["path", "secret_id"]);
                assert_eq!(words(&same), words(&why), "{id:?}");
            }
        }
    }
    assert!(taken > 40 && refused > 40, "{taken} taken, {refused} refused");
}
