//! Logins against a GitHub that answers as its documentation says: shapes, codes, headers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use coffer_plugin_github::GitHub;
use coffer_plugin_sdk::{
    Challenge, Field, Identity, Result, Step, http,
    serde_json::{self, Value, json},
    testing::Host,
};

/// What is asked (`GET https://…`), and what is answered, one after the other; the last one again and again.
#[derive(Clone, Default)]
struct World(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    answers: BTreeMap<String, VecDeque<http::Response>>,
    asked: Vec<http::Request>,
}

fn answer(status: u16, headers: &[(&str, &str)], body: &Value) -> http::Response {
    let field = |(name, value): &(&str, &str)| Field { name: (*name).to_owned(), value: (*value).to_owned() };
    let mut headers: Vec<Field> = headers.iter().map(field).collect();
    headers.push(field(&("Content-Type", "application/json; charset=utf-8")));
    http::Response { status, headers, body: body.to_string().into_bytes() }
}

impl World {
    /// Ada, id 1, in acme (7) and in its team platform (42); invited to initech (8) and a team of it.
    fn of_ada(host: &Host) -> Self {
        let world = Self::default();
        world.on("GET https://api.github.com/user", answer(200, &[("X-OAuth-Scopes", "read:org")], &ada()));
        let membership = |state: &str, id: u64, login: &str| {
            json!({ "url": format!("https://api.github.com/orgs/{login}/memberships/ada"), "state": state, "role": "member",
                "organization": { "login": login, "id": id, "node_id": "x" }, "user": ada() })
        };
        let orgs = json!([membership("active", 7, "acme"), membership("pending", 8, "initech")]);
        world.on("GET https://api.github.com/user/memberships/orgs?state=active&per_page=100", answer(200, &[], &orgs));
        let team = |id: u64, slug: &str, org: u64, login: &str| {
            json!({ "id": id, "name": slug, "slug": slug, "privacy": "closed", "permission": "pull", "parent": null,
                "organization": { "login": login, "id": org } })
        };
        let teams = json!([team(42, "platform", 7, "acme"), team(43, "staff", 8, "initech")]);
        world.on("GET https://api.github.com/user/teams?per_page=100", answer(200, &[], &teams));
        let same = world.clone();
        host.set_outside(move |request| same.answer(request));
        world
    }

    fn on(&self, what: &str, answer: http::Response) {
        self.0.borrow_mut().answers.insert(what.to_owned(), VecDeque::from([answer]));
    }

    fn then(&self, what: &str, answer: http::Response) {
        self.0.borrow_mut().answers.entry(what.to_owned()).or_default().push_back(answer);
    }

    fn answer(&self, request: &http::Request) -> Result<http::Response> {
        let mut state = self.0.borrow_mut();
        state.asked.push(request.clone());
        let what = format!("{} {}", request.method, request.url);
        let Some(answers) = state.answers.get_mut(&what) else {
            return Ok(answer(
                404,
                &[],
                &json!({ "message": "Not Found", "documentation_url": "https://docs.github.com/rest" }),
            ));
        };
        let told = answers.front().expect("an answer").clone();
        if answers.len() > 1 {
            answers.pop_front();
        }
        Ok(told)
    }

    fn asked(&self, part: &str) -> Vec<http::Request> {
        self.0.borrow().asked.iter().filter(|request| request.url.contains(part)).cloned().collect()
    }
}

fn ada() -> Value {
    json!({ "login": "ada", "id": 1, "node_id": "MDQ6VXNlcjE=", "type": "User", "name": "Ada Lovelace", "site_admin": false })
}

fn bad_credentials() -> http::Response {
    answer(401, &[], &json!({ "message": "Bad credentials", "documentation_url": "https://docs.github.com/rest" }))
}

fn with_app(more: Value) -> Value {
    let mut config = json!({ "client_id": "Iv1.app", "client_secret": { "$credential": "client_secret" } });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn identity(step: Result<Step>) -> Identity {
    match step.unwrap() {
        Step::Identity(identity) => identity,
        Step::Challenge(challenge) => panic!("asks for {}", challenge.kind),
    }
}

fn challenge(step: Result<Step>) -> (Challenge, Value) {
    match step.unwrap() {
        Step::Challenge(challenge) => {
            let details = serde_json::from_slice(&challenge.details).unwrap();
            (challenge, details)
        }
        Step::Identity(_) => panic!("asks nothing"),
    }
}

fn code<T>(result: Result<T>) -> String {
    result.err().expect("must be refused").code
}

fn by_token(host: &Host, token: &str) -> Result<Step> {
    host.login::<GitHub>(json!({ "token": token }))
}

#[test]
fn a_personal_token_proves_the_numeric_id_and_active_memberships() {
    let host = Host::new();
    let world = World::of_ada(&host);
    for token in ["ghp_0123456789", "github_pat_11AAAA_bbbb", "0123456789abcdef0123456789abcdef01234567"] {
        let identity = identity(by_token(&host, token));
        assert_eq!((identity.subject.as_str(), identity.display_name.as_str()), ("1", "Ada Lovelace"));
        assert_eq!(identity.groups, ["org:7", "team:42"]);
        let told: Vec<(&str, &str)> = identity.metadata.iter().map(|f| (f.name.as_str(), f.value.as_str())).collect();
        assert_eq!(told, [("login", "ada"), ("org:7", "acme"), ("team:42", "acme/platform")]);
        assert!(!String::from_utf8(identity.internal).unwrap().contains(token));
    }
    let asked = &world.asked("/user")[0];
    let header = |name: &str| asked.headers.iter().find(|field| field.name == name).unwrap().value.clone();
    assert_eq!((header("authorization").as_str(), header("user-agent").as_str()), ("Bearer ghp_0123456789", "coffer"));
    assert_eq!(
        (header("accept").as_str(), header("x-github-api-version").as_str()),
        ("application/vnd.github+json", "2022-11-28")
    );
}

#[test]
fn a_token_that_may_not_see_memberships_proves_who_it_is() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let forbidden = json!({ "message": "Resource not accessible by personal access token" });
    for list in ["/user/memberships/orgs?state=active&per_page=100", "/user/teams?per_page=100"] {
        world.on(&format!("GET https://api.github.com{list}"), answer(403, &[], &forbidden));
    }
    let identity = identity(by_token(&host, "github_pat_x"));
    assert_eq!((identity.subject.as_str(), identity.groups.len()), ("1", 0));
}

