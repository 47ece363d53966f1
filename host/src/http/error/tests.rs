use serde_json::json;

use super::*;

fn told(error: &ApiError) -> Value {
    serde_json::from_slice(&error.body("r1")).unwrap()
}

/// One test per row: a status that changes, or a type that is renamed, breaks a client.
#[test]
fn every_row_keeps_its_status_and_type() {
    use Kind as K;
    let rows = [
        (K::BadRequest, 400, "bad_request"),
        (K::InvalidJson, 400, "invalid_json"),
        (K::InvalidForm, 400, "invalid_form"),
        (K::PlainHttp, 400, "plain_http"),
        (K::TwoCredentials, 400, "two_credentials"),
        (K::InvalidRequest, 400, "invalid_request"),
        (K::InvalidGrant, 400, "invalid_grant"),
        (K::UnauthorizedClient, 400, "unauthorized_client"),
        (K::UnsupportedGrantType, 400, "unsupported_grant_type"),
        (K::InvalidScope, 400, "invalid_scope"),
        (K::ChallengeRequired, 400, "challenge_required"),
        (K::AuthorizationPending, 400, "authorization_pending"),
        (K::SlowDown, 400, "slow_down"),
        (K::AccessDenied, 400, "access_denied"),
        (K::ExpiredToken, 400, "expired_token"),
        (K::Unauthenticated, 401, "unauthenticated"),
        (K::InvalidToken, 401, "invalid_token"),
        (K::StepUp, 401, "insufficient_user_authentication"),
        (K::InvalidClient, 401, "invalid_client"),
        (K::Forbidden, 403, "forbidden"),
        (K::LimitedSession, 403, "limited_session"),
        (K::WrongAddress, 403, "wrong_address"),
        (K::CrossSite, 403, "cross_site"),
        (K::NotFound, 404, "not_found"),
        (K::UnknownVerb, 404, "unknown_verb"),
        (K::MethodNotAllowed, 405, "method_not_allowed"),
        (K::BodyTooSlow, 408, "body_too_slow"),
        (K::VersionConflict, 409, "version_conflict"),
        (K::BodyTooLarge, 413, "body_too_large"),
        (K::UnsupportedMediaType, 415, "unsupported_media_type"),
        (K::Missing, 422, "missing"),
        (K::UnknownMember, 422, "unknown_member"),
        (K::DuplicateMember, 422, "duplicate_member"),
        (K::WrongType, 422, "wrong_type"),
        (K::InvalidValue, 422, "invalid_value"),
        (K::OutOfRange, 422, "out_of_range"),
        (K::InexactNumber, 422, "inexact_number"),
        (K::TooShort, 422, "too_short"),
        (K::Oversized, 422, "too_long"),
        (K::TooCommon, 422, "too_common"),
        (K::TooSimple, 422, "too_simple"),
        (K::TooDeep, 422, "too_deep"),
        (K::TooMany, 422, "too_many"),
        (K::SecretInQuery, 422, "secret_in_query"),
        (K::AlreadyExists, 422, "already_exists"),
        (K::Unknown, 422, "not_found"),
        (K::UnknownRole, 422, "unknown_role"),
        (K::UnknownSetting, 422, "unknown_setting"),
        (K::UnknownMount, 422, "unknown_mount"),
        (K::UnknownOperation, 422, "unknown_operation"),
        (K::Reserved, 422, "reserved"),
        (K::UntrustedProxy, 422, "untrusted_proxy"),
        (K::NoAddress, 422, "no_address"),
        (K::BuiltIn, 422, "built_in"),
        (K::InUse, 422, "in_use"),
        (K::LastAdmin, 422, "last_admin"),
        (K::InvalidPolicy, 422, "invalid_policy"),
        (K::AlreadyInitialised, 422, "already_initialized"),
        (K::LockedOut, 422, "locked_out"),
        (K::PluginInUse, 422, "plugin_in_use"),
        (K::ReservedName, 422, "reserved_name"),
        (K::BadPlugin, 422, "bad_plugin"),
        (K::Unsigned, 422, "unsigned"),
        (K::UnknownPublisher, 422, "unknown_publisher"),
        (K::DeniedPlugin, 422, "denied_plugin"),
        (K::UnknownPlugin, 422, "unknown_plugin"),
        (K::UnknownVersion, 422, "unknown_version"),
        (K::WrongKind, 422, "wrong_kind"),
        (K::NotAskedFor, 422, "not_asked_for"),
        (K::RollbackWindow, 422, "rollback_window"),
        (K::MountHoldsData, 422, "mount_holds_data"),
        (K::LeasesOut, 422, "leases_out"),
        (K::TooManyRequests, 429, "too_many_requests"),
        (K::TooManySessions, 429, "too_many_sessions"),
        (K::TooManyLeases, 429, "too_many_leases"),
        (K::HeadersTooLarge, 431, "headers_too_large"),
        (K::Internal, 500, "internal"),
        (K::PluginFailed, 502, "plugin_failed"),
        (K::Sealed, 503, "sealed"),
        (K::Disabled, 503, "disabled"),
        (K::MountDisabled, 503, "mount_disabled"),
        (K::Unavailable, 503, "unavailable"),
        (K::TooLong, 503, "timeout"),
    ];
    assert_eq!(rows.len(), Kind::ALL.len(), "a row without a test");
    for (kind, status, code) in rows {
        let response = ApiError::new(kind).into_response();
        assert_eq!((response.status().as_u16(), kind.code()), (status, code));
        let headers = response.headers();
        assert_eq!(headers.contains_key("www-authenticate"), status == 401, "{code}");
        // Nobody knows when a place becomes free.
        let knows_when = [429, 503].contains(&status) && !["too_many_sessions", "too_many_leases"].contains(&code);
        assert_eq!(headers.contains_key("retry-after"), knows_when, "{code}");
        let body = told(&ApiError::new(kind));
        assert_eq!(body["detail"][0], json!({"loc": [], "msg": kind.message(), "type": code}));
        assert_eq!(body["request_id"], "r1");
        assert_eq!(body.get("error").is_some(), kind.is_oauth(), "{code}");
    }
}

