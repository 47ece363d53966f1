//! What Redis can do to a server: die, forget, fall back, fill up, stall, turn away. Whatever it is: what has
//! ended stays ended, secrets are unharmed, answers in between are 503, and all heals without a restart. (That
//! a 503 says when to come back, and that there is no 500, is held of every answer by the harness.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::harness::redis::{Cluster, Server, Watched};
use crate::harness::{Answer, Client, TestServer, canary, eventually};

/// Sessions of one user, some of them ended, before something happens to Redis.
struct Before {
    server: TestServer,
    ada: Client,
    value: String,
    /// Ended by the time it happens.
    dead: Vec<Client>,
    /// Of its seven uses three are spent.
    limited: Client,
    /// Spent long ago; its family has gone on.
    renewed: Client,
    spent_refresh: String,
}

/// An answer that is not "later".
fn said(answer: Answer) -> Option<Answer> {
    (answer.status != 503).then_some(answer)
}

impl Before {
    /// `kept` is called while all of them live, to keep a state that knows of no ending.
    async fn with(url: &str, kept: impl AsyncFnOnce()) -> Self {
        let server = TestServer::builder().redis(url).start().await;
        let (ada, revoked, renewed) = (server.login("ada").await, server.login("ada").await, server.login("ada").await);
        let value = canary("x");
        ada.post("/secrets/create", json!({ "secret_id": "kv/~/x", "value": value })).await.expect(200);
        let child = async |session| ada.with_session(ada.child(None, session).await.expect(200));
        let once = child(json!({ "one_time": true })).await;
        let limited = child(json!({ "max_uses": 7 })).await;
        limited.get("/users/me").await.expect(200);
        kept().await;
        for _ in 0..2 {
            limited.get("/users/me").await.expect(200);
        }
        once.get("/users/me").await.expect(200);
        ada.post("/token/revoke", json!({ "token": revoked.token() })).await.expect(200);
        let spent_refresh = renewed.refresh_token();
        let body = json!({ "refresh_token": spent_refresh });
        let renewed = renewed.with_session(renewed.post("/token/renew", body).await.expect(200));
        renewed.get("/users/me").await.expect(200);
        Self { server, ada, value, dead: vec![revoked, once], limited, renewed, spent_refresh }
    }

    /// It serves again, within seconds and by itself.
    async fn until_served(&self) -> Client {
        let login = eventually("somebody can log in again", async || {
            let body = json!({ "username": "ada", "password": self.ada.password });
            let answer = self.server.anonymous().post("/token/create", body).await;
            assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.text);
            (answer.status == 200).then_some(answer.body)
        });
        let ada = self.ada.with_session(login.await);
        eventually("what was stored is there", async || {
            let answer = ada.get("/secrets/kv/~/x").await;
            assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.text);
            (answer.status == 200).then(|| assert_eq!(answer.body["data"]["value"], self.value.as_str()))
        })
        .await;
        ada
    }

    async fn assert_dead(&self) {
        // Where their part of Redis is still away, nothing is said of them.
        for dead in &self.dead {
            let told = eventually("it is told", async || said(dead.get("/users/me").await));
            told.await.expect_unauthorized();
        }
        let refresh = json!({ "refresh_token": self.dead[0].refresh_token() });
        let renew = async || said(self.server.anonymous().post("/token/renew", refresh.clone()).await);
        eventually("it is told", renew).await.expect_oauth(400, "invalid_grant");
    }

    /// After Redis was put back to `kept`: not one use more than seven in all.
    async fn assert_uses(&self) {
        let mut left = 0;
        while self.limited.get("/users/me").await.status == 200 {
            left += 1;
        }
        assert!(left <= 4, "three of seven were spent, and {left} more were had");
    }

    /// After Redis was put back: the refresh token that was spent opens nothing, and neither does the old pair.
    async fn assert_no_branch(&self) {
        let anonymous = self.server.anonymous();
        let answer = anonymous.post("/token/renew", json!({ "refresh_token": self.spent_refresh })).await;
        answer.expect_oauth(400, "invalid_grant");
        // A copy of it may be used for a second.
        let gone =
            eventually("the pair is dead", async || (self.renewed.get("/users/me").await.status == 401).then_some(()));
        gone.await;
    }
}

/// Somebody who goes on asking while something happens: 200 and 503, and 401 once sessions are lost.
struct Asking {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Vec<u16>>,
}

