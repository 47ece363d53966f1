//! What went wrong, in words that may be logged: kinds and codes, never the driver's own text,
//! which quotes URLs, user names and values.

use sqlx::{
    error::DatabaseError,
    migrate::MigrateError,
    postgres::{PgDatabaseError, PgSeverity},
};

use super::Error;

/// Short and free of anything that a caller or a configuration has said.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => words_of_code(database.as_ref()),
        sqlx::Error::Io(io) => io.kind().to_string(),
        sqlx::Error::Tls(_) => "TLS failed".to_owned(),
        sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
        sqlx::Error::PoolClosed => "closed".to_owned(),
        sqlx::Error::WorkerCrashed => "the connection's thread has ended".to_owned(),
        sqlx::Error::Configuration(_) => "the connection cannot be configured".to_owned(),
        sqlx::Error::Protocol(_) => "the server broke the protocol".to_owned(),
        _ => "an answer that cannot be read".to_owned(),
    }
}

fn words_of_code(error: &dyn DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    let meaning = match sqlite_code(&code) {
        Some(5 | 6) => "busy",
        Some(8) => "read-only",
        Some(10) => "input or output failed",
        Some(11 | 26) => "not a sound database file",
        Some(13) => "the disk is full",
        Some(14) => "cannot be opened",
        Some(_) => "see the SQLite result codes",
        None => match &*code {
            "28P01" | "28000" => "the user or password is refused",
            "3D000" => "there is no such database",
            "42501" => "not permitted",
            "53100" => "the disk is full",
            "53300" => "too many connections",
            "57014" => "too slow",
            "57P01" | "57P02" => "shutting down",
            "57P03" => "starting up",
            "25006" => "read-only",
            "CF002" => "the session has lost its settings; is there a pooler between?",
            _ => "see the PostgreSQL error codes",
        },
    };
    format!("database error {code}, {meaning}")
}

/// SQLite's codes are numbers of up to four digits, PostgreSQL's have five characters. The
/// lower byte is the primary code.
fn sqlite_code(code: &str) -> Option<u32> {
    if code.len() == 5 { None } else { code.parse::<u32>().ok().map(|code| code & 0xff) }
}

/// For whatever was not a commit: nothing was written.
pub(super) fn away(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(database)
            if matches!(sqlite_code(&database.code().unwrap_or_default()), Some(11 | 26)) =>
        {
            Error::Unusable(words(error))
        }
        _ => Error::Away(words(error)),
    }
}

/// What a start cannot wait for.
pub(super) fn of_connecting(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(database)
            if matches!(database.code().as_deref(), Some("28P01" | "28000" | "3D000" | "42501")) =>
        {
            Error::Unusable(words(error))
        }
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Error::Unusable(words(error)),
        _ => away(error),
    }
}

/// How a batch fared in PostgreSQL, when it did not succeed.
pub(super) enum Applied {
    /// Nothing was written, because of others that wrote at the same time.
    Contested,
    Failed(Error),
}

pub(super) fn of_apply(error: &sqlx::Error) -> Applied {
    let database = error.as_database_error().and_then(|database| database.try_downcast_ref::<PgDatabaseError>());
    Applied::Failed(match database.map(|database| (database.code(), database.severity())) {
        Some(("CF001", _)) => Error::Conflict,
        Some(("40001" | "40P01" | "23505", _)) => return Applied::Contested,
        Some(("40003", _)) => Error::Unknown(words(error)),
        // An error ends the statement; only what ends the connection may come after the commit.
        Some((_, PgSeverity::Error)) => away(error),
        _ => Error::Unknown(words(error)),
    })
}

pub(super) fn of_migration(error: &MigrateError) -> Error {
    match error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => away(inner),
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            Error::Unusable("it was written by a newer version".to_owned())
        }
        MigrateError::Dirty(version) => Error::Unusable(format!("migration {version} was not finished")),
        _ => Error::Unusable("its schema is not ours".to_owned()),
    }
}
