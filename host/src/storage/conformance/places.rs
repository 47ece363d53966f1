use std::{str::FromStr, sync::Arc};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use crate::{
    clock::Clock,
    ids,
    storage::{Memory, Storage, open},
};

/// A store of a test's own.
pub(in crate::storage) struct Place {
    pub storage: Storage,
    /// By which it is opened once more.
    pub url: String,
    folder: Option<TempDir>,
}

impl Place {
    pub(in crate::storage) fn memory() -> Self {
        Self { storage: Arc::new(Memory::default()), url: String::new(), folder: None }
    }

    pub(in crate::storage) async fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("data/coffer.db").display());
        Self { storage: open(&url, Clock::system()).await.expect("it opens"), url, folder: Some(folder) }
    }

    /// A database of its own on the server that `make test` has started.
    pub(in crate::storage) async fn postgres() -> Self {
        let url = new_database().await;
        Self { storage: open(&url, Clock::system()).await.expect("it opens"), url, folder: None }
    }

    pub(in crate::storage) async fn end(self) {
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
pub(in crate::storage) async fn new_database() -> String {
    let name = format!("coffer_{}", hex::encode(ids::random::<8>()));
    let mut server = server().await;
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
    server.execute(AssertSqlSafe(sql)).await.expect("created");
    server.close().await.expect("closed");
    let url = server_url();
    let (server, _) = url.rsplit_once('/').expect("the URL ends in the name of a database");
    format!("{server}/{name}")
}
