//! Whoever can write to Redis: reads nothing, and makes no session more than it is.

use redis::AsyncCommands as _;
use serde_json::json;

use crate::harness::{Client, Sessions, Storage, TestServer, canary, unique};

const FIELDS: [&str; 8] = ["rev", "a", "r", "used", "left", "block", "seen", "sealed"];

struct Hand {
    redis: redis::aio::MultiplexedConnection,
    server: TestServer,
}

impl Hand {
    async fn new() -> Self {
        let server = TestServer::builder().storage(Storage::Sqlite).sessions(Sessions::Redis).start().await;
        let url = server.services.redis.as_ref().expect("this server has one").url.clone();
        let client = redis::Client::open(url).expect("a Redis URL");
        Self { redis: client.get_multiplexed_async_connection().await.expect("Redis answers"), server }
    }

    /// A session of this user that has not been used yet.
    async fn fresh(&self, user: &Client) -> Client {
        let login = json!({ "grant_type": "password", "username": user.username, "password": user.password });
        user.with_session(self.server.anonymous().post("/token/create", login).await.expect(200))
    }

    async fn key(&mut self, client: &Client) -> String {
        let keys: Vec<String> = self.redis.keys(format!("*{{{}}}", client.session_id())).await.expect("Redis lists");
        let [key] = keys.as_slice() else { panic!("one hash: {keys:?}") };
        key.clone()
    }

    async fn get(&mut self, key: &str, field: &str) -> Vec<u8> {
        self.redis.hget(key, field).await.expect("a field")
    }

    async fn set(&mut self, key: &str, field: &str, value: &[u8]) {
        let () = self.redis.hset(key, field, value).await.expect("a field is written");
    }
}

/// 401, or exactly who it was. (The harness holds every request to its record in the trail.)
async fn nothing_gained(client: &Client, what: &str) {
    let answer = client.get("/users/me").await;
    match answer.status.as_u16() {
        200 => assert_eq!(answer.body["id"], client.id.as_str(), "{what}"),
        status => assert_eq!(status, 401, "{what}: {}", answer.text),
    }
    let answer = client.get("/sys/settings").await;
    let may = client.username == "admin";
    assert!(may || [401, 403].contains(&answer.status.as_u16()), "{what}: {} {}", answer.status, answer.text);
}

#[tokio::test]
async fn every_field_of_a_session_copied_swapped_or_emptied_gives_nothing() {
    let mut hand = Hand::new().await;
    let (one, two) = (hand.server.login("ada").await, hand.server.admin().await);
    let mut altered = 0;
    for field in FIELDS {
        for how in ["copied", "swapped", "zeroed", "emptied", "removed"] {
            // Never asked before: so the server remembers neither of the two.
            let (ada, admin) = (hand.fresh(&one).await, hand.fresh(&two).await);
            let (of_ada, of_admin) = (hand.key(&ada).await, hand.key(&admin).await);
            let (adas, admins) = (hand.get(&of_ada, field).await, hand.get(&of_admin, field).await);
            match how {
                "copied" => hand.set(&of_ada, field, &admins).await,
                "swapped" => {
                    hand.set(&of_ada, field, &admins).await;
                    hand.set(&of_admin, field, &adas).await;
                }
                "zeroed" => hand.set(&of_ada, field, &vec![0; adas.len()]).await,
                "emptied" => hand.set(&of_ada, field, b"").await,
                _ => {
                    let () = hand.redis.hdel(&of_ada, field).await.expect("a field is removed");
                }
            }
            nothing_gained(&ada, &format!("{field} {how}")).await;
            nothing_gained(&admin, &format!("{field} {how}")).await;
            altered += 1;
        }
    }
    assert_eq!(altered, 40);
}

#[tokio::test]
async fn a_whole_session_under_the_name_of_another_gives_nothing() {
    let mut hand = Hand::new().await;
    let (ada, admin) = (hand.server.login("ada").await, hand.server.admin().await);
    // Not used before: so the server remembers neither.
    let (ada, admin) = (hand.fresh(&ada).await, hand.fresh(&admin).await);
    let (of_ada, of_admin) = (hand.key(&ada).await, hand.key(&admin).await);
    let () = hand.redis.del(&of_ada).await.expect("a key is removed");
    let () = redis::cmd("COPY").arg(&of_admin).arg(&of_ada).query_async(&mut hand.redis).await.expect("a copy");
    ada.get("/users/me").await.expect_unauthorized();
    // Its own tokens do not know that name either.
    let renew = json!({ "refresh_token": ada.refresh_token() });
    hand.server.anonymous().post("/token/renew", renew).await.expect_oauth(400, "invalid_grant");
    admin.get("/users/me").await.expect(200);
}

#[tokio::test]
async fn redis_names_nobody() {
    let mut hand = Hand::new().await;
    let name = unique("somebody");
    let ada = hand.server.login(&name).await;
    let admin = hand.server.admin().await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": canary("x") })).await.expect(200);
    let once = ada.with_session(ada.child(None, json!({ "max_uses": 100 })).await.expect(200));
    once.get("/users/me").await.expect(200);
    ada.post("/token/renew", json!({ "refresh_token": ada.refresh_token() })).await.expect(200);
    hand.key(&admin).await;
    let dump = hand.server.services.dump().await;
    let [(_, redis), ..] = dump.as_slice() else { panic!("this server has a Redis") };
    let text = String::from_utf8_lossy(redis);
    assert!(text.contains(&ada.session_id()), "the dump is one");
    // Tokens and passwords are looked for at the end of every story.
    for word in [&name, &ada.id, &admin.id, "admin", "127.0.0.1", "password", "example.com", "kv/"] {
        assert!(!text.contains(word), "{word}");
    }
}
