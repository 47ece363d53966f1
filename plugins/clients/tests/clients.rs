use coffer_plugin_clients::Clients;
use coffer_plugin_sdk::{
    Identity, Result, Step,
    serde_json::{Value, json},
    testing::Host,
};

const CI: &str = "usr_ci";

fn with_ci() -> Host {
    let host = Host::new();
    host.set_login_user(Some(CI));
    host
}

fn enroll(host: &Host, wanted: Value) -> (String, String) {
    let made = host.enroll::<Clients>(CI, None, wanted).unwrap();
    (made["id"].as_str().unwrap().to_owned(), made["client_secret"].as_str().unwrap().to_owned())
}

fn login(host: &Host, secret: &str) -> Result<Identity> {
    match host.login::<Clients>(json!({ "client_id": "ci", "client_secret": secret }))? {
        Step::Identity(identity) => Ok(identity),
        Step::Challenge(_) => panic!("a secret asks nothing"),
    }
}

fn is_denied(host: &Host, secret: &str) -> bool {
    login(host, secret).is_err_and(|error| error.code == "denied")
}

#[test]
fn a_secret_proves_the_machine_and_buys_no_refresh_token() {
    let host = with_ci();
    let (id, secret) = enroll(&host, json!({}));
    assert!(secret.starts_with(&format!("cof_c_{id}_")) && secret.len() == 56);
    let identity = login(&host, &secret).unwrap();
    assert_eq!((identity.subject.as_str(), identity.limits.renewable), (CI, false));
    assert_eq!((identity.limits.ttl_seconds, identity.limits.addresses), (None, None));
    host.refresh::<Clients>(&identity.internal).unwrap_err();
}

#[test]
fn a_secret_is_told_once_and_kept_as_a_digest() {
    let host = with_ci();
    let (id, secret) = enroll(&host, json!({ "label": "build" }));
    let random = secret.split('_').nth(3).unwrap();
    let listed = host.credentials::<Clients>(CI).unwrap();
    assert_eq!(
        listed,
        json!([{
            "id": id, "label": "build", "created_at": "2026-01-01T00:15:00.000Z", "updated_at": "2026-01-01T00:15:00.000Z",
            "expires_at": null, "uses_left": null, "addresses": null,
        }])
    );
    let stored = host.stored(&format!("secret/{CI}/{id}")).unwrap();
    assert!(!stored.to_string().contains(random) && !listed.to_string().contains(random));
}

#[test]
fn whatever_is_not_the_secret_is_denied() {
    let host = with_ci();
    let (_, secret) = enroll(&host, json!({}));
    host.set_login_user(Some("usr_other"));
    assert!(is_denied(&host, &secret));
    host.set_login_user(None);
    assert!(is_denied(&host, &secret));
    host.set_login_user(Some(CI));
    for wrong in ["", "x", "cof_c_", &secret[1..], &secret.to_lowercase(), &format!("{secret}\n")] {
        assert!(is_denied(&host, wrong), "{wrong}");
    }
    login(&host, &secret).unwrap();
}

#[test]
fn several_secrets_are_good_side_by_side_until_one_is_removed() {
    let host = with_ci();
    let ((old_id, old), (_, new)) = (enroll(&host, json!({})), enroll(&host, json!({})));
    login(&host, &old).unwrap();
    login(&host, &new).unwrap();
    host.remove::<Clients>(CI, Some(&old_id)).unwrap();
    host.remove::<Clients>(CI, Some(&old_id)).unwrap();
    host.remove::<Clients>(CI, Some("../x")).unwrap();
    assert!(is_denied(&host, &old));
    login(&host, &new).unwrap();
    host.remove::<Clients>(CI, None).unwrap();
    assert!(is_denied(&host, &new) && host.keys().is_empty());
}

