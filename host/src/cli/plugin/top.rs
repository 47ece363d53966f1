//! `plugin top`: what the mounts are doing, as it goes on.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};

use super::super::{
    Failure, With,
    output::{self, Columns},
};
use crate::clock::Clock;

#[derive(Args, Debug)]
pub(super) struct Top {
    /// Look once, and tell of all calls so far
    #[arg(long)]
    once: bool,
    /// Between two looks
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration,
          conflicts_with = "once")]
    interval: Duration,
}

/// Shorter looks would be what they see.
const SHORTEST: Duration = Duration::from_millis(100);

const COLUMNS: Columns = Columns {
    list: "mounts",
    names: &[
        "mount",
        "plugin",
        "health",
        "calls",
        "calls_per_second",
        "p50_ms",
        "p99_ms",
        "queue_ms",
        "instantiate_ms",
        "guest_ms",
        "host_ms",
        "running",
        "refused",
        "failed",
        "memory",
    ],
};

/// What the server said of each mount at the last look.
type Before = BTreeMap<String, Value>;

pub(super) async fn top(with: &With, arguments: &Top) -> Result<(), Failure> {
    let client = with.client()?;
    let (mut before, clock) = (Before::new(), Clock::system());
    let mut looked = clock.monotonic();
    loop {
        let told = client.all(super::MOUNTS, &[], &["mounts"]).await?;
        let now = clock.monotonic();
        let span = now.saturating_sub(looked).as_secs_f64();
        looked = now;
        let mounts: Vec<&Value> = told["mounts"].as_array().into_iter().flatten().collect();
        let rows: Vec<Value> = mounts.iter().map(|mount| row(mount, before.get(&name(mount)), span)).collect();
        let answer = json!({ "mounts": rows });
        if arguments.once {
            return with.shape.list(&answer, &COLUMNS);
        }
        if with.shape.is_table() {
            let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
            output::put(clear)?;
            with.shape.list(&answer, &COLUMNS)?;
        } else {
            // One line for each look.
            output::put(&format!("{answer}\n"))?;
        }
        before = mounts.into_iter().map(|mount| (name(mount), mount.clone())).collect();
        tokio::time::sleep(arguments.interval.max(SHORTEST)).await;
    }
}

fn name(mount: &Value) -> String {
    format!("{}/{}", output::text(&mount["kind"]), output::text(&mount["mount"]))
}

/// Of the calls since the last look, or of all where there was none; means in milliseconds.
fn row(mount: &Value, before: Option<&Value>, span: f64) -> Value {
    // A server that was started again counts from 0.
    let before = before.filter(|before| count(before, "/calls") <= count(mount, "/calls"));
    let grown = |pointer: &str| {
        let was = before.map_or(0.0, |before| number(before, pointer));
        (number(mount, pointer) - was).max(0.0)
    };
    let calls = grown("/calls");
    let mean = |phase: &str| (calls > 0.0).then(|| rounded(grown(&format!("/seconds/{phase}")) / calls * 1e3));
    let buckets = buckets(mount, before);
    let refused = grown("/ended/refused");
    json!({
        "mount": name(mount),
        "plugin": format!("{} {}", output::text(&mount["plugin"]), output::text(&mount["version"])).trim_end(),
        "health": if mount["breaker_open"] == true { json!("resting") } else { mount["health"].clone() },
        "calls": calls as u64,
        "calls_per_second": before.map(|_| rounded(calls / span.max(1e-3))),
        "p50_ms": quantile(&buckets, 0.5),
        "p99_ms": quantile(&buckets, 0.99),
        "queue_ms": mean("queue"),
        "instantiate_ms": mean("instantiate"),
        "guest_ms": mean("guest"),
        "host_ms": mean("host"),
        "running": mount["running"],
        "refused": refused as u64,
        "failed": (calls - grown("/succeeded") - refused).max(0.0) as u64,
        "memory": mount["memory_peak_bytes"],
    })
}

fn number(of: &Value, pointer: &str) -> f64 {
    of.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0)
}

fn count(of: &Value, pointer: &str) -> u64 {
    of.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Upper ends in seconds, and how many calls took at most as long.
fn buckets(mount: &Value, before: Option<&Value>) -> Vec<(f64, f64)> {
    let list = mount["durations"]["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |(at, bucket): (usize, &Value)| {
        let was = before.map_or(0.0, |before| number(before, &format!("/durations/buckets/{at}/count")));
        (bucket["le"].as_f64().unwrap_or(f64::INFINITY), (number(bucket, "/count") - was).max(0.0))
    };
    list.iter().enumerate().map(one).collect()
}

/// As Prometheus estimates it: between the ends of a bucket, calls are spread evenly. In
/// milliseconds; null if there were none.
fn quantile(buckets: &[(f64, f64)], of: f64) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let at = buckets.iter().position(|(_, count)| *count >= all * of)?;
    let (from, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| buckets[before]);
    let (end, count) = buckets[at];
    let seconds = match end.is_finite() {
        true => from + (end - from) * (all * of - below) / (count - below).max(1.0),
        // Longer than the longest end: nobody knows by how much.
        false => from,
    };
    Some(rounded(seconds * 1e3))
}

/// To three digits after the point.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let buckets = [(0.001, 50.0), (0.01, 100.0), (f64::INFINITY, 100.0)];
        assert_eq!((quantile(&buckets, 0.5), quantile(&buckets, 0.25)), (Some(1.0), Some(0.5)));
        assert_eq!(quantile(&buckets, 0.99), Some(9.82));
        assert_eq!(quantile(&[(0.001, 0.0), (f64::INFINITY, 3.0)], 0.5), Some(1.0));
        assert_eq!(quantile(&[(0.001, 0.0), (f64::INFINITY, 0.0)], 0.5), None);
    }

    #[test]
    fn a_row_tells_of_what_came_since_the_last_look() {
        let mount = |calls: u64, failed: u64| {
            json!({
                "kind": "secrets", "mount": "kv", "plugin": "kv", "version": "1.0.0", "health": "ok", "calls": calls,
                "succeeded": calls - failed, "running": 0, "ended": {"trap": failed},
                "seconds": {"queue": 0.0, "instantiate": 0.0, "guest": calls as f64 / 1e3, "host": 0.0},
                "durations": {"sum": 0, "buckets": [{"le": 0.001, "count": calls}, {"le": null, "count": calls}]},
            })
        };
        let first = row(&mount(10, 1), None, 0.0);
        assert_eq!(
            (&first["calls"], &first["failed"], &first["calls_per_second"]),
            (&json!(10), &json!(1), &Value::Null)
        );
        assert_eq!((&first["guest_ms"], &first["mount"]), (&json!(1.0), &json!("secrets/kv")));
        let then = row(&mount(30, 3), Some(&mount(10, 1)), 2.0);
        assert_eq!((&then["calls"], &then["failed"], &then["calls_per_second"]), (&json!(20), &json!(2), &json!(10.0)));
        // It has been started again.
        assert_eq!(row(&mount(5, 0), Some(&mount(10, 1)), 2.0)["calls"], 5);
        assert_eq!(row(&mount(10, 1), Some(&mount(10, 1)), 2.0)["p50_ms"], Value::Null);
    }
}
