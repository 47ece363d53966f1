//! How fast it is: `make bench`. Not a promise, and not run with the tests.

use std::future::Future;
use std::time::Duration;

use coffer::clock::Clock;
use serde_json::json;

mod hostile;

use crate::harness::{Builder, Client, Sessions, Storage, TestServer, canary};

const SPAN: Duration = Duration::from_secs(5);
const CLIENTS: usize = 32;

/// Calls `ask` from several clients for a while and prints how often it was answered.
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn measure<F>(what: &str, ask: impl Fn(usize) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send,
{
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (ask, count) = (ask.clone(), count.clone());
            tokio::spawn(tokio::time::timeout(SPAN, async move {
                loop {
                    ask(client).await;
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }))
        })
        .collect();
    for client in clients {
        let _: Result<(), _> = client.await.expect("no panic");
    }
    let count = count.load(std::sync::atomic::Ordering::Relaxed);
    let rate = count as f64 / SPAN.as_secs_f64();
    println!("{what:<60} {rate:>8.0} a second");
    rate
}

async fn measure_all(server: Builder, name: &str) {
    let server = server.start().await;
    let ada = server.login("ada").await;
    ada.post("/secrets/create", json!({ "secret_id": "kv/~/read", "value": canary("read") })).await.expect(200);
    let ask = |call: fn(&Client, usize) -> crate::harness::Call| {
        let ada = ada.clone();
        move |client| {
            let call = call(&ada, client);
            async move { drop(call.await.expect(200)) }
        }
    };
    measure(&format!("{name}: health"), ask(|ada, _| ada.get("/sys/health"))).await;
    measure(&format!("{name}: read a secret"), ask(|ada, _| ada.get("/secrets/kv/~/read"))).await;
    let write = ask(|ada, client| ada.put(&format!("/secrets/kv/~/w{client}"), json!({ "value": canary("write") })));
    measure(&format!("{name}: write a version, one path a client"), write).await;
    let one_time = {
        let ada = ada.clone();
        move |_| {
            let ada = ada.clone();
            async move { drop(ada.child(None, json!({ "one_time": true })).await.expect(200)) }
        }
    };
    measure(&format!("{name}: make a one-time token"), one_time).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench"]
async fn sqlite_and_embedded_sessions() {
    measure_all(TestServer::builder(), "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench"]
async fn postgres_and_redis() {
    let builder = TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Redis);
    measure_all(builder, "PostgreSQL and Redis").await;
}

/// What a session costs: reads with one that is not limited, with N = 10,000 (a script in Redis for each) and
/// with N = 10 (a conditional write for each), beside nothing but `GET` on the same Redis.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "make bench"]
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn uses_of_sessions() {
    let server = TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Redis).start().await;
    // More than anybody has: none is to make room for another.
    let many = json!({ "sessions": { "max_per_user": 1_000 } });
    server.admin().await.post("/sys/security", many).await.expect(200);
    let ada = server.login("ada").await;
    let url = server.services.redis.as_ref().expect("this server has one").url.clone();
    let client = redis::Client::open(url).expect("a Redis URL");
    let commands = async || {
        let mut redis = client.get_multiplexed_async_connection().await.expect("Redis answers");
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.expect("statistics");
        let calls = |line: &str| line.split_once(":calls=")?.1.split(',').next()?.parse::<f64>().ok();
        info.lines().filter(|line| !line.contains("info")).filter_map(calls).sum::<f64>()
    };
    let mut links = Vec::new();
    for _ in 0..CLIENTS {
        links.push(client.get_multiplexed_async_connection().await.expect("Redis answers"));
    }
    let bare = measure("a bare GET", move |at| {
        let mut link = links[at].clone();
        async move {
            let _: Option<String> = redis::cmd("GET").arg("nothing").query_async(&mut link).await.expect("an answer");
        }
    })
    .await;
    let tell = |what: &str, rate: f64, before: f64, after: f64| {
        let each = (after - before) / (rate * SPAN.as_secs_f64());
        println!("{what:<60} {:>8.3} of the bare GETs, {each:.2} Redis commands each", rate / bare);
    };
    for (what, max_uses) in [("not limited", None), ("N = 10,000", Some(10_000))] {
        let mut tokens = Vec::new();
        for _ in 0..CLIENTS {
            tokens.push(match max_uses {
                Some(uses) => ada.with_session(ada.child(None, json!({ "max_uses": uses })).await.expect(200)),
                None => server.login("ada").await,
            });
        }
        let before = commands().await;
        let ask = move |at: usize| {
            let call = tokens[at].get("/users/me");
            async move { drop(call.await.expect(200)) }
        };
        let rate = measure(what, ask).await;
        tell(what, rate, before, commands().await);
    }
    // Of these each is good for ten: as many as can be made beforehand, spent as fast as can be.
    let mut tokens = Vec::new();
    for _ in 0..CLIENTS * 4 {
        tokens.push(ada.with_session(ada.child(None, json!({ "max_uses": 10 })).await.expect(200)));
    }
    let (clock, before) = (Clock::system(), commands().await);
    let begin = clock.monotonic();
    let spent: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let mine = tokens[at * 4..at * 4 + 4].to_vec();
            tokio::spawn(async move {
                for token in mine.iter().flat_map(|token| std::iter::repeat_n(token, 10)) {
                    token.get("/users/me").await.expect(200);
                }
            })
        })
        .collect();
    for spent in spent {
        spent.await.expect("no panic");
    }
    let (all, span) = (f64::from(CLIENTS as u32 * 40), (clock.monotonic() - begin).as_secs_f64());
    println!("{:<60} {:>8.0} a second", "N = 10", all / span);
    let each = (commands().await - before) / all;
    println!("{:<60} {:>8.3} of the bare GETs, {each:.2} Redis commands each", "N = 10", all / span / bare);
}

