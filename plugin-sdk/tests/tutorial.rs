//! What is said of the SDK holds: a secrets engine in ten lines, a password method in twenty-five, whole.

use coffer_plugin_sdk::{serde_json::json, testing::Host};

#[path = "tutorial/hello.rs"]
mod hello;
#[path = "tutorial/pin.rs"]
mod pin;

fn lines(source: &str) -> usize {
    source.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn a_secrets_engine_has_ten_lines() {
    let source = include_str!("tutorial/hello.rs");
    assert!(lines(source) <= 10, "{}", lines(source));
    assert_eq!(Host::new().get::<hello::Hello>("read", "you", json!({})).unwrap(), json!({ "hello": "you" }));
    // It is the one that newcomers read.
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&source.replace("pub struct", "struct")), "README has another one");
}

#[test]
fn a_password_method_has_twenty_five_lines() {
    let source = include_str!("tutorial/pin.rs");
    assert!(lines(source) <= 25, "{}", lines(source));
    let host = Host::new();
    for user in [None, Some("usr_ada")] {
        host.set_login_user(user);
        let refused = host.login::<pin::Pin>(json!({ "username": "ada", "pin": "1234" }));
        assert_eq!(refused.err().map(|error| error.code).as_deref(), Some("denied"));
    }
    assert_eq!(host.password_work(), 2, "an unknown user costs as much as a wrong pin");
}
