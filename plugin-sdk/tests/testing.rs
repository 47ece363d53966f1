//! The host in memory keeps the promises of the contract.

use coffer_plugin_sdk::{
    Error, Leases, effects, http,
    prelude::*,
    serde_json::{Map, Value, json},
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
            "list-by-two" => drop(storage::list("", Some("ab"), None, 1)?),
            "list-some" => {
                let query: Map<String, Value> = request.body()?;
                let limit = query["limit"].as_str().and_then(|text| text.parse().ok()).unwrap_or(7);
                let after = Some(path).filter(|path| !path.is_empty());
                let page = storage::list("", Some("/"), after, limit)?;
                return Response::json(&json!({"keys": page.keys, "next": page.next, "limit": query["limit"]}));
            }
            "answer-a-list" => return Response::json(&json!([1])),
            "answer-a-secret-id" => return Response::json(&json!({"secret_id": "x"})),
            "lend-for-ever" => {
                let lease =
                    LeaseSpec { ttl_seconds: u64::MAX, ..LeaseSpec::new(Span::from_secs(1), Span::from_secs(1), "x")? };
                return Ok(Response::empty().with_lease(lease));
            }
            "verify" => {
                let query: Map<String, Value> = request.body()?;
                let own = crypto::Key::create("own", "ed25519")?;
                let signature = own.sign(b"message", "ed25519")?;
                let public = if path == "own" { own.public_key()? } else { path.as_bytes().to_vec() };
                let scheme = query["scheme"].as_str().unwrap_or_default();
                let is_right = crypto::verify_with(&public, b"message", &signature, scheme)?;
                return Response::json(&json!({"is_right": is_right}));
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
        if internal == b"again" {
            effects::intend(b"undo")?;
        }
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

#[test]
fn storage_has_the_bounds_that_it_has_in_the_server() {
    let host = Host::new();
    let code = |operation: &str, path: &str| post(&host, operation, path).unwrap_err().code;
    assert_eq!(code("put", &"x".repeat(1201)), "invalid");
    assert_eq!(code("put", ""), "invalid");
    assert_eq!(code("list-by-two", ""), "invalid");
    post(&host, "put", &"x".repeat(1200)).unwrap();
    // No limit is a limit of one, and a huge one is of a thousand.
    for name in ["a/1", "a/2", "b"] {
        post(&host, "put", name).unwrap();
    }
    let first = host.get::<Probe>("list-some", "", json!({ "limit": 0 })).unwrap();
    assert_eq!(first, json!({ "keys": ["a/"], "next": "a/", "limit": "0" }), "a query is text");
    let inside = host.get::<Probe>("list-some", "a/1", json!({ "limit": 5 })).unwrap();
    assert_eq!(inside["keys"][0], "a/", "what lies behind a key in a folder is told by the folder");
}

#[test]
fn what_the_server_would_not_believe_is_the_plugins_fault() {
    let faulty = |operation: &'static str| {
        let asked = move || drop(post(&Host::new(), operation, "a"));
        let said = std::panic::catch_unwind(asked).unwrap_err();
        said.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    assert!(faulty("answer-a-list").contains("no JSON object"));
    assert!(faulty("answer-a-secret-id").contains("reserved name"));
    assert!(faulty("lend-for-ever").contains("no usable end"));
    let host = Host::new();
    let undo = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(host.revoke::<Probe>(b"again"))));
    assert!(undo.is_err(), "what undoes cannot intend");
}

#[test]
fn a_public_key_that_is_none_is_told() {
    let verify = |key: &str, scheme: &str| Host::new().post::<Probe>("verify", key, json!({ "scheme": scheme }));
    assert_eq!(verify("x", "ed25519").unwrap_err().code, "invalid");
    assert_eq!(verify("", "ed25519").unwrap_err().code, "invalid");
    assert_eq!(verify("0\u{1}", "ed25519").unwrap(), json!({ "is_right": false }));
    assert_eq!(verify("own", "ed25519").unwrap(), json!({ "is_right": true }));
    assert_eq!(verify("own", "rsa-pss-sha256").unwrap_err().code, "invalid", "of another scheme");
    assert_eq!(verify("own", "rot13").unwrap_err().code, "unsupported");
}
