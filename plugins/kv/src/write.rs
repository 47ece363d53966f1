use coffer_plugin_sdk::{merge, prelude::*, serde_json::json};

use crate::{
    Kv,
    bodies::{Create, Delete, Patch, Update},
    record::Secret,
};

impl Kv {
    pub fn create(&self, path: &str, body: Create) -> Result<Response> {
        if Secret::find(path)?.is_some() {
            return Err(Error::exists());
        }
        let mut secret = Secret::new(path);
        secret.expire(body.ttl);
        secret.set_metadata(body.metadata.unwrap_or_default())?;
        secret.write(&body.data, self.max_versions)
    }

    /// A new version, or the first. The end and the metadata stay unless they are told.
    pub fn update(&self, path: &str, body: Update) -> Result<Response> {
        let found = Secret::find(path)?;
        expect(body.expected_version, found.as_ref())?;
        let mut secret = found.unwrap_or_else(|| Secret::new(path));
        if let Some(ttl) = body.ttl {
            secret.expire(ttl);
        }
        if let Some(metadata) = body.metadata {
            secret.set_metadata(metadata)?;
        }
        secret.write(&body.data, self.max_versions)
    }

    /// Merges into what is there. Without `data` there is no new version.
    pub fn patch(&self, path: &str, body: Patch) -> Result<Response> {
        if body.data.is_none() && body.ttl.is_none() && body.metadata.is_none() {
            return Err(Error::invalid("/data", "missing", "is required, or ttl or metadata"));
        }
        let mut secret = Secret::get_readable(path)?;
        expect(body.expected_version, Some(&secret))?;
        if let Some(ttl) = body.ttl {
            secret.expire(ttl);
        }
        if let Some(patch) = body.metadata {
            let mut metadata = std::mem::take(&mut secret.record.metadata);
            merge(&mut metadata, patch);
            secret.set_metadata(metadata)?;
        }
        if let Some(patch) = body.data {
            let mut data = secret.data(secret.newest().version)?.ok_or_else(Error::not_found)?;
            merge(&mut data, patch);
            return secret.write(&data, self.max_versions);
        }
        secret.save()?;
        secret.changed()
    }
}

/// Marks the newest version: it can be brought back.
pub fn delete(path: &str, query: &Delete) -> Result<Response> {
    let mut secret = Secret::get_readable(path)?;
    expect(query.expected_version, Some(&secret))?;
    let (now, number) = (time::now(), secret.newest().version);
    if let Some(newest) = secret.version(number) {
        newest.deleted_at = Some(now);
    }
    secret.save()?;
    Response::json(&json!({ "version": number, "deleted_at": now }))
}

/// A deleted secret still has its version; none is 0.
fn expect(version: Option<u64>, found: Option<&Secret<'_>>) -> Result<()> {
    let current = found.map_or(0, |secret| secret.newest().version);
    if version.is_none_or(|version| version == current) { Ok(()) } else { Err(Error::conflict()) }
}
