use super::postgres;
use crate::{clock::Clock, finding::Finding};

/// Is this store as it must be? Looks with a connection of its own and changes nothing. What is
/// to be said of SQLite stands in its file, which a running server holds: nothing is asked of it.
pub async fn examine(url: &str, clock: &Clock) -> Vec<Finding> {
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => postgres::examine::examine(url, clock).await,
        _ => Vec::new(),
    }
}
