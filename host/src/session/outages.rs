//! When Redis is away, or has forgotten everything.

use std::sync::Arc;

use super::{Error, Sessions, redis::Redis, testing::Bench};
use crate::shared::{
    Link,
    testing::{Server, until_there},
};

async fn bench(server: &Server) -> (Bench, Link) {
    let link = server.link().await;
    let mut bench = Bench::embedded();
    let store = Arc::new(Redis::new(link.clone(), bench.barrier.clone()));
    bench.sessions = Sessions::new(store, bench.barrier.clone(), bench.fence.clone(), bench.clock.clone());
    bench.link = Some(link.clone());
    (bench, link)
}

#[tokio::test]
async fn away_is_never_taken_for_ended_and_heals_by_itself() {
    let mut server = Server::start(&[]);
    let (bench, link) = bench(&server).await;
    let tokens = bench.login().await;
    server.kill();
    assert!(matches!(bench.find(&tokens.access).await, Err(Error::Away(_))));
    assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Away(_))));
    let new = bench.new_session(&tokens.session.user).await;
    assert!(matches!(bench.sessions.create(new).await, Err(Error::Away(_))));
    server.restart();
    until_there(&link).await;
    // Redis has forgotten: everybody is logged out, and can log in.
    assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    let tokens = bench.login().await;
    bench.use_once(&tokens.access).await.unwrap();
}

#[tokio::test]
async fn an_ending_while_redis_is_away_is_an_ending() {
    let mut server = Server::start(&[]);
    let (bench, link) = bench(&server).await;
    let tokens = bench.login().await;
    let kept = bench.keep(&tokens.session.id).await;
    server.kill();
    // Nobody is told that it is done ...
    assert!(matches!(bench.sessions.end(&tokens.session.id).await, Err(Error::Away(_))));
    server.restart();
    until_there(&link).await;
    // ... and it is: even a Redis that has kept everything brings nothing back.
    bench.put_back(&kept).await;
    assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Unknown)));
}

#[tokio::test]
async fn flushall_logs_everyone_out_and_harms_nothing_else() {
    let server = Server::start(&[]);
    let (bench, link) = bench(&server).await;
    let tokens = bench.login().await;
    let one_time = bench.login_with(|new| new.max_uses = Some(1)).await;
    let kept = bench.keep(&one_time.session.id).await;
    bench.use_once(&one_time.access).await.unwrap();
    link.command(&[b"FLUSHALL"]).await.unwrap();
    link.command(&[b"SCRIPT", b"FLUSH"]).await.unwrap();
    for access in [&tokens.access, &one_time.access] {
        assert!(matches!(bench.find(access).await, Err(Error::Unknown)));
    }
    bench.put_back(&kept).await;
    assert!(matches!(bench.use_once(&one_time.access).await, Err(Error::Unknown)));
    assert!(bench.sessions.list(&tokens.session.user).await.unwrap().is_empty());
    bench.use_once(&bench.login().await.access).await.unwrap();
}
