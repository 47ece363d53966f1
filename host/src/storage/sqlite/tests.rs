use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{connect, ledger::Ledger};
use crate::{
    clock::{Clock, Timestamp},
    limits,
    storage::{Batch, Entry, Error, Expect, Storage, Version, Write, open},
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

async fn open_file(path: &Path) -> Result<Storage, Error> {
    open(&format!("sqlite://{}", path.display()), Clock::system()).await
}

fn put(key: &str) -> (String, Write) {
    let entry = Entry { value: b"x".to_vec(), version: Version::random(), expires_at: None };
    (key.to_owned(), Write::Put(entry))
}

async fn store(storage: &Storage, key: &str) -> Result<(), Error> {
    storage.apply(Batch { expects: vec![], writes: vec![put(key)] }, NOW).await
}

async fn holds(storage: &Storage, key: &str) -> bool {
    storage.get(&[key.to_owned()], NOW).await.expect("told").pop().flatten().is_some()
}

#[tokio::test]
async fn a_file_has_one_holder_and_keeps_what_it_was_given() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("deep/er/coffer.db");
    let first = open_file(&path).await.expect("it opens");
    store(&first, "k").await.expect("stored");
    let second = open_file(&path).await;
    assert!(matches!(second, Err(Error::Unusable(cause)) if cause.contains("another process")));
    assert!(holds(&first, "k").await, "the first is not disturbed");
    first.close().await;
    assert!(matches!(store(&first, "l").await, Err(Error::Away(_))));
    let second = open_file(&path).await.expect("it was let go");
    assert!(holds(&second, "k").await);
    drop(second);
    // Not closed, but nobody has it any more: the writer ends when it sees that.
    let third = async {
        loop {
            match open_file(&path).await {
                Ok(third) => break third,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert!(holds(&tokio::time::timeout(limits::STORAGE_WAIT, third).await.expect("it was let go"), "k").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_says_it_is_closed_can_be_opened_at_once() {
    let folder = TempDir::new().expect("a folder");
    for _ in 0..50 {
        open_file(&folder.path().join("coffer.db")).await.expect("it was let go").close().await;
    }
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let folder = TempDir::new().expect("a folder");
    let inner = folder.path().join("data");
    let storage = open_file(&inner.join("coffer.db")).await.expect("it opens");
    store(&storage, "k").await.expect("stored");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    let mut names = Vec::new();
    for file in fs::read_dir(&inner).expect("a folder") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["coffer.db", "coffer.db-shm", "coffer.db-wal", "coffer.db.lock"]);
    storage.close().await;
    assert!(!inner.join("coffer.db-wal").exists(), "closing empties the log");
}

#[tokio::test]
async fn what_is_not_our_store_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("noise.db");
    fs::write(&path, "this is no database, whatever its name may say. ".repeat(100)).expect("written");
    assert!(matches!(open_file(&path).await, Err(Error::Unusable(_))));
    let newer = folder.path().join("newer.db");
    open_file(&newer).await.expect("it opens").close().await;
    let mut connection = SqliteConnectOptions::new().filename(&newer).connect().await.expect("connected");
    let sql = "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time \
               FROM _sqlx_migrations";
    connection.execute(sql).await.expect("inserted");
    connection.close().await.expect("closed");
    assert!(matches!(open_file(&newer).await, Err(Error::Unusable(cause)) if cause.contains("newer")));
    assert!(matches!(open_file(Path::new("/dev/null/x")).await, Err(Error::Unusable(_))));
    assert!(matches!(open_file(Path::new("/")).await, Err(Error::Unusable(_))));
}

#[tokio::test]
async fn every_commit_is_synced() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("coffer.db");
    open_file(&path).await.expect("it opens").close().await;
    let mut connection = connect::writer(&path).await.expect("it opens");
    let setting = async |connection: &mut sqlx::SqliteConnection, name: &'static str| -> String {
        let row = connection.fetch_one(name).await.expect("told");
        sqlx::Row::try_get_unchecked::<String, _>(&row, 0).expect("a value")
    };
    assert_eq!(setting(&mut connection, "PRAGMA journal_mode").await, "wal");
    assert_eq!(setting(&mut connection, "PRAGMA synchronous").await, "2");
}

#[test]
fn a_batch_that_conflicts_spoils_nothing_for_those_it_shares_a_transaction_with() {
    let (old, new) = (Version::random(), Version::random());
    let batch = |expect, writes| Batch { expects: vec![("k".to_owned(), expect)], writes };
    let entry = |version| Write::Put(Entry { value: vec![], version, expires_at: None });
    let mut ledger = Ledger::new(vec![("k".to_owned(), (old, None))]);
    assert!(ledger.decide(batch(Expect::Absent, vec![put("spoilt")]), NOW).is_err());
    assert!(ledger.decide(batch(Expect::Version(old), vec![("k".to_owned(), entry(new)), put("a")]), NOW).is_ok());
    // The later one sees what the earlier one has done.
    assert!(ledger.decide(batch(Expect::Version(old), vec![put("spoilt"), put("a")]), NOW).is_err());
    assert!(ledger.decide(batch(Expect::Version(new), vec![("a".to_owned(), Write::Delete)]), NOW).is_ok());
    assert_eq!(ledger.puts().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["k"]);
    assert_eq!(ledger.deletes(), ["a"]);
}

#[tokio::test]
async fn a_store_that_somebody_else_is_writing_to_is_away_and_comes_back() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("coffer.db");
    let storage = open_file(&path).await.expect("it opens");
    let mut shell = SqliteConnectOptions::new().filename(&path).connect().await.expect("connected");
    shell.execute("BEGIN IMMEDIATE").await.expect("begun");
    let error = store(&storage, "k").await.expect_err("it is held");
    assert!(matches!(error, Error::Away(_)), "{error}");
    assert!(!holds(&storage, "k").await, "reading goes on");
    shell.execute("ROLLBACK").await.expect("let go");
    store(&storage, "l").await.expect("it comes back");
    assert!(holds(&storage, "l").await && !holds(&storage, "k").await);
}
