//! Is this Redis as it must be? Asked by `coffer doctor`, with a connection of its own, so that it
//! is told of all that is wrong and not only of the first.

use std::collections::HashMap;

use redis::{Cmd, Value};
use tokio::time::timeout;

use super::{
    Answer, Error, Options,
    connection::{Connection, meaning},
    live::{answer, command, open},
    slow,
    target::{Kind, Target},
    trial,
};
use crate::{
    clock::{Clock, Timestamp},
    finding::Finding,
    limits,
};

/// What each server that holds keys says of itself.
pub(super) type Facts = HashMap<String, String>;

const REACH: &str = "redis.reach";
const RIGHTS: &str = "give its user the rights that README names";

/// Everything that sessions ask of it. Writes what it needs for a trial under the namespace, and
/// removes it.
pub async fn examine(url: &str, options: &Options, clock: &Clock) -> Vec<Finding> {
    let target = match Target::parse(url, options) {
        Ok(target) => target,
        Err(error) => return vec![Finding::fail(REACH, error.to_string(), "mend sessions.url")],
    };
    let mut found = Vec::new();
    if let Kind::Sentinel(sentinels) = &target.kind {
        found.push(sentinels.examine().await);
    }
    let opening = timeout(limits::REDIS_CONNECT, open(&target, |_| {}));
    let connection = match opening.await.unwrap_or_else(|_| Err(slow())) {
        Ok((connection, _)) => connection,
        Err(error) => {
            let change = match error {
                Error::Unusable(_) => "mend sessions.url, or what it names",
                _ => "start it, or mend sessions.url, sessions.ca and the network between",
            };
            found.push(Finding::fail(REACH, format!("{target}: {error}"), change));
            return found;
        }
    };
    found.push(answers(&target, &connection, clock).await);
    let now = clock.now();
    match timeout(limits::REDIS_CONNECT, facts(&connection)).await.unwrap_or_else(|_| Err(slow())) {
        Ok(facts) => found.extend(judged(&facts, &target, now)),
        Err(error) if options.assume_noeviction => {
            let said = format!("it says nothing of itself ({error}); assume_noeviction is set");
            found.push(Finding::warn("redis.info", said, "allow INFO, or see to eviction and persistence yourself"));
        }
        Err(error) => found.push(Finding::fail("redis.info", error.to_string(), RIGHTS)),
    }
    found.push(fsync(&connection).await);
    found.push(trial::rights(&connection, &options.namespace, now).await);
    found.extend(open_to_all(&target));
    found
}

/// Reached, and how quickly.
async fn answers(target: &Target, connection: &Connection, clock: &Clock) -> Finding {
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..5 {
        let began = clock.monotonic();
        match timeout(limits::REDIS_CONNECT, connection.send(&command(&[b"PING"]))).await {
            Ok(Ok(_)) => longest = longest.max(clock.monotonic().saturating_sub(began)),
            Ok(Err(error)) => return Finding::fail(REACH, format!("{target}: {}", meaning(&error)), RIGHTS),
            Err(_) => return Finding::fail(REACH, format!("{target}: {}", slow()), "see what keeps it busy"),
        }
    }
    let said = format!("{target} answers in {} ms", longest.as_millis());
    match longest > limits::REDIS_WAIT / 2 {
        true => Finding::warn(REACH, said, "requests give up after 250 ms: see what keeps it or the network busy"),
        false => Finding::ok(REACH, said),
    }
}

async fn facts(connection: &Connection) -> Result<Vec<Facts>, Error> {
    let told = connection.send_to_primaries(&command(&[b"INFO"])).await.map_err(|error| meaning(&error))?;
    let lines = |value: Value| match answer(value) {
        Answer::Bytes(text) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    let facts = |text: String| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    };
    Ok(told.into_iter().map(|value| facts(lines(value))).collect())
}

type Judge = fn(&Facts, &Target, Timestamp) -> Finding;

/// Of several servers the worst counts.
fn judged(facts: &[Facts], target: &Target, now: Timestamp) -> Vec<Finding> {
    const JUDGES: [Judge; 6] = [version, role, eviction, memory, persistence, time];
    let worst = |judge: &Judge| {
        facts.iter().map(|facts| judge(facts, target, now)).reduce(|a, b| if b.verdict > a.verdict { b } else { a })
    };
    JUDGES.iter().filter_map(worst).collect()
}

fn text<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.get(name).map_or("", String::as_str)
}

fn number(facts: &Facts, name: &str) -> u64 {
    text(facts, name).parse().unwrap_or(0)
}

fn version(facts: &Facts, _: &Target, _: Timestamp) -> Finding {
    let version = text(facts, "redis_version").to_owned();
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    match major {
        0..7 => Finding::fail("redis.version", format!("version {version}"), "use 7.0 or later"),
        _ => Finding::ok("redis.version", version),
    }
}

fn role(facts: &Facts, target: &Target, _: Timestamp) -> Finding {
    const ROLE: &str = "redis.role";
    let (replicas, is_cluster) = (number(facts, "connected_slaves"), matches!(target.kind, Kind::Cluster { .. }));
    match text(facts, "role") {
        "master" if !is_cluster && text(facts, "cluster_enabled") == "1" => {
            Finding::fail(ROLE, "a node of a cluster", "name the cluster: redis+cluster://")
        }
        "master" if replicas == 0 && matches!(target.kind, Kind::Sentinel(_)) => {
            Finding::warn(ROLE, "the primary, without a replica", "add one: the sentinels have nothing to fail over to")
        }
        "master" => Finding::ok(ROLE, format!("the primary, replicas: {replicas}")),
        _ => Finding::fail(ROLE, "not a primary", "name the primary in sessions.url, or the sentinels"),
    }
}