#[test]
fn what_is_no_persons_token_is_refused_before_anybody_is_asked() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let long = "x".repeat(256);
    for token in ["", "ghs_installation", "ghr_refresh", "gho_other", "ghp_a b", "ghp_\r\nX: y", "ghp_ä", &long] {
        assert_eq!(code(by_token(&host, token)), "denied", "{token}");
    }
    assert!(world.asked("").is_empty());
    host.set_config(with_app(json!({ "personal_tokens": false })));
    assert_eq!(code(by_token(&host, "ghp_x")), "denied");
    host.set_config(json!({}));
    world.on("GET https://api.github.com/user", bad_credentials());
    assert_eq!(code(by_token(&host, "ghp_wrong")), "denied");
    let bot = json!({ "login": "dependabot[bot]", "id": 9, "type": "Bot", "name": null });
    world.on("GET https://api.github.com/user", answer(200, &[], &bot));
    assert_eq!(code(by_token(&host, "ghp_bot")), "denied");
}

#[test]
fn what_github_publishes_as_its_answers_is_understood() {
    let published: Value = serde_json::from_str(include_str!("../../../tests/fixtures/github/answers.json")).unwrap();
    let host = Host::new();
    let world = World::of_ada(&host);
    let api = "https://api.github.com";
    world.on(&format!("GET {api}/user"), answer(200, &[], &published["user"]));
    for (list, what) in
        [("/user/memberships/orgs?state=active&per_page=100", "memberships"), ("/user/teams?per_page=100", "teams")]
    {
        world.on(&format!("GET {api}{list}"), answer(200, &[], &json!([published[what]])));
    }
    let checked = format!("POST {api}/applications/Iv1.app/token");
    world.on(&checked, answer(200, &[], &published["checked_token"]));
    host.set_config(with_app(json!({})));
    let octocat = identity(by_token(&host, "gho_octocat"));
    assert_eq!((octocat.subject.as_str(), octocat.display_name.as_str()), ("1", "monalisa octocat"));
    let groups: Vec<_> = octocat.groups.iter().map(String::as_str).collect();
    assert_eq!(groups, ["org:1", "team:1"]);
}

#[test]
fn a_token_of_another_app_is_refused_and_one_of_ours_is_not() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(with_app(json!({})));
    // Nothing there: the token was given to another app.
    assert_eq!(code(by_token(&host, "gho_other")), "denied");
    let checked = "POST https://api.github.com/applications/Iv1.app/token";
    world.on(checked, answer(200, &[], &json!({ "id": 5, "app": { "client_id": "Iv1.app" }, "user": ada() })));
    assert_eq!(identity(by_token(&host, "gho_ours")).subject, "1");
    let asked = &world.asked("/applications/")[1];
    assert_eq!(asked.credential.as_deref(), Some("client"));
    assert!(asked.headers.iter().all(|field| field.name != "authorization"), "the token is not what authorises this");
    assert_eq!(serde_json::from_slice::<Value>(&asked.body).unwrap(), json!({ "access_token": "gho_ours" }));
    // Our own secret is wrong: that is not the caller's fault.
    world.on(checked, bad_credentials());
    assert_eq!(code(by_token(&host, "gho_ours")), "internal");
}

#[test]
fn lists_are_read_page_by_page_and_from_no_other_host() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let team = |id: u64| json!({ "id": id, "slug": format!("t{id}"), "organization": { "login": "acme", "id": 7 } });
    let page = |n: u64| format!("https://api.github.com/user/teams?per_page=100&page={n}");
    let link = |n: u64| format!("<{}>; rel=\"next\", <{}>; rel=\"last\"", page(n), page(3));
    world.on(
        "GET https://api.github.com/user/teams?per_page=100",
        answer(200, &[("Link", &link(2))], &json!([team(1)])),
    );
    world.on(&format!("GET {}", page(2)), answer(200, &[("link", &link(3))], &json!([team(2)])));
    world.on(&format!("GET {}", page(3)), answer(200, &[], &json!([team(3)])));
    assert_eq!(identity(by_token(&host, "ghp_x")).groups, ["org:7", "team:1", "team:2", "team:3"]);
    let away = answer(200, &[("Link", "<https://evil.example/user/teams?page=2>; rel=\"next\"")], &json!([team(1)]));
    world.on("GET https://api.github.com/user/teams?per_page=100", away);
    assert_eq!(identity(by_token(&host, "ghp_x")).groups, ["org:7", "team:1"]);
    assert!(world.asked("evil").is_empty());
    // One that never ends is not read for ever.
    let round = answer(200, &[("Link", "<https://api.github.com/user/teams?per_page=100>; rel=\"next\"")], &json!([]));
    world.on("GET https://api.github.com/user/teams?per_page=100", round);
    assert_eq!(code(by_token(&host, "ghp_x")), "internal");
}

