use coffer_plugin_sdk::{prelude::*, serde_json::json};

use crate::{
    bodies::{Object, Read},
    record::{Secret, Version},
};

/// `created_*` are the version's; what else is told besides the data is the secret's.
#[derive(Serialize)]
struct Answer<'a> {
    data: Object,
    version: u64,
    metadata: &'a Object,
    created_at: Timestamp,
    created_by: Option<&'a str>,
    updated_at: Timestamp,
    expires_at: Option<Timestamp>,
}

/// The newest version, or an older one; what is deleted or destroyed is not there.
pub fn read(path: &str, query: &Read) -> Result<Response> {
    let secret = Secret::get(path)?;
    let number = query.version.unwrap_or(secret.newest().version);
    let data = secret.data(number)?.ok_or_else(|| secret.absent(number))?;
    let record = &secret.record;
    Response::json(&Answer {
        data,
        version: number,
        metadata: &record.metadata,
        created_at: record.created_at,
        created_by: record.created_by.as_deref(),
        updated_at: record.updated_at,
        expires_at: record.expires_at,
    })
}

/// All versions that are kept, the newest first, of a deleted secret too.
pub fn history(path: &str) -> Result<Response> {
    let record = Secret::get(path)?.record;
    let told = |version: &Version| {
        let Version { version, created_at, created_by, deleted_at, destroyed, .. } = version;
        json!({
            "version": version,
            "created_at": created_at,
            "created_by": created_by,
            "deleted_at": deleted_at,
            "destroyed": destroyed,
        })
    };
    let versions: Vec<_> = record.versions.iter().rev().map(told).collect();
    Response::json(&json!({
        "versions": versions,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "expires_at": record.expires_at,
    }))
}
