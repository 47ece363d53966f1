//! Login with GitHub, against a GitHub on loopback: by a token, in a browser, on a device.

use serde_json::{Value, json};

use crate::harness::github::{CLIENT_ID, Token};
use crate::harness::{Answer, Builder, Client, GitHub, TestServer, canary};

on_every_store!(a_token_logs_in_whom_it_belongs_to_and_makes_a_user_once,);

/// A server with a mount `github`, and the GitHub.
async fn with_github(server: Builder) -> (TestServer, GitHub, Client) {
    let github = GitHub::start().await;
    let server = github.known_to(server).start().await;
    server.keep_secret(&github.world().client_secret);
    let admin = server.admin().await;
    (server, github, admin)
}

async fn mount(admin: &Client, value: Value) -> Value {
    admin.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200)
}

fn by_token(server: &TestServer, token: &str) -> crate::harness::Call {
    server.anonymous().post("/token/create", json!({ "grant_type": "github", "token": token }))
}

/// Whose session it is: the user, as it says itself.
async fn whose(server: &TestServer, answer: Answer) -> (Client, Value) {
    let client = server.anonymous().with_session(answer.expect(200));
    let me = client.get("/users/me").await.expect(200);
    (client, me)
}

async fn a_token_logs_in_whom_it_belongs_to_and_makes_a_user_once(server: Builder) {
    let (mut server, github, admin) = with_github(server).await;
    mount(&admin, github.setting(json!({}))).await;
    let token = github.token(&server, 1);
    let (ada, me) = whose(&server, by_token(&server, &token).await).await;
    assert_eq!(
        (&me["username"], &me["email"], &me["role"], &me["kind"]),
        (&json!("ada"), &Value::Null, &Value::Null, &json!("person"))
    );
    let own = json!({ "secret_id": "kv/~/mail", "value": canary("mail") });
    ada.post("/secrets/create", own).await.expect(200);
    ada.get("/users").await.expect_forbidden();
    server.restart().await;
    // The same again, whatever the account is called by now.
    github.world().users.insert(1, "countess".to_owned());
    let (_, again) = whose(&server, by_token(&server, &token).await).await;
    assert_eq!((&again["id"], &again["username"]), (&me["id"], &json!("ada")));
    // The name was given to somebody else at GitHub, who is nobody's friend here.
    github.world().users.insert(2, "ada".to_owned());
    github.world().in_orgs.insert((7, 2), "active");
    github.world().in_teams.insert((42, 2), "active");
    let (other, stranger) = whose(&server, by_token(&server, &github.token(&server, 2)).await).await;
    assert_eq!((&stranger["username"], stranger["id"] == me["id"]), (&json!("ada-2"), false));
    other.get("/secrets/kv/~/mail").await.expect(404);
}
