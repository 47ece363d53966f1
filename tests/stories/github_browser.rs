//! Login with GitHub in a browser and on a device: the page, the click, the way back, and who tries to come between.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};

use super::github::{mount, whose, with_github};
use crate::harness::{Answer, Builder, Client, GitHub, SOON, TestServer, eventually};

on_every_store!(a_browser_logs_in_a_program_that_waits);

/// Somebody's browser: it keeps cookies, and says what it is.
#[derive(Default)]
struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    async fn ask(&mut self, server: &TestServer, method: Method, path: &str, form: Option<&str>) -> Answer {
        let mut call = server.anonymous().call(method, path).header("accept", "text/html,application/xhtml+xml");
        call = call.header("sec-fetch-site", if form.is_some() { "same-origin" } else { "none" });
        if !self.cookies.is_empty() {
            let all: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            call = call.header("cookie", &all.join("; "));
        }
        if let Some(form) = form {
            call = call.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let answer = call.await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, attributes) = line.split_once("; ").expect("attributes");
            assert_eq!(attributes.split("; Max-Age").next(), Some("Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
            let (name, value) = pair.split_once('=').expect("a cookie");
            assert!(name.starts_with("__Host-"), "{line}");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                server.keep_secret(value);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    async fn open(&mut self, server: &TestServer, url: &str) -> Answer {
        self.ask(server, Method::GET, below(server, url), None).await
    }

    /// Sees the page and clicks: where the server sends it.
    async fn click(&mut self, server: &TestServer, login: &Login) -> Answer {
        let form = format!("code={}", login.code);
        self.ask(server, Method::POST, "/auth/github/browser", Some(&form)).await
    }

    /// All of it, as somebody who is logged in at GitHub.
    async fn go(&mut self, server: &TestServer, github: &GitHub, login: &Login, user: u64) -> Answer {
        let clicked = self.click(server, login).await;
        let back = way_back(server, github, &clicked, user).await;
        self.open(server, &back).await
    }
}

/// Where GitHub sends the browser that has been sent there.
async fn way_back(server: &TestServer, github: &GitHub, clicked: &Answer, user: u64) -> String {
    assert_eq!(clicked.status, 303, "{}", clicked.text);
    let to = clicked.headers["location"].to_str().expect("text");
    let back = github.authorise(to, user).await.expect("GitHub agrees");
    for secret in ["state", "code"] {
        let query = crate::harness::github::pairs(back.split_once('?').expect("a query").1);
        server.keep_secret(&query[secret]);
    }
    back
}

fn below<'a>(server: &TestServer, url: &'a str) -> &'a str {
    url.strip_prefix(&format!("{}/api/v1", server.url())).unwrap_or_else(|| panic!("{url} is at this server"))
}

/// A login that waits.
struct Login {
    client: Client,
    id: Value,
    url: String,
    code: String,
}

impl Login {
    async fn begin(client: &Client) -> Self {
        let refused = client.post("/token/create", json!({ "grant_type": "github" })).await;
        let challenge = refused.expect_oauth(400, "challenge_required")["challenge"].clone();
        assert_eq!((&challenge["kind"], &challenge["interval"]), (&json!("redirect"), &json!(2)), "{challenge}");
        let text = |name: &str| challenge["details"][name].as_str().expect("text").to_owned();
        assert_eq!(challenge["details"].as_object().map(serde_json::Map::len), Some(2), "{challenge}");
        Self { client: client.clone(), id: challenge["id"].clone(), url: text("url"), code: text("code") }
    }

    async fn poll(&self) -> Answer {
        self.client.post("/token/resume", json!({ "challenge_id": self.id })).await
    }
}

