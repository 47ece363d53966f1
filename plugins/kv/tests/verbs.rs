//! The verbs, and listing.

use coffer_plugin_kv::Kv;
use coffer_plugin_sdk::{
    Result,
    serde_json::{Value, json},
    testing::Host,
};

fn code(result: Result<Value>) -> String {
    result.unwrap_err().code
}

/// `s` with three versions, `{"n": 1}` to `{"n": 3}`.
fn with_versions() -> Host {
    let host = Host::new();
    host.set_principal(Some(("usr_ada", "ada")));
    for n in 1..=3 {
        host.post::<Kv>("update", "s", json!({"data": {"n": n}})).unwrap();
        host.advance_ms(1000);
    }
    host
}

fn read(host: &Host, query: Value) -> Result<Value> {
    host.get::<Kv>("read", "s", query).map(|answer| answer["data"]["n"].clone())
}

#[test]
fn the_history_tells_of_every_version_that_is_kept() {
    let host = with_versions();
    host.post::<Kv>("destroy", "s", json!({"versions": [1]})).unwrap();
    host.post::<Kv>("delete", "s", json!({})).unwrap();
    let version = |version: u64, second: u64, deleted: Option<&str>, destroyed: bool| {
        json!({"version": version, "created_at": format!("2026-01-01T00:15:0{second}.000Z"), "created_by": "usr_ada",
            "deleted_at": deleted, "destroyed": destroyed})
    };
    assert_eq!(
        host.get::<Kv>("history", "s", json!({})).unwrap(),
        json!({
            "versions": [version(3, 2, Some("2026-01-01T00:15:03.000Z"), false), version(2, 1, None, false), version(1, 0, None, true)],
            "created_at": "2026-01-01T00:15:00.000Z", "updated_at": "2026-01-01T00:15:03.000Z", "expires_at": null,
        })
    );
    assert_eq!(code(host.get::<Kv>("history", "none", json!({}))), "not-found");
}

#[test]
fn metadata_is_asked_by_get_and_merged_by_post() {
    let host = with_versions();
    let post = |metadata: Value| host.post::<Kv>("metadata", "s", json!({"metadata": metadata}));
    post(json!({"owner": "web", "deep": {"a": 1, "b": 2}})).unwrap();
    host.advance_ms(1000);
    let answer = post(json!({"owner": null, "deep": {"b": null}})).unwrap();
    let expected = json!({"metadata": {"deep": {"a": 1}}, "version": 3, "updated_at": "2026-01-01T00:15:04.000Z", "expires_at": null});
    assert_eq!(answer, expected);
    assert_eq!(host.get::<Kv>("metadata", "s", json!({})).unwrap(), expected);
    assert_eq!(code(host.get::<Kv>("metadata", "none", json!({}))), "not-found");
    // Each fits, both do not.
    post(json!({"x": "x".repeat(9000)})).unwrap();
    let error = post(json!({"y": "y".repeat(9000)})).unwrap_err();
    assert_eq!(error.problems[0].at, "/metadata");
}

#[test]
fn restore_makes_a_new_version_of_an_old_one() {
    let host = with_versions();
    assert_eq!(host.post::<Kv>("restore", "s", json!({"version": 1})).unwrap()["version"], 4);
    assert_eq!(read(&host, json!({})).unwrap(), 1);
    host.post::<Kv>("delete", "s", json!({})).unwrap();
    assert_eq!(code(host.post::<Kv>("restore", "s", json!({"version": 4}))), "invalid");
    assert_eq!(host.post::<Kv>("restore", "s", json!({"version": 2})).unwrap()["version"], 5);
    assert_eq!(read(&host, json!({})).unwrap(), 2);
    assert_eq!(code(host.post::<Kv>("restore", "none", json!({"version": 2}))), "not-found");
}

#[test]
fn what_restore_pushes_out_may_be_what_it_restores() {
    let host = with_versions();
    host.set_config(json!({"max_versions": 3}));
    assert_eq!(host.post::<Kv>("restore", "s", json!({"version": 1})).unwrap()["version"], 4);
    assert_eq!(read(&host, json!({})).unwrap(), 1);
    assert_eq!(host.keys(), ["data/s/2", "data/s/3", "data/s/4", "live/s"]);
}

#[test]
fn undelete_takes_a_deletion_back() {
    let host = with_versions();
    host.post::<Kv>("delete", "s", json!({})).unwrap();
    assert_eq!(host.keys().last().unwrap(), "gone/s");
    assert_eq!(host.post::<Kv>("undelete", "s", json!({})).unwrap()["version"], 3);
    assert_eq!(read(&host, json!({})).unwrap(), 3);
    assert_eq!(host.post::<Kv>("undelete", "s", json!({})).unwrap()["version"], 3);
    assert_eq!(code(host.post::<Kv>("undelete", "none", json!({}))), "not-found");
}

#[test]
fn a_version_deleted_and_written_over_is_brought_back_by_name() {
    let host = with_versions();
    host.post::<Kv>("delete", "s", json!({})).unwrap();
    host.post::<Kv>("update", "s", json!({"data": {"n": 4}})).unwrap();
    assert_eq!(code(read(&host, json!({"version": "3"}))), "not-found");
    host.post::<Kv>("undelete", "s", json!({"version": 3})).unwrap();
    assert_eq!(read(&host, json!({"version": "3"})).unwrap(), 3);
    assert_eq!(host.post::<Kv>("undelete", "s", json!({"version": 9})).unwrap_err().problems[0].at, "/version");
}

