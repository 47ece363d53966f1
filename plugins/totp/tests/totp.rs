use coffer_otp::{Otpauth, Seed, Shape};
use coffer_plugin_sdk::{
    serde_json::{Value, json},
    testing::Host,
};
use coffer_plugin_totp::Totp;

const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn create(host: &Host, data: Value) -> Value {
    host.post::<Totp>("create", "k", json!({ "data": data })).unwrap()
}

fn right(host: &Host, seed: &str, ahead: i64) -> String {
    let (shape, seed) = (Shape::default(), Seed::parse(seed).unwrap());
    shape.code(&seed, shape.step(host.now().millis()).checked_add_signed(ahead).unwrap())
}

fn is_valid(host: &Host, code: &str) -> bool {
    host.post::<Totp>("validate", "k", json!({ "code": code })).unwrap()["valid"].as_bool().unwrap()
}

fn problem(host: &Host, operation: &str, body: Value) -> (String, String) {
    let error = host.post::<Totp>(operation, "k", body.clone()).expect_err(&body.to_string());
    let problem = error.problems.first().unwrap_or_else(|| panic!("a problem: {error:?}"));
    (problem.at.clone(), problem.code.clone())
}

#[test]
fn a_seed_that_somebody_gave_out_makes_its_codes_and_is_never_told() {
    let host = Host::new();
    let url = format!("otpauth://totp/GitHub:ada?secret={SEED}&issuer=GitHub");
    let made = create(&host, json!({ "url": url }));
    assert_eq!(made, json!({ "version": 1, "created_at": "2026-01-01T00:15:00.000Z", "expires_at": null }));
    host.advance_ms(10_500);
    let told = host.get::<Totp>("code", "k", json!({})).unwrap();
    assert_eq!(
        told,
        json!({ "code": right(&host, SEED, 0), "expires_at": "2026-01-01T00:15:30.000Z", "seconds_left": 20 })
    );
    let read = host.get::<Totp>("read", "k", json!({})).unwrap();
    assert_eq!(
        read["data"],
        json!({ "issuer": "GitHub", "account": "ada", "algorithm": "sha1", "digits": 6, "period": 30, "drift": 1, "own": false })
    );
    let listed = host.get::<Totp>("list", "", json!({})).unwrap();
    assert_eq!(listed["entries"][0]["name"], "k");
    assert!([made, told, read, listed].iter().all(|answer| !answer.to_string().contains(SEED)));
}

#[test]
fn metadata_is_merged_and_nothing_else_is_changed_so() {
    let host = Host::new();
    let data = json!({ "secret": SEED });
    host.post::<Totp>("create", "k", json!({ "data": data, "metadata": { "for": "web" } })).unwrap();
    assert!(host.stored("key/k").unwrap().get("updated_at").is_none(), "as it was stored before");
    host.advance_ms(1000);
    host.post::<Totp>("patch", "k", json!({ "metadata": { "for": null, "env": "prod" } })).unwrap();
    let read = host.get::<Totp>("read", "k", json!({})).unwrap();
    assert_eq!(
        (&read["metadata"], &read["updated_at"]),
        (&json!({ "env": "prod" }), &json!("2026-01-01T00:15:01.000Z"))
    );
    assert_eq!(read["created_at"], "2026-01-01T00:15:00.000Z");
    let long = json!({ "metadata": { "x": "x".repeat(16 * 1024) } });
    assert_eq!(problem(&host, "patch", long), ("/metadata".into(), "out_of_range".into()));
    assert_eq!(problem(&host, "patch", json!({ "data": { "secret": SEED } })).0, "/data");
}

#[test]
fn a_seed_of_our_own_is_told_once() {
    let host = Host::new();
    let made =
        create(&host, json!({ "issuer": "Shop", "account": "ada@example.com", "digits": 8, "algorithm": "sha256" }));
    let url = Otpauth::parse(made["url"].as_str().unwrap()).unwrap();
    assert_eq!((url.issuer.as_str(), url.account.as_str(), url.shape.digits), ("Shop", "ada@example.com", 8));
    assert_eq!((url.seed.text().as_str(), url.seed.0.len()), (made["secret"].as_str().unwrap(), 20));
    let read = host.get::<Totp>("read", "k", json!({})).unwrap();
    assert!(read["data"]["own"] == true && !read.to_string().contains(&url.seed.text()));
    let code = url.shape.code(&url.seed, url.shape.step(host.now().millis()));
    assert!(is_valid(&host, &code));
}

#[test]
fn a_code_is_good_once_and_takes_those_before_it_along() {
    let host = Host::new();
    create(&host, json!({ "secret": SEED }));
    let (before, now, after) = (right(&host, SEED, -1), right(&host, SEED, 0), right(&host, SEED, 1));
    assert!(is_valid(&host, &now));
    assert!(!is_valid(&host, &now) && !is_valid(&host, &before));
    assert!(is_valid(&host, &after) && !is_valid(&host, &after));
    host.advance_ms(60_000);
    assert!(is_valid(&host, &right(&host, SEED, 0)));
}

