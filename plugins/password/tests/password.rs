use coffer_plugin_password::Password;
use coffer_plugin_sdk::{
    Result, Step,
    serde_json::{Value, json},
    testing::Host,
};

const ADA: &str = "usr_ada";

fn with_ada() -> Host {
    let host = Host::new();
    assert_eq!(host.enroll::<Password>(ADA, None, json!({"password": "right"})).unwrap(), Value::Null);
    host.set_login_user(Some(ADA));
    host
}

fn login(host: &Host, password: &str) -> Result<coffer_plugin_sdk::Identity> {
    match host.login::<Password>(json!({"username": "ada", "password": password}))? {
        Step::Identity(identity) => Ok(identity),
        Step::Challenge(_) => panic!("a password asks nothing"),
    }
}

fn code<T>(result: Result<T>) -> String {
    result.err().expect("must be refused").code
}

#[test]
fn the_right_password_proves_the_hosts_own_user() {
    let host = with_ada();
    let identity = login(&host, "right").unwrap();
    assert_eq!((identity.subject.as_str(), identity.groups.len(), identity.limits.renewable), (ADA, 0, true));
    assert!(!String::from_utf8(identity.internal).unwrap().contains("right"));
}

#[test]
fn a_wrong_password_an_unknown_user_and_one_without_a_password_cost_the_same() {
    let host = with_ada();
    let before = host.password_work();
    for user in [Some(ADA), None, Some("usr_bob")] {
        host.set_login_user(user);
        assert_eq!(code(login(&host, "wrong")), "denied");
        assert_eq!(host.take_log(), Vec::<String>::new());
    }
    assert_eq!(host.password_work(), before + 3);
    host.set_login_user(None);
    assert_eq!(code(login(&host, "right")), "denied");
}

#[test]
fn a_login_that_is_not_one_is_told_where() {
    let host = with_ada();
    for (body, at) in [
        (json!({}), "/password"),
        (json!({"username": "ada"}), "/password"),
        (json!({"password": "right"}), "/username"),
        (json!({"username": "ada", "password": 1}), "/password"),
        (json!({"username": null, "password": "right"}), "/username"),
        (json!({"username": "ada", "password": "right", "otp": "1"}), "/otp"),
    ] {
        let error = host.login::<Password>(body.clone()).err().unwrap();
        // Which of two missing members is named is not ours to say.
        assert!(error.code == "invalid" && (error.problems[0].at == at || body == json!({})), "{body}");
    }
    // Ada's, and nobody's.
    assert_eq!(host.password_work(), 2);
}

#[test]
fn a_hash_of_older_parameters_is_made_anew_at_login() {
    let host = with_ada();
    let before = host.stored("user/usr_ada").unwrap();
    host.raise_password_cost();
    let identity = login(&host, "right").unwrap();
    let after = host.stored("user/usr_ada").unwrap();
    assert_ne!(before["phc"], after["phc"]);
    assert_eq!((&before["generation"], &before["updated_at"]), (&after["generation"], &after["updated_at"]));
    assert_eq!(code(login(&host, "wrong")), "denied");
    login(&host, "right").unwrap();
    assert_eq!(host.stored("user/usr_ada").unwrap(), after);
    host.refresh::<Password>(&identity.internal).unwrap();
}

#[test]
fn a_password_is_replaced_and_keeps_its_birthday() {
    let host = with_ada();
    host.advance_ms(1000);
    host.enroll::<Password>(ADA, Some("password"), json!({"password": "newer"})).unwrap();
    assert_eq!(
        host.credentials::<Password>(ADA).unwrap(),
        json!([{"id": "password", "created_at": "2026-01-01T00:15:00.000Z", "updated_at": "2026-01-01T00:15:01.000Z"}])
    );
    assert_eq!(code(login(&host, "right")), "denied");
    login(&host, "newer").unwrap();
}