#[test]
fn a_place_is_told_as_it_stands_in_the_request() {
    let error = ApiError::because(Kind::OutOfRange, ["body", "ttl"], "must be at least 1 second");
    let detail = json!([{"loc": ["body", "ttl"], "msg": "must be at least 1 second", "type": "out_of_range"}]);
    assert_eq!(told(&error)["detail"], detail);
}

#[test]
fn problems_of_a_module_are_told_below_their_root() {
    let sent = json!({"list": [1, "x"], "1": {"a/b": 2}});
    let problems = vec![Problem::new("/list/1", "wrong_type", "has the wrong type"), Problem::new("/1/a~1b", "x", "y")];
    let body = told(&ApiError::problems("body", problems, &sent));
    assert_eq!(body["detail"][0]["loc"], json!(["body", "list", 1]));
    assert_eq!(body["detail"][1]["loc"], json!(["body", "1", "a/b"]));
}

#[test]
fn a_cause_is_for_the_log_alone() {
    let error = ApiError::internal("canary at 10.0.0.1");
    assert!(!String::from_utf8(error.body("r1")).unwrap().contains("canary"));
    assert!(!format!("{error:?}").contains("canary"));
    let response = error.into_response();
    let carried = response.extensions().get::<ApiError>().unwrap();
    assert_eq!(carried.cause().unwrap().to_string(), "canary at 10.0.0.1");
}

#[test]
fn the_words_of_a_failure_of_ours_are_constant() {
    let detail = vec![Detail { loc: Vec::new(), msg: "canary".into(), r#type: "x".into() }];
    let body = told(&ApiError::details(Kind::PluginFailed, detail));
    assert_eq!(body["detail"][0]["msg"], "the plugin failed");
}

#[test]
fn the_bearer_challenges_are_those_of_the_rfcs() {
    let challenge = |error: ApiError| {
        let response = error.into_response();
        response.headers()["www-authenticate"].to_str().unwrap().to_owned()
    };
    assert_eq!(challenge(ApiError::new(Kind::Unauthenticated)), "Bearer");
    assert!(challenge(ApiError::new(Kind::InvalidToken)).starts_with("Bearer error=\"invalid_token\", "));
    let step_up = challenge(ApiError::step_up(Duration::from_secs(600)));
    assert!(step_up.starts_with("Bearer error=\"insufficient_user_authentication\", "), "{step_up}");
    assert!(step_up.ends_with(", max_age=\"600\""), "{step_up}");
    assert!(challenge(ApiError::new(Kind::InvalidClient)).starts_with("Basic "));
}

#[test]
fn a_challenge_says_what_the_next_step_is() {
    let body = told(&ApiError::challenge(json!({"id": "c1", "kind": "totp"})));
    assert_eq!((&body["error"], &body["challenge"]["id"]), (&json!("challenge_required"), &json!("c1")));
}

#[test]
fn retry_after_is_in_whole_seconds_and_never_none() {
    for (wait, told) in [(0, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
        let error = ApiError::new(Kind::TooManyRequests).retry_after(Duration::from_millis(wait));
        assert_eq!(error.into_response().headers()["retry-after"], told);
    }
}

#[test]
fn descriptions_stay_within_the_characters_that_oauth_allows() {
    for kind in Kind::ALL {
        assert!(kind.message().bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{kind:?}");
    }
}
