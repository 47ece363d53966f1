//! The trail: who did what, and nothing without it. (That every request of every story is in it is checked
//! at the end of each of them.)

use std::future::IntoFuture;

use serde_json::{Value, json};

use crate::harness::{Builder, Client, TestServer, canary, finish};

#[tokio::test]
async fn a_record_names_who_what_and_how_it_was_decided() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let value = canary("x");
    let made = ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": value })).await;
    let refused = ada.get("/sys/settings").await;
    let (made, refused) = (made.request_id(), refused.request_id());
    let trail = server.trail();
    let records: Vec<&Value> = trail.of(&made).collect();
    assert_eq!(records.len(), 2, "one before, one after");
    let before = records[0].to_string();
    for part in [ada.id.as_str(), &ada.session_id(), "127.0.0.1", "create", "kv/users/"] {
        assert!(before.contains(part), "{part} in {before}");
    }
    assert_eq!(records[1]["status"], 200);
    let refusal: Vec<&Value> = trail.of(&refused).collect();
    assert!(!refusal.is_empty());
    assert!(refusal[0].to_string().contains(&ada.id), "{}", refusal[0]);
}

#[tokio::test]
async fn a_refusal_of_nobody_is_recorded_too() {
    let server = TestServer::start().await;
    let body = json!({ "username": "ghost", "password": canary("wrong") });
    let login = server.anonymous().post("/token/create", body).await;
    let junk = server.anonymous().with_token("cof_s_a_b_c").get("/users/me").await;
    let nothing = server.anonymous().get("/users/me").await;
    let trail = server.trail();
    for answer in [login, junk, nothing] {
        assert!(trail.of(&answer.request_id()).count() >= 1, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_summed_up_and_hides_nobody() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let anonymous = server.anonymous();
    let calls: Vec<_> = (0..400).map(|_| tokio::spawn(anonymous.get("/users/me").into_future())).collect();
    for call in calls {
        call.await.expect("an answer").expect_unauthorized();
    }
    let mine = ada.get("/users/me").await.request_id();
    assert_eq!(server.trail().of(&mine).count(), 2);
}

#[tokio::test]
async fn nonsense_that_changes_nothing_is_one_refusal_among_many() {
    let server = TestServer::start().await;
    let ada = server.login("ada").await;
    let anonymous = server.anonymous();
    // Of the right form, and of nobody: its session is over.
    anonymous.post("/token/revoke", json!({ "token": ada.token() })).await.expect(200);
    let (access, refresh) = (ada.token(), ada.refresh_token());
    let share = format!("cof_share_1_{}", "ab".repeat(32));
    let share = format!("{share}_{:08x}", crc32fast::hash(share.as_bytes()));
    let calls = |n: usize| {
        [
            ("token.revoke", anonymous.post("/token/revoke", json!({ "token": format!("junk {n}") }))),
            ("token.revoke", anonymous.post("/token/revoke", json!({ "token": access }))),
            ("token.revoke", anonymous.post("/token/revoke", json!({ "token": refresh }))),
            ("token.renew", anonymous.post("/token/renew", json!({ "refresh_token": format!("junk {n}") }))),
            ("token.renew", anonymous.post("/token/renew", json!({ "refresh_token": refresh }))),
            (
                "token.resume",
                anonymous.post("/token/resume", json!({ "challenge_id": format!("junk{n}"), "code": "1" })),
            ),
            (
                "token.introspect",
                anonymous.post(
                    "/token/introspect",
                    json!({ "token": access, "client_id": format!("nobody{n}"), "client_secret": "junk" }),
                ),
            ),
            ("sys.unseal", anonymous.post("/sys/unseal", json!({ "share": format!("junk {n}") }))),
            ("sys.unseal", anonymous.post("/sys/unseal", json!({ "share": share }))),
            ("sys.generate_root", anonymous.post("/sys/generate-root", json!({ "share": share }))),
            ("sys.init", anonymous.post("/sys/init", json!({ "code": format!("junk {n}") }))),
            ("auth.browser.show", anonymous.get(&format!("/auth/password/browser?code=BBBB-{n:04}"))),
            ("auth.browser.click", anonymous.post("/auth/password/browser", json!({ "code": format!("BBBB-{n:04}") }))),
            ("auth.browser.back", anonymous.get(&format!("/auth/password/callback?state=junk{n}"))),
        ]
    };
    let before = server.trail().0.len();
    let mut asked = Vec::new();
    for n in 0..20 {
        let calls: Vec<_> = calls(n).map(|(what, call)| (what, tokio::spawn(call.into_future()))).into();
        for (what, call) in calls {
            asked.push((what, call.await.expect("an answer")));
        }
    }
    let trail = server.trail();
    for (what, answer) in &asked {
        let id = answer.request_id();
        let phases: Vec<&Value> = trail.of(&id).map(|record| &record["phase"]).collect();
        assert!(phases.iter().all(|phase| *phase == "refused"), "{what}: {phases:?}");
        assert!(answer.status == 200 && *what == "token.revoke" || answer.status.is_client_error(), "{what}");
    }
    let summed = trail.0.iter().filter(|record| record["operation"] == "audit.summed").count();
    assert!(trail.0.len() - before <= asked.len() + summed, "no more than a line each, and no more than 50 a second");
    // What does change something stands there before and after.
    let bob = server.login("bob").await;
    let ended = anonymous.post("/token/revoke", json!({ "token": bob.token() })).await.request_id();
    let trail = server.trail();
    let records: Vec<&Value> = trail.of(&ended).collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["resource"], format!("sessions/{}", bob.session_id()));
}

#[tokio::test]
async fn the_trail_goes_on_after_a_restart() {
    let mut server = TestServer::start().await;
    server.login("ada").await;
    let before = server.trail().0.len();
    server.kill9();
    server.restart().await;
    server.login("bob").await;
    assert!(server.trail().0.len() > before, "nothing is overwritten");
}

#[tokio::test]
async fn no_sink_no_work() {
    // A disk that is full from the first byte on.
    let server = TestServer::builder().env("COFFER_AUDIT__PATH", "/dev/full").prepare().await;
    let mut child = server.command().spawn().expect("the binary starts");
    // It may refuse to start, or start and refuse to work; what it may not is work.
    let ready = async {
        loop {
            if child.try_wait().ok().flatten().is_some() {
                return false;
            }
            if server.ready_file().exists() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let ready = tokio::time::timeout(crate::harness::SOON, ready).await.unwrap_or(false);
    if ready {
        let text = std::fs::read_to_string(server.ready_file()).expect("the ready file is there");
        let told: Value = serde_json::from_str(&text).expect("the ready file is JSON");
        let pem = std::fs::read(told["ca_cert"].as_str().expect("a path")).expect("a certificate");
        let trusted = reqwest::Certificate::from_pem_bundle(&pem).expect("PEM");
        let http = reqwest::Client::builder().tls_certs_only(trusted).build().expect("a client");
        let login = json!({ "username": told["admin_username"], "password": told["admin_password"] });
        let url = format!("{}/api/v1/token/create", told["url"].as_str().expect("a URL").trim_end_matches('/'));
        let answer = http.post(url).json(&login).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 503);
    }
    let _ = child.kill();
    let _ = child.wait();
}

async fn a_trail_verifies_until_a_line_is_touched(server: Builder) {
    let mut server = server.start().await;
    server.login("ada").await;
    server.restart().await;
    let admin = server.admin().await;
    let file = std::fs::read_dir(server.data_dir())
        .expect("the data folder is there")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit")))
        .expect("an audit file");
    assert_eq!(verify(&server, &admin, file.clone()).await, 0, "an untouched trail verifies");
    let lines: Vec<String> = std::fs::read_to_string(&file).expect("text").lines().map(str::to_owned).collect();
    let middle = lines.len() / 2;
    let mut removed = lines.clone();
    removed.remove(middle);
    let mut swapped = lines.clone();
    swapped.swap(middle, middle + 1);
    let mut changed = lines.clone();
    changed[middle] = changed[middle].replacen("\"phase\":\"", "\"phase\":\"x", 1);
    for (name, touched) in [("removed", removed), ("swapped", swapped), ("changed", changed)] {
        let copy = server.dir().join(name);
        std::fs::write(&copy, touched.join("\n") + "\n").expect("the test's folder is writable");
        assert_eq!(verify(&server, &admin, copy).await, 10, "one with a line {name} does not");
    }
    // Who may not read the trail cannot have it verified.
    let ada = server.login("ada").await;
    assert_eq!(verify(&server, &ada, file).await, 5);
}

/// `coffer audit verify`: its exit code.
pub(super) async fn verify(server: &TestServer, caller: &Client, file: std::path::PathBuf) -> i32 {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(["audit", "verify"]).arg(file);
    command.env("COFFER_ADDR", server.url()).env("COFFER_TOKEN", caller.token());
    command.env("COFFER_CACERT", server.authority());
    let output = finish(command).await;
    output.status.code().expect("it ends by itself")
}

on_every_store!(a_trail_verifies_until_a_line_is_touched, storage_and_redis_see_no_name_of_a_user);

async fn storage_and_redis_see_no_name_of_a_user(server: Builder) {
    let mut server = server.start().await;
    let name = crate::harness::unique("nemo");
    let user = server.login(&name).await;
    user.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    assert!(server.sigterm().success());
    let mut places = server.services.dump().await;
    for entry in std::fs::read_dir(server.data_dir()).expect("the data folder is there").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.starts_with("coffer.db") {
            places.push((file, std::fs::read(entry.path()).expect("a file of the server's")));
        }
    }
    // Values are looked for at the end of every story.
    assert!(!places.is_empty());
    for (place, bytes) in places {
        assert!(!String::from_utf8_lossy(&bytes).contains(&name), "{place} tells a name");
    }
}
