//! Creating, reading and changing: what a caller of the six plain operations meets.

use coffer_plugin_kv::Kv;
use coffer_plugin_sdk::{
    Error, Result,
    serde_json::{Value, json},
    testing::Host,
};

fn code<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().code
}

/// Of an `invalid`: where, and which.
fn problem(result: Result<Value>) -> (String, String) {
    let error: Error = result.unwrap_err();
    assert_eq!(error.code, "invalid");
    (error.problems[0].at.clone(), error.problems[0].code.clone())
}

fn with_secret() -> Host {
    let host = Host::new();
    host.set_principal(Some(("usr_ada", "ada")));
    host.post::<Kv>("create", "apps/db", json!({"data": {"user": "x"}, "metadata": {"owner": "web"}})).unwrap();
    host
}

fn data(host: &Host) -> Value {
    host.get::<Kv>("read", "apps/db", json!({})).unwrap()["data"].clone()
}

#[test]
fn a_secret_is_read_as_it_was_created() {
    let host = Host::new();
    host.set_principal(Some(("usr_ada", "ada")));
    let body = json!({"data": {"user": "x", "deep": [1, {"a": null}]}, "ttl": "15m", "metadata": {"owner": "web"}});
    let made = host.post::<Kv>("create", "apps/db", body).unwrap();
    let created = json!("2026-01-01T00:15:00.000Z");
    assert_eq!(made, json!({"version": 1, "created_at": created, "expires_at": "2026-01-01T00:30:00.000Z"}));
    assert_eq!(
        host.get::<Kv>("read", "apps/db", json!({})).unwrap(),
        json!({"data": {"user": "x", "deep": [1, {"a": null}]}, "version": 1, "metadata": {"owner": "web"}, "created_at": created,
            "created_by": "usr_ada", "updated_at": created, "expires_at": "2026-01-01T00:30:00.000Z"})
    );
}

#[test]
fn what_exists_is_not_created_again_even_when_deleted() {
    let host = with_secret();
    let create = || host.post::<Kv>("create", "apps/db", json!({"data": {}}));
    assert_eq!(code(create()), "exists");
    host.post::<Kv>("delete", "apps/db", json!({})).unwrap();
    assert_eq!(code(create()), "exists");
    host.post::<Kv>("purge", "apps/db", json!({})).unwrap();
    assert_eq!(create().unwrap()["version"], 1);
}

#[test]
fn an_update_makes_a_version_and_keeps_what_belongs_to_the_secret() {
    let host = with_secret();
    host.post::<Kv>("update", "apps/db", json!({"data": {"n": 2}, "ttl": 60})).unwrap();
    host.advance_ms(1000);
    host.set_principal(Some(("usr_bob", "bob")));
    let made = host.post::<Kv>("update", "apps/db", json!({"data": {"n": 3}})).unwrap();
    assert_eq!(
        made,
        json!({"version": 3, "created_at": "2026-01-01T00:15:00.000Z", "expires_at": "2026-01-01T00:16:00.000Z"})
    );
    let read = host.get::<Kv>("read", "apps/db", json!({})).unwrap();
    assert_eq!((&read["metadata"], &read["created_by"]), (&json!({"owner": "web"}), &json!("usr_ada")));
    let history = host.get::<Kv>("history", "apps/db", json!({})).unwrap();
    assert_eq!(history["versions"][0]["created_by"], "usr_bob");
    let old = host.get::<Kv>("read", "apps/db", json!({"version": "1"})).unwrap();
    assert_eq!((&old["data"], &old["created_by"]), (&json!({"user": "x"}), &json!("usr_ada")));
    let made = host.post::<Kv>("update", "apps/db", json!({"data": {}, "ttl": null, "metadata": {}})).unwrap();
    assert_eq!(made["expires_at"], Value::Null);
    assert_eq!(host.get::<Kv>("read", "apps/db", json!({})).unwrap()["metadata"], json!({}));
}

#[test]
fn an_expected_version_that_is_not_current_is_a_conflict_never_not_found() {
    let host = Host::new();
    let put = |expected: u64| host.post::<Kv>("update", "s", json!({"data": {}, "expected_version": expected}));
    assert_eq!(code(put(1)), "conflict");
    assert_eq!(put(0).unwrap()["version"], 1);
    assert_eq!(code(put(0)), "conflict");
    assert_eq!(put(1).unwrap()["version"], 2);
    assert_eq!(code(host.post::<Kv>("patch", "s", json!({"data": {}, "expected_version": 1}))), "conflict");
    assert_eq!(code(host.post::<Kv>("delete", "s", json!({"expected_version": "1"}))), "conflict");
    host.post::<Kv>("delete", "s", json!({"expected_version": "2"})).unwrap();
    assert_eq!(code(put(0)), "conflict");
    assert_eq!(put(2).unwrap()["version"], 3);
}

