use sqlx::{Executor, PgConnection, Row, postgres::PgRow};

use crate::{
    clock::Timestamp,
    storage::{Batch, Entry, Expect, Key, Version, Write},
};

pub(super) const GET: &str = "\
    SELECT key, version, expires_at, value FROM entry
    WHERE key = ANY ($1) AND (expires_at IS NULL OR expires_at > $2)";

pub(super) const LIST: &str = "\
    SELECT key FROM entry WHERE key >= $1 AND key < $2 AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY key LIMIT $4";

/// Walks from name to name: each step is one seek, past all that a cut folder holds.
pub(super) const LIST_CUT: &str = "\
    WITH RECURSIVE step (key) AS (
        (SELECT key FROM entry WHERE key >= $1 AND key < $2 AND (expires_at IS NULL OR expires_at > $3)
         ORDER BY key LIMIT 1)
        UNION ALL
        SELECT next.key FROM step CROSS JOIN LATERAL (
            SELECT e.key FROM entry AS e
            WHERE e.key >= CASE strpos(substr(step.key, $4 + 1), $5)
                WHEN 0 THEN step.key || chr(1)
                ELSE left(step.key, $4 + strpos(substr(step.key, $4 + 1), $5) - 1) || $6 END
              AND e.key < $2 AND (e.expires_at IS NULL OR e.expires_at > $3)
            ORDER BY e.key LIMIT 1
        ) AS next
    )
    SELECT key FROM step LIMIT $7";

/// Skips what a batch is writing at this moment, and looks again at what one has just written.
pub(super) const SWEEP: &str = "\
    WITH gone AS (
        SELECT key FROM entry WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM entry USING gone WHERE entry.key = gone.key";

pub(super) fn entry(row: &PgRow) -> sqlx::Result<(Key, Entry)> {
    let version = Version::from_raw(row.try_get(1)?);
    let expires_at = row.try_get::<Option<i64>, _>(2)?.map(Timestamp::from_millis);
    Ok((row.try_get(0)?, Entry { value: row.try_get(3)?, version, expires_at }))
}

/// A batch as the arguments of `entry_apply`.
#[derive(Default)]
pub(super) struct Call {
    expect_keys: Vec<Key>,
    expect_versions: Vec<Option<i64>>,
    put_keys: Vec<Key>,
    put_versions: Vec<i64>,
    put_ends: Vec<Option<i64>>,
    put_values: Vec<Vec<u8>>,
    delete_keys: Vec<Key>,
    at: i64,
}

impl Call {
    pub(super) fn new(mut batch: Batch, now: Timestamp) -> Self {
        // Everybody locks in the same order, so nobody waits in a circle.
        batch.writes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut call = Self { at: now.millis(), ..Self::default() };
        for (key, expect) in batch.expects {
            call.expect_keys.push(key);
            call.expect_versions.push(match expect {
                Expect::Absent => None,
                Expect::Version(version) => Some(version.raw()),
            });
        }
        for (key, write) in batch.writes {
            match write {
                Write::Put(entry) => {
                    call.put_keys.push(key);
                    call.put_versions.push(entry.version.raw());
                    call.put_ends.push(entry.expires_at.map(Timestamp::millis));
                    call.put_values.push(entry.value);
                }
                Write::Delete => call.delete_keys.push(key),
            }
        }
        call
    }

    /// One statement, committed by itself; false if something that it expects is not so. The server
    /// tells of the commit last, after the statement's own result: `fetch_one` reads up to there.
    pub(super) async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let query = sqlx::query("SELECT entry_apply($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(&self.expect_keys)
            .bind(&self.expect_versions)
            .bind(&self.put_keys)
            .bind(&self.put_versions)
            .bind(&self.put_ends)
            .bind(&self.put_values)
            .bind(&self.delete_keys)
            .bind(self.at);
        connection.fetch_one(query).await?.try_get(0)
    }
}
