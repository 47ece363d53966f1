//! Login with GitHub by a token, against a GitHub on loopback: who that is here, and what they may do.

use serde_json::{Value, json};

use crate::harness::github::{CLIENT_ID, Token};
use crate::harness::{Answer, Builder, Call, Client, GitHub, TestServer, canary, reworded};

on_every_store!(
    a_token_logs_in_whom_it_belongs_to_and_makes_a_user_once,
    a_mapping_rules_the_sessions_that_are_there,
    who_is_out_of_the_team_is_out_at_the_next_renewal,
);

/// A server with a GitHub that it can reach.
pub async fn with_github(server: Builder) -> (TestServer, GitHub, Client) {
    let github = GitHub::start().await;
    let server = github.known_to(server).start().await;
    server.keep_secret(&github.world().client_secret);
    let admin = server.admin().await;
    (server, github, admin)
}

pub async fn mount(admin: &Client, value: Value) -> Value {
    admin.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200)
}

fn by_token(server: &TestServer, token: &str) -> Call {
    server.anonymous().post("/token/create", json!({ "grant_type": "github", "token": token }))
}

/// Whose session it is, and the user as it is shown to itself.
pub async fn whose(server: &TestServer, answer: Answer) -> (Client, Value) {
    let client = server.anonymous().with_session(answer.expect(200));
    let me = client.get("/users/me").await.expect(200);
    (client, me)
}

fn renew(server: &TestServer, client: &Client) -> Call {
    server.anonymous().post("/token/renew", json!({ "refresh_token": client.refresh_token() }))
}

async fn a_token_logs_in_whom_it_belongs_to_and_makes_a_user_once(server: Builder) {
    let (mut server, github, admin) = with_github(server).await;
    mount(&admin, github.setting(json!({}))).await;
    let token = github.token(&server, 1);
    let (ada, me) = whose(&server, by_token(&server, &token).await).await;
    let told = ["username", "email", "role", "kind"].map(|name| me[name].clone());
    assert_eq!(told, [json!("ada"), Value::Null, Value::Null, json!("person")]);
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/mail", "value": canary("mail") })).await.expect(200);
    ada.get("/users").await.expect_forbidden();
    server.restart().await;
    // The same again, whatever the account is called by now.
    github.world().users.insert(1, "countess".to_owned());
    let (_, again) = whose(&server, by_token(&server, &token).await).await;
    assert_eq!((&again["id"], &again["username"]), (&me["id"], &json!("ada")));
    // Somebody else has registered the name at GitHub, and is somebody else here.
    {
        let mut world = github.world();
        world.users.insert(2, "ada".to_owned());
        world.in_orgs.insert((7, 2), "active");
        world.in_teams.insert((42, 2), "active");
    }
    let (other, stranger) = whose(&server, by_token(&server, &github.token(&server, 2)).await).await;
    assert_eq!((&stranger["username"], stranger["id"] == me["id"]), (&json!("ada-2"), false));
    other.get("/secrets/kv/~/mail").await.expect(404);
}

async fn a_mapping_rules_the_sessions_that_are_there(server: Builder) {
    let (server, github, admin) = with_github(server).await;
    mount(&admin, github.setting(json!({}))).await;
    let (ada, _) = whose(&server, by_token(&server, &github.token(&server, 1)).await).await;
    let own = async || ada.get("/secrets?prefix=kv/~/").await.status.as_u16();
    let map = async |roles: Value| {
        admin.post("/sys/setting", json!({ "key": "auth/github", "value": { "roles": roles } })).await
    };
    assert_eq!(own().await, 200);
    map(json!({ "team:42": null })).await.expect(200);
    assert_eq!(own().await, 403);
    by_token(&server, &github.token(&server, 1)).await.expect_oauth(400, "invalid_grant");
    map(json!({ "org:7": { "give": ["user"] } })).await.expect(200);
    assert_eq!(own().await, 200);
    // Whatever the mapping says, it gives no more than the rules let the mount.
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": [] } } })).await.expect(200);
    assert_eq!(own().await, 403);
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["user"] } } })).await.expect(200);
    assert_eq!(own().await, 200);
    map(json!({ "org:7": { "give": ["admin"] } }))
        .await
        .expect_at(422, ["body", "value", "roles", "org:7", "give", "0"]);
    let unknown = json!({ "org:7": { "give": ["user", "nobody"] } });
    map(unknown).await.expect_problem(422, ["body", "value", "roles", "org:7", "give", "1"], "unknown_role");
}

