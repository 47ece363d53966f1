//! May its user do what sessions need? The only way to know is to try: who may ask for rights has
//! more of them than we should.

use std::time::Duration;

use tokio::time::timeout;

use super::{connection::Connection, examine::question};
use crate::{clock::Timestamp, finding::Finding, ids, limits};

const RIGHTS: &str = "redis.rights";

/// What is left by a trial that was cut off is gone after this.
const TRIAL: Duration = Duration::from_secs(60);

/// Each command once, on keys that nobody else has and that end by themselves.
pub(super) async fn rights(connection: &Connection, namespace: &str, now: Timestamp) -> Finding {
    let id = ids::random_base62(12);
    let (family, index) = (format!("{namespace}:{{doctor-{id}}}"), format!("{namespace}:user:doctor-{id}"));
    let end = now.after(TRIAL).millis().to_string();
    let (family, index, channel) = (family.as_str(), index.as_str(), format!("{namespace}:doctor"));
    let steps: [&[&str]; 19] = [
        &["ROLE"],
        &["EXISTS", family],
        &["HSET", family, "f", "v"],
        &["PEXPIREAT", family, &end, "NX"],
        &["PEXPIRE", family, "60000", "XX"],
        &["PTTL", family],
        &["HGET", family, "f"],
        &["HMGET", family, "f"],
        &["HGETALL", family],
        &["HLEN", family],
        &["HDEL", family, "g"],
        &["EVAL", "return redis.call('HSET', KEYS[1], 'f', 'w')", "1", family],
        &["EVALSHA", "0000000000000000000000000000000000000000", "1", family],
        &["ZADD", index, "0", "member"],
        &["ZRANGE", index, "0", "0"],
        &["ZREMRANGEBYSCORE", index, "-inf", "0"],
        &["ZREM", index, "member"],
        &["UNLINK", family],
        &["PUBLISH", &channel, ""],
    ];
    let (mut forbidden, mut refused) = (Vec::new(), None);
    for step in steps {
        // Asked of each server by itself, which a cluster does not know.
        if step[0] == "ROLE" && connection.is_cluster() {
            continue;
        }
        match timeout(limits::REDIS_CONNECT, connection.send(&question(step))).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => match error.code() {
                Some("NOPERM") => forbidden.push(step[0]),
                Some("NOSCRIPT") => {}
                code => refused = Some(code.unwrap_or_else(|| error.category()).to_owned()),
            },
            Err(_) => refused = Some("no answer in time".to_owned()),
        }
    }
    if !listens(connection, &channel).await {
        forbidden.push("SUBSCRIBE");
    }
    match (forbidden.is_empty(), refused) {
        (false, _) => Finding::fail(
            RIGHTS,
            format!("its user may not: {}", forbidden.join(" ")),
            "give its user the rights that README names",
        ),
        (true, Some(why)) => {
            Finding::fail(RIGHTS, format!("it refuses to write: {why}"), "see its log, its memory and its disk")
        }
        (true, None) => Finding::ok(RIGHTS, "enough"),
    }
}

/// On a connection to a cluster one cannot listen without going on to listen.
async fn listens(connection: &Connection, channel: &str) -> bool {
    let Connection::One(one) = connection else { return true };
    let mut one = one.clone();
    !matches!(timeout(limits::REDIS_CONNECT, one.subscribe(channel)).await, Ok(Err(error)) if error.code() == Some("NOPERM"))
}