#[test]
fn a_code_shown_twice_at_once_is_good_once() {
    let host = Host::new();
    create(&host, json!({ "secret": SEED }));
    let code = right(&host, SEED, 0);
    let same = code.clone();
    host.meanwhile(move |host| assert!(is_valid(host, &same)));
    assert!(!is_valid(&host, &code));
}

#[test]
fn a_clock_may_differ_by_the_drift_and_no_more() {
    for (drift, ahead, valid) in
        [(0, 0, true), (0, 1, false), (0, -1, false), (1, -1, true), (1, 2, false), (2, -2, true), (2, 3, false)]
    {
        let host = Host::new();
        create(&host, json!({ "secret": SEED, "drift": drift }));
        assert_eq!(is_valid(&host, &right(&host, SEED, ahead)), valid, "{drift} {ahead}");
    }
}

#[test]
fn who_guesses_is_slowed_and_the_right_code_opens_again() {
    let host = Host::new();
    create(&host, json!({ "secret": SEED }));
    for code in ["", "1", "12345678901", "x", "０００"] {
        assert!(!is_valid(&host, code));
    }
    // Not even the right one, until the wait is over.
    let error = host.post::<Totp>("validate", "k", json!({ "code": right(&host, SEED, 0) })).unwrap_err();
    assert_eq!((error.code.as_str(), error.retry_after_ms), ("rate-limited", Some(30_000)));
    host.advance_ms(30_000);
    assert!(!is_valid(&host, "x"));
    // Twice as long each time: a guess in thirty seconds would find one in a few months.
    let error = host.post::<Totp>("validate", "k", json!({ "code": right(&host, SEED, 0) })).unwrap_err();
    assert_eq!(error.retry_after_ms, Some(60_000));
    host.advance_ms(60_000);
    assert!(is_valid(&host, &right(&host, SEED, 0)));
    assert!(!is_valid(&host, "x") && is_valid(&host, &right(&host, SEED, 1)));
}

#[test]
fn what_cannot_be_a_seed_is_refused() {
    let host = Host::new();
    for (data, at, code) in [
        (json!({ "url": "https://example.com" }), "/data/url", "invalid_value"),
        (json!({ "url": format!("otpauth://totp/a?secret={SEED}"), "secret": SEED }), "/data/secret", "invalid_value"),
        (json!({ "url": format!("otpauth://totp/a?secret={SEED}"), "digits": 6 }), "/data/digits", "invalid_value"),
        (json!({ "secret": "not base32!" }), "/data/secret", "invalid_value"),
        (json!({ "secret": "AAAA" }), "/data/secret", "invalid_value"),
        (json!({ "digits": 5 }), "/data/digits", "out_of_range"),
        (json!({ "period": 0 }), "/data/period", "out_of_range"),
        (json!({ "algorithm": "md5" }), "/data/algorithm", "invalid_value"),
        (json!({ "drift": 3 }), "/data/drift", "out_of_range"),
        (json!({ "account": "x".repeat(257) }), "/data/account", "out_of_range"),
        (json!({ "value": "x" }), "/data/value", "unknown_member"),
    ] {
        assert_eq!(problem(&host, "create", json!({ "data": data })), (at.to_owned(), code.to_owned()), "{data}");
    }
    assert_eq!(problem(&host, "create", json!({})), ("/data".to_owned(), "missing".to_owned()));
    assert!(host.keys().is_empty());
    create(&host, json!({}));
    assert_eq!(host.post::<Totp>("create", "k", json!({ "data": {} })).unwrap_err().code, "exists");
    assert_eq!(problem(&host, "validate", json!({})), ("/code".to_owned(), "missing".to_owned()));
    assert_eq!(problem(&host, "validate", json!({ "code": 123_456 })), ("/code".to_owned(), "wrong_type".to_owned()));
}

#[test]
fn what_is_removed_is_gone_with_its_history() {
    let host = Host::new();
    create(&host, json!({ "secret": SEED }));
    let code = right(&host, SEED, 0);
    assert!(is_valid(&host, &code));
    host.post::<Totp>("delete", "k", json!({})).unwrap();
    assert!(host.keys().is_empty());
    for operation in ["delete", "validate"] {
        let body = if operation == "validate" { json!({ "code": "1" }) } else { json!({}) };
        assert_eq!(host.post::<Totp>(operation, "k", body).unwrap_err().code, "not-found");
    }
    for operation in ["read", "code"] {
        assert_eq!(host.get::<Totp>(operation, "k", json!({})).unwrap_err().code, "not-found");
    }
    for operation in ["update", "fly"] {
        assert_eq!(host.post::<Totp>(operation, "k", json!({})).unwrap_err().code, "unsupported");
    }
}