async fn a_browser_logs_in_a_program_that_waits(server: Builder) {
    let (mut server, github, admin) = with_github(server).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    login.poll().await.expect_oauth(400, "authorization_pending");
    login.poll().await.expect_oauth(400, "slow_down");
    let mut browser = Browser::default();
    let page = browser.open(&server, &login.url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in [login.code.as_str(), "127.0.0.1", "github", "<button>", "Z</dd>"] {
        assert!(page.text.contains(shown), "{shown} in {}", page.text);
    }
    assert!(!page.text.contains("<script") && browser.cookies.is_empty());
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains(&format!("form-action 'self' https://localhost:{};", github.port)), "{policy}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    let clicked = browser.click(&server, &login).await;
    let back = way_back(&server, &github, &clicked, 1).await;
    assert_eq!(browser.cookies.len(), 1);
    server.restart().await;
    let back = back.replacen(back.split("/api").next().unwrap_or_default(), &server.url(), 1);
    let done = browser.open(&server, &back).await;
    assert_eq!((done.status.as_u16(), browser.cookies.len()), (200, 0), "{}", done.text);
    let (ada, me) = whose(&server, login.client.post("/token/resume", json!({ "challenge_id": login.id })).await).await;
    assert_eq!(me["username"], "ada");
    ada.get("/secrets?prefix=kv/~/").await.expect(200);
    login.client.post("/token/resume", json!({ "challenge_id": login.id })).await.expect_oauth(400, "expired_token");
    // The way back is gone as well.
    assert_eq!(browser.open(&server, &back).await.status, 400);
}

#[tokio::test]
async fn nobody_comes_between_a_program_and_its_browser() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let anonymous = server.anonymous();
    let (mut own, mut foreign) = (Browser::default(), Browser::default());

    // Somebody has the link: after the click, the login is the first browser's.
    let login = Login::begin(&anonymous).await;
    let clicked = own.click(&server, &login).await;
    assert_eq!(foreign.click(&server, &login).await.status, 400);
    // The same browser may go there again.
    assert_eq!(own.click(&server, &login).await.status, 303);
    // Somebody has the way back, state and all, and not the cookie; or a cookie of another login.
    let back = way_back(&server, &github, &clicked, 1).await;
    assert_eq!(foreign.open(&server, &back).await.status, 400);
    let mut other = Browser::default();
    let others = Login::begin(&anonymous).await;
    other.click(&server, &others).await;
    assert_eq!(other.open(&server, &back).await.status, 400);
    let name = own.cookies[0].0.clone();
    other.cookies[0].0 = name;
    assert_eq!(other.open(&server, &back).await.status, 400, "a cookie under another's name");
    // A state that was changed, or none.
    for wrong in [back.replace("state=", "state=x"), back.split("&state").next().unwrap_or_default().to_owned()] {
        assert!(matches!(own.open(&server, &wrong).await.status.as_u16(), 400 | 422), "{wrong}");
    }
    // To another mount.
    admin
        .post(
            "/sys/setting",
            json!({ "key": "auth/hub", "value": github.with_app(json!({ "roles": { "team:42": null } })) }),
        )
        .await
        .expect(200);
    assert_eq!(own.open(&server, &back.replace("/auth/github/", "/auth/hub/")).await.status, 400);
    // None of that has harmed it; and it can be done once.
    assert_eq!(own.open(&server, &back).await.status, 200);
    assert_eq!(own.open(&server, &back).await.status, 400);
    // Another address does not collect it; nor does who has only what the browser had.
    let elsewhere = server.anonymous_at("127.0.0.2");
    elsewhere.post("/token/resume", json!({ "challenge_id": login.id })).await.expect_oauth(400, "invalid_grant");
    anonymous.post("/token/resume", json!({ "challenge_id": login.code })).await.expect_oauth(400, "expired_token");
    login.poll().await.expect(200);
    login.poll().await.expect_oauth(400, "expired_token");
}

#[tokio::test]
async fn a_program_cannot_say_for_itself_what_a_browser_is_to_bring() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    let mut browser = Browser::default();
    let clicked = browser.click(&server, &login).await;
    // A code of somebody else's, got by an app of the attacker's own, would log the victim's program in as them.
    let back = way_back(&server, &github, &clicked, 1).await;
    let query = crate::harness::github::pairs(back.split_once('?').expect("a query").1);
    let injected = json!({ "challenge_id": login.id, "code": query["code"] });
    server.anonymous().post("/token/resume", injected).await.expect_oauth(400, "authorization_pending");
    // A replayed code is spent at GitHub.
    browser.open(&server, &back).await;
    login.poll().await.expect(200);
    let second = Login::begin(&server.anonymous()).await;
    let clicked = browser.click(&server, &second).await;
    let fresh = way_back(&server, &github, &clicked, 1).await;
    let state = fresh.split("&state=").nth(1).unwrap_or_default();
    let replayed = format!("{}/api/v1/auth/github/callback?code={}&state={state}", server.url(), query["code"]);
    assert_eq!(browser.open(&server, &replayed).await.status, 200);
    second.poll().await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn however_often_a_program_asks_at_once_the_provider_is_asked_once() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    login.poll().await.expect_oauth(400, "authorization_pending");
    Browser::default().go(&server, &github, &login, 1).await.expect_status(200);
    // It need not wait any more: the first look is let through, and the others are too many.
    let answers = futures_util::future::join_all((0..16).map(|_| login.poll())).await;
    let told = |answer: &Answer| answer.body["error"].as_str().unwrap_or("none").to_owned();
    let errors: Vec<String> = answers.iter().map(told).collect();
    assert_eq!(errors.iter().filter(|error| *error == "none").count(), 1, "{errors:?}");
    let known = ["none", "slow_down", "authorization_pending", "expired_token"];
    assert!(errors.iter().all(|error| known.contains(&error.as_str())), "{errors:?}");
    assert!(errors.iter().any(|error| error == "slow_down" || error == "authorization_pending"), "{errors:?}");
    let exchanges = github.world().asked.iter().filter(|asked| asked.ends_with("/login/oauth/access_token")).count();
    assert_eq!(exchanges, 1);
}

