//! SQL for many keys at once. Statements come in few sizes, so that each is prepared once; a
//! list that is shorter than its statement repeats its last key.

use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    clock::Timestamp,
    storage::{Entry, Key, Version},
};

/// Keys that one statement takes at most.
pub(super) const MOST_KEYS: usize = 256;
const SIZES: [usize; 4] = [1, 8, 64, MOST_KEYS];

/// Entries that one upsert takes at most.
const UPSERT_SIZES: [usize; 3] = [64, 8, 1];

fn marks(keys: usize) -> (usize, String) {
    let size = SIZES.into_iter().find(|size| *size >= keys).unwrap_or(MOST_KEYS);
    (size, vec!["?"; size].join(","))
}

/// What lives at these keys, at most `MOST_KEYS`.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    keys: &[&Key],
    now: Timestamp,
) -> sqlx::Result<Vec<(Key, Entry)>> {
    let Some(last) = keys.last() else { return Ok(Vec::new()) };
    let (size, marks) = marks(keys.len());
    let sql = format!(
        "SELECT key, version, expires_at, value FROM entry \
         WHERE key IN ({marks}) AND (expires_at IS NULL OR expires_at > ?)"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for key in keys.iter().chain(std::iter::repeat(last)).take(size) {
        query = query.bind(key.as_str());
    }
    query.bind(now.millis()).fetch_all(connection).await?.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> sqlx::Result<(Key, Entry)> {
    let version = Version::from_raw(row.try_get(1)?);
    let expires_at = row.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_millis);
    Ok((row.try_get(0)?, Entry { value: row.try_get(3)?, version, expires_at }))
}

/// Version and end of what stands at these keys, expired or not.
pub(super) async fn versions(
    connection: &mut SqliteConnection,
    keys: &[&Key],
) -> sqlx::Result<Vec<(Key, (Version, Option<Timestamp>))>> {
    let mut found = Vec::new();
    for keys in keys.chunks(MOST_KEYS) {
        let (size, marks) = marks(keys.len());
        let mut query =
            sqlx::query(AssertSqlSafe(format!("SELECT key, version, expires_at FROM entry WHERE key IN ({marks})")));
        for key in keys.iter().chain(keys.last().into_iter().cycle()).take(size) {
            query = query.bind(key.as_str());
        }
        for row in query.fetch_all(&mut *connection).await? {
            let expires_at = row.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_millis);
            found.push((row.try_get(0)?, (Version::from_raw(row.try_get(1)?), expires_at)));
        }
    }
    Ok(found)
}

/// Says how many rows it wrote.
pub(super) async fn put(connection: &mut SqliteConnection, mut entries: &[(&Key, &Entry)]) -> sqlx::Result<u64> {
    let mut written = 0;
    for size in UPSERT_SIZES {
        while let Some((now, rest)) = entries.split_at_checked(size) {
            let rows = vec!["(?,?,?,?)"; size].join(",");
            let mut query = sqlx::query(AssertSqlSafe(format!(
                "INSERT INTO entry (key, version, expires_at, value) VALUES {rows} ON CONFLICT (key) DO UPDATE \
                 SET version = excluded.version, expires_at = excluded.expires_at, value = excluded.value"
            )));
            for (key, entry) in now {
                let end = entry.expires_at.map(Timestamp::millis);
                query = query.bind(key.as_str()).bind(entry.version.raw()).bind(end).bind(entry.value.as_slice());
            }
            written += query.execute(&mut *connection).await?.rows_affected();
            entries = rest;
        }
    }
    Ok(written)
}

pub(super) async fn delete(connection: &mut SqliteConnection, keys: &[&Key]) -> sqlx::Result<()> {
    for keys in keys.chunks(MOST_KEYS) {
        let (size, marks) = marks(keys.len());
        let mut query = sqlx::query(AssertSqlSafe(format!("DELETE FROM entry WHERE key IN ({marks})")));
        for key in keys.iter().chain(keys.last().into_iter().cycle()).take(size) {
            query = query.bind(key.as_str());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Says how many it deleted.
pub(super) async fn sweep(connection: &mut SqliteConnection, now: Timestamp, most: usize) -> sqlx::Result<u64> {
    let sql = "DELETE FROM entry WHERE rowid IN \
               (SELECT rowid FROM entry WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Ok(sqlx::query(sql).bind(now.millis()).bind(most).execute(connection).await?.rows_affected())
}

/// Walks from name to name: each step is one seek, past all that a cut folder holds.
pub(super) const LIST_CUT: &str = "\
    WITH RECURSIVE step (key) AS (
        SELECT (SELECT key FROM entry WHERE key >= ?1 AND key < ?2 AND (expires_at IS NULL OR expires_at > ?3)
                ORDER BY key LIMIT 1)
        UNION ALL
        SELECT (SELECT e.key FROM entry AS e
                WHERE e.key >= CASE instr(substr(step.key, ?4 + 1), ?5)
                    WHEN 0 THEN step.key || char(1)
                    ELSE substr(step.key, 1, ?4 + instr(substr(step.key, ?4 + 1), ?5) - 1) || ?6 END
                  AND e.key < ?2 AND (e.expires_at IS NULL OR e.expires_at > ?3)
                ORDER BY e.key LIMIT 1)
        FROM step WHERE step.key IS NOT NULL
    )
    SELECT key FROM step WHERE key IS NOT NULL LIMIT ?7";

pub(super) const LIST: &str = "\
    SELECT key FROM entry WHERE key >= ?1 AND key < ?2 AND (expires_at IS NULL OR expires_at > ?3)
    ORDER BY key LIMIT ?4";
