use coffer_plugin_sdk::{
    ListQuery, check_metadata,
    crypto::Key as Handle,
    listing, merge,
    prelude::*,
    serde_json::{Map, Value, json},
};

use crate::{
    algorithm::{Algorithm, Work},
    record::{Key, Record, Version, place},
    token::pem,
};

/// Public keys that are got at a time.
const CHUNK: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    #[serde(default)]
    data: New,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct New {
    /// `aes256-gcm`, or `aes256-gcm-siv` if it is to be convergent.
    algorithm: Option<Algorithm>,
    convergent: Option<bool>,
    #[serde(default)]
    deletable: bool,
}

/// Merged into what is there (RFC 7396). Nothing else of a key can be changed so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    metadata: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    min_decrypt_version: Option<u32>,
    min_encrypt_version: Option<u32>,
    deletable: Option<bool>,
}

/// A version as it is shown.
#[derive(Serialize)]
struct Told {
    version: u32,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

pub fn create(path: &str, body: Create) -> Result<Response> {
    if storage::get::<Record>(&place(path))?.is_some() {
        return Err(Error::exists());
    }
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let algorithm = algorithm(&body.data)?;
    let refused = |error: Error| match error.code.as_str() {
        "unsupported" | "denied" => {
            Error::invalid("/data/algorithm", "not_offered", "is not offered by this server or this mount")
        }
        _ => error,
    };
    let handle = Handle::create(path, algorithm.name()).map_err(refused)?;
    let now = time::now();
    let record = Record {
        algorithm,
        created_at: now,
        created_by: context::principal(),
        updated_at: now,
        metadata,
        versions: vec![version(path, &handle, algorithm)?],
        min_decrypt_version: 1,
        min_encrypt_version: 1,
        deletable: body.data.deletable,
    };
    storage::put(&place(path), &record, None)?;
    changed(&record)
}

fn algorithm(new: &New) -> Result<Algorithm> {
    let convergent = new.convergent.unwrap_or(false);
    let plain = if convergent { Algorithm::Aes256GcmSiv } else { Algorithm::Aes256Gcm };
    let algorithm = new.algorithm.unwrap_or(plain);
    match new.convergent.is_none_or(|convergent| convergent == algorithm.is_convergent()) {
        true => Ok(algorithm),
        false => Err(Error::invalid("/data/convergent", "invalid_value", "goes with aes256-gcm-siv, and only with it")),
    }
}

/// A version that the host has just made. What of it is public stands beside the record, which is
/// read with each use.
fn version(path: &str, handle: &Handle, algorithm: Algorithm) -> Result<Version> {
    if algorithm.work() == Work::Sign {
        storage::put(&public_place(path, handle.version()), &pem(&handle.public_key()?), None)?;
    }
    Ok(Version { created_at: time::now() })
}

fn public_place(path: &str, version: u32) -> String {
    format!("public/{path}/{version}")
}

/// Everything but the key.
pub fn read(path: &str) -> Result<Response> {
    let record = Key::get(path)?.record;
    let mut versions = Vec::with_capacity(record.versions.len());
    let numbers: Vec<u32> = (1..=record.newest()).collect();
    for numbers in numbers.chunks(CHUNK) {
        let keys: Vec<String> = match record.algorithm.work() {
            Work::Sign => numbers.iter().map(|number| public_place(path, *number)).collect(),
            Work::Encrypt | Work::Mac => Vec::new(),
        };
        let mut public = storage::get_many::<String>(&keys)?.into_iter();
        for (number, version) in numbers.iter().zip(&record.versions[versions.len()..]) {
            let public_key = public.next().flatten().map(|entry| entry.value);
            versions.push(Told { version: *number, created_at: version.created_at, public_key });
        }
    }
    Response::json(&json!({
        "data": {
            "algorithm": record.algorithm,
            "convergent": record.algorithm.is_convergent(),
            "deletable": record.deletable,
            "min_decrypt_version": record.min_decrypt_version,
            "min_encrypt_version": record.min_encrypt_version,
            "versions": versions,
        },
        "version": record.newest(),
        "metadata": record.metadata,
        "created_at": record.created_at,
        "created_by": record.created_by,
        "updated_at": record.updated_at,
        "expires_at": null,
    }))
}

/// A new version, which makes whatever is made from now on. What older ones have made stays good.
pub fn rotate(path: &str) -> Result<Response> {
    let mut key = Key::get(path)?;
    let newest = Handle::rotate(path)?;
    if newest != key.record.newest() + 1 {
        return Err(Error::internal("the host has other versions of the key than this engine knows"));
    }
    let handle = Handle::open(path, Some(newest))?;
    let version = version(path, &handle, key.record.algorithm)?;
    key.record.versions.push(version);
    key.save()?;
    changed(&key.record)
}

pub fn configure(path: &str, body: Configure) -> Result<Response> {
    let mut key = Key::get(path)?;
    let newest = key.record.newest();
    for (at, asked) in
        [("/min_decrypt_version", body.min_decrypt_version), ("/min_encrypt_version", body.min_encrypt_version)]
    {
        if asked.is_some_and(|asked| asked == 0 || asked > newest) {
            return Err(Error::invalid(at, "out_of_range", "must be a version of this key"));
        }
    }
    let decrypt = body.min_decrypt_version.unwrap_or(key.record.min_decrypt_version);
    let encrypt = body.min_encrypt_version.unwrap_or(key.record.min_encrypt_version.max(decrypt));
    if encrypt < decrypt {
        let message = "must not be below min_decrypt_version: what it made could not be opened";
        return Err(Error::invalid("/min_encrypt_version", "out_of_range", message));
    }
    (key.record.min_decrypt_version, key.record.min_encrypt_version) = (decrypt, encrypt);
    key.record.deletable = body.deletable.unwrap_or(key.record.deletable);
    key.save()?;
    Response::json(&json!({
        "version": newest,
        "min_decrypt_version": decrypt,
        "min_encrypt_version": encrypt,
        "deletable": key.record.deletable,
        "updated_at": key.record.updated_at,
    }))
}

pub fn patch(path: &str, body: Patch) -> Result<Response> {
    let mut key = Key::get(path)?;
    merge(&mut key.record.metadata, body.metadata);
    check_metadata(&key.record.metadata)?;
    key.save()?;
    changed(&key.record)
}

/// With all its versions, for good: whatever they have made stays closed.
pub fn delete(path: &str) -> Result<Response> {
    let key = Key::get(path)?;
    if !key.record.deletable {
        return Err(Error::invalid("", "not_deletable", "this key must first be configured as deletable"));
    }
    Handle::destroy(path)?;
    storage::delete(&place(path))?;
    if key.record.algorithm.work() == Work::Sign {
        (1..=key.record.newest()).try_for_each(|version| storage::delete(&public_place(path, version)))?;
    }
    Response::json(&json!({ "version": key.record.newest(), "deleted_at": time::now() }))
}

fn changed(record: &Record) -> Result<Response> {
    Response::json(&json!({ "version": record.newest(), "created_at": record.created_at, "expires_at": null }))
}

pub fn list(path: &str, query: &ListQuery) -> Result<Response> {
    listing(&place(""), path, query, |record: Record| {
        let (version, updated_at) = (record.newest(), record.updated_at);
        Some(json!({ "version": version, "metadata": record.metadata, "updated_at": updated_at, "expires_at": null }))
    })
}