#[tokio::test]
#[ignore = "make bench"]
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn ready() {
    let clock = Clock::system();
    for _ in 0..5 {
        let mut server = TestServer::builder().prepare().await;
        let begin = clock.now();
        server.launch();
        server.wait_ready().await;
        println!("ready after {:?}", clock.now().since(begin));
    }
}

/// Refusals of one kind of name, as they were timed: seconds.
struct Refusals {
    kind: &'static str,
    names: Vec<String>,
    times: Vec<f64>,
}

const SAMPLES: usize = 2000;
/// Names of each kind: of each fewer guesses than would slow it.
const NAMES: usize = 10;
const FAILURES: usize = 300;

impl Refusals {
    fn new(kind: &'static str) -> Self {
        Self { kind, names: (0..NAMES).map(|n| format!("{kind}{n}")).collect(), times: Vec::new() }
    }

    /// How a sample of one differs from one of the other: the greatest distance of the two distributions and its
    /// probability if they were one (Kolmogorov and Smirnov), and how often one takes longer (Mann and Whitney; 0.5
    /// is a coin).
    fn against(&self, other: &Self) -> (f64, f64, f64) {
        let sorted = |times: &[f64]| {
            let mut times = times.to_vec();
            times.sort_by(f64::total_cmp);
            times
        };
        let (one, two) = (sorted(&self.times), sorted(&other.times));
        let (n, m) = (one.len() as f64, two.len() as f64);
        let below = |times: &[f64], at: f64| times.partition_point(|time| *time <= at) as f64;
        let distances = one.iter().chain(&two).map(|at| (below(&one, *at) / n - below(&two, *at) / m).abs());
        let distance = distances.fold(0.0, f64::max);
        let effective = (n * m / (n + m)).sqrt();
        let lambda = (effective + 0.12 + 0.11 / effective) * distance;
        let term = |k: i32| (-1.0_f64).powi(k - 1) * (-2.0 * f64::from(k * k) * lambda * lambda).exp();
        // The series does not converge where the two are as good as one.
        let probability = if lambda < 0.2 { 1.0 } else { (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0) };
        let longer = one.iter().map(|time| below(&two, *time)).sum::<f64>() / (n * m);
        (distance, probability, longer)
    }
}

