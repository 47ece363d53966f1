use coffer_otp::wait;
use coffer_plugin_sdk::{prelude::*, serde_json::json};

use crate::life::Record;

/// What became of the codes that were shown here.
#[derive(Serialize, Deserialize, Default)]
struct Used {
    /// The period of the last one that was right: it and those before it are spent.
    step: Option<u64>,
    wrong: u32,
    /// Of the last wrong one, in milliseconds.
    at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    code: String,
}

fn used_place(path: &str) -> String {
    format!("used/{path}")
}

/// The code of this moment, and when it is over.
pub fn code(path: &str) -> Result<Response> {
    let Record { seed, shape, .. } = Record::get(path)?;
    let now = time::now().millis();
    let step = shape.step(now);
    let end = shape.end(step);
    Response::json(&json!({
        "code": shape.code(&seed, step),
        "expires_at": Timestamp::from_millis(end),
        "seconds_left": (end - now).div_ceil(1000),
    }))
}

/// Each code is good once. Who guesses is slowed.
pub fn validate(path: &str, asked: &Validate) -> Result<Response> {
    let Record { seed, shape, drift, .. } = Record::get(path)?;
    let place = used_place(path);
    let mut used = storage::get::<Used>(&place)?.map(|entry| entry.value).unwrap_or_default();
    let now = time::now().millis();
    let wait = wait(used.wrong, used.at, now);
    if wait > 0 {
        return Err(Error::rate_limited(u32::try_from(wait).unwrap_or(u32::MAX)));
    }
    let found = shape.find(&seed, &asked.code, shape.step(now), drift, used.step);
    used = match found {
        Some(step) => Used { step: Some(step), wrong: 0, at: 0 },
        None => Used { step: used.step, wrong: used.wrong.saturating_add(1), at: now },
    };
    storage::put(&place, &used, None)?;
    Response::json(&json!({ "valid": found.is_some() }))
}

/// As if none had ever been shown.
pub fn forget(path: &str) -> Result<()> {
    storage::delete(&used_place(path))
}
