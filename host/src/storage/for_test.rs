//! Stores for tests, here and in the modules above.

use std::{str::FromStr, sync::Arc};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::{Memory, Storage, open};
use crate::{clock::Clock, ids};

/// A store of a test's own. `end` closes it, and drops its database.
pub(crate) struct Place {
    pub storage: Storage,
    /// By which it is opened once more.
    pub url: String,
    folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { storage: Arc::new(Memory::default()), url: String::new(), folder: None }
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("data/coffer.db").display());
        Self { storage: open(&url, Clock::system()).await.expect("it opens"), url, folder: Some(folder) }
    }

    /// A database of its own on the server that `make test` has started.
    pub(crate) async fn postgres() -> Self {
        Self::at(new_database().await).await
    }

    /// A database that `new_database` has made.
    pub(crate) async fn at(url: String) -> Self {
        Self { storage: open(&url, Clock::system()).await.expect("it opens"), url, folder: None }
    }

    pub(crate) async fn end(self) {
        self.storage.close().await;
        if self.folder.is_none() && !self.url.is_empty() {
            let name = self.url.rsplit('/').next().expect("a name");
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            server().await.execute(AssertSqlSafe(sql)).await.expect("dropped");
        }
    }
}

fn server_url() -> String {
    std::env::var("COFFER_TEST_POSTGRES_URL")
        .expect("COFFER_TEST_POSTGRES_URL is not set: run `make test`, which starts a PostgreSQL")
}

async fn server() -> PgConnection {
    let options = PgConnectOptions::from_str(&server_url()).expect("a URL");
    options.disable_statement_logging().connect().await.expect("the test server is there")
}

/// Its URL.
pub(crate) async fn new_database() -> String {
    let name = format!("coffer_{}", hex::encode(ids::random::<8>()));
    let mut server = server().await;
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
    // An order that is not that of bytes, where the server has one.
    let english = format!("{sql} LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
    if server.execute(AssertSqlSafe(english)).await.is_err() {
        server.execute(AssertSqlSafe(sql)).await.expect("created");
    }
    server.close().await.expect("closed");
    let url = server_url();
    let (server, _) = url.rsplit_once('/').expect("the URL ends in the name of a database");
    format!("{server}/{name}")
}
