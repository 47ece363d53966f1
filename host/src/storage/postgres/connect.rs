use std::{str::FromStr, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{
    clock::{Clock, Timestamp},
    limits,
    storage::{Error, failure, migrations},
};

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// Each statement sees all that was committed before it.
    Read,
    /// Batches: each as if it were alone.
    Apply,
}

/// What a URL says. Its own errors quote it, so they are not told.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url).map_err(|_| Error::Unusable("its URL cannot be read".to_owned()))?;
    Ok(options.application_name("coffer").disable_statement_logging())
}

/// Connects once, to see whether this is a database that we can use, and brings it up to date.
pub(super) async fn prepare(options: &PgConnectOptions, clock: &Clock) -> Result<(), Error> {
    let late = |_| Error::Away("no answer in time".to_owned());
    let connecting = timeout(limits::STORAGE_WAIT, options.connect()).await.map_err(late)?;
    let mut connection = connecting.map_err(|error| failure::of_connecting(&error))?;
    timeout(limits::STORAGE_WAIT, check(&mut connection, Some(clock))).await.map_err(late)??;
    // Another node may be at it: an advisory lock lets one after the other.
    let migrating = timeout(limits::MIGRATION_WAIT, migrations::postgres(&mut connection)).await.map_err(late)?;
    migrating.map_err(|error| failure::of_migration(&error))?;
    let _ = connection.close().await;
    Ok(())
}

/// Refuses a server that forgets what it has acknowledged.
pub(super) async fn check(connection: &mut PgConnection, clock: Option<&Clock>) -> Result<(), Error> {
    let sql = "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
               current_setting('server_encoding'), current_setting('transaction_read_only'), \
               (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let told = |error: sqlx::Error| failure::away(&error);
    let row = connection.fetch_one(sql).await.map_err(told)?;
    let setting = |at: usize| row.try_get::<String, _>(at).map_err(told);
    for (at, name) in ["fsync", "full_page_writes"].into_iter().enumerate() {
        if setting(at)? != "on" {
            return Err(Error::Unusable(format!("{name} is off: it would lose what it has acknowledged")));
        }
    }
    if setting(2)? != "UTF8" {
        return Err(Error::Unusable("its encoding is not UTF8".to_owned()));
    }
    if setting(3)? != "off" {
        return Err(Error::Away("it is read-only".to_owned()));
    }
    if let Some(clock) = clock {
        let theirs = Timestamp::from_millis(row.try_get(4).map_err(told)?);
        let apart = theirs.since(clock.now()).max(clock.now().since(theirs));
        if apart > limits::CLOCK_SKEW {
            tracing::warn!(apart = ?apart, "the database's clock and ours are apart: entries expire by ours");
        }
    }
    Ok(())
}

pub(super) fn pool(options: PgConnectOptions, most: u32, what_for: Use) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(limits::STORAGE_WAIT)
        .after_connect(move |connection, _| Box::pin(set_up(connection, what_for)))
        .test_before_acquire(false)
        // After a restart of the server: one that was not used just now may be dead.
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > limits::POSTGRES_IDLE {
                    timeout(limits::POSTGRES_IDLE, connection.ping())
                        .await
                        .map_err(|_| sqlx::Error::PoolTimedOut)??;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

async fn set_up(connection: &mut PgConnection, what_for: Use) -> sqlx::Result<()> {
    let isolation = match what_for {
        Use::Read => "read committed",
        Use::Apply => "serializable",
    };
    // Every statement of ours has its index. Small tables would be read whole otherwise, and under
    // SERIALIZABLE who reads a whole table conflicts with everybody.
    let settings = [
        ("default_transaction_isolation", isolation),
        ("statement_timeout", &millis(limits::STATEMENT_WAIT)),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
    ];
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    // `remote_apply` asks for more than `on`; everything else asks for less.
    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                   WHERE current_setting('synchronous_commit') <> 'remote_apply';";
    sqlx::raw_sql(AssertSqlSafe(format!("{}{durable}", settings.concat()))).execute(&mut *connection).await?;
    check(connection, None).await.map_err(|error| {
        tracing::error!(%error, "the database is not used");
        sqlx::Error::Configuration(Box::new(error))
    })
}

fn millis(span: Duration) -> String {
    span.as_millis().to_string()
}