#[test]
fn a_limit_of_rate_is_no_failed_login() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let now = host.now().millis() / 1000;
    let message = json!({ "message": "API rate limit exceeded for user ID 1." });
    for (status, headers, wait) in [
        (403, vec![("X-RateLimit-Remaining", "0".to_owned()), ("X-RateLimit-Reset", (now + 90).to_string())], 90_000),
        (429, vec![("Retry-After", "30".to_owned())], 30_000),
        (403, vec![("retry-after", "7".to_owned())], 7_000),
        (429, vec![], 60_000),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.on("GET https://api.github.com/user", answer(status, &headers, &message));
        let error = by_token(&host, "ghp_x").err().unwrap();
        assert_eq!((error.code.as_str(), error.retry_after_ms), ("unavailable", Some(wait)), "{status} {headers:?}");
    }
    world.on("GET https://api.github.com/user", answer(502, &[], &json!({})));
    assert_eq!(code(by_token(&host, "ghp_x")), "unavailable");
    host.set_outside(|_| Err(coffer_plugin_sdk::Error::unavailable("refused")));
    assert_eq!(code(by_token(&host, "ghp_x")), "unavailable");
    host.set_outside(|_| Err(coffer_plugin_sdk::Error::denied()));
    assert_eq!(code(by_token(&host, "ghp_x")), "internal");
}

/// The secondary limits of GitHub's, as they come without any header.
fn limits() -> [Value; 3] {
    [
        json!({ "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits" }),
        json!({ "message": "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again." }),
        json!({ "message": "Too much.", "documentation_url": "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits" }),
    ]
}

#[test]
fn a_secondary_limit_of_rate_is_known_by_what_it_says() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let again = checked_once(&host, &world);
    for limit in limits() {
        world.on("GET https://api.github.com/user/1", answer(403, &[], &limit));
        let error = host.refresh::<GitHub>(&again.internal).err().unwrap();
        assert_eq!((error.code.as_str(), error.retry_after_ms), ("unavailable", Some(60_000)), "{limit}");
        world.on("GET https://api.github.com/user", answer(403, &[("x-ratelimit-remaining", "4987")], &limit));
        let error = by_token(&host, "ghp_x").err().unwrap();
        assert_eq!((error.code.as_str(), error.retry_after_ms), ("unavailable", Some(60_000)), "{limit}");
    }
    // Nothing else that is forbidden is one.
    world.on("GET https://api.github.com/user", answer(403, &[], &json!({ "message": "rated limitless" })));
    assert_eq!(code(by_token(&host, "ghp_x")), "denied");
    world.on("GET https://api.github.com/user", answer(403, &[], &json!("rate limit")));
    assert_eq!(code(by_token(&host, "ghp_x")), "denied");
    // Nor does OAuth take it for a person who declined.
    let (challenge, ..) = begun(&host);
    for limit in limits() {
        world.on("POST https://github.com/login/oauth/access_token", answer(403, &[], &limit));
        assert_eq!(code(host.resume::<GitHub>(&challenge.state, json!({ "code": "abc" }))), "slow-down", "{limit}");
    }
}

#[test]
fn an_organisation_that_wants_its_own_login_is_told_with_githubs_url() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let url = "https://github.com/orgs/acme/sso?authorization_request=A1B2C3";
    let message = json!({ "message": "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization." });
    let refused = answer(403, &[("X-GitHub-SSO", &format!("required; url={url}"))], &message);
    world.on("GET https://api.github.com/user/teams?per_page=100", refused);
    let (challenge, details) = challenge(by_token(&host, "ghp_x"));
    assert_eq!(
        (challenge.kind.as_str(), &details["url"], &details["member"]),
        ("redirect", &json!(url), &json!("token"))
    );
    assert!(!String::from_utf8(challenge.state.clone()).unwrap().contains("ghp_x"));
    world.on("GET https://api.github.com/user/teams?per_page=100", answer(200, &[], &json!([])));
    let identity = identity(host.resume::<GitHub>(&challenge.state, json!({ "token": "ghp_x" })));
    assert_eq!(identity.groups, ["org:7"]);
}

/// Lists leave out these organisations, and each says where to log in.
fn with_saml(world: &World, orgs: &[u64]) {
    let ids: Vec<String> = orgs.iter().map(u64::to_string).collect();
    let header = format!("partial-results; organizations={}", ids.join(","));
    for list in ["/user/memberships/orgs?state=active&per_page=100", "/user/teams?per_page=100"] {
        let partial = answer(200, &[("X-GitHub-SSO", &header)], &json!([]));
        world.on(&format!("GET https://api.github.com{list}"), partial);
    }
    for org in orgs {
        let url = format!("required; url=https://github.com/orgs/{org}/sso");
        let refused = answer(403, &[("X-GitHub-SSO", &url)], &json!({ "message": "Resource protected" }));
        world.on(&format!("GET https://api.github.com/organizations/{org}/memberships/ada"), refused);
    }
}