#[test]
fn a_patch_merges_into_data_and_metadata() {
    let host = with_secret();
    let patch = json!({"data": {"user": null, "deep": {"a": 1}}, "metadata": {"team": 7}});
    assert_eq!(host.post::<Kv>("patch", "apps/db", patch).unwrap()["version"], 2);
    let read = host.get::<Kv>("read", "apps/db", json!({})).unwrap();
    assert_eq!(read["data"], json!({"deep": {"a": 1}}));
    assert_eq!(read["metadata"], json!({"owner": "web", "team": 7}));
    assert_eq!(host.post::<Kv>("patch", "apps/db", json!({"ttl": "1h"})).unwrap()["version"], 2);
    assert_eq!(problem(host.post::<Kv>("patch", "apps/db", json!({}))), ("/data".into(), "missing".into()));
    assert_eq!(code(host.post::<Kv>("patch", "none", json!({"data": {}}))), "not-found");
    host.post::<Kv>("delete", "apps/db", json!({})).unwrap();
    assert_eq!(code(host.post::<Kv>("patch", "apps/db", json!({"data": {}}))), "not-found");
}

#[test]
fn whoever_may_read_is_told_that_what_is_deleted_can_be_brought_back() {
    let host = with_secret();
    let told = |number: Value| host.get::<Kv>("read", "apps/db", number).unwrap_err();
    assert!(!told(json!({"version": "7"})).message.contains("undelete"));
    host.post::<Kv>("delete", "apps/db", json!({})).unwrap();
    let error = told(json!({}));
    assert!(error.code == "not-found" && error.message.contains("undelete"), "{error:?}");
    host.post::<Kv>("destroy", "apps/db", json!({"versions": [1]})).unwrap();
    assert!(!told(json!({})).message.contains("undelete"));
}

#[test]
fn an_expired_secret_is_absent_to_the_millisecond() {
    let host = Host::new();
    host.post::<Kv>("create", "s", json!({"data": {"n": 1}, "ttl": 1})).unwrap();
    host.post::<Kv>("update", "s", json!({"data": {"n": 2}})).unwrap();
    host.advance_ms(999);
    assert_eq!(host.get::<Kv>("read", "s", json!({})).unwrap()["version"], 2);
    host.advance_ms(1);
    assert!(host.keys().is_empty());
    assert_eq!(code(host.get::<Kv>("read", "s", json!({}))), "not-found");
    for (operation, body) in [
        ("patch", json!({"data": {}})),
        ("delete", json!({})),
        ("metadata", json!({"metadata": {}})),
        ("restore", json!({"version": 1})),
        ("undelete", json!({})),
        ("destroy", json!({"versions": [1]})),
        ("purge", json!({})),
    ] {
        assert_eq!(code(host.post::<Kv>(operation, "s", body)), "not-found", "{operation}");
    }
    assert_eq!(code(host.get::<Kv>("history", "s", json!({}))), "not-found");
    assert_eq!(host.get::<Kv>("list", "", json!({})).unwrap()["entries"], json!([]));
    assert_eq!(host.post::<Kv>("update", "s", json!({"data": {}})).unwrap()["version"], 1);
    assert_eq!(code(host.get::<Kv>("read", "s", json!({"version": "2"}))), "not-found");
}

#[test]
fn every_entry_ends_with_its_secret_wherever_the_end_is_moved() {
    let host = Host::new();
    host.post::<Kv>("create", "s", json!({"data": {}, "ttl": "10s"})).unwrap();
    for version in 2..=4 {
        host.post::<Kv>("update", "s", json!({"data": {"n": version}})).unwrap();
    }
    host.post::<Kv>("update", "s", json!({"data": {}, "ttl": "1h"})).unwrap();
    host.advance_ms(10_000);
    for version in 1..=5 {
        host.get::<Kv>("read", "s", json!({"version": version.to_string()})).unwrap();
    }
    host.post::<Kv>("patch", "s", json!({"ttl": null})).unwrap();
    host.advance_ms(3_600_000);
    assert_eq!(host.keys().len(), 6);
    host.post::<Kv>("patch", "s", json!({"ttl": 5})).unwrap();
    host.advance_ms(5000);
    assert!(host.keys().is_empty());
}

