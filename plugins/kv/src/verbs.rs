use coffer_plugin_sdk::{merge, prelude::*, serde_json::json};

use crate::{
    Kv,
    bodies::{Destroy, Metadata, Restore, Undelete},
    record::Secret,
};

impl Kv {
    /// A new version with the data of an old one.
    pub fn restore(&self, path: &str, body: &Restore) -> Result<Response> {
        let secret = Secret::get(path)?;
        let data = secret.data(body.version)?.ok_or_else(|| no_version("/version"))?;
        secret.write(&data, self.max_versions)
    }
}

/// Asks, or merges into what is there. A deleted secret has its metadata still.
pub fn metadata(path: &str, body: Metadata) -> Result<Response> {
    let mut secret = Secret::get(path)?;
    if let Some(patch) = body.metadata {
        let mut metadata = std::mem::take(&mut secret.record.metadata);
        merge(&mut metadata, patch);
        secret.set_metadata(metadata)?;
        secret.save()?;
    }
    let record = &secret.record;
    Response::json(&json!({
        "metadata": record.metadata,
        "version": secret.newest().version,
        "updated_at": record.updated_at,
        "expires_at": record.expires_at,
    }))
}

/// Takes the mark off. What was not deleted stays as it is.
pub fn undelete(path: &str, body: &Undelete) -> Result<Response> {
    let mut secret = Secret::get(path)?;
    let number = body.version.unwrap_or(secret.newest().version);
    let absent = || if body.version.is_some() { no_version("/version") } else { Error::not_found() };
    let version = secret.version(number).filter(|version| !version.destroyed).ok_or_else(absent)?;
    if version.deleted_at.take().is_some() {
        secret.save()?;
    }
    secret.changed()
}

/// Removes the data of versions for good. Those that are destroyed already count as done.
pub fn destroy(path: &str, body: &Destroy) -> Result<Response> {
    let mut secret = Secret::get(path)?;
    if body.versions.is_empty() {
        return Err(Error::invalid("/versions", "out_of_range", "must name at least one version"));
    }
    for (place, number) in body.versions.iter().enumerate() {
        if !secret.destroy(*number)? {
            return Err(no_version(&format!("/versions/{place}")));
        }
    }
    secret.save()?;
    Response::json(&json!({ "versions": body.versions }))
}

/// Removes the secret with all its versions: `create` is free again.
pub fn purge(path: &str) -> Result<Response> {
    Secret::get(path)?.purge()?;
    Response::json(&json!({}))
}

fn no_version(at: &str) -> Error {
    Error::invalid(at, "not_found", "is not a version that can be read")
}