#[test]
fn all_organisations_that_want_their_own_login_are_told() {
    let host = Host::new();
    let world = World::of_ada(&host);
    with_saml(&world, &[7, 8, 9]);
    // One of them has nothing to do with it.
    world.on("GET https://api.github.com/organizations/8/memberships/ada", answer(404, &[], &json!({})));
    let (asked, details) = challenge(by_token(&host, "ghp_x"));
    let url = |org: u64| format!("https://github.com/orgs/{org}/sso");
    assert_eq!(details["url"], url(7));
    assert_eq!(details["organizations"], json!([{ "id": 7, "url": url(7) }, { "id": 9, "url": url(9) }]));
    assert_eq!(identity(host.resume::<GitHub>(&asked.state, json!({ "token": "ghp_x" }))).subject, "1");
    // Each is asked once, though both lists name it.
    assert_eq!(world.asked("/organizations/7/").len(), 1);
    // Who wants nothing of them says so.
    assert_eq!(identity(host.login::<GitHub>(json!({ "token": "ghp_x", "partial": true }))).subject, "1");
    // A hiccup is no answer of theirs.
    world.on("GET https://api.github.com/organizations/9/memberships/ada", answer(502, &[], &json!({})));
    assert_eq!(code(by_token(&host, "ghp_x")), "unavailable");
    world.on("GET https://api.github.com/organizations/9/memberships/ada", bad_credentials());
    assert_eq!(code(by_token(&host, "ghp_x")), "denied");
    // However many there are, no more are asked than a call may.
    with_saml(&world, &(100..150).collect::<Vec<_>>());
    let before = world.asked("").len();
    assert!(challenge(by_token(&host, "ghp_x")).1["organizations"].as_array().unwrap().len() >= 8);
    assert!(world.asked("").len() - before <= 32);
}

/// A login by a browser, and one by a device.
fn begun_both_ways(host: &Host, world: &World) -> (Challenge, Challenge) {
    let told = json!({ "device_code": "3584d8", "user_code": "WDJB-MJHT",
        "verification_uri": "https://github.com/login/device", "expires_in": 900, "interval": 5 });
    world.on("POST https://github.com/login/device/code", answer(200, &[], &told));
    let (browser, ..) = begun(host);
    host.set_config(with_app(json!({ "device_flow": true })));
    let (device, _) = challenge(host.login::<GitHub>(json!({ "device": true })));
    (browser, device)
}

#[test]
fn after_an_organisations_own_login_a_browser_and_a_device_begin_anew() {
    let host = Host::new();
    let world = World::of_ada(&host);
    with_saml(&world, &[7]);
    let token = json!({ "access_token": "gho_ours", "scope": "read:org", "token_type": "bearer" });
    world.on("POST https://github.com/login/oauth/access_token", answer(200, &[], &token));
    let (browser, device) = begun_both_ways(&host, &world);
    for (way, said) in [(browser, json!({ "code": "abc" })), (device, json!({}))] {
        let (sso, details) = challenge(host.resume::<GitHub>(&way.state, said.clone()));
        assert_eq!((sso.kind.as_str(), &details["member"]), ("redirect", &Value::Null));
        assert_eq!(details["url"], "https://github.com/orgs/7/sso");
        let (again, _) = challenge(host.resume::<GitHub>(&sso.state, json!({})));
        assert_eq!(again.kind, way.kind);
        assert_ne!(again.state, way.state);
        // Whoever has not done it goes without.
        assert!(identity(host.resume::<GitHub>(&again.state, said)).groups.is_empty());
    }
    for (wanted, kind) in
        [(json!({ "partial": true }), "redirect"), (json!({ "partial": true, "device": true }), "device")]
    {
        let (way, _) = challenge(host.login::<GitHub>(wanted));
        assert_eq!(way.kind, kind);
        assert_eq!(identity(host.resume::<GitHub>(&way.state, json!({ "code": "abc" }))).subject, "1");
    }
}

fn begun(host: &Host) -> (Challenge, String, BTreeMap<String, String>) {
    host.set_config(with_app(json!({})));
    host.set_callback("https://coffer.example/api/v1/auth/github/callback", "the-state");
    let (challenge, details) = challenge(host.login::<GitHub>(json!({})));
    let url = details["url"].as_str().unwrap().to_owned();
    let query = url.split_once('?').unwrap().1;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (challenge, url, query)
}

#[test]
fn a_browser_goes_there_with_pkce_and_comes_back_with_a_code() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let (challenge, url, query) = begun(&host);
    assert!(url.starts_with("https://github.com/login/oauth/authorize?"), "{url}");
    assert_eq!((query["client_id"].as_str(), query["state"].as_str()), ("Iv1.app", "the-state"));
    assert_eq!((query["code_challenge_method"].as_str(), query["response_type"].as_str()), ("S256", "code"));
    assert_eq!(query["redirect_uri"], "https%3A%2F%2Fcoffer.example%2Fapi%2Fv1%2Fauth%2Fgithub%2Fcallback");
    assert_eq!(query["scope"], "read%3Aorg");
    let waiting: Value = serde_json::from_slice(&challenge.state).unwrap();
    let verifier = waiting["verifier"].as_str().unwrap();
    assert!(!url.contains(verifier) && verifier.len() >= 43);
    let token = json!({ "access_token": "gho_ours", "scope": "read:org", "token_type": "bearer" });
    world.on("POST https://github.com/login/oauth/access_token", answer(200, &[], &token));
    let identity = identity(host.resume::<GitHub>(&challenge.state, json!({ "code": "abc" })));
    assert_eq!((identity.subject.as_str(), identity.groups.len()), ("1", 2));
    let asked = &world.asked("/access_token")[0];
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert!(form.contains("code=abc") && form.contains(&format!("code_verifier={verifier}")), "{form}");
    assert!(form.contains("client_id=Iv1.app") && !form.contains("client_secret"), "the host adds the secret: {form}");
    assert_eq!(asked.credential.as_deref(), Some("client_secret"));
    assert!(asked.headers.iter().any(|field| field.name == "accept" && field.value == "application/json"));
    // Two logins have two verifiers.
    assert_ne!(begun(&host).2["code_challenge"], query["code_challenge"]);
}

