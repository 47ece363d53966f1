//! One question, or many: `{"batch": [question, …]}` answers `{"results": [answer, …]}`, in order.
//! A question that cannot be answered spoils its own place only: `{"detail": […]}` stands there.

use coffer_plugin_sdk::{
    Problem, from_value,
    prelude::*,
    serde_json::{Map, Value, json, to_value},
};
use serde::de::DeserializeOwned;

use crate::{algorithm::Algorithm, record::Key};

/// Items of a batch, where the work of a key is not dear.
pub const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    batch: Vec<Value>,
}

/// `most` says how many questions of this kind a key answers at once: more would take longer than a call may, and then
/// all of them were lost.
pub fn answer<Q: DeserializeOwned, A: Serialize>(
    path: &str,
    request: &Request,
    most: impl Fn(Algorithm) -> usize,
    answer: impl Fn(&mut Key<'_>, Q) -> Result<A>,
) -> Result<Response> {
    let body: Map<String, Value> = request.body()?;
    let mut key = Key::get(path)?;
    if !body.contains_key("batch") {
        return Response::json(&answer(&mut key, from_value(Value::Object(body))?)?);
    }
    let Batch { batch } = from_value(Value::Object(body))?;
    let most = most(key.record.algorithm);
    if batch.is_empty() || batch.len() > most {
        let message = format!("must have 1 to {most} items with a key of this algorithm");
        return Err(Error::invalid("/batch", "out_of_range", message));
    }
    let mut results = Vec::with_capacity(batch.len());
    for (place, question) in batch.into_iter().enumerate() {
        results.push(match from_value(question).and_then(|question| answer(&mut key, question)) {
            Ok(answer) => to_value(answer).map_err(|_| Error::internal("the answer does not serialise"))?,
            // What one question is to blame for; anything else is the whole call's.
            Err(error) if error.code == "invalid" => detail(place, &error.problems),
            Err(error) => return Err(error),
        });
    }
    Response::json(&json!({ "results": results }))
}

/// As the server tells of what is wrong with a body.
fn detail(place: usize, problems: &[Problem]) -> Value {
    let told = |problem: &Problem| {
        let mut loc = vec![json!("body"), json!("batch"), json!(place)];
        let segments = problem.at.split('/').skip(1);
        loc.extend(segments.map(|segment| json!(segment.replace("~1", "/").replace("~0", "~"))));
        json!({ "loc": loc, "msg": problem.message, "type": problem.code })
    };
    json!({ "detail": problems.iter().map(told).collect::<Vec<_>>() })
}
