use coffer_plugin_sdk::{Step, serde_json::json, testing::Host};
use {{crate}}::Plugin;

#[test]
fn who_has_no_pin_is_refused() {
    let host = Host::new();
    host.set_login_user(Some("ada"));
    let refused = host.login::<Plugin>(json!({ "username": "ada", "pin": "4711" })).err().unwrap();
    assert_eq!(refused.code, "denied");
}

#[test]
fn who_has_set_a_pin_logs_in_with_it_and_with_no_other() {
    let host = Host::new();
    host.enroll::<Plugin>("ada", None, json!({ "pin": "4711" })).unwrap();
    host.set_login_user(Some("ada"));
    let login = |pin: &str| host.login::<Plugin>(json!({ "username": "ada", "pin": pin }));
    assert!(matches!(login("4711"), Ok(Step::Identity(identity)) if identity.subject == "ada"));
    assert_eq!(login("4712").err().unwrap().code, "denied");
}
