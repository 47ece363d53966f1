use std::path::Path;

use sqlx::{
    ConnectOptions, Connection, Executor, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    limits,
    storage::{Error, failure, migrations},
};

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(limits::STATEMENT_WAIT)
        .synchronous(SqliteSynchronous::Full)
        // macOS: an fsync that reaches the disk.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .disable_statement_logging()
}

/// The connection that writes: migrated, and known to be as durable as we say.
pub(super) async fn writer(path: &Path) -> Result<SqliteConnection, Error> {
    let options = options(path).journal_mode(SqliteJournalMode::Wal).pragma("secure_delete", "FAST");
    let mut connection = options.connect().await.map_err(|error| failure::away(&error))?;
    match prepare(&mut connection).await {
        Ok(()) => Ok(connection),
        Err(error) => {
            let _ = connection.close().await;
            Err(error)
        }
    }
}

async fn prepare(connection: &mut SqliteConnection) -> Result<(), Error> {
    let told = |error: sqlx::Error| failure::away(&error);
    let journal: String =
        connection.fetch_one("PRAGMA journal_mode").await.and_then(|row| row.try_get(0)).map_err(told)?;
    let synchronous: i64 =
        connection.fetch_one("PRAGMA synchronous").await.and_then(|row| row.try_get(0)).map_err(told)?;
    if journal != "wal" || synchronous != 2 {
        return Err(Error::Unusable("its file system has no write-ahead log".to_owned()));
    }
    migrations::sqlite(connection).await.map_err(|error| failure::of_migration(&error))?;
    // What a crash has left in the log may never have been synced, though it reads well. Once it
    // is in the file, and that is synced, whatever is acknowledged from here on rests on firm ground.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.map_err(told)?;
    Ok(())
}

pub(super) async fn readers(path: &Path) -> Result<SqlitePool, Error> {
    SqlitePoolOptions::new()
        .max_connections(limits::SQLITE_READERS)
        .acquire_timeout(limits::STORAGE_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        // It is a file: asking whether it is still there proves nothing.
        .test_before_acquire(false)
        .connect_with(options(path).read_only(true))
        .await
        .map_err(|error| failure::away(&error))
}