#[test]
fn a_code_that_is_wrong_or_a_person_who_declines_is_a_failed_login() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let (challenge, ..) = begun(&host);
    let resume = |answer: Value| code(host.resume::<GitHub>(&challenge.state, answer));
    assert_eq!(
        resume(
            json!({ "error": "access_denied", "error_description": "The user has denied your application access." })
        ),
        "denied"
    );
    assert_eq!(resume(json!({ "error": "access_denied", "code": "abc" })), "denied");
    assert_eq!(resume(json!({})), "denied");
    assert_eq!(resume(json!({ "code": 1 })), "denied");
    // GitHub says so with 200.
    for (error, code) in [
        ("bad_verification_code", "denied"),
        ("incorrect_client_credentials", "internal"),
        ("redirect_uri_mismatch", "internal"),
        ("something_new", "denied"),
    ] {
        let body = json!({ "error": error, "error_description": "…", "error_uri": "https://docs.github.com" });
        world.on("POST https://github.com/login/oauth/access_token", answer(200, &[], &body));
        assert_eq!(resume(json!({ "code": "abc" })), code, "{error}");
    }
    world.on("POST https://github.com/login/oauth/access_token", answer(200, &[], &json!({ "hello": "world" })));
    assert_eq!(resume(json!({ "code": "abc" })), "internal");
    assert_eq!(code(host.resume::<GitHub>(b"junk", json!({ "code": "abc" }))), "denied");
    // Without an app, or without a way back, there is no such login.
    host.set_config(json!({}));
    assert_eq!(code(host.login::<GitHub>(json!({}))), "denied");
    assert_eq!(code(Host::new().login::<GitHub>(json!({}))), "invalid");
}

#[test]
fn a_device_waits_as_rfc_8628_has_it() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(with_app(json!({})));
    assert_eq!(code(host.login::<GitHub>(json!({ "device": true }))), "denied");
    host.set_config(with_app(json!({ "device_flow": true })));
    let told = json!({ "device_code": "3584d83530557fdd1f46af8289938c8ef79f9dc5", "user_code": "WDJB-MJHT",
        "verification_uri": "https://github.com/login/device", "expires_in": 900, "interval": 5 });
    world.on("POST https://github.com/login/device/code", answer(200, &[], &told));
    let (challenge, details) = challenge(host.login::<GitHub>(json!({ "device": true })));
    assert_eq!(details, json!({ "user_code": "WDJB-MJHT", "verification_uri": "https://github.com/login/device" }));
    assert_eq!(
        (challenge.kind.as_str(), challenge.expires_in_seconds, challenge.poll_interval_seconds),
        ("device", 900, Some(5))
    );
    let poll = || host.resume::<GitHub>(&challenge.state, json!({}));
    let at = "POST https://github.com/login/oauth/access_token";
    for (error, code_told) in [
        ("authorization_pending", "pending"),
        ("slow_down", "slow-down"),
        ("expired_token", "denied"),
        ("access_denied", "denied"),
        ("incorrect_client_credentials", "internal"),
    ] {
        world.on(at, answer(200, &[], &json!({ "error": error, "interval": 10 })));
        assert_eq!(code(poll()), code_told, "{error}");
    }
    world.on(at, answer(200, &[], &json!({ "access_token": "gho_d", "token_type": "bearer", "scope": "read:org" })));
    assert_eq!(identity(poll()).subject, "1");
    let form = String::from_utf8(world.asked("/access_token")[0].body.clone()).unwrap();
    assert!(form.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"), "{form}");
}

fn hiccups() -> Vec<http::Response> {
    let mut hiccups = vec![answer(502, &[], &json!({})), answer(429, &[("retry-after", "30")], &json!({}))];
    hiccups.extend(limits().iter().map(|limit| answer(403, &[], limit)));
    hiccups
}

