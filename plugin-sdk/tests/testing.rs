//! The host in memory keeps the promises of the contract.

use coffer_plugin_sdk::{
    Error, Leases, effects, http,
    prelude::*,
    serde_json::{Value, json},
    testing::Host,
};

/// Does what the operation says.
#[derive(Deserialize)]
struct Probe;

impl Engine for Probe {
    fn handle(&self, request: Request) -> Result<Response> {
        let path = request.path.as_str();
        match request.operation.as_str() {
            "put" => storage::put(path, &1, None)?,
            "put-and-fail" => {
                storage::put(path, &1, None)?;
                return Err(Error::denied());
            }
            "add" => {
                let count = storage::get::<u32>(path)?.map_or(0, |entry| entry.value);
                storage::put(path, &(count + 1), None)?;
            }
            "put-and-read" => {
                storage::put(path, &1, Some(time::now().after(Span::from_secs(1))))?;
                storage::put("z", &1, None)?;
                storage::delete("a")?;
                let page = storage::list("", None, None, 10)?;
                let end = storage::get::<u32>(path)?.and_then(|entry| entry.expires_at);
                return Response::json(&json!({"keys": page.keys, "end": end}));
            }
            "intend" => {
                effects::intend(b"undo")?;
                storage::get::<u32>(path)?;
                storage::put(path, &1, None)?;
            }
            "intend-and-fail" => {
                effects::intend(b"undo")?;
                return Err(Error::unavailable("outside"));
            }
            "fetch" => {
                let answer = http::send(&http::Request::get("https://example.com/").header("accept", "text/plain"))?;
                return Response::json(&json!({"status": answer.status, "body": answer.json::<Value>()?}));
            }
            "log" => log::warn("something", &[("at", path)]),
            _ => return Err(Error::unsupported()),
        }
        Ok(Response::empty())
    }
}

impl Leases for Probe {
    fn renew(&self, internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec> {
        Ok(LeaseSpec { ttl_seconds: increment_seconds, max_ttl_seconds: 3600, renewable: true, internal })
    }

    fn revoke(&self, internal: Vec<u8>) -> Result<()> {
        if internal == b"undo" { Ok(()) } else { Err(Error::internal("never intended")) }
    }
}

coffer_plugin_sdk::export!(Probe: engine, leases);

fn post(host: &Host, operation: &str, path: &str) -> Result<Value> {
    host.post::<Probe>(operation, path, json!({}))
}

#[test]
fn what_a_failed_call_wrote_is_not_kept() {
    let host = Host::new();
    assert_eq!(post(&host, "put-and-fail", "a"), Err(Error::denied()));
    assert!(host.keys().is_empty());
    post(&host, "put", "a").unwrap();
    assert_eq!(host.stored("a"), Some(json!(1)));
}

#[test]
fn a_call_sees_its_own_writes() {
    let host = Host::new();
    post(&host, "put", "a").unwrap();
    post(&host, "put", "b").unwrap();
    let seen = post(&host, "put-and-read", "x").unwrap();
    assert_eq!(seen, json!({"keys": ["b", "x", "z"], "end": "2026-01-01T00:15:01.000Z"}));
    host.advance_ms(1000);
    assert_eq!(host.keys(), ["b", "z"]);
}

#[test]
fn a_call_that_lost_a_race_runs_again_but_not_for_ever() {
    let host = Host::new();
    host.meanwhile(|host| drop(post(host, "add", "n").unwrap()));
    post(&host, "add", "n").unwrap();
    assert_eq!(host.stored("n"), Some(json!(2)));
    for _ in 0..5 {
        host.meanwhile(|host| drop(post(host, "put", "n")));
    }
    assert_eq!(post(&host, "add", "n").unwrap_err().code, "unavailable");
}

#[test]
#[should_panic(expected = "a call that came by GET has written")]
fn a_get_that_writes_is_the_plugins_fault() {
    let _ = Host::new().get::<Probe>("put", "a", json!({}));
}

#[test]
fn an_intent_is_dropped_by_the_commit_and_stays_without_one() {
    let host = Host::new();
    post(&host, "intend", "a").unwrap();
    assert!(host.unresolved().is_empty());
    post(&host, "intend-and-fail", "a").unwrap_err();
    assert_eq!(host.unresolved(), [b"undo".to_vec()]);
    host.revoke::<Probe>(&host.unresolved()[0]).unwrap();
}

#[test]
fn a_call_that_acted_outside_is_not_run_again() {
    let host = Host::new();
    host.meanwhile(|host| drop(post(host, "put", "a")));
    assert_eq!(post(&host, "intend", "a").unwrap_err().code, "unavailable");
    assert_eq!(host.unresolved().len(), 1);
}

#[test]
fn http_is_answered_by_the_test() {
    let host = Host::new();
    assert_eq!(post(&host, "fetch", "").unwrap_err().code, "denied");
    host.set_outside(|request| {
        assert_eq!((request.method.as_str(), request.headers[0].name.as_str()), ("GET", "accept"));
        Ok(http::Response { status: 200, headers: Vec::new(), body: b"[1]".to_vec() })
    });
    assert_eq!(post(&host, "fetch", "").unwrap(), json!({"status": 200, "body": [1]}));
    host.set_outside(|_| Ok(http::Response { status: 500, headers: Vec::new(), body: b"<html>".to_vec() }));
    assert_eq!(post(&host, "fetch", "").unwrap_err().code, "internal");
}

#[test]
fn the_log_is_heard() {
    let host = Host::new();
    post(&host, "log", "here").unwrap();
    assert_eq!(host.take_log(), ["warn: something at=here"]);
    assert!(host.take_log().is_empty());
}