#[test]
fn another_secret_of_the_same_id_puts_the_old_one_out_of_use() {
    let host = with_ci();
    let (id, old) = enroll(&host, json!({}));
    host.advance_ms(1000);
    let made = host.enroll::<Clients>(CI, Some(&id), json!({ "max_uses": 1 })).unwrap();
    assert_eq!(made["id"], id.as_str());
    assert!(is_denied(&host, &old));
    login(&host, made["client_secret"].as_str().unwrap()).unwrap();
    let listed = host.credentials::<Clients>(CI).unwrap();
    assert_eq!((&listed[0]["created_at"], &listed[0]["uses_left"]), (&json!("2026-01-01T00:15:00.000Z"), &json!(0)));
    let unknown = host.enroll::<Clients>(CI, Some("nothing"), json!({})).unwrap_err();
    assert_eq!(unknown.problems[0].at, "/id");
}

#[test]
fn another_secret_of_the_same_id_reaches_as_far_as_the_one_before() {
    let host = with_ci();
    host.set_client_address(Some("10.1.2.3"));
    let limits = json!({ "label": "ci", "ttl": "1h", "max_uses": 2, "addresses": ["10.0.0.0/8"] });
    let (id, old) = enroll(&host, limits);
    login(&host, &old).unwrap();
    host.advance_ms(30 * 60 * 1000);
    let again = |more: Value| host.enroll::<Clients>(CI, Some(&id), more).unwrap()["client_secret"].clone();
    let told = || {
        let listed = host.credentials::<Clients>(CI).unwrap()[0].clone();
        ["label", "expires_at", "uses_left", "addresses"].map(|name| listed[name].clone())
    };
    let new = again(json!({}));
    // Uses and time begin anew.
    let all = [json!("ci"), json!("2026-01-01T01:45:00.000Z"), json!(2), json!(["10.0.0.0/8"])];
    assert_eq!(told(), all);
    let identity = login(&host, new.as_str().unwrap()).unwrap();
    assert_eq!(identity.limits.addresses, Some(vec!["10.0.0.0/8".to_owned()]));
    login(&host, new.as_str().unwrap()).unwrap();
    assert!(is_denied(&host, new.as_str().unwrap()));
    // One that is spent is as good as it was at first, too.
    again(json!({ "label": "build" }));
    assert_eq!(told(), [json!("build"), all[1].clone(), json!(2), all[3].clone()]);
    // Limits fall by saying so, and only those.
    again(json!({ "max_uses": null }));
    assert_eq!(told(), [json!("build"), all[1].clone(), Value::Null, all[3].clone()]);
    again(json!({ "ttl": null, "addresses": null, "label": null }));
    assert_eq!(told(), [Value::Null, Value::Null, Value::Null, Value::Null]);
    // A mount that has become stricter since is obeyed.
    again(json!({ "ttl": "2h" }));
    host.set_config(json!({ "max_ttl": "1h" }));
    for more in [json!({}), json!({ "ttl": null })] {
        again(more);
        assert_eq!(told()[1], "2026-01-01T01:45:00.000Z");
    }
}

#[test]
fn a_secret_of_before_is_replaced_by_one_of_what_is_known_of_it() {
    let host = with_ci();
    let (id, _) = enroll(&host, json!({ "max_uses": 1 }));
    let stored = host.stored(&format!("secret/{CI}/{id}")).unwrap();
    assert_eq!(stored["max_uses"], 1);
    // Null is what is left out, where there is none before.
    let (plain, _) = enroll(&host, json!({ "label": null, "ttl": null, "max_uses": null, "addresses": null }));
    assert!(host.stored(&format!("secret/{CI}/{plain}")).unwrap().get("max_uses").is_none(), "as it was stored before");
}

#[test]
fn a_secret_ends_to_the_millisecond_and_no_session_outlives_it() {
    let host = with_ci();
    let (_, secret) = enroll(&host, json!({ "ttl": "1h" }));
    assert_eq!(login(&host, &secret).unwrap().limits.ttl_seconds, Some(3600));
    host.advance_ms(3_599_999);
    assert_eq!(login(&host, &secret).unwrap().limits.ttl_seconds, Some(1));
    host.advance_ms(1);
    assert!(is_denied(&host, &secret) && host.keys().is_empty());
    assert_eq!(host.credentials::<Clients>(CI).unwrap(), json!([]));
}