#[test]
fn a_hiccup_of_githubs_ends_no_login_that_has_begun() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let token = json!({ "access_token": "gho_ours", "scope": "read:org", "token_type": "bearer" });
    let exchange = "POST https://github.com/login/oauth/access_token";
    let (browser, device) = begun_both_ways(&host, &world);
    for (begun, said) in [(browser, json!({ "code": "abc" })), (device, json!({}))] {
        for hiccup in hiccups() {
            // Before there is a token, everything is as it was.
            world.on(exchange, hiccup.clone());
            assert_eq!(code(host.resume::<GitHub>(&begun.state, said.clone())), "slow-down");
            // After that, the token is kept: a code is good once.
            world.on(exchange, answer(200, &[], &token));
            world.on("GET https://api.github.com/user/teams?per_page=100", hiccup.clone());
            let exchanges = world.asked("/access_token").len();
            let (waits, details) = challenge(host.resume::<GitHub>(&begun.state, said.clone()));
            assert_eq!((waits.kind.as_str(), details), ("wait", json!({})));
            assert!(waits.poll_interval_seconds.is_some_and(|interval| (5..=60).contains(&interval)));
            assert_eq!(code(host.resume::<GitHub>(&waits.state, said.clone())), "slow-down");
            world.on("GET https://api.github.com/user/teams?per_page=100", answer(200, &[], &json!([])));
            assert_eq!(identity(host.resume::<GitHub>(&waits.state, said.clone())).groups, ["org:7"]);
            assert_eq!(world.asked("/access_token").len(), exchanges + 1);
        }
    }
    // Nor one that waits for a token to be authorised.
    let refused = answer(403, &[("X-GitHub-SSO", "required; url=https://github.com/orgs/acme/sso")], &json!({}));
    world.on("GET https://api.github.com/user/teams?per_page=100", refused);
    let (sso, _) = challenge(by_token(&host, "ghp_x"));
    world.on("GET https://api.github.com/user/teams?per_page=100", answer(502, &[], &json!({})));
    assert_eq!(code(host.resume::<GitHub>(&sso.state, json!({ "token": "ghp_x" }))), "slow-down");
}

#[test]
fn a_session_is_good_for_eight_hours_unless_it_can_be_checked() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let first = identity(by_token(&host, "ghp_x"));
    let asked = world.asked("").len();
    host.advance_ms(8 * 3600 * 1000 - 1);
    let again = host.refresh::<GitHub>(&first.internal).unwrap();
    assert_eq!((again.subject.as_str(), again.groups), ("1", first.groups));
    assert_eq!(world.asked("").len(), asked, "nobody is asked");
    host.advance_ms(1);
    // Eight hours of the login, not of the last renewal.
    assert_eq!(code(host.refresh::<GitHub>(&again.internal)), "denied");
    assert_eq!(code(host.refresh::<GitHub>(b"junk")), "denied");
}

#[test]
fn a_kept_token_is_asked_again_and_means_the_same_person() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(json!({ "recheck": "keep_token" }));
    let first = identity(by_token(&host, "ghp_x"));
    host.advance_ms(9 * 3600 * 1000);
    world.on("GET https://api.github.com/user/teams?per_page=100", answer(200, &[], &json!([])));
    let again = host.refresh::<GitHub>(&first.internal).unwrap();
    assert_eq!(again.groups, ["org:7"]);
    world.on("GET https://api.github.com/user", answer(500, &[], &json!({})));
    assert_eq!(code(host.refresh::<GitHub>(&again.internal)), "unavailable");
    world.on(
        "GET https://api.github.com/user",
        answer(200, &[], &json!({ "id": 2, "login": "ada", "type": "User", "name": null })),
    );
    assert_eq!(code(host.refresh::<GitHub>(&again.internal)), "denied");
    world.on("GET https://api.github.com/user", bad_credentials());
    assert_eq!(code(host.refresh::<GitHub>(&again.internal)), "denied");
    // One that was begun without a kept token is begun anew.
    host.set_config(json!({}));
    let other = identity({
        world.on("GET https://api.github.com/user", answer(200, &[], &ada()));
        by_token(&host, "ghp_x")
    });
    host.set_config(json!({ "recheck": "keep_token" }));
    assert_eq!(code(host.refresh::<GitHub>(&other.internal)), "denied");
}

#[test]
fn memberships_are_checked_by_the_mounts_own_credential() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(json!({ "recheck": "org_credential", "org_credential": { "$credential": "org_credential" } }));
    let first = identity(by_token(&host, "ghp_x"));
    assert_eq!(code(host.refresh::<GitHub>(&first.internal)), "denied", "GitHub knows no such user");
    // Renamed since, and still the same.
    world.on("GET https://api.github.com/user/1", answer(200, &[], &json!({ "id": 1, "login": "countess" })));
    let org = "GET https://api.github.com/organizations/7/memberships/countess";
    let team = "GET https://api.github.com/organizations/7/team/42/memberships/countess";
    let state = |state: &str| {
        let told = json!({ "state": state, "role": "member", "organization": { "id": 7, "login": "acme" } });
        answer(200, &[], &told)
    };
    world.on(org, state("active"));
    world.on(team, state("active"));
    assert_eq!(host.refresh::<GitHub>(&first.internal).unwrap().groups, ["org:7", "team:42"]);
    assert_eq!(world.asked("/organizations/")[0].credential.as_deref(), Some("org_credential"));
    world.on(team, state("pending"));
    assert_eq!(host.refresh::<GitHub>(&first.internal).unwrap().groups, ["org:7"]);
    world.on(team, state("active"));
    world.on(org, answer(404, &[], &json!({ "message": "Not Found" })));
    assert!(host.refresh::<GitHub>(&first.internal).unwrap().groups.is_empty(), "no team without its organisation");
    world.on(org, bad_credentials());
    assert_eq!(code(host.refresh::<GitHub>(&first.internal)), "unavailable", "the mount's fault is nobody's");
}