fn eviction(facts: &Facts, _: &Target, _: Timestamp) -> Finding {
    const EVICTION: &str = "redis.eviction";
    let evicted = number(facts, "evicted_keys");
    match text(facts, "maxmemory_policy") {
        "noeviction" if evicted > 0 => Finding::warn(
            EVICTION,
            format!("noeviction now, but {evicted} keys were evicted since its start"),
            "people were logged out; see that the policy is in its configuration file too",
        ),
        "noeviction" => Finding::ok(EVICTION, "noeviction"),
        _ => Finding::fail(
            EVICTION,
            "live sessions are dropped when memory is full",
            "set maxmemory-policy noeviction, in its configuration file too",
        ),
    }
}

fn memory(facts: &Facts, _: &Target, _: Timestamp) -> Finding {
    const MEMORY: &str = "redis.memory";
    let (used, most) = (number(facts, "used_memory"), number(facts, "maxmemory"));
    let mib = |bytes: u64| bytes / (1024 * 1024);
    match most {
        0 => Finding::warn(
            MEMORY,
            format!("{} MiB used, without a bound", mib(used)),
            "set maxmemory below what the machine has: else the system ends Redis when it runs out",
        ),
        _ if used >= most => {
            Finding::fail(MEMORY, format!("full: {} MiB", mib(most)), "raise maxmemory: nobody can log in")
        }
        _ if used > most / 10 * 8 => Finding::warn(
            MEMORY,
            format!("{} of {} MiB used", mib(used), mib(most)),
            "raise maxmemory: when it is full, nobody can log in",
        ),
        _ => Finding::ok(MEMORY, format!("{} of {} MiB used", mib(used), mib(most))),
    }
}

fn persistence(facts: &Facts, _: &Target, _: Timestamp) -> Finding {
    const PERSISTENCE: &str = "redis.persistence";
    let failed = |name: &str| facts.get(name).is_some_and(|status| status != "ok");
    match text(facts, "aof_enabled") {
        _ if failed("aof_last_write_status") || failed("aof_last_bgrewrite_status") => {
            Finding::fail(PERSISTENCE, "its append-only file cannot be written", "see its log, and its disk")
        }
        _ if failed("rdb_last_bgsave_status") => {
            Finding::fail(PERSISTENCE, "its last snapshot failed", "see its log, and its disk: it may refuse writes")
        }
        "1" => Finding::ok(PERSISTENCE, "an append-only file"),
        _ => Finding::warn(
            PERSISTENCE,
            "no append-only file: when it crashes, all sessions since its last snapshot are logged out, and a session \
             of 64 uses or more may get up to one block of them again (what has ended stays ended)",
            "set appendonly yes",
        ),
    }
}

fn time(facts: &Facts, _: &Target, now: Timestamp) -> Finding {
    const CLOCK: &str = "redis.clock";
    let theirs = i64::try_from(number(facts, "server_time_usec") / 1000).unwrap_or(0);
    if theirs == 0 {
        return Finding::warn(CLOCK, "it does not tell its time", "compare it with this machine's");
    }
    let theirs = Timestamp::from_millis(theirs);
    let apart = theirs.since(now).max(now.since(theirs));
    match apart > limits::CLOCK_SKEW {
        true => Finding::warn(
            CLOCK,
            format!("its clock and ours are {} s apart", apart.as_secs()),
            "set both by NTP: sessions end by whichever is ahead",
        ),
        false => Finding::ok(CLOCK, "less than 2 s from ours"),
    }
}

/// How much of its log a crash costs. Many are not allowed to ask.
async fn fsync(connection: &Connection) -> Finding {
    const FSYNC: &str = "redis.fsync";
    let question = question(&["CONFIG", "GET", "append*"]);
    let told = match timeout(limits::REDIS_CONNECT, connection.send_to_primaries(&question)).await {
        Ok(Ok(told)) => told,
        _ => return Finding::ok(FSYNC, "not told (CONFIG is not for this user)"),
    };
    let settings = |value: Value| match answer(value) {
        Answer::List(parts) => parts,
        _ => Vec::new(),
    };
    let is = |parts: &[Answer], name: &str, value: &str| {
        let text = |answer: &Answer, text: &str| *answer == Answer::Bytes(text.as_bytes().to_vec());
        parts.chunks(2).any(|pair| matches!(pair, [key, found] if text(key, name) && text(found, value)))
    };
    let told: Vec<_> = told.into_iter().map(settings).collect();
    let any = |name: &str, value: &str| told.iter().any(|parts| is(parts, name, value));
    match () {
        () if any("appendonly", "no") => Finding::ok(FSYNC, "no append-only file to sync"),
        () if any("appendfsync", "no") => Finding::warn(
            FSYNC,
            "its append-only file is synced when the system sees fit: a crash of the machine costs half a minute",
            "set appendfsync everysec, or always",
        ),
        () if any("appendfsync", "always") => Finding::ok(FSYNC, "always: a crash logs nobody out"),
        () => Finding::ok(FSYNC, "everysec: a crash of the machine logs out who logged in during its last second"),
    }
}

fn open_to_all(target: &Target) -> Option<Finding> {
    target.far_and_plain.then(|| {
        Finding::warn(
            "redis.transport",
            "in the clear to another machine: who listens learns its password, and can end sessions",
            "use rediss://",
        )
    })
}

pub(super) fn question(parts: &[&str]) -> Cmd {
    command(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>())
}
