use std::{path::Path, sync::Arc};

use super::{Error, Storage, postgres::Database, sqlite::Sqlite};
use crate::clock::Clock;

/// Opens the store that a URL names, and brings its schema up to date: `sqlite:///absolute/path`,
/// `sqlite://relative/path` or `postgres://user:password@host/database?sslmode=…`.
pub async fn open(url: &str, clock: Clock) -> Result<Storage, Error> {
    match url.split_once("://") {
        Some(("sqlite", path)) if path.contains('?') => Err(Error::Unusable("its URL has options".to_owned())),
        Some(("sqlite", path)) if !path.is_empty() => Ok(Arc::new(Sqlite::open(Path::new(path)).await?)),
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(Database::open(url, &clock).await?)),
        _ => Err(Error::Unusable("its URL begins with neither sqlite:// nor postgres://".to_owned())),
    }
}