async fn who_is_out_of_the_team_is_out_at_the_next_renewal(server: Builder) {
    let (mut server, github, admin) = with_github(server).await;
    let credential =
        github.token_like(&server, "ghp", Token { user: 9, scopes: Some("read:org"), app: None, authorised: true });
    github.world().users.insert(9, "robot".to_owned());
    github.world().in_orgs.insert((7, 9), "active");
    let token = github.token(&server, 1);
    for recheck in
        [json!({ "recheck": "keep_token" }), json!({ "recheck": "org_credential", "org_credential": credential })]
    {
        mount(&admin, github.setting(json!({ "config": recheck }))).await;
        let (ada, _) = whose(&server, by_token(&server, &token).await).await;
        let renewed = server.anonymous().with_session(renew(&server, &ada).await.expect(200));
        server.restart().await;
        // GitHub does not answer: nothing is spent, nothing ends.
        github.world().trouble = Some((502, Vec::new()));
        renew(&server, &renewed).await.expect(503);
        github.world().trouble = None;
        let renewed = server.anonymous().with_session(renew(&server, &renewed).await.expect(200));
        github.world().in_teams.remove(&(42, 1));
        renewed.get("/users/me").await.expect(200);
        renew(&server, &renewed).await.expect_oauth(400, "invalid_grant");
        renewed.get("/users/me").await.expect_unauthorized();
        github.world().in_teams.insert((42, 1), "active");
    }
    // Not checked again: it is over after eight hours, whatever it is renewed to.
    mount(&admin, github.setting(json!({ "config": { "recheck": "relogin" } }))).await;
    let (ada, _) = whose(&server, by_token(&server, &token).await).await;
    assert!(ada.session["refresh_expires_in"].as_u64().is_some_and(|left| left <= 8 * 3600), "{}", ada.session);
    github.world().in_teams.remove(&(42, 1));
    renew(&server, &ada).await.expect(200);
}

#[tokio::test]
async fn a_credential_of_the_mounts_that_has_expired_ends_nobodys_session() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    let robot = Token { user: 9, scopes: Some("read:org"), app: None, authorised: true };
    let credential = github.token_like(&server, "ghp", robot.clone());
    github.world().users.insert(9, "robot".to_owned());
    github.world().in_orgs.insert((7, 9), "active");
    let recheck = json!({ "recheck": "org_credential", "org_credential": credential });
    mount(&admin, github.setting(json!({ "config": recheck }))).await;
    let (ada, _) = whose(&server, by_token(&server, &github.token(&server, 1)).await).await;
    let ada = server.anonymous().with_session(renew(&server, &ada).await.expect(200));
    github.world().tokens.remove(&credential);
    renew(&server, &ada).await.expect_type(503, "unavailable");
    github.world().tokens.insert(credential, robot);
    // Whom it stands for has left the organisation.
    github.world().in_orgs.remove(&(7, 9));
    renew(&server, &ada).await.expect_type(503, "unavailable");
    ada.get("/users/me").await.expect(200);
    github.world().in_orgs.insert((7, 9), "active");
    renew(&server, &ada).await.expect(200);
}