#[test]
fn what_cannot_be_a_password_is_refused() {
    let host = Host::new();
    for (id, body, at, code) in [
        (None, json!({}), "/password", "missing"),
        (None, json!({"password": ["x"]}), "/password", "wrong_type"),
        (None, json!({"password": ""}), "/password", "out_of_range"),
        (None, json!({"password": "x".repeat(4097)}), "/password", "out_of_range"),
        (None, json!({"password": "x", "hint": "y"}), "/hint", "unknown_member"),
        (Some("second"), json!({"password": "x"}), "", "invalid_value"),
    ] {
        let error = host.enroll::<Password>(ADA, id, body).unwrap_err();
        assert_eq!((error.problems[0].at.as_str(), error.problems[0].code.as_str()), (at, code));
    }
    assert!(host.keys().is_empty());
    assert_eq!(host.password_work(), 0);
    assert_eq!(host.credentials::<Password>(ADA).unwrap(), json!([]));
}

#[test]
fn verify_says_yes_or_no_and_makes_no_difference() {
    let host = with_ada();
    let verify =
        |subject: &str, password: &str| host.verify::<Password>(subject, json!({"password": password})).unwrap();
    let (before, work) = (host.stored("user/usr_ada"), host.password_work());
    assert_eq!([verify(ADA, "right"), verify(ADA, "wrong"), verify("usr_bob", "right")], [true, false, false]);
    assert_eq!((host.stored("user/usr_ada"), host.password_work()), (before, work + 3));
}

#[test]
fn a_session_is_renewed_only_while_its_password_stands() {
    let host = with_ada();
    let first = login(&host, "right").unwrap();
    assert_eq!(host.refresh::<Password>(&first.internal).unwrap().subject, ADA);
    // The very same password, set again, is another credential.
    host.enroll::<Password>(ADA, None, json!({"password": "right"})).unwrap();
    assert_eq!(code(host.refresh::<Password>(&first.internal)), "denied");
    let second = login(&host, "right").unwrap();
    host.remove::<Password>(ADA, None).unwrap();
    assert_eq!(code(host.refresh::<Password>(&second.internal)), "denied");
    host.enroll::<Password>(ADA, None, json!({"password": "right"})).unwrap();
    assert_eq!(code(host.refresh::<Password>(&second.internal)), "denied");
    assert_eq!(code(host.refresh::<Password>(b"not ours")), "denied");
}

#[test]
fn remove_is_idempotent_and_takes_only_what_it_names() {
    let host = with_ada();
    host.remove::<Password>(ADA, Some("other")).unwrap();
    assert_eq!(host.keys(), ["user/-", "user/usr_ada"]);
    host.remove::<Password>(ADA, Some("password")).unwrap();
    host.remove::<Password>(ADA, Some("password")).unwrap();
    host.remove::<Password>(ADA, None).unwrap();
    // Nobody's stays.
    assert_eq!(host.keys(), ["user/-"]);
    assert_eq!(code(login(&host, "right")), "denied");
}

#[test]
fn a_password_changed_under_a_login_is_the_one_that_counts() {
    let host = with_ada();
    host.meanwhile(|host| drop(host.enroll::<Password>(ADA, None, json!({"password": "newer"}))));
    assert_eq!(code(login(&host, "right")), "denied");
    host.meanwhile(|host| host.remove::<Password>(ADA, None).unwrap());
    assert_eq!(code(login(&host, "newer")), "denied");
}

#[test]
fn a_name_of_nobody_is_compared_with_a_hash_like_anybodys() {
    let host = with_ada();
    let nobody = host.stored("user/-").expect("an entry of nobody's");
    let ada = host.stored(&format!("user/{ADA}")).expect("an entry");
    let members = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((members(&nobody), nobody.to_string().len()), (members(&ada), ada.to_string().len()));
    // There is one, whoever comes after.
    assert_eq!(host.enroll::<Password>("usr_bob", None, json!({"password": "other"})).unwrap(), Value::Null);
    assert_eq!(host.stored("user/-"), Some(nobody));
}
