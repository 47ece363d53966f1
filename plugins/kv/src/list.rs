use coffer_plugin_sdk::{ListQuery, listing, prelude::*, serde_json::json};

use crate::record::Record;

/// What is in a folder: secrets that can be read, and folders that hold such. A secret and a folder
/// may have the same name.
pub fn list(path: &str, query: &ListQuery) -> Result<Response> {
    let now = time::now();
    listing("live/", path, query, |record: Record| {
        let is_alive = record.expires_at.is_none_or(|end| end > now);
        let version = record.versions.last().filter(|_| is_alive)?.version;
        let Record { metadata, updated_at, expires_at, .. } = record;
        Some(json!({ "version": version, "metadata": metadata, "updated_at": updated_at, "expires_at": expires_at }))
    })
}