#[tokio::test]
async fn who_is_given_no_role_is_refused_and_not_made_a_user() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(
        &admin,
        github.setting(json!({ "roles": { "org:8": { "give": ["user"] }, "team:43": { "give": ["user"] } } })),
    )
    .await;
    admin
        .post("/sys/setting", json!({ "key": "auth/github", "value": { "roles": { "team:42": null } } }))
        .await
        .expect(200);
    let token = github.token(&server, 1);
    let count = async || admin.get("/users").await.expect(200)["users"].as_array().map(Vec::len);
    let before = count().await;
    // Invited, and not come yet; nor does a team count without its organisation.
    by_token(&server, &token).await.expect_oauth(400, "invalid_grant");
    github.world().in_teams.insert((43, 1), "active");
    by_token(&server, &token).await.expect_oauth(400, "invalid_grant");
    assert_eq!(count().await, before);
    github.world().in_orgs.insert((8, 1), "active");
    by_token(&server, &token).await.expect(200);
    assert_eq!(count().await, before.map(|count| count + 1));
    // Where nobody is made, nobody new comes in.
    admin.post("/sys/setting", json!({ "key": "auth/github", "value": { "provision": false } })).await.expect(200);
    by_token(&server, &token).await.expect(200);
    {
        let mut world = github.world();
        world.users.insert(2, "bob".to_owned());
        world.in_orgs.insert((8, 2), "active");
    }
    by_token(&server, &github.token(&server, 2)).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_name_or_an_address_that_is_taken_stays_whose_it_is() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    let local = server.login("ada").await;
    local.post("/secrets/create", json!({ "secret_id": "kv/~/mine", "value": canary("mine") })).await.expect(200);
    admin.post("/users/ada/update", json!({ "email": "ada@example.com" })).await.expect(200);
    let token = github.token(&server, 1);
    let (ada, me) = whose(&server, by_token(&server, &token).await).await;
    assert_eq!((&me["username"], me["id"] == local.id), (&json!("ada-1"), false));
    ada.get("/secrets/kv/~/mine").await.expect(404);
    // A name of the server's own is not given away either.
    github.world().users.insert(3, "root".to_owned());
    github.world().in_orgs.insert((7, 3), "active");
    github.world().in_teams.insert((42, 3), "active");
    let (_, me) = whose(&server, by_token(&server, &github.token(&server, 3)).await).await;
    assert_eq!(me["username"], "root-3");
    // Who was deleted does not come back as somebody else.
    admin.post("/users/ada-1/delete", json!({})).await.expect(200);
    ada.get("/users/me").await.expect_unauthorized();
    by_token(&server, &token).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn a_user_of_the_mapping_is_ruled_by_who_may_give_its_roles() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    admin.put("/sys/roles/ops", json!({ "description": "" })).await.expect(200);
    admin.put("/sys/roles/desk", json!({ "description": "" })).await.expect(200);
    admin.post("/sys/security", json!({ "logins": { "roles": { "github": ["user", "ops"] } } })).await.expect(200);
    mount(&admin, github.setting(json!({ "roles": { "org:7": { "give": ["ops"] } } }))).await;
    by_token(&server, &github.token(&server, 1)).await.expect(200);
    let policy = |more: &str| {
        let text = format!(
            "permit (principal in Role::\"desk\", action, resource in Resource::\"sys/users\");\n\
             permit (principal in Role::\"desk\", action, resource in Resource::\"sys/setting/auth/github\");\n\
             permit (principal in Role::\"desk\", action, resource in Resource::\"sys/roles/user\");\n{more}"
        );
        admin.put("/sys/policies/desk", json!({ "text": text }))
    };
    policy("").await.expect(200);
    let password = server.create_user("eve", "desk").await;
    let eve = server.log_in("eve", &password).await;
    // Neither the user, who is of ops, nor the mapping that makes ops of whomever it likes.
    eve.post("/users/ada/update", json!({ "disabled": true })).await.expect_forbidden();
    let mapping = json!({ "roles": { "org:8": { "give": ["ops"] } } });
    eve.post("/sys/setting", json!({ "key": "auth/github", "value": mapping })).await.expect_forbidden();
    let elsewhere = json!({ "config": { "base_url": "https://github.evil.example" } });
    eve.post("/sys/setting", json!({ "key": "auth/github", "value": elsewhere })).await.expect_forbidden();
    policy("permit (principal in Role::\"desk\", action, resource in Resource::\"sys/roles/ops\");").await.expect(200);
    eve.post("/sys/setting", json!({ "key": "auth/github", "value": mapping })).await.expect(200);
    eve.post("/users/ada/update", json!({ "disabled": true })).await.expect(200);
}

