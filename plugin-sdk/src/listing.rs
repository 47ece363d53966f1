use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Error, Response, Result, storage};

const LIMIT: u32 = 100;
const LIMIT_MOST: u32 = 1000;
/// Entries that are got at a time.
const CHUNK: usize = 100;
/// A page ends early when its entries have become so long.
const PAGE_BYTES: usize = 512 * 1024;

/// What `list` is asked.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(default)]
    pub recursive: bool,
    pub after: Option<String>,
    pub limit: Option<u32>,
}

/// What `list` answers: names below the folder that is listed, in byte order.
#[derive(Serialize, Default)]
struct Page {
    entries: Vec<Map<String, Value>>,
    /// With a `/` at the end.
    folders: Vec<String>,
    next: Option<String>,
}

/// Answers `list` for things that are stored at `<prefix><path>`, each as a `T`. `entry` says what is
/// told of one, an object, to which the name is added; one that it says nothing of is left out.
///
/// ```
/// use coffer_plugin_sdk::{ListQuery, listing, prelude::*, serde_json::{Value, json}, testing::Host};
///
/// #[derive(Deserialize)]
/// struct Notes;
///
/// impl Engine for Notes {
///     fn handle(&self, request: Request) -> Result<Response> {
///         match request.operation() {
///             Operation::List => listing("note/", &request.path, &request.query()?, |text: String| {
///                 Some(json!({ "length": text.len() }))
///             }),
///             Operation::Create => storage::put(&format!("note/{}", request.path), "hello", None)
///                 .map(|()| Response::empty()),
///             _ => Err(Error::unsupported()),
///         }
///     }
/// }
///
/// let host = Host::new();
/// host.post::<Notes>("create", "a/b", Value::Null).unwrap();
/// let page = host.get::<Notes>("list", "a", json!({})).unwrap();
/// assert_eq!(page, json!({ "entries": [{ "name": "b", "length": 5 }], "folders": [], "next": null }));
/// ```
pub fn listing<T: DeserializeOwned>(
    prefix: &str,
    path: &str,
    query: &ListQuery,
    entry: impl Fn(T) -> Option<Value>,
) -> Result<Response> {
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MOST).contains(&limit) {
        return Err(Error::invalid("/limit", "out_of_range", "must be from 1 to 1000"));
    }
    let prefix = match path.trim_end_matches('/') {
        "" => prefix.to_owned(),
        folder => format!("{prefix}{folder}/"),
    };
    let after = query.after.as_ref().map(|after| format!("{prefix}{after}"));
    let delimiter = if query.recursive { None } else { Some("/") };
    let found = storage::list(&prefix, delimiter, after.as_deref(), limit)?;
    let name = |key: &str| key.strip_prefix(&prefix).unwrap_or(key).to_owned();
    let mut page = Page { next: found.next.as_deref().map(name), ..Page::default() };
    let mut bytes = 0;
    'page: for keys in found.keys.chunks(CHUNK) {
        let is_entry = |key: &&String| !key.ends_with('/');
        let entries: Vec<&String> = keys.iter().filter(is_entry).collect();
        let mut values = storage::get_many::<T>(&entries)?.into_iter();
        for key in keys {
            if !is_entry(&key) {
                page.folders.push(name(key));
                continue;
            }
            // Gone between the two looks.
            let Some(value) = values.next().flatten() else { continue };
            let Some(told) = entry(value.value) else { continue };
            let Value::Object(mut told) = told else {
                return Err(Error::internal("an entry of a listing is an object"));
            };
            bytes += key.len() + serde_json::to_vec(&told).map_or(0, |told| told.len());
            told.insert("name".to_owned(), Value::String(name(key)));
            page.entries.push(told);
            if bytes > PAGE_BYTES && Some(key) != found.keys.last() {
                page.next = Some(name(key));
                break 'page;
            }
        }
    }
    Response::json(&page)
}
