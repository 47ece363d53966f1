//! What `coffer doctor` asks of the database.

use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::time::timeout;

use super::connect;
use crate::{
    address::is_loopback_host,
    clock::{Clock, Timestamp},
    finding::Finding,
    limits,
    storage::{Error, failure},
};

const REACH: &str = "storage.reach";
const MEND: &str = "start it, or mend storage.url and the network between";

const QUESTIONS: &str = "SELECT current_setting('server_version'), current_setting('fsync'), \
    current_setting('full_page_writes'), current_setting('server_encoding'), \
    current_setting('transaction_read_only'), current_setting('synchronous_standby_names'), \
    (SELECT count(*) FROM pg_stat_replication), \
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
    has_schema_privilege(current_schema(), 'CREATE'), \
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

struct Facts {
    version: String,
    /// fsync, full_page_writes, server_encoding, transaction_read_only.
    settings: [String; 4],
    standbys: String,
    replicas: i64,
    is_encrypted: bool,
    may_create: bool,
    now: Timestamp,
}

pub(in crate::storage) async fn examine(url: &str, clock: &Clock) -> Vec<Finding> {
    let options = match connect::options(url) {
        Ok(options) => options,
        Err(error) => return vec![Finding::fail(REACH, error.to_string(), "mend storage.url")],
    };
    let is_near = options.get_socket().is_some() || is_loopback_host(options.get_host());
    let late = |_| Error::Away("no answer in time".to_owned());
    let connecting = timeout(limits::STORAGE_WAIT, options.connect()).await.map_err(late);
    let connected = connecting.and_then(|made| made.map_err(|error| failure::of_connecting(&error)));
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::fail(REACH, error.to_string(), MEND)],
    };
    let asked = timeout(limits::STORAGE_WAIT, facts(&mut connection)).await.map_err(late);
    let found = match asked.and_then(|told| told.map_err(|error| failure::away(&error))) {
        Ok(facts) => judged(&facts, is_near, clock.now()),
        Err(error) => vec![Finding::fail(REACH, error.to_string(), MEND)],
    };
    let _ = timeout(limits::STORAGE_WAIT, connection.close()).await;
    found
}

async fn facts(connection: &mut PgConnection) -> sqlx::Result<Facts> {
    let row = connection.fetch_one(QUESTIONS).await?;
    Ok(Facts {
        version: row.try_get(0)?,
        settings: [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?],
        standbys: row.try_get(5)?,
        replicas: row.try_get(6)?,
        is_encrypted: row.try_get(7)?,
        may_create: row.try_get(8)?,
        now: Timestamp::from_millis(row.try_get(9)?),
    })
}

fn judged(facts: &Facts, is_near: bool, now: Timestamp) -> Vec<Finding> {
    let [fsync, pages, encoding, read_only] = facts.settings.each_ref().map(String::as_str);
    let apart = facts.now.since(now).max(now.since(facts.now));
    vec![
        Finding::ok(REACH, format!("PostgreSQL {}", facts.version)),
        match (fsync, pages) {
            ("on", "on") => Finding::ok("storage.durability", "fsync and full_page_writes are on"),
            _ => Finding::fail(
                "storage.durability",
                "it may lose what it has acknowledged",
                "set fsync and full_page_writes on",
            ),
        },
        match (facts.replicas, facts.standbys.is_empty()) {
            (0, _) | (_, false) => Finding::ok("storage.replicas", format!("replicas: {}", facts.replicas)),
            _ => Finding::warn(
                "storage.replicas",
                "its replicas are asynchronous: at a failover what was acknowledged last is lost, endings too",
                "name one in synchronous_standby_names",
            ),
        },
        match read_only {
            "off" => Finding::ok("storage.role", "it takes writes"),
            _ => Finding::fail("storage.role", "it is read-only", "name the primary in storage.url"),
        },
        match encoding {
            "UTF8" => Finding::ok("storage.encoding", "UTF8"),
            _ => Finding::fail("storage.encoding", "not UTF8", "create the database with ENCODING 'UTF8'"),
        },
        match facts.may_create {
            true => Finding::ok("storage.rights", "its user may make tables"),
            false => Finding::fail(
                "storage.rights",
                "its user may not make tables, which a new release may need",
                "grant it CREATE on the schema",
            ),
        },
        match facts.is_encrypted || is_near {
            true => Finding::ok("storage.transport", if facts.is_encrypted { "TLS" } else { "this machine" }),
            false => Finding::warn(
                "storage.transport",
                "in the clear to another machine",
                "add ?sslmode=verify-full&sslrootcert=… to storage.url",
            ),
        },
        match apart > limits::CLOCK_SKEW {
            true => Finding::warn(
                "storage.clock",
                format!("its clock and ours are {} s apart", apart.as_secs()),
                "set both by NTP: entries expire by ours",
            ),
            false => Finding::ok("storage.clock", "less than 2 s from ours"),
        },
    ]
}