#[tokio::test]
async fn only_a_persons_own_token_is_taken() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let like = |kind: &str, scopes, app: Option<&str>| {
        let app = app.map(str::to_owned);
        github.token_like(&server, kind, Token { user: 1, scopes, app, authorised: false })
    };
    by_token(&server, &like("github_pat", None, None)).await.expect(200);
    by_token(&server, &like("gho", Some("read:org"), Some(CLIENT_ID))).await.expect(200);
    let other = "Iv1.0000000000000000";
    for (why, token) in [
        ("of another app", like("gho", Some("read:org"), Some(other))),
        ("of another app, by a GitHub App", like("ghu", None, Some(other))),
        ("of another app, from before tokens said what they are", like("old", Some("read:org"), Some(other))),
        ("of an installation", like("ghs", None, None)),
        ("that refreshes", like("ghr", None, None)),
        ("that sees no organisation", like("ghp", Some("repo"), None)),
        ("of nobody", "ghp_000000000000000000000000000000000000".to_owned()),
    ] {
        let answer = by_token(&server, &token).await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]), (400, &json!("invalid_grant")), "{why}");
    }
    mount(&admin, github.with_app(json!({ "config": { "personal_tokens": false } }))).await;
    by_token(&server, &like("ghp", Some("read:org"), None)).await.expect_oauth(400, "invalid_grant");
    server
        .anonymous()
        .post("/token/create", json!({ "grant_type": "github", "token": 1 }))
        .await
        .expect_at(422, ["body", "token"]);
}

#[tokio::test]
async fn a_person_of_many_teams_is_in_all_of_them() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    {
        let mut world = github.world();
        for team in 1000..1250 {
            world.teams.insert(team, (format!("t{team}"), 7));
            world.in_teams.insert((team, 1), "active");
        }
    }
    mount(&admin, github.setting(json!({ "roles": { "team:42": { "give": [] }, "team:1249": { "give": ["user"] } } })))
        .await;
    let token = github.token(&server, 1);
    by_token(&server, &token).await.expect(200);
    let pages = github.world().asked.iter().filter(|asked| asked.ends_with("/user/teams")).count();
    assert_eq!(pages, 3);
    // Nor are they too many to be checked again.
    let org_credential = json!({ "recheck": "org_credential", "org_credential": token });
    admin
        .post("/sys/setting", json!({ "key": "auth/github", "value": { "config": org_credential } }))
        .await
        .expect(200);
    let (ada, _) = whose(&server, by_token(&server, &token).await).await;
    let ada = server.anonymous().with_session(renew(&server, &ada).await.expect(200));
    ada.get("/secrets?prefix=kv/~/").await.expect(200);
    github.world().in_teams.remove(&(1249, 1));
    renew(&server, &ada).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn trouble_at_github_is_nobodys_failed_login() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    admin.post("/sys/security", json!({ "logins": { "failures_per_address": 3 } })).await.expect(200);
    let token = github.token(&server, 1);
    let now = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs();
    for (status, headers, wait) in [
        (403, vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", (now + 90).to_string())], 80..=90),
        (429, vec![("retry-after", "30".to_owned())], 30..=30),
        (403, vec![("retry-after", "60".to_owned())], 60..=60),
        (403, Vec::new(), 60..=60),
        (502, Vec::new(), 1..=60),
        (503, Vec::new(), 1..=60),
    ] {
        github.world().trouble = Some((status, headers));
        let answer = by_token(&server, &token).await;
        let told = answer.headers["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds");
        answer.expect_type(503, "unavailable");
        assert!(wait.contains(&told), "{status}: {told}");
    }
    github.world().trouble = None;
    by_token(&server, &token).await.expect(200);
    drop(github);
    by_token(&server, &token).await.expect_type(503, "unavailable");
}