/// Asks until the server has something else to say than that it was asked too often.
async fn patiently(ask: impl AsyncFn() -> Answer) -> Answer {
    eventually("it may be asked again", async || {
        let answer = ask().await;
        (answer.body["error"] != "slow_down").then_some(answer)
    })
    .await
}

#[tokio::test]
async fn a_hiccup_of_the_provider_ends_no_login_in_a_browser() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    Browser::default().go(&server, &github, &login, 1).await.expect_status(200);
    let exchanges = || github.world().asked.iter().filter(|asked| asked.ends_with("/login/oauth/access_token")).count();
    // Before the code is spent.
    github.world().trouble = Some((502, Vec::new()));
    login.poll().await.expect_oauth(400, "slow_down");
    assert_eq!(exchanges(), 1);
    // After it is: who that is cannot be asked, and what the code was changed for is kept.
    (github.world().trouble, github.world().deaf) = (None, true);
    eventually("the code is changed for a token", async || {
        login.poll().await.expect_oauth(400, "slow_down");
        (exchanges() == 2).then_some(())
    })
    .await;
    // Nobody else may go on with it meanwhile.
    let elsewhere = server.anonymous_at("127.0.0.2");
    elsewhere.post("/token/resume", json!({ "challenge_id": login.id })).await.expect_oauth(400, "invalid_grant");
    github.world().deaf = false;
    let (_, me) = whose(&server, patiently(async || login.poll().await).await).await;
    assert_eq!((&me["username"], exchanges()), (&json!("ada"), 2));
    login.poll().await.expect_oauth(400, "expired_token");
}

#[tokio::test]
async fn after_an_organisations_own_login_a_browser_goes_again() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    github.world().saml.push(7);
    let mut login = Login::begin(&server.anonymous()).await;
    Browser::default().go(&server, &github, &login, 1).await.expect_status(200);
    let challenge = login.poll().await.expect_oauth(400, "challenge_required")["challenge"].clone();
    assert_eq!((&challenge["kind"], &challenge["id"]), (&json!("redirect"), &login.id));
    let details = &challenge["details"];
    assert!(details["url"].as_str().is_some_and(|url| url.contains("/orgs/acme/sso?")), "{details}");
    assert_eq!(details["organizations"], json!([{ "id": 7, "url": details["url"] }]));
    github.world().saml.clear();
    let again = login.poll().await.expect_oauth(400, "challenge_required")["challenge"].clone();
    for (name, told) in [("url", &mut login.url), ("code", &mut login.code)] {
        again["details"][name].as_str().expect("text").clone_into(told);
    }
    Browser::default().go(&server, &github, &login, 1).await.expect_status(200);
    let (_, me) = whose(&server, login.poll().await).await;
    assert_eq!(me["username"], "ada");
}