#[test]
fn only_so_many_versions_are_kept() {
    let host = Host::new();
    host.set_config(json!({"max_versions": 3}));
    for n in 1..=5 {
        host.post::<Kv>("update", "s", json!({"data": {"n": n}})).unwrap();
    }
    assert_eq!(host.keys(), ["data/s/3", "data/s/4", "data/s/5", "live/s"]);
    assert_eq!(code(host.get::<Kv>("read", "s", json!({"version": "2"}))), "not-found");
    assert_eq!(host.get::<Kv>("read", "s", json!({"version": "3"})).unwrap()["data"], json!({"n": 3}));
    host.set_config(json!({}));
    for n in 6..=20 {
        host.post::<Kv>("update", "s", json!({"data": {"n": n}})).unwrap();
    }
    assert_eq!(host.get::<Kv>("history", "s", json!({})).unwrap()["versions"].as_array().unwrap().len(), 10);
}

#[test]
fn a_deleted_secret_is_not_there_and_its_older_versions_are() {
    let host = with_secret();
    host.post::<Kv>("update", "apps/db", json!({"data": {"n": 2}})).unwrap();
    let answer = host.post::<Kv>("delete", "apps/db", json!({})).unwrap();
    assert_eq!(answer, json!({"version": 2, "deleted_at": "2026-01-01T00:15:00.000Z"}));
    let read = |query: Value| host.get::<Kv>("read", "apps/db", query);
    assert_eq!(code(read(json!({}))), "not-found");
    assert_eq!(code(read(json!({"version": "2"}))), "not-found");
    assert_eq!(read(json!({"version": "1"})).unwrap()["data"], json!({"user": "x"}));
    assert_eq!(code(host.post::<Kv>("delete", "apps/db", json!({}))), "not-found");
    assert_eq!(host.post::<Kv>("update", "apps/db", json!({"data": {"n": 3}})).unwrap()["version"], 3);
    assert_eq!(data(&host), json!({"n": 3}));
}

#[test]
fn a_body_that_is_not_as_it_should_be_is_told_where() {
    let host = with_secret();
    for (operation, body, at, code) in [
        ("create", json!({}), "/data", "missing"),
        ("create", json!({"data": []}), "/data", "wrong_type"),
        ("create", json!({"data": {}, "expected_version": 0}), "/expected_version", "unknown_member"),
        ("create", json!({"data": {}, "ttl": 0}), "/ttl", "out_of_range"),
        ("create", json!({"data": {}, "ttl": "soon"}), "/ttl", "wrong_type"),
        ("create", json!({"data": {}, "ttl": 1.5}), "/ttl", "wrong_type"),
        ("create", json!({"data": {}, "metadata": "x"}), "/metadata", "wrong_type"),
        ("create", json!({"data": {}, "metadata": {"x": "y".repeat(20_000)}}), "/metadata", "out_of_range"),
        ("update", json!({"value": "x"}), "/value", "unknown_member"),
        ("update", json!({"data": {}, "expected_version": -1}), "/expected_version", "out_of_range"),
        ("update", json!({"data": {}, "expected_version": "1"}), "/expected_version", "wrong_type"),
        ("patch", json!({"data": {}, "x": 1}), "/x", "unknown_member"),
        ("delete", json!({"x": "1"}), "/x", "unknown_member"),
        ("read", json!({"version": "one"}), "/version", "wrong_type"),
        ("read", json!({"x": "1"}), "/x", "unknown_member"),
        ("list", json!({"limit": "0"}), "/limit", "out_of_range"),
        ("list", json!({"limit": "1001"}), "/limit", "out_of_range"),
        ("list", json!({"recursive": "yes"}), "/recursive", "wrong_type"),
        ("history", json!({"x": "1"}), "/x", "unknown_member"),
        ("metadata", json!({"owner": "x"}), "/owner", "unknown_member"),
        ("restore", json!({}), "/version", "missing"),
        ("restore", json!({"version": 9}), "/version", "not_found"),
        ("destroy", json!({"versions": [1, 9]}), "/versions/1", "not_found"),
        ("destroy", json!({"versions": []}), "/versions", "out_of_range"),
        ("purge", json!({"sure": true}), "/sure", "unknown_member"),
    ] {
        let path = if operation == "create" { "new" } else { "apps/db" };
        let before = host.keys();
        assert_eq!(
            problem(host.post::<Kv>(operation, path, body.clone())),
            (at.into(), code.into()),
            "{operation} {body}"
        );
        assert_eq!(host.keys(), before);
    }
}

