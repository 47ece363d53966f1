//! The store in PostgreSQL, for any number of nodes.
//!
//! Owns two bounded pools, one that reads and one that applies batches: a batch is one call of a
//! function in the database, committed by itself at SERIALIZABLE. Never keeps a transaction open
//! between two round trips, so a node that dies holds nobody up.

use std::{collections::HashMap, fmt, time::Duration};

use async_trait::async_trait;
use sqlx::{PgPool, Postgres, Row, pool::PoolConnection};
use tokio::time::{sleep, timeout};

use super::{
    Backend, Batch, Entry, Error, Key, Page, Range, bounds,
    failure::{self, Applied},
    walk::Walk,
};
use crate::{
    clock::{Clock, Timestamp},
    ids, limits,
};

mod connect;
pub(super) mod examine;
mod statements;
#[cfg(test)]
mod tests;

use connect::Use;
use statements::Call;

pub(super) struct Database {
    readers: PgPool,
    writers: PgPool,
}

/// The pools would tell the URL.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    pub(super) async fn open(url: &str, clock: &Clock) -> Result<Self, Error> {
        let options = connect::options(url)?;
        connect::prepare(&options, clock).await?;
        let readers = connect::pool(options.clone(), limits::POSTGRES_READERS, Use::Read);
        Ok(Self { readers, writers: connect::pool(options, limits::POSTGRES_WRITERS, Use::Apply) })
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

    /// Until it is stored or known not to be. `used` holds a connection while a batch is under way
    /// on it.
    async fn try_to_apply(
        &self,
        call: &Call,
        used: &mut Option<PoolConnection<Postgres>>,
        contested: &mut bool,
    ) -> Result<(), Error> {
        for attempt in 0_u32.. {
            let connection = used.insert(self.writers.acquire().await.map_err(|error| failure::away(&error))?);
            match call.run(connection).await.map_err(|error| failure::of_apply(&error)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Error::Conflict),
                // Somebody else was faster, perhaps only near by: what was expected decides.
                Err(Applied::Contested) => *contested = true,
                Err(Applied::Failed(error)) => return Err(error),
            }
            *used = None;
            let [chance] = ids::random();
            sleep(Duration::from_micros(u64::from(chance) * (8 << attempt.min(6)))).await;
        }
        Err(Error::Conflict)
    }
}

async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    let late = |_| Error::Away("no answer in time".to_owned());
    timeout(limits::STORAGE_WAIT, work).await.map_err(late)?.map_err(|error| failure::away(&error))
}

#[async_trait]
impl Backend for Database {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error> {
        bounds::keys(keys)?;
        let rows = in_time(sqlx::query(statements::GET).bind(keys).bind(now.millis()).fetch_all(&self.readers)).await?;
        let found = rows.iter().map(statements::entry).collect::<sqlx::Result<HashMap<Key, Entry>>>();
        let found = found.map_err(|error| failure::away(&error))?;
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
        if batch.expects.is_empty() && batch.writes.is_empty() {
            return Ok(());
        }
        let (call, mut used, mut contested) = (Call::new(batch, now), None, false);
        match timeout(limits::STORAGE_WAIT, self.try_to_apply(&call, &mut used, &mut contested)).await {
            Ok(result) => result,
            Err(_) => match used.take() {
                Some(connection) => {
                    // Gone with all that it has not sent yet.
                    drop(connection.detach());
                    Err(Error::Unknown("no answer in time".to_owned()))
                }
                None if contested => Err(Error::Conflict),
                None => Err(Error::Away("no answer in time".to_owned())),
            },
        }
    }

    /// Also looks again at the settings that can be changed while the server runs.
    async fn ping(&self) -> Result<(), Error> {
        let checked = timeout(limits::STORAGE_WAIT, async {
            let mut connection = self.writers.acquire().await.map_err(|error| failure::away(&error))?;
            connect::check(&mut connection, None).await
        });
        checked.await.unwrap_or_else(|_| Err(Error::Away("no answer in time".to_owned())))
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let query = sqlx::query(statements::SWEEP).bind(now.millis()).bind(most);
        let swept = in_time(query.execute(&self.readers)).await?.rows_affected();
        Ok(usize::try_from(swept).unwrap_or(usize::MAX))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