#[tokio::test]
async fn a_hiccup_of_the_provider_ends_no_login_on_a_device() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({ "config": { "device_flow": true } }))).await;
    let ask = || server.anonymous().post("/token/create", json!({ "grant_type": "github", "device": true }));
    let challenge = ask().await.expect_oauth(400, "challenge_required")["challenge"].clone();
    let poll = async || server.anonymous().post("/token/resume", json!({ "challenge_id": challenge["id"] })).await;
    github.enter(challenge["details"]["user_code"].as_str().expect("a code"), 1);
    github.world().trouble = Some((403, Vec::new()));
    poll().await.expect_oauth(400, "slow_down");
    (github.world().trouble, github.world().deaf) = (None, true);
    eventually("the code is changed for a token", async || {
        poll().await.expect_oauth(400, "slow_down");
        github.world().tokens.keys().any(|token| token.starts_with("gho_")).then_some(())
    })
    .await;
    github.world().deaf = false;
    let (ada, _) = whose(&server, patiently(poll).await).await;
    // It is a device's still.
    ada.get("/secrets?prefix=kv/~/").await.expect(200);
}

#[tokio::test]
async fn a_crowd_of_addresses_keeps_nobody_out() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    // 256 is all that one neighbourhood has, and 64 what one block has.
    for host in 3..=7 {
        let bot = server.anonymous_at(&format!("127.0.0.{host}"));
        for _ in 0..64 {
            Login::begin(&bot).await;
        }
        bot.post("/token/create", json!({ "grant_type": "github" })).await.expect(429);
    }
    let newcomer = Login::begin(&server.anonymous_at("127.0.0.2")).await;
    let mut browser = Browser::default();
    let clicked = browser.click(&server, &newcomer).await;
    let back = way_back(&server, &github, &clicked, 1).await;
    assert_eq!(browser.open(&server, &back).await.status, 200);
    newcomer.poll().await.expect(200);
    // Those who gave way have no turn more for it.
    server.anonymous_at("127.0.0.3").post("/token/create", json!({ "grant_type": "github" })).await.expect(429);
}

#[tokio::test]
async fn who_declines_at_github_has_declined() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    let mut browser = Browser::default();
    let clicked = browser.click(&server, &login).await;
    let back = way_back(&server, &github, &clicked, 1).await;
    let state = back.split("&state=").nth(1).unwrap_or_default();
    let declined =
        format!("{}/api/v1/auth/github/callback?error=access_denied&error_description=no&state={state}", server.url());
    assert_eq!(browser.open(&server, &declined).await.status, 200);
    login.poll().await.expect_oauth(400, "invalid_grant");
    // A stranger gets to GitHub and back, and no further.
    github.world().users.insert(5, "mallory".to_owned());
    let login = Login::begin(&server.anonymous()).await;
    Browser::default().go(&server, &github, &login, 5).await.expect_status(200);
    login.poll().await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_page_is_for_who_has_the_code() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let login = Login::begin(&server.anonymous()).await;
    let mut browser = Browser::default();
    for wrong in
        ["/auth/github/browser?code=BCDF-GHJK", "/auth/none/browser?code=BCDF-GHJK", "/auth/password/browser?code=x"]
    {
        let page = browser.ask(&server, Method::GET, wrong, None).await;
        assert_eq!(page.status, 400, "{wrong}");
        assert!(page.text.contains("Begin again"), "{}", page.text);
    }
    // People may type it as they like.
    let typed = login.code.to_lowercase().replace('-', "");
    assert_eq!(browser.open(&server, &login.url.replace(&login.code, &typed)).await.status, 200);
    // Another site cannot click.
    let call = server.anonymous().call(Method::POST, "/auth/github/browser").header("sec-fetch-site", "cross-site");
    let crossed =
        call.header("content-type", "application/x-www-form-urlencoded").body(format!("code={}", login.code)).await;
    crossed.expect_type(403, "cross_site");
    // What a program calls itself is shown as text.
    let named = server.anonymous().call(Method::POST, "/token/create").header("user-agent", "<b>evil</b>\" x=\"");
    let begun = named.json(json!({ "grant_type": "github" })).await.expect_oauth(400, "challenge_required");
    let page = browser.open(&server, begun["challenge"]["details"]["url"].as_str().expect("a URL")).await;
    assert!(page.text.contains("&lt;b&gt;evil") && !page.text.contains("<b>evil"), "{}", page.text);
}

#[tokio::test]
async fn logins_that_nobody_ends_take_room_from_their_own_block_alone() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let flood = server.anonymous_at("127.0.0.3");
    let first = Login::begin(&flood).await;
    for _ in 1..64 {
        Login::begin(&flood).await;
    }
    let full = flood.post("/token/create", json!({ "grant_type": "github" })).await;
    full.expect_type(429, "too_many_requests");
    Login::begin(&server.anonymous()).await;
    // One that ends makes room for one.
    Browser::default().go(&server, &github, &first, 1).await.expect_status(200);
    first.poll().await.expect(200);
    Login::begin(&flood).await;
    flood.post("/token/create", json!({ "grant_type": "github" })).await.expect(429);
}

