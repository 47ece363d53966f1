use coffer_plugin_sdk::{serde_json::json, testing::Host};
use {{crate}}::Plugin;

#[test]
fn who_has_no_pin_is_refused() {
    let host = Host::new();
    host.set_login_user(Some("ada"));
    let refused = host.login::<Plugin>(json!({ "username": "ada", "pin": "1234" })).err().unwrap();
    assert_eq!(refused.code, "denied");
}