impl Asking {
    fn start(client: &Client) -> Self {
        let (client, stop) = (client.clone(), Arc::new(AtomicBool::new(false)));
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let asked = client.get("/secrets/kv/~/x").attempt();
                let answer = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("an answer in time");
                seen.push(answer.expect("an answer").status.as_u16());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            seen
        });
        Self { stop, task }
    }

    async fn until_told(&self, client: &Client, status: u16) {
        eventually(&format!("the answer is {status}"), async || {
            (client.get("/secrets/kv/~/x").await.status == status).then_some(())
        })
        .await;
    }

    async fn end(self, allowed: &[u16]) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.task.await.expect("no panic");
        assert!(seen.iter().all(|status| allowed.contains(status)), "{seen:?}");
        assert!(seen.contains(&503), "it was noticed: {seen:?}");
    }
}

/// What Redis holds, key by key, to be put back later: a state that knows nothing of what came after.
struct Kept(Vec<(Vec<u8>, Vec<u8>, i64)>);

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("Redis answers")
}

impl Kept {
    async fn of(url: &str) -> Self {
        let mut redis = connect(url).await;
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.expect("keys");
        let mut kept = Vec::new();
        for key in keys {
            let value = redis::cmd("DUMP").arg(&key).query_async(&mut redis).await.expect("a value");
            let left = redis::cmd("PTTL").arg(&key).query_async(&mut redis).await.expect("an end");
            kept.push((key, value, left));
        }
        assert!(!kept.is_empty());
        Self(kept)
    }

