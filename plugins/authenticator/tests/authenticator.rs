use coffer_otp::{Otpauth, Shape};
use coffer_plugin_authenticator::Authenticator;
use coffer_plugin_sdk::{
    Challenge, Identity, Result, Step,
    serde_json::{self, Value, json},
    testing::Host,
};

const ADA: &str = "usr_ada";

/// A user who has confirmed an app: its URL.
fn enrolled(host: &Host) -> (Otpauth, String) {
    let made = host.enroll::<Authenticator>(ADA, None, json!({ "label": "phone" })).unwrap();
    let (url, id) = (Otpauth::parse(made["url"].as_str().unwrap()).unwrap(), made["id"].as_str().unwrap().to_owned());
    host.enroll::<Authenticator>(ADA, Some(&id), json!({ "code": code(host, &url, 0) })).unwrap();
    host.set_login_user(Some(ADA));
    host.advance_ms(90_000);
    (url, id)
}

fn code(host: &Host, url: &Otpauth, ahead: i64) -> String {
    url.shape.code(&url.seed, url.shape.step(host.now().millis()).checked_add_signed(ahead).unwrap())
}

fn asked(step: Step) -> (Challenge, Value) {
    match step {
        Step::Challenge(challenge) => {
            let details = serde_json::from_slice(&challenge.details).unwrap();
            (challenge, details)
        }
        Step::Identity(_) => panic!("it asks for a code"),
    }
}

fn proven(step: Result<Step>) -> Identity {
    match step.unwrap() {
        Step::Identity(identity) => identity,
        Step::Challenge(_) => panic!("it has the code"),
    }
}

fn refused<T>(result: Result<T>) -> String {
    result.err().expect("must be refused").code
}

#[test]
fn a_login_is_asked_for_a_code_and_proves_the_user_it_is_about() {
    let host = Host::new();
    let (url, _) = enrolled(&host);
    let (challenge, details) = asked(host.login::<Authenticator>(json!({})).unwrap());
    assert_eq!(
        (challenge.kind.as_str(), &details["member"], &details["wrong"]),
        ("prompt", &json!("code"), &json!(false))
    );
    let identity = proven(host.resume::<Authenticator>(&challenge.state, json!({ "code": code(&host, &url, 0) })));
    assert_eq!(identity.subject, ADA);
    assert_eq!(host.refresh::<Authenticator>(&identity.internal).unwrap().subject, ADA);
}

#[test]
fn it_is_nobodys_first_factor() {
    let host = Host::new();
    let (url, _) = enrolled(&host);
    host.set_login_user(None);
    for body in [json!({}), json!({ "code": code(&host, &url, 0) })] {
        assert_eq!(refused(host.login::<Authenticator>(body)), "denied");
    }
}

#[test]
fn a_code_is_good_once_even_for_two_logins_at_once() {
    let host = Host::new();
    let (url, _) = enrolled(&host);
    let (challenge, _) = asked(host.login::<Authenticator>(json!({})).unwrap());
    let answer = json!({ "code": code(&host, &url, 0) });
    let (state, same) = (challenge.state.clone(), answer.clone());
    host.meanwhile(move |host| drop(proven(host.resume::<Authenticator>(&state, same))));
    let (_, details) = asked(host.resume::<Authenticator>(&challenge.state, answer).unwrap());
    assert_eq!(details["wrong"], true);
    // Nor is one of a period before.
    asked(host.resume::<Authenticator>(&challenge.state, json!({ "code": code(&host, &url, -1) })).unwrap());
    proven(host.resume::<Authenticator>(&challenge.state, json!({ "code": code(&host, &url, 1) })));
}

#[test]
fn a_challenge_of_one_user_is_answered_by_nobody_else() {
    let host = Host::new();
    let (url, _) = enrolled(&host);
    let (challenge, _) = asked(host.login::<Authenticator>(json!({})).unwrap());
    for other in [None, Some("usr_bob")] {
        host.set_login_user(other);
        let answer = json!({ "code": code(&host, &url, 0) });
        assert_eq!(refused(host.resume::<Authenticator>(&challenge.state, answer)), "denied");
    }
    host.set_login_user(Some(ADA));
    assert_eq!(refused(host.resume::<Authenticator>(b"{}", json!({ "code": "1" }))), "denied");
}

#[test]
fn a_new_app_counts_from_its_first_right_code() {
    let host = Host::new();
    host.set_principal(Some((ADA, "ada")));
    let made = host.enroll::<Authenticator>(ADA, None, json!({})).unwrap();
    let url = Otpauth::parse(made["url"].as_str().unwrap()).unwrap();
    assert_eq!((url.issuer.as_str(), url.account.as_str(), url.shape), ("Coffer", "ada", Shape::default()));
    let id = made["id"].as_str().unwrap();
    host.set_login_user(Some(ADA));
    assert_eq!(refused(host.login::<Authenticator>(json!({ "code": code(&host, &url, 0) }))), "denied");
    assert_eq!(host.credentials::<Authenticator>(ADA).unwrap()[0]["pending"], true);
    let wrong = host.enroll::<Authenticator>(ADA, Some(id), json!({ "code": "000000" })).unwrap_err();
    assert_eq!((wrong.problems[0].at.as_str(), wrong.problems[0].code.as_str()), ("/code", "wrong_code"));
    let right = code(&host, &url, 0);
    host.enroll::<Authenticator>(ADA, Some(id), json!({ "code": right })).unwrap();
    assert_eq!(host.credentials::<Authenticator>(ADA).unwrap()[0]["pending"], false);
    // The code that confirmed it is spent.
    asked(host.login::<Authenticator>(json!({ "code": right })).unwrap());
    proven(host.login::<Authenticator>(json!({ "code": code(&host, &url, 1) })));
    assert!(!host.credentials::<Authenticator>(ADA).unwrap().to_string().contains(&url.seed.text()));
}

