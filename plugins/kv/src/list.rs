use coffer_plugin_sdk::{prelude::*, serde_json};

use crate::{
    bodies::{List, Object},
    record::Record,
};

const LIMIT: u32 = 100;
const LIMIT_MOST: u32 = 1000;
/// Records that are got at a time.
const CHUNK: usize = 100;
/// A page ends early when its entries have become so long.
const PAGE_BYTES: usize = 512 * 1024;

#[derive(Serialize)]
struct Entry {
    /// Below the folder that is listed.
    name: String,
    version: u64,
    metadata: Object,
    updated_at: Timestamp,
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Default)]
struct Page {
    entries: Vec<Entry>,
    /// Names below the folder that is listed, with a `/` at the end.
    folders: Vec<String>,
    next: Option<String>,
}

/// What is in a folder: secrets that can be read, and folders that hold such. A secret and a folder
/// may have the same name.
pub fn list(path: &str, query: &List) -> Result<Response> {
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MOST).contains(&limit) {
        return Err(Error::invalid("/limit", "out_of_range", "must be from 1 to 1000"));
    }
    let prefix = match path.trim_end_matches('/') {
        "" => "live/".to_owned(),
        folder => format!("live/{folder}/"),
    };
    let after = query.after.as_ref().map(|after| format!("{prefix}{after}"));
    let delimiter = if query.recursive { None } else { Some("/") };
    let found = storage::list(&prefix, delimiter, after.as_deref(), limit)?;

    let name = |key: &str| key.strip_prefix(&prefix).unwrap_or(key).to_owned();
    let mut page = Page { next: found.next.as_deref().map(name), ..Page::default() };
    let (now, mut bytes) = (time::now(), 0);
    'page: for keys in found.keys.chunks(CHUNK) {
        let is_secret = |key: &&String| !key.ends_with('/');
        let secrets: Vec<&String> = keys.iter().filter(is_secret).collect();
        let mut records = storage::get_many::<Record>(&secrets)?.into_iter();
        for key in keys {
            if !is_secret(&key) {
                page.folders.push(name(key));
                continue;
            }
            // Gone between the two looks.
            let Some(record) = records.next().flatten().map(|entry| entry.value) else { continue };
            let Some(newest) = record.versions.last().map(|newest| newest.version) else { continue };
            if record.expires_at.is_some_and(|end| end <= now) {
                continue;
            }
            let Record { metadata, updated_at, expires_at, .. } = record;
            bytes += key.len() + serde_json::to_vec(&metadata).map_or(0, |metadata| metadata.len()) + 150;
            page.entries.push(Entry { name: name(key), version: newest, metadata, updated_at, expires_at });
            if bytes > PAGE_BYTES && Some(key) != found.keys.last() {
                page.next = Some(name(key));
                break 'page;
            }
        }
    }
    Response::json(&page)
}
