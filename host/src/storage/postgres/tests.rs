use std::str::FromStr;

use sqlx::{ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use super::*;
use crate::storage::{
    Expect, Version, Write,
    for_test::{Place, new_database},
    open,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

async fn connect(url: &str) -> PgConnection {
    PgConnectOptions::from_str(url).expect("a URL").connect().await.expect("connected")
}

fn put(key: &str) -> Batch {
    let entry = Entry { value: b"x".to_vec(), version: Version::random(), expires_at: None };
    Batch { expects: vec![(key.to_owned(), Expect::Absent)], writes: vec![(key.to_owned(), Write::Put(entry))] }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_migrate_once() {
    let url = new_database().await;
    let mut nodes = JoinSet::new();
    for node in 0..6 {
        let url = url.clone();
        nodes.spawn(async move {
            let storage = open(&url, Clock::system()).await.expect("it opens");
            storage.apply(put(&node.to_string()), NOW).await.expect("stored");
            storage
        });
    }
    let nodes = nodes.join_all().await;
    let keys: Vec<Key> = (0..6).map(|node| node.to_string()).collect();
    assert!(nodes[0].get(&keys, NOW).await.expect("told").iter().all(Option::is_some), "they share one store");
    for node in nodes {
        node.close().await;
    }
    Place::at(url).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_made_again() {
    let place = Place::postgres().await;
    let mut tasks = JoinSet::new();
    for n in 0..limits::POSTGRES_WRITERS * 2 {
        let storage = place.storage.clone();
        tasks.spawn(async move { storage.apply(put(&n.to_string()), NOW).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let mut admin = connect(&place.url).await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.execute(sql).await.expect("terminated");
    // Those that were in use just now may fail once each, and must say so.
    let back = async {
        loop {
            match place.storage.apply(put("after"), NOW).await {
                Ok(()) | Err(Error::Conflict) => break,
                Err(Error::Away(_) | Error::Unknown(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        while place.storage.get(&["after".to_owned()], NOW).await.is_err() {}
    };
    timeout(limits::STORAGE_WAIT, back).await.expect("it comes back");
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_safe_cannot_apply_a_batch() {
    let place = Place::postgres().await;
    let mut session = connect(&place.url).await;
    let call = Call::new(put("k"), NOW);
    let code = |error: sqlx::Error| error.as_database_error().and_then(|e| e.code().map(|code| code.into_owned()));
    assert_eq!(call.run(&mut session).await.map_err(code), Err(Some("CF002".to_owned())));
    session.execute("SET default_transaction_isolation = 'serializable'").await.expect("set");
    session.execute("SET synchronous_commit = off").await.expect("set");
    assert_eq!(call.run(&mut session).await.map_err(code), Err(Some("CF002".to_owned())));
    session.execute("SET synchronous_commit = on").await.expect("set");
    assert_eq!(call.run(&mut session).await.map_err(code), Ok(true));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_late_is_told_as_unknown_or_away() {
    let place = Place::postgres().await;
    place.storage.ping().await.expect("it is there");
    let mut other = connect(&place.url).await;
    other.execute("BEGIN; LOCK TABLE entry IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let keys = ["k".to_owned()];
    let (read, written) = tokio::join!(place.storage.get(&keys, NOW), place.storage.apply(put("k"), NOW));
    // The server gives up first, so that it is known that nothing was written.
    assert!(matches!(read, Err(Error::Away(_))), "{read:?}");
    assert!(matches!(written, Err(Error::Away(_))), "{written:?}");
    other.execute("ROLLBACK").await.expect("let go");
    place.storage.apply(put("k"), NOW).await.expect("it was not written before");
    place.end().await;
}

#[tokio::test]
async fn what_is_said_of_a_url_never_quotes_it() {
    let urls = [
        "postgres://coffer:hunter2@127.0.0.1:1/x",
        "postgres://coffer:hunter2@127.0.0.1:99999/x",
        "postgres://coffer:hunter2@[::bad/x",
        "postgres://coffer:x@127.0.0.1:1/x?sslmode=hunter2",
        "postgres://coffer:x@127.0.0.1:1/x?sslmode=require&sslrootcert=/hunter2",
        "postgres://coffer:x@hunter2.invalid/x",
        "hunter2://x",
        "hunter2",
        "sqlite://",
    ];
    for url in urls {
        let error = open(url, Clock::system()).await.expect_err("it cannot be opened");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