#[tokio::test]
async fn a_device_logs_in_where_that_is_allowed_and_never_as_admin() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let ask = || server.anonymous().post("/token/create", json!({ "grant_type": "github", "device": true }));
    ask().await.expect_oauth(400, "invalid_grant");
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["user", "admin"] } } })).await.expect(200);
    let roles = json!({ "team:42": { "give": ["user", "admin"] } });
    mount(&admin, github.with_app(json!({ "config": { "device_flow": true }, "roles": roles }))).await;
    let challenge = ask().await.expect_oauth(400, "challenge_required")["challenge"].clone();
    assert_eq!((&challenge["kind"], &challenge["interval"]), (&json!("device"), &json!(1)));
    let poll = || server.anonymous().post("/token/resume", json!({ "challenge_id": challenge["id"] }));
    poll().await.expect_oauth(400, "authorization_pending");
    poll().await.expect_oauth(400, "slow_down");
    github.enter(challenge["details"]["user_code"].as_str().expect("a code"), 1);
    let answer = eventually("the device is logged in", async || {
        let answer = poll().await;
        (answer.body["error"] != "slow_down").then_some(answer)
    })
    .await;
    let (ada, _) = whose(&server, answer).await;
    ada.get("/secrets?prefix=kv/~/").await.expect(200);
    ada.get("/users").await.expect_forbidden();
    let child = ada.child(None, json!({})).await.expect(200);
    ada.with_session(child).get("/users").await.expect_forbidden();
    // By a token it would be.
    let token = github.token(&server, 1);
    let answer = server.anonymous().post("/token/create", json!({ "grant_type": "github", "token": token })).await;
    whose(&server, answer).await.0.get("/users").await.expect(200);
}

#[tokio::test]
async fn a_server_that_browsers_cannot_find_says_so_at_once() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    // No app, no browser.
    let ask = || server.anonymous().post("/token/create", json!({ "grant_type": "github" }));
    ask().await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn the_command_line_logs_in_by_a_token_in_a_browser_and_on_a_device() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({ "config": { "device_flow": true } }))).await;
    let authority = server.authority().to_str().expect("UTF-8").to_owned();
    let url = server.url();
    let base = ["login", "--address", &url, "--ca-cert", &authority, "--method", "github"];
    let cli = server.cli("ada");
    let token = format!("{}\n", github.token(&server, 1));
    cli.run_with(&[&base[..], &["--token"]].concat(), token.as_bytes()).await.done();
    server.keep_tokens(&cli);
    assert_eq!(cli.run(&["whoami", "-o", "json"]).await.json()["username"], "ada");
    assert_eq!(cli.session()["username"], "ada");
    cli.run_with(&[&base[..], &["--token"]].concat(), b"ghp_wrong\n").await.failed(7);

    for (how, sign) in [(&[][..], "/auth/github/browser?code="), (&["--device"][..], "WDJB-")] {
        let mut command = cli.command(&[&base[..], how].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut told = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let found = tokio::task::spawn_blocking(move || {
            let line = told.find_map(|line| line.ok().filter(|line| line.contains(sign)));
            (line, told)
        });
        let (line, told) = tokio::time::timeout(SOON, found).await.expect("it says so soon").expect("no panic");
        let line = line.expect("it says where to go").trim().to_owned();
        match line.split_once("code=") {
            Some((_, code)) => {
                let login =
                    Login { client: server.anonymous(), id: Value::Null, url: line.clone(), code: code.to_owned() };
                Browser::default().go(&server, &github, &login, 1).await.expect_status(200);
            }
            None => github.enter(&line, 1),
        }
        let ended = tokio::task::spawn_blocking(move || {
            let rest: Vec<String> = told.map_while(Result::ok).collect();
            (child.wait().expect("it ends"), rest)
        });
        let (status, rest) = tokio::time::timeout(SOON, ended).await.expect("it ends soon").expect("no panic");
        assert!(status.success(), "{rest:?}");
        server.keep_tokens(&cli);
        cli.run(&["whoami"]).await.done();
    }
}
