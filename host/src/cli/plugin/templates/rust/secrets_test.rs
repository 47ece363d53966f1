use coffer_plugin_sdk::{serde_json::json, testing::Host};
use {{crate}}::Plugin;

#[test]
fn it_greets_whom_the_path_names() {
    let host = Host::new();
    host.set_config(json!({ "greeting": "hello" }));
    assert_eq!(host.get::<Plugin>("read", "world", json!({})).unwrap()["said"], "hello world");
}