/// A login by org_credential that has been checked again once, by a credential that is told everything.
fn checked_once(host: &Host, world: &World) -> Identity {
    host.set_config(json!({ "recheck": "org_credential", "org_credential": { "$credential": "org_credential" } }));
    let first = identity(by_token(host, "ghp_x"));
    world.on("GET https://api.github.com/user/1", answer(200, &[], &ada()));
    let member = json!({ "state": "active", "role": "member", "organization": { "id": 7, "login": "acme" } });
    world.on("GET https://api.github.com/organizations/7/memberships/ada", answer(200, &[], &member));
    world.on("GET https://api.github.com/organizations/7/team/42/memberships/ada", answer(200, &[], &member));
    host.refresh::<GitHub>(&first.internal).unwrap()
}

fn forbidden() -> http::Response {
    answer(403, &[], &json!({ "message": "You must be a member of acme to see membership information for ada." }))
}

#[test]
fn a_credential_that_has_expired_or_is_shut_out_ends_nobodys_session() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let again = checked_once(&host, &world);
    let first = identity(by_token(&host, "ghp_x"));
    let sso = answer(403, &[("X-GitHub-SSO", "required; url=https://github.com/orgs/acme/sso")], &json!({}));
    let org = "GET https://api.github.com/organizations/7/memberships/ada";
    let team = "GET https://api.github.com/organizations/7/team/42/memberships/ada";
    for at in ["GET https://api.github.com/user/1", org, team] {
        for refusal in [bad_credentials(), forbidden(), sso.clone()] {
            let before = world.0.borrow().answers[at].clone();
            world.on(at, refusal);
            for session in [&again, &first] {
                assert_eq!(code(host.refresh::<GitHub>(&session.internal)), "unavailable", "{at}");
            }
            world.0.borrow_mut().answers.insert(at.to_owned(), before);
        }
    }
    assert_eq!(host.refresh::<GitHub>(&again.internal).unwrap().groups, ["org:7", "team:42"]);
}

#[test]
fn who_is_back_in_a_team_is_back_at_the_next_renewal() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let again = checked_once(&host, &world);
    let (org, team) = ("organizations/7/memberships/ada", "organizations/7/team/42/memberships/ada");
    for (gone, left) in [(team, vec!["org:7"]), (org, vec![])] {
        let at = format!("GET https://api.github.com/{gone}");
        let before = world.0.borrow().answers[&at].clone();
        world.on(&at, answer(404, &[], &json!({ "message": "Not Found" })));
        let out = host.refresh::<GitHub>(&again.internal).unwrap();
        assert_eq!(out.groups, left);
        let out = host.refresh::<GitHub>(&out.internal).unwrap();
        assert_eq!(out.groups, left);
        world.0.borrow_mut().answers.insert(at, before);
        let back = host.refresh::<GitHub>(&out.internal).unwrap();
        assert_eq!(back.groups, ["org:7", "team:42"]);
    }
    // What a version before this one has kept is understood.
    let mut kept: Value = serde_json::from_slice(&again.internal).unwrap();
    for grown in ["first", "told"] {
        kept.as_object_mut().unwrap().remove(grown);
    }
    let kept = serde_json::to_vec(&kept).unwrap();
    assert_eq!(host.refresh::<GitHub>(&kept).unwrap().groups, ["org:7", "team:42"]);
}

#[test]
fn an_organisation_that_is_none_of_the_credentials_hinders_nobody() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let member = |id: u64| json!({ "state": "active", "organization": { "id": id, "login": format!("o{id}") } });
    let orgs = json!([member(7), member(9)]);
    world.on("GET https://api.github.com/user/memberships/orgs?state=active&per_page=100", answer(200, &[], &orgs));
    world.on("GET https://api.github.com/organizations/9/memberships/ada", forbidden());
    let again = checked_once(&host, &world);
    assert_eq!(again.groups, ["org:7", "team:42"]);
    // One that it was told of before is another matter.
    world.on("GET https://api.github.com/organizations/9/memberships/ada", answer(200, &[], &member(9)));
    let again = checked_once(&host, &world);
    assert_eq!(again.groups, ["org:7", "team:42", "org:9"]);
    world.on("GET https://api.github.com/organizations/9/memberships/ada", forbidden());
    assert_eq!(code(host.refresh::<GitHub>(&again.internal)), "unavailable");
}

#[test]
fn an_admin_looks_up_what_to_map_roles_by() {
    let host = Host::new();
    let world = World::of_ada(&host);
    assert_eq!(host.get::<GitHub>("groups", "", json!({})).unwrap_err().code, "invalid");
    host.set_config(json!({ "org_credential": { "$credential": "org_credential" } }));
    world.on(
        "GET https://api.github.com/user/orgs?per_page=100",
        answer(200, &[], &json!([{ "id": 7, "login": "acme" }])),
    );
    world.on(GRAPHQL, told(&json!([node(7, "acme", &json!([{ "databaseId": 42, "slug": "platform" }]), None)]), None));
    let groups = host.get::<GitHub>("groups", "", json!({})).unwrap();
    assert_eq!(
        groups["groups"],
        json!([{ "id": "org:7", "label": "acme", "org": 7 }, { "id": "team:42", "label": "acme/platform", "org": 7 }])
    );
    assert_eq!(host.check::<GitHub>().unwrap(), ["acme is org:7"]);
    assert_eq!(host.get::<GitHub>("read", "none", json!({})).unwrap_err().code, "unsupported");
}

const GRAPHQL: &str = "POST https://api.github.com/graphql";

