//! Never more than N, whoever asks at once, whatever dies or is put back; and exactly N otherwise.

use std::{sync::Arc, time::Duration};

use super::{
    Error, Sessions, Tokens,
    testing::{Bench, Kept},
    uses::block_size,
};
use crate::{
    barrier::{Writes, layout::Prefix},
    sensitive::Secret,
};

/// So many successes of `callers` at once, each on one of the nodes. A loser is told `Unknown`.
async fn crowd(nodes: &[Sessions], access: &Secret<String>, callers: usize) -> u32 {
    let token = Arc::new(super::AccessToken::parse(access.reveal()).unwrap());
    let tasks: Vec<_> = (0..callers)
        .map(|at| {
            let (node, token) = (nodes[at % nodes.len()].clone(), token.clone());
            tokio::spawn(async move {
                let session = node.find(&token, None).await?;
                node.spend(&session).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => won += 1,
            Err(Error::Unknown) => {}
            Err(other) => panic!("a loser was told {other}"),
        }
    }
    won
}

async fn limited(bench: &Bench, most: u32) -> Tokens {
    bench.login_with(|new| new.max_uses = Some(most)).await
}

/// Uses until it is over.
async fn drain(bench: &Bench, tokens: &Tokens) -> u32 {
    let mut won = 0;
    loop {
        match bench.use_once(&tokens.access).await {
            Ok(_) if won == 10_000 => panic!("without an end"),
            Ok(_) => won += 1,
            Err(Error::Unknown) => return won,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn blocks_are_a_thirty_second_and_at_most_64() {
    for (most, size) in [(1, 1), (63, 1), (64, 2), (95, 2), (96, 3), (2048, 64), (u32::MAX, 64)] {
        assert_eq!(block_size(most), size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_token_succeeds_once_under_200_callers() {
    for bench in Bench::both().await {
        for _ in 0..5 {
            let tokens = limited(&bench, 1).await;
            assert!(tokens.refresh.is_none());
            assert_eq!(crowd(&[bench.sessions.clone(), bench.node()], &tokens.access, 200).await, 1);
            assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_has_exactly_as_many_uses_as_there_are() {
    for bench in Bench::both().await {
        for most in [2, 5, 63, 64, 100, 200] {
            let tokens = limited(&bench, most).await;
            let mut nodes = vec![bench.sessions.clone()];
            if bench.link.is_some() {
                nodes.push(bench.node());
            }
            let won = crowd(&nodes, &tokens.access, 150).await + crowd(&nodes, &tokens.access, 150).await;
            assert_eq!(won, most, "of {most}");
        }
    }
}

#[tokio::test]
async fn uses_left_are_told_and_end_at_nothing() {
    for bench in Bench::both().await {
        for most in [3, 70] {
            let tokens = limited(&bench, most).await;
            for used in 0..most {
                assert_eq!(bench.find(&tokens.access).await.unwrap().uses_left, Some(most - used));
                bench.use_once(&tokens.access).await.unwrap();
            }
            assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
        }
    }
}

#[tokio::test]
async fn below_64_a_store_that_is_put_back_gives_no_use_back() {
    for bench in Bench::both().await {
        for most in [1, 7] {
            let tokens = limited(&bench, most).await;
            let kept = bench.keep(&tokens.session.id).await;
            let found = bench.find(&tokens.access).await.unwrap();
            assert_eq!(drain(&bench, &tokens).await, most);
            bench.put_back(&kept).await;
            assert_eq!(drain(&bench, &tokens).await, 0);
            // Not even to a request that found it before.
            assert!(matches!(bench.sessions.spend(&found).await, Err(Error::Unknown)));
        }
    }
}

#[tokio::test]
async fn from_64_on_a_put_back_costs_at_most_one_block() {
    for bench in Bench::both().await {
        let most = 640;
        let tokens = limited(&bench, most).await;
        let size = block_size(most);
        let mut won = 0;
        let mut incidents = 0;
        let mut kept: Option<Kept> = None;
        for round in 0..10 {
            for _ in 0..37 {
                won += u32::from(bench.use_once(&tokens.access).await.is_ok());
            }
            // Some states are old, some are of just now, and one comes back three times.
            if round % 3 == 0 {
                kept = Some(bench.keep(&tokens.session.id).await);
            } else if let Some(kept) = &kept {
                bench.put_back(kept).await;
                incidents += 1;
            }
        }
        won += drain(&bench, &tokens).await;
        assert!(won <= most + incidents * size, "{won} of {most} after {incidents}");
    }
}

#[tokio::test]
async fn more_uses_than_a_block_has_are_not_believed() {
    let bench = Bench::redis().await;
    let tokens = limited(&bench, 64).await;
    bench.use_once(&tokens.access).await.unwrap();
    let link = bench.link.as_ref().unwrap();
    let key = format!("{}:{{{}}}", link.namespace(), tokens.session.id);
    for forged in ["1000000", "3", "nan", "inf", "0x10", "1e9", " 2", "-5", ""] {
        link.command(&[b"HSET", key.as_bytes(), b"left", forged.as_bytes()]).await.unwrap();
        let session = bench.find(&tokens.access).await;
        if let Ok(session) = session {
            let _ = bench.sessions.spend(&session).await;
        }
    }
    // As often as somebody likes, that is one block each.
    link.command(&[b"HSET", key.as_bytes(), b"left", b"1000000"]).await.unwrap();
    assert!(drain(&bench, &tokens).await < 64);
}

#[tokio::test]
async fn a_node_that_dies_between_release_and_use_costs_a_block_and_no_more() {
    for bench in Bench::both().await {
        let most = 96;
        let tokens = limited(&bench, most).await;
        assert_eq!(block_size(most), 3);
        for _ in 0..3 {
            bench.use_once(&tokens.access).await.unwrap();
        }
        let uses = bench.barrier.view(Prefix::Uses).within(&format!("{}/", tokens.session.id));
        let row = uses.get::<u32>("released").await.unwrap().unwrap();
        let mut writes = Writes::default();
        uses.put(&mut writes, "released", &(row.value + 1), row.expires_at);
        bench.barrier.commit(writes).await.unwrap();
        assert_eq!(drain(&bench, &tokens).await, most - 3 - 3);
    }
}

#[tokio::test]
async fn an_ending_wins_over_a_use_that_comes_after_it() {
    for bench in Bench::both().await {
        for most in [1, 5, 64] {
            let tokens = limited(&bench, most).await;
            let found = bench.find(&tokens.access).await.unwrap();
            bench.sessions.end(&tokens.session.id).await.unwrap();
            assert!(matches!(bench.sessions.spend(&found).await, Err(Error::Unknown)));
        }
    }
}

#[tokio::test]
async fn a_limited_session_idles_out_too() {
    for bench in Bench::both().await {
        let tokens = limited(&bench, 5).await;
        bench.hand.advance(super::testing::IDLE - Duration::from_millis(1));
        bench.use_once(&tokens.access).await.unwrap();
        bench.hand.advance(super::testing::IDLE);
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }
}

#[tokio::test]
async fn no_uses_at_all_is_no_session() {
    for bench in Bench::both().await {
        let tokens = limited(&bench, 0).await;
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }
}
