//! The Redis and the PostgreSQL that `tests/services.sh` started. Each server under test gets a database of
//! its own in both; what a server kept there can be read back and searched.

use std::net::TcpListener;

use sqlx::{Connection, Executor, PgConnection, Row};

use super::leaks::unique;

const POSTGRES: &str = "COFFER_TEST_POSTGRES_URL";
const REDIS: &str = "COFFER_TEST_REDIS_URL";
/// Of the database numbers that `services.sh` allows.
const REDIS_DATABASES: u32 = 16_000;

/// A port that nobody listens on. Somebody may take it before we do.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn url_of(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `make test`, or `tests/services.sh cargo test`"))
}

pub struct Postgres {
    name: String,
    pub url: String,
}

impl Postgres {
    pub async fn create() -> Self {
        let server = url_of(POSTGRES);
        let name = unique("coffer").replace('-', "_");
        let mut connection = PgConnection::connect(&server).await.expect("PostgreSQL answers");
        let create = format!("CREATE DATABASE {name}");
        connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a database is created");
        let (base, _) = server.rsplit_once('/').expect("the URL names a database");
        Self { url: format!("{base}/{name}"), name }
    }

    /// Every key and value of every table, one after another.
    async fn dump(&self) -> Vec<u8> {
        let mut connection = PgConnection::connect(&self.url).await.expect("PostgreSQL answers");
        let mut bytes = Vec::new();
        for row in connection.fetch_all("SELECT * FROM entry").await.unwrap_or_default() {
            for column in 0..row.len() {
                if let Ok(value) = row.try_get::<Vec<u8>, _>(column) {
                    bytes.extend(value);
                } else if let Ok(value) = row.try_get::<String, _>(column) {
                    bytes.extend(value.into_bytes());
                }
                bytes.push(b'\n');
            }
        }
        bytes
    }

    /// Cuts every connection that somebody has to this database.
    pub async fn disconnect_everyone(&self) {
        let mut connection = PgConnection::connect(&url_of(POSTGRES)).await.expect("PostgreSQL answers");
        let query = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1");
        query.bind(&self.name).execute(&mut connection).await.expect("connections are cut");
    }

    async fn remove(&self) {
        let Ok(mut connection) = PgConnection::connect(&url_of(POSTGRES)).await else { return };
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = connection.execute(sqlx::AssertSqlSafe(drop)).await;
    }
}

pub struct Redis {
    pub url: String,
}

impl Redis {
    /// Takes the next database number and empties it.
    pub async fn create() -> Self {
        let server = url_of(REDIS);
        let mut connection = connect(&server).await;
        let count: u32 = redis::cmd("INCR").arg("stories").query_async(&mut connection).await.expect("Redis counts");
        let redis = Self { url: format!("{server}/{}", 1 + count % REDIS_DATABASES) };
        redis.flush().await;
        redis
    }

    pub async fn flush(&self) {
        let mut connection = connect(&self.url).await;
        let () = redis::cmd("FLUSHDB").query_async(&mut connection).await.expect("Redis flushes");
    }

    pub async fn keys(&self) -> Vec<Vec<u8>> {
        let mut connection = connect(&self.url).await;
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("Redis lists keys")
    }

    /// Every hash, field by field in base64: what a fixture keeps of a Redis, whichever version it has.
    pub async fn hashes(&self) -> serde_json::Value {
        use base64::{Engine, engine::general_purpose::STANDARD};

        let mut connection = connect(&self.url).await;
        let mut found = serde_json::Map::new();
        for key in self.keys().await {
            let fields: Result<Vec<(String, Vec<u8>)>, _> =
                redis::cmd("HGETALL").arg(&key).query_async(&mut connection).await;
            if let Ok(fields) = fields {
                let fields: serde_json::Map<_, _> =
                    fields.into_iter().map(|(name, value)| (name, STANDARD.encode(value).into())).collect();
                found.insert(String::from_utf8(key).expect("keys are text"), fields.into());
            }
        }
        found.into()
    }

    /// Every key, and every value as `DUMP` has it (uncompressed below 20 bytes) and as its own type has it.
    async fn dump(&self) -> Vec<u8> {
        let mut connection = connect(&self.url).await;
        let mut bytes = Vec::new();
        for key in self.keys().await {
            bytes.extend(&key);
            bytes.push(b'\n');
            for command in ["HGETALL", "SMEMBERS", "GET"] {
                let value: Result<redis::Value, _> = redis::cmd(command).arg(&key).query_async(&mut connection).await;
                collect(&value.unwrap_or(redis::Value::Nil), &mut bytes);
            }
            let range: Result<redis::Value, _> =
                redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(&mut connection).await;
            collect(&range.unwrap_or(redis::Value::Nil), &mut bytes);
        }
        bytes
    }
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).expect("a Redis URL");
    client.get_multiplexed_async_connection().await.expect("Redis answers")
}

fn collect(value: &redis::Value, into: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(bytes) => into.extend(bytes),
        redis::Value::SimpleString(text) => into.extend(text.bytes()),
        redis::Value::Array(values) | redis::Value::Set(values) => values.iter().for_each(|value| collect(value, into)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            collect(key, into);
            collect(value, into);
        }),
        _ => {}
    }
    into.push(b'\n');
}

/// What one server under test uses of them.
#[derive(Default)]
pub struct Services {
    pub postgres: Option<Postgres>,
    pub redis: Option<Redis>,
}

impl Services {
    /// What stands in them, by name.
    pub async fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        if let Some(redis) = &self.redis {
            found.push(("Redis".to_owned(), redis.dump().await));
        }
        if let Some(postgres) = &self.postgres {
            found.push(("PostgreSQL".to_owned(), postgres.dump().await));
        }
        found
    }

    /// What stands in them, by name. Leaves nothing behind. For `Drop`, hence on a thread with a runtime of its own.
    pub fn dump_and_remove(&self) -> Vec<(String, Vec<u8>)> {
        let work = async {
            let found = self.dump().await;
            if let Some(redis) = &self.redis {
                redis.flush().await;
            }
            if let Some(postgres) = &self.postgres {
                postgres.remove().await;
            }
            found
        };
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(work)
        };
        std::thread::scope(|scope| scope.spawn(run).join()).expect("the services answer")
    }
}

#[tokio::test]
async fn what_a_server_kept_in_its_services_is_found_and_removed() {
    let services = Services { postgres: Some(Postgres::create().await), redis: Some(Redis::create().await) };
    let (postgres, redis) = (services.postgres.as_ref().expect("made"), services.redis.as_ref().expect("made"));
    assert_ne!(redis.url, Redis::create().await.url, "each server has its own");
    let mut connection = PgConnection::connect(&postgres.url).await.expect("PostgreSQL answers");
    connection.execute("CREATE TABLE entry (key bytea, value bytea, version bigint)").await.expect("a table");
    connection.execute("INSERT INTO entry VALUES ('some key', 'some value', 7)").await.expect("a row");
    let mut connection = connect(&redis.url).await;
    let () =
        redis::cmd("HSET").arg("a key").arg("field").arg("text").query_async(&mut connection).await.expect("a hash");
    let found = services.dump_and_remove();
    let text = |at: usize| String::from_utf8_lossy(&found[at].1).into_owned();
    assert!(["a key", "field", "text"].iter().all(|part| text(0).contains(part)), "{}", text(0));
    assert!(["some key", "some value"].iter().all(|part| text(1).contains(part)), "{}", text(1));
    assert!(redis.keys().await.is_empty());
    assert!(PgConnection::connect(&postgres.url).await.is_err(), "the database is gone");
}