#[test]
fn data_beyond_a_mebibyte_is_too_large_however_it_grew() {
    let host = with_secret();
    let half = "x".repeat(700_000);
    host.post::<Kv>("patch", "apps/db", json!({"data": {"a": half}})).unwrap();
    assert_eq!(code(host.post::<Kv>("patch", "apps/db", json!({"data": {"b": half}}))), "too-large");
    assert_eq!(data(&host)["b"], Value::Null);
}

#[test]
fn versions_that_take_up_too_much_together_are_dropped_with_a_warning() {
    let host = Host::new();
    let data = json!({"x": "x".repeat(1_000_000)});
    for version in 1..=9 {
        let answer = host.handle::<Kv>("update", "s", json!({"data": data, "ttl": 60 + version})).unwrap();
        assert_eq!(answer.warnings.len(), usize::from(version > 6), "{version}");
    }
    host.post::<Kv>("destroy", "s", json!({"versions": [9]})).unwrap();
    assert_eq!(host.handle::<Kv>("update", "s", json!({"data": data})).unwrap().warnings.len(), 0);
    let versions = host.get::<Kv>("history", "s", json!({})).unwrap()["versions"].clone();
    assert_eq!(
        versions.as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect::<Vec<_>>(),
        [10, 9, 8, 7, 6, 5, 4]
    );
}

#[test]
fn the_loser_of_a_race_sees_what_the_winner_has_done() {
    let host = with_secret();
    let update = |host: &Host, body: Value| host.post::<Kv>("update", "apps/db", body);
    host.meanwhile(move |host| drop(update(host, json!({"data": {"who": "first"}})).unwrap()));
    assert_eq!(update(&host, json!({"data": {"who": "second"}})).unwrap()["version"], 3);
    host.meanwhile(move |host| drop(update(host, json!({"data": {}})).unwrap()));
    assert_eq!(code(update(&host, json!({"data": {}, "expected_version": 3}))), "conflict");
    host.meanwhile(|host| drop(host.post::<Kv>("create", "new", json!({"data": {"who": "first"}})).unwrap()));
    assert_eq!(code(host.post::<Kv>("create", "new", json!({"data": {}}))), "exists");
    host.meanwhile(|host| drop(host.post::<Kv>("purge", "new", json!({})).unwrap()));
    assert_eq!(code(host.post::<Kv>("patch", "new", json!({"data": {}}))), "not-found");
}

#[test]
fn a_read_that_lost_its_version_to_a_trim_reads_again() {
    let host = Host::new();
    host.set_config(json!({"max_versions": 1}));
    host.post::<Kv>("create", "s", json!({"data": {"n": 1}})).unwrap();
    host.meanwhile(|host| drop(host.post::<Kv>("update", "s", json!({"data": {"n": 2}})).unwrap()));
    assert_eq!(host.get::<Kv>("read", "s", json!({})).unwrap()["data"], json!({"n": 2}));
}

#[test]
fn an_unknown_verb_or_the_mount_itself_is_unsupported() {
    let host = Host::new();
    assert_eq!(code(host.post::<Kv>("encrypt", "s", json!({}))), "unsupported");
    assert_eq!(code(host.get::<Kv>("read", "", json!({}))), "unsupported");
}

#[test]
fn storage_that_is_away_is_unavailable_not_absent() {
    let host = with_secret();
    host.set_storage_away(true);
    assert_eq!(code(host.get::<Kv>("read", "apps/db", json!({}))), "unavailable");
    assert_eq!(code(host.get::<Kv>("list", "", json!({}))), "unavailable");
}

#[test]
fn a_configuration_out_of_range_does_not_go_live() {
    let host = Host::new();
    assert_eq!(host.check::<Kv>().unwrap(), Vec::<String>::new());
    for (config, at) in [
        (json!({"max_versions": 0}), "/max_versions"),
        (json!({"max_versions": 101}), "/max_versions"),
        (json!({"max_versions": "3"}), "/max_versions"),
        (json!({"versions": 3}), "/versions"),
    ] {
        host.set_config(config);
        assert_eq!(host.check::<Kv>().unwrap_err().problems[0].at, at);
    }
}