#[test]
fn an_app_that_is_not_confirmed_is_forgotten() {
    let host = Host::new();
    let made = host.enroll::<Authenticator>(ADA, None, json!({})).unwrap();
    host.advance_ms(15 * 60_000);
    assert_eq!(host.credentials::<Authenticator>(ADA).unwrap(), json!([]));
    let late = host.enroll::<Authenticator>(ADA, made["id"].as_str(), json!({ "code": "1" })).unwrap_err();
    assert_eq!(late.problems[0].code, "not_found");
}

#[test]
fn who_guesses_waits_longer_each_time() {
    let host = Host::new();
    let (url, _) = enrolled(&host);
    let guess = |code: &str| host.login::<Authenticator>(json!({ "code": code }));
    for _ in 0..5 {
        asked(guess("000000").unwrap());
    }
    for wait in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 960_000] {
        let right = code(&host, &url, 0);
        let error = guess(&right).err().unwrap();
        assert_eq!((error.code.as_str(), error.retry_after_ms), ("rate-limited", Some(wait)));
        host.advance_ms(u64::from(wait) - 1);
        assert_eq!(refused(guess("000000")), "rate-limited");
        assert_eq!(refused(host.verify::<Authenticator>(ADA, json!({ "code": "000000" }))), "rate-limited");
        host.advance_ms(1);
        asked(guess("000000").unwrap());
    }
    host.advance_ms(960_000);
    proven(guess(&code(&host, &url, 0)));
    asked(guess("000000").unwrap());
}

#[test]
fn a_recovery_code_is_good_once_and_goes_with_the_last_app() {
    let host = Host::new();
    let early = host.enroll::<Authenticator>(ADA, None, json!({ "recovery": true })).unwrap_err();
    assert_eq!(early.problems[0].at, "/recovery");
    let (_, id) = enrolled(&host);
    let made = host.enroll::<Authenticator>(ADA, None, json!({ "recovery": true })).unwrap();
    let codes: Vec<String> = serde_json::from_value(made["codes"].clone()).unwrap();
    assert_eq!((codes.len(), codes[0].len()), (10, 19));
    let typed = codes[3].replace('-', " ").to_uppercase();
    proven(host.login::<Authenticator>(json!({ "code": typed })));
    asked(host.login::<Authenticator>(json!({ "code": codes[3] })).unwrap());
    let told = host.credentials::<Authenticator>(ADA).unwrap();
    assert_eq!((&told[1]["id"], &told[1]["left"]), (&json!("recovery"), &json!(9)));
    // New ones put the old ones out of use.
    host.enroll::<Authenticator>(ADA, None, json!({ "recovery": true })).unwrap();
    asked(host.login::<Authenticator>(json!({ "code": codes[4] })).unwrap());
    host.remove::<Authenticator>(ADA, Some(&id)).unwrap();
    assert_eq!(host.credentials::<Authenticator>(ADA).unwrap(), json!([]));
}

#[test]
fn any_of_several_apps_will_do_and_a_removed_one_will_not() {
    let host = Host::new();
    let (phone, phone_id) = enrolled(&host);
    let (tablet, _) = enrolled(&host);
    assert!(host.verify::<Authenticator>(ADA, json!({ "code": code(&host, &phone, 0) })).unwrap());
    assert!(host.verify::<Authenticator>(ADA, json!({ "code": code(&host, &tablet, 0) })).unwrap());
    assert!(!host.verify::<Authenticator>(ADA, json!({ "code": code(&host, &tablet, 0) })).unwrap());
    host.remove::<Authenticator>(ADA, Some("none")).unwrap();
    host.remove::<Authenticator>(ADA, Some(&phone_id)).unwrap();
    host.remove::<Authenticator>(ADA, Some(&phone_id)).unwrap();
    host.advance_ms(90_000);
    assert!(!host.verify::<Authenticator>(ADA, json!({ "code": code(&host, &phone, 0) })).unwrap());
    let identity = proven(host.login::<Authenticator>(json!({ "code": code(&host, &tablet, 0) })));
    host.remove::<Authenticator>(ADA, None).unwrap();
    host.remove::<Authenticator>(ADA, None).unwrap();
    assert!(host.keys().is_empty());
    assert_eq!(refused(host.login::<Authenticator>(json!({}))), "denied");
    assert_eq!(refused(host.refresh::<Authenticator>(&identity.internal)), "denied");
    assert_eq!(refused(host.refresh::<Authenticator>(b"junk")), "denied");
    assert!(!host.verify::<Authenticator>(ADA, json!({ "code": code(&host, &tablet, 1) })).unwrap());
}

#[test]
fn what_cannot_be_enrolled_is_refused() {
    let host = Host::new();
    for (id, body, at) in [
        (None, json!({ "label": "" }), "/label"),
        (None, json!({ "account": "x".repeat(101) }), "/account"),
        (None, json!({ "code": "123456" }), "/code"),
        (Some("x"), json!({}), "/code"),
        (Some("x"), json!({ "code": "123456" }), "/id"),
        (None, json!({ "seed": "x" }), "/seed"),
    ] {
        let error = host.enroll::<Authenticator>(ADA, id, body.clone()).unwrap_err();
        assert_eq!(error.problems[0].at, at, "{body}");
    }
    assert!(host.keys().is_empty());
    for _ in 0..8 {
        host.enroll::<Authenticator>(ADA, None, json!({})).unwrap();
    }
    assert_eq!(host.enroll::<Authenticator>(ADA, None, json!({})).unwrap_err().problems[0].code, "too_many");
}