#[tokio::test]
async fn an_organisation_that_wants_its_own_login_first_is_named_with_githubs_url() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    github.world().saml.push(7);
    let token = github.token(&server, 1);
    let challenge = by_token(&server, &token).await.expect_oauth(400, "challenge_required")["challenge"].clone();
    assert_eq!((&challenge["kind"], &challenge["details"]["member"]), (&json!("redirect"), &json!("token")));
    let url = challenge["details"]["url"].as_str().unwrap_or_default();
    assert!(url.contains("/orgs/acme/sso?authorization_request="), "{challenge}");
    let resume = |token: &str| json!({ "challenge_id": challenge["id"], "token": token });
    github.world().tokens.get_mut(&token).expect("it is known").authorised = true;
    server.anonymous().post("/token/resume", resume(&token)).await.expect(200);
    server.anonymous().post("/token/resume", resume(&token)).await.expect_oauth(400, "expired_token");
    // Who does not want to, goes without what that organisation would give.
    let other = github.token(&server, 1);
    let challenge = by_token(&server, &other).await.expect_oauth(400, "challenge_required")["challenge"].clone();
    let without = json!({ "challenge_id": challenge["id"], "token": other });
    server.anonymous().post("/token/resume", without).await.expect_oauth(400, "invalid_grant");
}

#[tokio::test]
async fn an_admin_looks_up_what_to_map_roles_by() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    admin.get("/auth/github/groups").await.expect(422);
    let credential = github.token(&server, 1);
    mount(&admin, github.setting(json!({ "config": { "org_credential": credential } }))).await;
    let told = admin.get("/auth/github/groups").await.expect(200);
    let label = |id: &str| {
        let groups = told["groups"].as_array().expect("a list");
        groups.iter().find(|group| group["id"] == id).map(|group| group["label"].clone())
    };
    assert_eq!(
        (label("org:7"), label("team:42"), label("org:8")),
        (Some(json!("acme")), Some(json!("acme/platform")), None)
    );
    // However many there are, and whatever there is of GitHub just now, the mount can be enabled.
    for org in 100..240 {
        github.world().orgs.insert(org, format!("o{org}"));
        github.world().in_orgs.insert((org, 1), "active");
    }
    let all = admin.get("/auth/github/groups").await.expect(200);
    assert_eq!(all["groups"].as_array().map(Vec::len), Some(140 + 2));
    github.world().trouble = Some((502, Vec::new()));
    mount(&admin, github.setting(json!({ "config": { "personal_tokens": true } }))).await;
    admin.get("/auth/github/groups").await.expect_type(503, "unavailable");
    github.world().trouble = None;
    let ada = server.login("ada").await;
    let refused = ada.get("/auth/github/groups").await;
    assert_eq!(refused.likeness(), ada.get("/auth/none/groups").await.likeness());
    assert_eq!(refused.likeness(), ada.get("/auth/github/none").await.likeness());
    refused.expect_forbidden();
    server.anonymous().get("/auth/github/groups").await.expect_unauthorized();
    for path in ["/auth/github/none", "/auth/none/groups", "/auth/password/groups", "/auth/github/x/groups"] {
        admin.get(path).await.expect_type(404, "not_found");
    }
    admin.post("/auth/github/groups", json!({})).await.expect(405);
    admin.get("/auth/github/..%2Fgroups").await.expect_at(422, ["path", "path"]);
    // What it is called by is a setting's to show; what it is asked with is not.
    let shown = admin.get("/sys/setting/auth/github").await.expect(200);
    assert!(!shown.to_string().contains(&credential), "{shown}");
    assert_eq!(shown["secret_members"], json!(["/config/client_secret", "/config/org_credential"]));
}