/// Times wrong passwords, the kinds taking turns, and prints how the kinds differ from the last of them.
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn time_refusals(server: &TestServer, what: &str, mut kinds: Vec<Refusals>) {
    let (clock, by) = (Clock::system(), server.anonymous());
    let rounds = SAMPLES / kinds.len();
    for round in 0..rounds + 20 {
        for turn in 0..kinds.len() {
            // Forth and back, so that none always comes after the same other.
            let at = if round % 2 == 0 { turn } else { kinds.len() - 1 - turn };
            let name = &kinds[at].names[round % NAMES];
            let body = json!({ "username": name, "password": canary("wrong") });
            let begin = clock.monotonic();
            let answer = by.post("/token/create", body).await;
            let took = clock.monotonic() - begin;
            answer.expect_oauth(400, "invalid_grant");
            // The first ones warm up.
            if round >= 20 {
                kinds[at].times.push(took.as_secs_f64());
            }
        }
    }
    println!("{what}: {} samples, taking turns", rounds * kinds.len());
    let last = kinds.pop().expect("some kind");
    for kind in kinds.iter().chain([&last]) {
        let mut times = kind.times.clone();
        times.sort_by(f64::total_cmp);
        let at = |part: usize| 1000.0 * times[times.len() * part / 100];
        let spread = format!("{:<9} 5% {:7.2} ms  median {:7.2} ms  95% {:7.2} ms", kind.kind, at(5), at(50), at(95));
        let (distance, probability, longer) = kind.against(&last);
        println!("  {spread}  against {}: KS {distance:.3} (p {probability:.2}), longer {longer:.3}", last.kind);
    }
}

async fn users(server: &TestServer, kind: &Refusals) {
    for name in &kind.names {
        server.create_user(name, "user").await;
    }
}

/// Does the time of a refusal tell who is there? Known, disabled and slowed names against unknown ones.
#[tokio::test]
#[ignore = "make bench"]
async fn a_refused_login_takes_as_long_whoever_it_names() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let kinds = ["known", "disabled", "slowed", "unknown"].map(Refusals::new);
    for kind in &kinds[..3] {
        users(&server, kind).await;
    }
    for name in &kinds[1].names {
        admin.post(&format!("/users/{name}/update"), json!({ "disabled": true })).await.expect(200);
    }
    // Few failures slow these; for the others it is many again.
    let logins = |failures: usize| json!({ "logins": { "failures": failures, "failures_per_address": 100_000, "window": "6h" } });
    admin.post("/sys/security", logins(FAILURES)).await.expect(200);
    let fail = async |name: &String| {
        for _ in 0..FAILURES {
            let body = json!({ "username": name, "password": canary("wrong") });
            server.anonymous().post("/token/create", body).await.expect_oauth(400, "invalid_grant");
        }
    };
    // Cheaply, while that is what a hash costs.
    let cheap = json!({ "passwords": { "argon2": { "memory_kib": 8192, "iterations": 1 } } });
    admin.post("/sys/security", cheap).await.expect(200);
    futures_util::future::join_all(kinds[2].names.iter().map(fail)).await;
    admin.post("/sys/security", json!({ "passwords": { "argon2": null } })).await.expect(200);
    time_refusals(&server, "refused logins", kinds.into()).await;
}

/// The same after the cost of a hash was raised: names whose hash is of before and of after.
#[tokio::test]
#[ignore = "make bench"]
async fn a_raised_cost_tells_nobody_by_time() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let kinds = ["old", "new", "unknown"].map(Refusals::new);
    users(&server, &kinds[0]).await;
    let raised = json!({
        "passwords": { "argon2": { "memory_kib": 32768, "iterations": 3 } },
        "logins": { "failures": 1000, "failures_per_address": 100_000, "window": "6h" },
    });
    admin.post("/sys/security", raised).await.expect(200);
    users(&server, &kinds[1]).await;
    time_refusals(&server, "refused logins after the cost was raised", kinds.into()).await;
}