fn page_info(next: Option<&str>) -> Value {
    json!({ "hasNextPage": next.is_some(), "endCursor": next })
}

fn node(id: u64, login: &str, teams: &Value, next: Option<&str>) -> Value {
    json!({ "databaseId": id, "login": login, "teams": { "nodes": teams, "pageInfo": page_info(next) } })
}

fn told(orgs: &Value, next: Option<&str>) -> http::Response {
    let organizations = json!({ "nodes": orgs, "pageInfo": page_info(next) });
    answer(200, &[], &json!({ "data": { "viewer": { "organizations": organizations } } }))
}

#[test]
fn any_number_of_organisations_is_looked_up_in_few_requests() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(json!({ "org_credential": { "$credential": "org_credential" } }));
    let org = |id: u64| node(id, &format!("o{id}"), &json!([{ "databaseId": 1000 + id, "slug": "all" }]), None);
    let many = |from: u64| (from..from + 50).map(org).collect::<Vec<Value>>();
    world.on(GRAPHQL, told(&json!(many(0)), Some("a")));
    // One has more teams than are told at once, and one is hidden from the credential.
    let big = node(50, "big", &json!([{ "databaseId": 7000, "slug": "first" }]), Some("t"));
    world.then(GRAPHQL, told(&json!([big, null, org(51)]), None));
    let teams = json!({ "nodes": [{ "databaseId": 7001, "slug": "second" }], "pageInfo": page_info(None) });
    world.then(GRAPHQL, answer(200, &[], &json!({ "data": { "organization": { "teams": teams } } })));
    let groups = host.get::<GitHub>("groups", "", json!({})).unwrap()["groups"].as_array().unwrap().clone();
    assert_eq!(groups.len(), 2 * 50 + 3 + 2);
    assert!(groups.contains(&json!({ "id": "team:7001", "label": "big/second", "org": 50 })));
    let asked = world.asked("/graphql");
    let variables: Vec<Value> =
        asked.iter().map(|one| serde_json::from_slice::<Value>(&one.body).unwrap()["variables"].clone()).collect();
    assert_eq!(variables, [json!({ "after": null }), json!({ "after": "a" }), json!({ "org": "big", "after": "t" })]);
    for (refusal, code) in [
        (bad_credentials(), "unavailable"),
        (answer(502, &[], &json!({})), "unavailable"),
        (answer(200, &[], &json!({ "data": null, "errors": [{ "type": "RATE_LIMITED" }] })), "unavailable"),
        (told(&json!([]), Some("again")), "internal"),
    ] {
        world.on(GRAPHQL, refusal);
        assert_eq!(host.get::<GitHub>("groups", "", json!({})).unwrap_err().code, code);
    }
}

#[test]
fn a_github_that_is_away_hinders_no_mount_and_a_wrong_credential_does() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(json!({ "org_credential": { "$credential": "org_credential" } }));
    let orgs = "GET https://api.github.com/user/orgs?per_page=100";
    for hiccup in hiccups() {
        world.on(orgs, hiccup);
        assert!(host.check::<GitHub>().unwrap()[0].starts_with("GitHub could not be asked"));
    }
    for refusal in [bad_credentials(), forbidden()] {
        world.on(orgs, refusal);
        assert_eq!(host.check::<GitHub>().unwrap_err().problems[0].at, "/org_credential");
    }
}

#[test]
fn an_enterprise_has_its_own_addresses() {
    let host = Host::new();
    let world = World::of_ada(&host);
    host.set_config(json!({ "base_url": "https://github.acme.example" }));
    world.on("GET https://github.acme.example/api/v3/user", answer(200, &[], &ada()));
    assert_eq!(identity(by_token(&host, "ghp_x")).subject, "1");
    assert!(world.asked("github.com").is_empty());
}

#[test]
fn a_configuration_that_cannot_work_is_told() {
    let host = Host::new();
    for (config, at) in [
        (json!({ "base_url": "http://github.acme.example" }), "/base_url"),
        (json!({ "base_url": "https://github.acme.example/" }), "/base_url"),
        (json!({ "base_url": "https://github.acme.example/api" }), "/base_url"),
        (json!({ "device_flow": true }), "/client_id"),
        (json!({ "personal_tokens": false }), "/client_id"),
        (json!({ "client_id": "x" }), "/client_secret"),
        (json!({ "recheck": "org_credential" }), "/org_credential"),
        (json!({ "recheck": "never" }), "/recheck"),
        (json!({ "colour": "red" }), "/colour"),
    ] {
        host.set_config(config.clone());
        assert_eq!(host.check::<GitHub>().unwrap_err().problems[0].at, at, "{config}");
    }
    host.set_config(json!({}));
    assert!(host.check::<GitHub>().unwrap().is_empty());
    let both = json!({ "token": "ghp_x", "device": true });
    assert_eq!(host.login::<GitHub>(both).err().unwrap().problems[0].at, "/device");
}

#[test]
fn a_list_that_is_interrupted_is_no_half_list() {
    let host = Host::new();
    let world = World::of_ada(&host);
    let at = "GET https://api.github.com/user/teams?per_page=100";
    world.on(at, answer(502, &[], &json!({})));
    world.then(at, answer(200, &[], &json!([])));
    assert_eq!(code(by_token(&host, "ghp_x")), "unavailable");
    assert_eq!(identity(by_token(&host, "ghp_x")).groups, ["org:7"]);
}