#[tokio::test]
async fn a_secret_of_the_configuration_goes_to_no_other_github() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.with_app(json!({}))).await;
    let elsewhere = json!({ "config": { "base_url": "https://github.evil.example" }, "grant": { "http": ["github.evil.example:443"] } });
    admin
        .post("/sys/setting", json!({ "key": "auth/github", "value": elsewhere }))
        .await
        .expect_at(422, ["body", "value", "config", "client_secret"]);
    drop(server);
}

/// The shipped component under another name and version: what a publisher would upload.
fn renamed(version: &str) -> Vec<u8> {
    let version = format!("version = \"{version}\"");
    reworded("github", &[("name = \"github\"", "name = \"octogh\""), ("version = \"1.0.0\"", &version)])
}

#[tokio::test]
async fn an_upgrade_of_the_plugin_keeps_whom_it_knows() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    for version in ["1.0.0", "1.1.0"] {
        let call = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/octogh/{version}"));
        call.header("content-type", "application/wasm").body(renamed(version)).await.expect(200);
    }
    mount(&admin, github.setting(json!({ "plugin": "octogh", "version": "1.0.0" }))).await;
    let token = github.token(&server, 1);
    let (before, me) = whose(&server, by_token(&server, &token).await).await;
    let upgrade = json!({ "key": "auth/github", "value": { "version": "1.1.0" } });
    let set = admin.post("/sys/setting", upgrade).await.expect(200);
    assert_eq!(set["state"]["live"]["version"], "1.1.0", "{set}");
    before.get("/users/me").await.expect(200);
    renew(&server, &before).await.expect(200);
    let (_, again) = whose(&server, by_token(&server, &token).await).await;
    assert_eq!(again["id"], me["id"]);
    // Another mount of the same plugin is another place: who that is there is somebody else here.
    let second = json!({ "key": "auth/hub", "value": github.setting(json!({})) });
    admin.post("/sys/security", json!({ "logins": { "roles": { "hub": ["user"] } } })).await.expect(200);
    admin.post("/sys/setting", second).await.expect(200);
    let answer = server.anonymous().post("/token/create", json!({ "grant_type": "hub", "token": token })).await;
    assert_ne!(whose(&server, answer).await.1["id"], me["id"]);
}

#[tokio::test]
async fn another_github_knows_other_people_unless_an_admin_says_otherwise() {
    let (server, github, admin) = with_github(TestServer::builder()).await;
    mount(&admin, github.setting(json!({}))).await;
    whose(&server, by_token(&server, &github.token(&server, 1)).await).await;
    let other = GitHub::start().await;
    let moved = async |more: Value| {
        let body = json!({ "key": "auth/github", "value": other.setting(more) });
        admin.post("/sys/setting", body).await
    };
    let at = ["body", "value", "config", "base_url"];
    moved(json!({})).await.expect_problem(422, at, "mount_holds_data");
    // Nor by saying everything anew, nor by leaving it to the usual one.
    let whole = json!({ "value": other.setting(json!({})) });
    admin.put("/sys/setting/auth%2Fgithub", whole).await.expect_problem(422, at, "mount_holds_data");
    let usual = json!({ "key": "auth/github", "value": { "config": { "base_url": null }, "grant": null } });
    admin.post("/sys/setting", usual).await.expect_problem(422, at, "mount_holds_data");
    moved(json!({ "adopt": true })).await.expect(200);
    // And it is a wish of that change alone.
    mount(&admin, json!({ "provision": false })).await;
    assert!(admin.get("/sys/setting/auth/github").await.expect(200)["value"]["adopt"].is_null());
}
