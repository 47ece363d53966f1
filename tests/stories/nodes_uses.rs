//! Limited tokens in the hands of a crowd, at three servers at once: so many uses as were given out, and
//! for everybody else 401.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::Nodes;

/// Rounds of a crowd on a new token each; so many of them at once.
async fn crowd((clients, at_once): (usize, usize), rounds: usize, session: Value, uses: usize) {
    let nodes = Nodes::start(3).await;
    let ada = nodes.login(0, "ada", "user").await;
    for round in 0..rounds {
        let token = ada.with_session(ada.child(None, session.clone()).await.expect(200));
        let everywhere = nodes.everywhere(&token);
        let turns = Arc::new(Semaphore::new(at_once));
        let calls: Vec<_> = (0..clients)
            .map(|n| {
                let (call, turns) = (everywhere[n % 3].get("/users/me"), turns.clone());
                tokio::spawn(async move {
                    let _turn = turns.acquire_owned().await.expect("never closed");
                    call.await
                })
            })
            .collect();
        let (mut won, mut lost) = (0, 0);
        for call in calls {
            let answer = call.await.expect("an answer");
            match answer.status.as_u16() {
                200 => won += 1,
                401 => lost += 1,
                _ => panic!("round {round}: {} {}", answer.status, answer.text),
            }
        }
        assert_eq!((won, lost), (uses, clients - uses), "round {round}");
    }
}

// `make crowd` has 500 clients and 1,000 rounds, which is too much for a suite.
#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_token_works_once_at_three_servers() {
    crowd((60, 60), 8, json!({ "one_time": true }), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_seven_uses_works_seven_times_at_three_servers() {
    crowd((100, 50), 3, json!({ "max_uses": 7 }), 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_many_uses_works_so_often_and_no_more() {
    crowd((300, 20), 1, json!({ "max_uses": 200 }), 200).await;
}

fn rounds() -> usize {
    std::env::var("COFFER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1_000)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make crowd"]
async fn five_hundred_clients_and_a_one_time_token() {
    crowd((500, 500), rounds(), json!({ "one_time": true }), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make crowd"]
async fn a_hundred_clients_and_a_token_of_seven_uses() {
    crowd((100, 100), rounds(), json!({ "max_uses": 7 }), 7).await;
}