    async fn put_back(&self, url: &str) {
        let mut redis = connect(url).await;
        for (key, value, left) in &self.0 {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg((*left).max(0)).arg(value).arg("REPLACE");
            let () = restore.query_async(&mut redis).await.expect("it is put back");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_falls_back_to_its_last_snapshot_revives_nothing() {
    let mut redis = Server::start(&[]);
    let before = Before::with(&redis.url(), async || redis.tell(&["SAVE"])).await;
    let asking = Asking::start(&before.ada);
    redis.kill();
    asking.until_told(&before.ada, 503).await;
    redis.come_back();
    before.until_served().await;
    before.assert_dead().await;
    before.assert_uses().await;
    before.assert_no_branch().await;
    // Who was logged in when the snapshot was made still is.
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_keeps_a_log_loses_nobody() {
    let mut redis = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let before = Before::with(&redis.url(), async || ()).await;
    redis.kill();
    before.ada.get("/users/me").await;
    redis.come_back();
    before.until_served().await;
    before.assert_dead().await;
    before.renewed.get("/users/me").await.expect(200);
    for _ in 0..4 {
        before.limited.get("/users/me").await.expect(200);
    }
    before.limited.get("/users/me").await.expect_unauthorized();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_promoted_without_the_last_writes_revives_nothing() {
    let watched = Watched::start(3, &[]);
    let mut kept = None;
    let before = Before::with(&watched.url(), async || kept = Some(Kept::of(&watched.primary().url()).await)).await;
    let asking = Asking::start(&before.ada);
    // Cut off: it holds its connections and answers nobody.
    watched.primary().freeze();
    asking.until_told(&before.ada, 503).await;
    watched.until_promoted();
    // Replication is asynchronous: the replica may have been this far behind.
    kept.expect("it was kept").put_back(&watched.replica().url()).await;
    before.until_served().await;
    before.assert_dead().await;
    before.assert_uses().await;
    before.assert_no_branch().await;
    // The old primary is back and thinks for a while that it still is one: it is not asked.
    watched.primary().thaw();
    watched.primary().until(&["ROLE"], "slave");
    before.until_served().await;
    before.assert_dead().await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flushall_logs_everyone_out_and_what_is_put_back_after_it_is_dead() {
    let redis = Server::start(&[]);
    let mut kept = None;
    let before = Before::with(&redis.url(), async || kept = Some(Kept::of(&redis.url()).await)).await;
    redis.tell(&["FLUSHALL"]);
    eventually("everybody is logged out", async || (before.ada.get("/users/me").await.status == 401).then_some(()))
        .await;
    before.until_served().await;
    before.assert_dead().await;
    kept.expect("it was kept").put_back(&redis.url()).await;
    before.assert_dead().await;
    before.assert_uses().await;
    before.assert_no_branch().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_were_flushed_are_missed_by_nobody() {
    let redis = Server::start(&[]);
    let before = Before::with(&redis.url(), async || ()).await;
    for _ in 0..3 {
        redis.tell(&["SCRIPT", "FLUSH"]);
        before.limited.get("/users/me").await.expect(200);
        before.ada.get("/secrets/kv/~/x").await.expect(200);
        redis.tell(&["SCRIPT", "FLUSH"]);
        before.server.login("ada").await;
    }
    before.assert_dead().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_full_logs_nobody_out_and_takes_endings() {
    let redis = Server::start(&[]);
    let before = Before::with(&redis.url(), async || ()).await;
    let (other, asking) = (before.server.login("ada").await, Asking::start(&before.ada));
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    asking.until_told(&before.ada, 503).await;
    let body = json!({ "username": "ada", "password": before.ada.password });
    before.server.anonymous().post("/token/create", body).await.expect(503);
    // Its uses stand in storage: shortly after one, the next is had without Redis.
    let limited = before.limited.get("/users/me").await;
    assert!([200, 503].contains(&limited.status.as_u16()), "{}", limited.text);
    let ended = before.server.anonymous().post("/token/revoke", json!({ "token": other.token() })).await;
    assert!([200, 503].contains(&ended.status.as_u16()), "{}", ended.text);
    redis.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    before.until_served().await;
    before.assert_dead().await;
    other.get("/users/me").await.expect_unauthorized();
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_begins_to_evict_is_not_used_until_it_stops() {
    let redis = Server::start(&[]);
    let before = Before::with(&redis.url(), async || ()).await;
    let asking = Asking::start(&before.ada);
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    asking.until_told(&before.ada, 503).await;
    assert!(before.server.log().contains("noeviction"), "the operator is told");
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    before.until_served().await;
    before.assert_dead().await;
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_makes_nobody_wait() {
    let redis = Server::start(&[]);
    let before = Before::with(&redis.url(), async || ()).await;
    let stalls: [&[&str]; 2] = [&["CLIENT", "PAUSE", "3000", "ALL"], &["DEBUG", "SLEEP", "3"]];
    for stall in stalls {
        let asking = Asking::start(&before.ada);
        let mut cli = std::process::Command::new("redis-cli");
        let mut cli = cli.args(["-p", &redis.port().to_string()]).args(stall).spawn().expect("redis-cli");
        asking.until_told(&before.ada, 503).await;
        let asked = tokio::time::timeout(Duration::from_secs(2), before.limited.get("/users/me").attempt()).await;
        assert_eq!(asked.expect("soon").expect("an answer").status, 503);
        before.until_served().await;
        before.assert_dead().await;
        asking.until_told(&before.ada, 200).await;
        asking.end(&[200, 503]).await;
        cli.wait().expect("it ends");
    }
    // What was asked while it was stalled may have been done when it went on: never more than seven in all.
    before.assert_uses().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_an_outage_until_it_is_changed_back() {
    let redis = Server::start(&["--user", "coffer", "on", ">horse-battery-77", "~*", "&*", "+@all"]);
    let url = redis.url().replace("//", "//coffer:horse-battery-77@");
    let before = Before::with(&url, async || ()).await;
    before.server.keep_secret("horse-battery-77");
    let asking = Asking::start(&before.ada);
    // Whose password is gone is also thrown out.
    redis.tell(&["ACL", "SETUSER", "coffer", "resetpass", ">another-horse-78"]);
    redis.ask(&["CLIENT", "KILL", "USER", "coffer"]);
    asking.until_told(&before.ada, 503).await;
    redis.tell(&["ACL", "SETUSER", "coffer", ">horse-battery-77"]);
    before.until_served().await;
    before.assert_dead().await;
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_snapshot_is_an_outage() {
    // Redis refuses writes when its last snapshot failed.
    let redis = Server::start(&["--save", "3600 1", "--stop-writes-on-bgsave-error", "yes"]);
    let before = Before::with(&redis.url(), async || ()).await;
    let asking = Asking::start(&before.ada);
    std::fs::create_dir(redis.folder().join("dump.rdb")).expect("something in its way");
    redis.ask(&["BGSAVE"]);
    asking.until_told(&before.ada, 503).await;
    std::fs::remove_dir(redis.folder().join("dump.rdb")).expect("out of its way");
    redis.ask(&["BGSAVE"]);
    before.until_served().await;
    before.assert_dead().await;
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_node_serves_nobody_wrongly_and_heals() {
    let mut cluster = Cluster::start(3, &["--appendonly", "yes", "--appendfsync", "always"]);
    let before = Before::with(&cluster.url(), async || ()).await;
    let asking = Asking::start(&before.ada);
    let mut at = 0;
    while cluster.nodes[at].ask(&["EXISTS", &format!("coffer:{{{}}}", before.ada.session_id())]) != "1" {
        at += 1;
    }
    cluster.nodes[at].kill();
    asking.until_told(&before.ada, 503).await;
    cluster.nodes[at].come_back();
    before.until_served().await;
    before.assert_dead().await;
    asking.until_told(&before.ada, 200).await;
    asking.end(&[200, 503]).await;
}
