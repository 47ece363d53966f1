use coffer_otp::{Algorithm, Otpauth, Seed, Shape, otpauth};
use coffer_plugin_sdk::{
    ListQuery, check_metadata, listing, merge,
    prelude::*,
    serde_json::{Map, Value, json},
};

use crate::codes;

const TEXT_BYTES: usize = 256;
/// RFC 4226 section 4 recommends 160 bits.
const SEED_BYTES: u32 = 20;
const DRIFT_MOST: u64 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    data: New,
    metadata: Option<Map<String, Value>>,
}

/// `url` or `secret`: a seed that somebody else gave out. Neither: one of our own is made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    /// `otpauth://totp/…`: it says everything by itself.
    url: Option<String>,
    secret: Option<Seed>,
    issuer: Option<String>,
    account: Option<String>,
    algorithm: Option<Algorithm>,
    digits: Option<u32>,
    period: Option<u64>,
    drift: Option<u64>,
}

/// Merged into what is there (RFC 7396). Nothing else of a seed can be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    metadata: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
pub struct Record {
    pub seed: Seed,
    pub shape: Shape,
    /// Periods before and after this one whose codes are taken.
    pub drift: u64,
    issuer: String,
    account: String,
    /// Made here, and told once.
    own: bool,
    metadata: Map<String, Value>,
    created_at: Timestamp,
    /// A user's id.
    created_by: Option<String>,
    /// When the metadata was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
}

fn place(path: &str) -> String {
    format!("key/{path}")
}

impl Record {
    pub fn get(path: &str) -> Result<Self> {
        Ok(storage::get(&place(path))?.ok_or_else(Error::not_found)?.value)
    }

    fn told(&self) -> Otpauth {
        let (issuer, account) = (self.issuer.clone(), self.account.clone());
        Otpauth { issuer, account, seed: self.seed.clone(), shape: self.shape }
    }
}

pub fn create(path: &str, body: Create) -> Result<Response> {
    if storage::get::<Record>(&place(path))?.is_some() {
        return Err(Error::exists());
    }
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata)?;
    let own = body.data.url.is_none() && body.data.secret.is_none();
    let drift = body.data.drift.unwrap_or(1);
    if drift > DRIFT_MOST {
        return Err(Error::invalid("/data/drift", "out_of_range", "must be from 0 to 2 periods"));
    }
    let Otpauth { issuer, account, seed, shape } = body.data.read(path)?;
    for (at, text) in [("/data/issuer", &issuer), ("/data/account", &account)] {
        if text.len() > TEXT_BYTES {
            return Err(Error::invalid(at, "out_of_range", "must be at most 256 bytes long"));
        }
    }
    let (created_at, created_by) = (time::now(), context::principal());
    let record =
        Record { seed, shape, drift, issuer, account, own, metadata, created_at, created_by, updated_at: None };
    storage::put(&place(path), &record, None)?;
    let mut answer = json!({ "version": 1, "created_at": created_at, "expires_at": null });
    if own {
        answer["url"] = json!(otpauth(&record.told()));
        answer["secret"] = json!(record.seed.text());
    }
    Response::json(&answer)
}

impl New {
    fn read(self, path: &str) -> Result<Otpauth> {
        if let Some(url) = self.url {
            let others = [
                ("secret", self.secret.is_some()),
                ("issuer", self.issuer.is_some()),
                ("account", self.account.is_some()),
                ("algorithm", self.algorithm.is_some()),
                ("digits", self.digits.is_some()),
                ("period", self.period.is_some()),
            ];
            if let Some((name, _)) = others.iter().find(|(_, is_told)| *is_told) {
                let message = "goes without url, which says it";
                return Err(Error::invalid(format!("/data/{name}"), "invalid_value", message));
            }
            return Otpauth::parse(&url).map_err(|why| Error::invalid("/data/url", "invalid_value", why));
        }
        let plain = Shape::default();
        let shape = Shape {
            algorithm: self.algorithm.unwrap_or(plain.algorithm),
            digits: self.digits.unwrap_or(plain.digits),
            period: self.period.unwrap_or(plain.period),
        };
        if let Some((member, why)) = shape.problem() {
            return Err(Error::invalid(format!("/data/{member}"), "out_of_range", why));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        Ok(Otpauth {
            issuer: self.issuer.unwrap_or_else(|| "Coffer".to_owned()),
            account: self.account.unwrap_or_else(|| name.to_owned()),
            seed: self.secret.unwrap_or_else(|| Seed(crypto::random(SEED_BYTES))),
            shape,
        })
    }
}

/// Everything but the seed.
pub fn read(path: &str) -> Result<Response> {
    let record = Record::get(path)?;
    Response::json(&json!({
        "data": {
            "issuer": record.issuer,
            "account": record.account,
            "algorithm": record.shape.algorithm,
            "digits": record.shape.digits,
            "period": record.shape.period,
            "drift": record.drift,
            "own": record.own,
        },
        "version": 1,
        "metadata": record.metadata,
        "created_at": record.created_at,
        "created_by": record.created_by,
        "updated_at": record.updated_at.unwrap_or(record.created_at),
        "expires_at": null,
    }))
}

pub fn patch(path: &str, body: Patch) -> Result<Response> {
    let mut record = Record::get(path)?;
    merge(&mut record.metadata, body.metadata);
    check_metadata(&record.metadata)?;
    record.updated_at = Some(time::now());
    storage::put(&place(path), &record, None)?;
    Response::json(&json!({ "version": 1, "created_at": record.created_at, "expires_at": null }))
}

/// For good: there are no versions of a seed.
pub fn delete(path: &str) -> Result<Response> {
    Record::get(path)?;
    storage::delete(&place(path))?;
    codes::forget(path)?;
    Response::json(&json!({ "version": 1, "deleted_at": time::now() }))
}

pub fn list(path: &str, query: &ListQuery) -> Result<Response> {
    listing(&place(""), path, query, |record: Record| {
        let (metadata, updated_at) = (record.metadata, record.updated_at.unwrap_or(record.created_at));
        Some(json!({ "version": 1, "metadata": metadata, "updated_at": updated_at, "expires_at": null }))
    })
}