#[test]
fn what_is_destroyed_cannot_be_had_again() {
    let host = with_versions();
    assert_eq!(host.post::<Kv>("destroy", "s", json!({"versions": [1, 3]})).unwrap(), json!({"versions": [1, 3]}));
    assert_eq!(host.keys(), ["data/s/2", "gone/s"]);
    host.post::<Kv>("destroy", "s", json!({"versions": [3, 3]})).unwrap();
    for query in [json!({}), json!({"version": "1"}), json!({"version": "3"})] {
        assert_eq!(code(read(&host, query)), "not-found");
    }
    assert_eq!(read(&host, json!({"version": "2"})).unwrap(), 2);
    assert_eq!(code(host.post::<Kv>("undelete", "s", json!({}))), "not-found");
    assert_eq!(code(host.post::<Kv>("restore", "s", json!({"version": 1}))), "invalid");
    assert_eq!(code(host.post::<Kv>("create", "s", json!({"data": {}}))), "exists");
    assert_eq!(host.post::<Kv>("update", "s", json!({"data": {"n": 4}})).unwrap()["version"], 4);
    assert_eq!(read(&host, json!({})).unwrap(), 4);
}

#[test]
fn nothing_is_left_of_what_is_purged() {
    let host = with_versions();
    host.post::<Kv>("create", "s/3", json!({"data": {}})).unwrap();
    host.post::<Kv>("destroy", "s", json!({"versions": [1]})).unwrap();
    host.post::<Kv>("delete", "s", json!({})).unwrap();
    assert_eq!(host.post::<Kv>("purge", "s", json!({})).unwrap(), json!({}));
    assert_eq!(host.keys(), ["data/s/3/1", "live/s/3"]);
    assert_eq!(code(host.post::<Kv>("purge", "s", json!({}))), "not-found");
}

fn with_tree() -> Host {
    let host = Host::new();
    for path in ["apps", "apps/web", "apps/web/db", "apps/web/cache", "apps-2", "z", "gone/a", "ends/a"] {
        host.post::<Kv>("create", path, json!({"data": {}, "metadata": {"at": path}})).unwrap();
    }
    host.post::<Kv>("delete", "gone/a", json!({})).unwrap();
    host.post::<Kv>("patch", "ends/a", json!({"ttl": 1})).unwrap();
    host.advance_ms(1000);
    host
}

fn names(page: &Value) -> (Vec<&str>, Vec<&str>) {
    let entries = page["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap());
    let folders = page["folders"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    (entries.collect(), folders.collect())
}

#[test]
fn a_folder_lists_its_secrets_and_folders_that_hold_some() {
    let host = with_tree();
    let page = host.get::<Kv>("list", "", json!({})).unwrap();
    assert_eq!(names(&page), (vec!["apps", "apps-2", "z"], vec!["apps/"]));
    assert_eq!(page["next"], Value::Null);
    assert_eq!(
        page["entries"][0],
        json!({"name": "apps", "version": 1, "metadata": {"at": "apps"}, "updated_at": "2026-01-01T00:15:00.000Z", "expires_at": null})
    );
    for path in ["apps", "apps/"] {
        assert_eq!(names(&host.get::<Kv>("list", path, json!({})).unwrap()), (vec!["web"], vec!["web/"]));
    }
    assert_eq!(names(&host.get::<Kv>("list", "none", json!({})).unwrap()), (vec![], vec![]));
}

#[test]
fn a_recursive_listing_tells_of_everything_below() {
    let host = with_tree();
    let page = host.get::<Kv>("list", "apps/", json!({"recursive": "true"})).unwrap();
    assert_eq!(names(&page), (vec!["web", "web/cache", "web/db"], vec![]));
    let page = host.get::<Kv>("list", "", json!({"recursive": true})).unwrap();
    assert_eq!(names(&page).0, ["apps", "apps-2", "apps/web", "apps/web/cache", "apps/web/db", "z"]);
}

#[test]
fn pages_of_any_size_add_up_to_the_whole() {
    let host = with_tree();
    for recursive in [false, true] {
        let whole = host.get::<Kv>("list", "", json!({"recursive": recursive})).unwrap();
        for limit in 1..=8 {
            let (mut entries, mut folders, mut after) = (Vec::new(), Vec::new(), None::<String>);
            loop {
                let query = json!({"recursive": recursive, "limit": limit, "after": after});
                let page = host.get::<Kv>("list", "", query).unwrap();
                let told = page["entries"].as_array().unwrap().len() + page["folders"].as_array().unwrap().len();
                assert!(told <= limit);
                entries.extend(page["entries"].as_array().unwrap().clone());
                folders.extend(page["folders"].as_array().unwrap().clone());
                match page["next"].as_str() {
                    Some(next) => after = Some(next.to_owned()),
                    None => break,
                }
            }
            assert_eq!(
                (Value::from(entries), Value::from(folders)),
                (whole["entries"].clone(), whole["folders"].clone())
            );
        }
    }
}

#[test]
fn a_page_of_long_metadata_ends_early_and_goes_on() {
    let host = Host::new();
    for n in 0..60 {
        let metadata = json!({"long": "x".repeat(16_000)});
        host.post::<Kv>("create", &format!("s{n:02}"), json!({"data": {}, "metadata": metadata})).unwrap();
    }
    let first = host.get::<Kv>("list", "", json!({})).unwrap();
    assert!(first.to_string().len() < 600_000);
    let rest = host.get::<Kv>("list", "", json!({"after": first["next"]})).unwrap();
    assert_eq!(names(&first).0.len() + names(&rest).0.len(), 60);
    assert_eq!(rest["next"], Value::Null);
}
