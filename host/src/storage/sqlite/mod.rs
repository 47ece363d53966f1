//! The store in one file, for one process.
//!
//! Owns the file and its lock, one task that writes (all that waits goes into one transaction,
//! so one sync serves many) and a few connections that read. Never answers a write before it is
//! synced.

use std::{collections::HashMap, fmt, path::Path};

use async_trait::async_trait;
use sqlx::{Row, SqlitePool};
use tokio::time::timeout;

use super::{Backend, Batch, Entry, Error, Key, Page, Range, bounds, failure, walk::Walk};
use crate::{clock::Timestamp, limits};

mod connect;
mod file;
mod ledger;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use writer::{Work, Writer};

pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    pub(super) async fn open(path: &Path) -> Result<Self, Error> {
        let held = file::Held::take(path)?;
        let path = held.path.clone();
        let writer = Writer::open(held).await?;
        Ok(Self { readers: connect::readers(&path).await?, writer })
    }

    async fn read(&self, keys: &[Key], now: Timestamp) -> sqlx::Result<HashMap<Key, Entry>> {
        let keys: Vec<&Key> = keys.iter().collect();
        if keys.len() <= statements::MOST_KEYS {
            let mut connection = self.readers.acquire().await?;
            return Ok(statements::read(&mut connection, &keys, now).await?.into_iter().collect());
        }
        // One transaction is one snapshot.
        let mut snapshot = self.readers.begin().await?;
        let mut found = HashMap::new();
        for keys in keys.chunks(statements::MOST_KEYS) {
            found.extend(statements::read(&mut snapshot, keys, now).await?);
        }
        snapshot.rollback().await?;
        Ok(found)
    }

    async fn walk(&self, walk: &Walk, now: Timestamp) -> sqlx::Result<Vec<Key>> {
        let query = match &walk.cut {
            Some((delimiter, next)) => {
                let query = sqlx::query(statements::LIST_CUT).bind(&walk.start).bind(&walk.end).bind(now.millis());
                query.bind(walk.prefix).bind(delimiter).bind(next)
            }
            None => sqlx::query(statements::LIST).bind(&walk.start).bind(&walk.end).bind(now.millis()),
        };
        query.bind(walk.rows).fetch_all(&self.readers).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    let late = |_| Error::Away("no answer in time".to_owned());
    timeout(limits::STORAGE_WAIT, work).await.map_err(late)?.map_err(|error| failure::away(&error))
}

#[async_trait]
impl Backend for Sqlite {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error> {
        bounds::keys(keys)?;
        let found = in_time(self.read(keys, now)).await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn list(&self, range: Range, now: Timestamp) -> Result<Page, Error> {
        bounds::range(&range)?;
        let walk = Walk::new(range);
        let keys = in_time(self.walk(&walk, now)).await?;
        Ok(walk.page(keys))
    }

    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        bounds::batch(&batch)?;
        self.writer.ask(Work::Apply(batch, now)).await.map(drop)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.writer.ask(Work::Ping).await.map(drop)
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error> {
        let swept = self.writer.ask(Work::Sweep(now, most)).await?;
        Ok(usize::try_from(swept).unwrap_or(usize::MAX))
    }

    async fn close(&self) {
        // Readers first: the last connection to close empties the log into the file.
        self.readers.close().await;
        let _ = self.writer.ask(Work::Close).await;
    }
}
