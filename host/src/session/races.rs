//! What happens at the same time.

use super::{
    AccessToken, EpochOf, Error, Renewal,
    testing::{Bench, refresh_token},
};
use crate::ids::UserId;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_renewals_at_once_one_pair_lives() {
    for bench in Bench::both().await {
        for _ in 0..30 {
            let first = bench.login().await;
            let nodes =
                [bench.sessions.clone(), if bench.link.is_some() { bench.node() } else { bench.sessions.clone() }];
            let tasks = nodes.map(|node| {
                let token = refresh_token(&first.refresh);
                tokio::spawn(async move { node.renew(&token, Renewal::default(), None).await })
            });
            let mut pairs = Vec::new();
            for task in tasks {
                match task.await.unwrap() {
                    Ok(pair) => pairs.push(pair),
                    Err(Error::Unknown) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            let mut alive = 0;
            for pair in &pairs {
                alive += u32::from(bench.find(&pair.access).await.is_ok());
            }
            assert_eq!(alive, 1, "of {}", pairs.len());
            assert!(bench.find(&first.access).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ending_beats_a_renewal_at_the_same_time() {
    for bench in Bench::both().await {
        for _ in 0..30 {
            let first = bench.login().await;
            let (node, token) = (bench.node(), refresh_token(&first.refresh));
            let renewal = tokio::spawn(async move { node.renew(&token, Renewal::default(), None).await });
            bench.sessions.end(&first.session.id).await.unwrap();
            let mut tokens = vec![first];
            tokens.extend(renewal.await.unwrap().ok());
            for pair in &tokens {
                assert!(matches!(bench.find(&pair.access).await, Err(Error::Unknown)));
                assert!(matches!(bench.renew(&pair.refresh).await, Err(Error::Unknown)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_beats_every_login_and_renewal_at_the_same_time() {
    for bench in Bench::both().await {
        for _ in 0..30 {
            let user = UserId::new();
            let old = bench.sessions.create(bench.new_session(&user).await).await.unwrap();
            let new = bench.new_session(&user).await;
            let (one, two, token) = (bench.node(), bench.node(), refresh_token(&old.refresh));
            let login = tokio::spawn(async move { one.create(new).await });
            let renewal = tokio::spawn(async move { two.renew(&token, Renewal::default(), None).await });
            bench.raise(EpochOf::User(user)).await;
            let made = [login.await.unwrap(), renewal.await.unwrap()];
            for tokens in made.into_iter().flatten() {
                assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parents_end_beats_a_child_made_at_the_same_time() {
    for bench in Bench::both().await {
        for _ in 0..30 {
            let parent = bench.login().await;
            let mut new = bench.new_session(&parent.session.user).await;
            new.parent = Some(parent.session.id.clone());
            let node = bench.node();
            let child = tokio::spawn(async move { node.create(new).await });
            bench.sessions.end(&parent.session.id).await.unwrap();
            match child.await.unwrap() {
                Ok(tokens) => assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown))),
                Err(error) => assert!(matches!(error, Error::Unknown), "{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_one_session_is_no_error_for_anybody() {
    for bench in Bench::both().await {
        let tokens = bench.login().await;
        for _ in 0..5 {
            bench.hand.advance(std::time::Duration::from_secs(5));
            let tasks: Vec<_> = (0..60)
                .map(|_| {
                    let (node, token) = (bench.sessions.clone(), AccessToken::parse(tokens.access.reveal()).unwrap());
                    tokio::spawn(async move {
                        let session = node.find(&token, None).await?;
                        node.spend(&session).await
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        }
    }
}