#[test]
fn a_secret_of_three_uses_is_good_three_times() {
    let host = with_ci();
    let (_, secret) = enroll(&host, json!({ "max_uses": 3 }));
    // Two at once are two.
    let same = secret.clone();
    host.meanwhile(move |host| drop(login(host, &same).unwrap()));
    login(&host, &secret).unwrap();
    assert!(host.verify::<Clients>(CI, json!({ "client_secret": secret })).unwrap());
    login(&host, &secret).unwrap();
    assert!(is_denied(&host, &secret));
    assert!(!host.verify::<Clients>(CI, json!({ "client_secret": secret })).unwrap());
    assert_eq!(host.credentials::<Clients>(CI).unwrap()[0]["uses_left"], 0);
}

#[test]
fn a_secret_works_from_its_addresses_and_binds_the_session_to_them() {
    let host = with_ci();
    let (_, secret) = enroll(&host, json!({ "addresses": ["10.1.2.3/8", "2001:db8::1", "192.0.2.7"] }));
    for (address, is_let_in) in [
        (Some("10.255.0.1"), true),
        (Some("11.0.0.1"), false),
        (Some("2001:db8::1"), true),
        (Some("2001:db8::2"), false),
        (Some("192.0.2.7"), true),
        (Some("junk"), false),
        (None, false),
    ] {
        host.set_client_address(address);
        assert_eq!(login(&host, &secret).is_ok(), is_let_in, "{address:?}");
    }
    host.set_client_address(Some("10.0.0.1"));
    let nets = login(&host, &secret).unwrap().limits.addresses.unwrap();
    assert_eq!(nets, ["10.0.0.0/8", "2001:db8::1/128", "192.0.2.7/32"]);
}

#[test]
fn the_configuration_bounds_secrets_and_sessions() {
    let host = with_ci();
    host.set_config(json!({ "max_ttl": "30d", "session_ttl": 600 }));
    host.check::<Clients>().unwrap();
    let made = host.enroll::<Clients>(CI, None, json!({})).unwrap();
    assert_eq!(made["expires_at"], "2026-01-31T00:15:00.000Z");
    assert_eq!(login(&host, made["client_secret"].as_str().unwrap()).unwrap().limits.ttl_seconds, Some(600));
    let long = host.enroll::<Clients>(CI, None, json!({ "ttl": "31d" })).unwrap_err();
    assert_eq!(long.problems[0].at, "/ttl");
    for (config, at) in [(json!({ "max_ttl": 0 }), "/max_ttl"), (json!({ "session_ttl": "9999d" }), "/session_ttl")] {
        host.set_config(config);
        assert_eq!(host.check::<Clients>().unwrap_err().problems[0].at, at);
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused() {
    let host = with_ci();
    for (wanted, at) in [
        (json!({ "ttl": 0 }), "/ttl"),
        (json!({ "ttl": "soon" }), "/ttl"),
        (json!({ "max_uses": 0 }), "/max_uses"),
        (json!({ "addresses": [] }), "/addresses"),
        (json!({ "addresses": ["10.0.0.0/8", "10.0.0.0/33"] }), "/addresses/1"),
        (json!({ "addresses": vec!["10.0.0.0/8"; 65] }), "/addresses"),
        (json!({ "label": "" }), "/label"),
        (json!({ "secret": "mine" }), "/secret"),
    ] {
        assert_eq!(host.enroll::<Clients>(CI, None, wanted.clone()).unwrap_err().problems[0].at, at, "{wanted}");
    }
    assert!(host.keys().is_empty());
    for _ in 0..32 {
        enroll(&host, json!({}));
    }
    assert_eq!(host.enroll::<Clients>(CI, None, json!({})).unwrap_err().problems[0].code, "too_many");
    assert_eq!(host.verify::<Clients>(CI, json!({})).unwrap_err().problems[0].at, "/client_secret");
}
