use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    barrier::Writes,
    clock::{Hand, Timestamp},
    document::{Author, Documents},
    fence::{Counter, Fence},
    security,
    shared::{self, Answer},
    storage,
};

const WINDOW: Duration = Duration::from_secs(900);
const HOME: &str = "192.0.2.1";

struct Bench {
    throttle: Throttle,
    barrier: Barrier,
    security: Security,
    fence: Fence,
    documents: Documents,
    clock: Clock,
    hand: Hand,
    link: Option<Link>,
}

impl Bench {
    async fn both() -> [Self; 2] {
        [Self::new(None).await, Self::new(Some(shared::testing::link().await)).await]
    }

    async fn new(link: Option<Link>) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let barrier = Barrier::for_test(Arc::new(storage::Memory::default()), clock.clone());
        let fence = Fence::new(barrier.clone(), clock.clone());
        let documents = Documents::new(&barrier);
        let security = Security::new(documents.clone(), fence.clone());
        let throttle = Throttle::new(link.clone(), barrier.clone(), security.clone(), clock.clone());
        let bench = Self { throttle, barrier, security, fence, documents, clock, hand, link };
        bench.set(3, 1000).await;
        bench
    }

    /// Another node on the same store.
    fn node(&self) -> Throttle {
        Throttle::new(self.link.clone(), self.barrier.clone(), self.security.clone(), self.clock.clone())
    }

    async fn set(&self, failures: u32, per_address: u32) {
        let current = self.documents.read(security::KEY).await.unwrap();
        let rules = json!({"logins": {"failures": failures, "failures_per_address": per_address}});
        let mut writes = Writes::default();
        self.documents.write(&mut writes, security::KEY, &current, Some(rules), Author::server(self.clock.now()));
        self.fence.raise(&mut writes, Counter::Settings);
        self.barrier.commit(writes).await.unwrap();
        self.fence.ask().await.unwrap();
        self.security.refresh().await.unwrap();
    }

    async fn guess(&self, name: &str, from: &str) -> Result<Guess, Error> {
        self.throttle.begin(of(name, from)).await
    }

    async fn wrong(&self, name: &str, from: &str) {
        drop(self.guess(name, from).await.unwrap());
    }

    async fn right(&self, name: &str, from: &str) {
        let guess = self.guess(name, from).await.unwrap();
        assert!(!guess.is_slowed());
        guess.right().await;
    }

    async fn is_slowed(&self, name: &str, from: &str) -> bool {
        let guess = self.guess(name, from).await.unwrap();
        let slowed = guess.is_slowed();
        guess.void().await;
        slowed
    }
}

fn of<'a>(name: &'a str, from: &str) -> Try<'a> {
    Try { realm: USERS, name: Some(name), address: from.parse().ok() }
}

#[tokio::test]
async fn a_name_is_slowed_after_so_many_failures_and_until_the_window_is_over() {
    for bench in Bench::both().await {
        for _ in 0..3 {
            assert!(!bench.is_slowed("ada", HOME).await, "what was no guess is not counted");
            bench.wrong("ada", HOME).await;
        }
        assert!(bench.is_slowed("ada", HOME).await);
        assert!(bench.is_slowed(" ADA\u{200b}", "198.51.100.7").await, "by whatever spelling, from wherever");
        assert!(!bench.is_slowed("bob", HOME).await);
        bench.hand.advance(WINDOW - Duration::from_millis(1));
        assert!(bench.is_slowed("ada", HOME).await);
        bench.hand.advance(Duration::from_millis(1));
        assert!(!bench.is_slowed("ada", HOME).await);
    }
}

#[tokio::test]
async fn who_is_slowed_is_not_slowed_for_longer_by_trying() {
    for bench in Bench::both().await {
        for _ in 0..3 {
            bench.wrong("ada", HOME).await;
        }
        bench.hand.advance(WINDOW / 2);
        for _ in 0..20 {
            bench.wrong("ada", HOME).await;
        }
        bench.hand.advance(WINDOW / 2);
        assert!(!bench.is_slowed("ada", HOME).await);
    }
}

#[tokio::test]
async fn a_block_over_its_limit_is_told_when_to_come_back() {
    for bench in Bench::both().await {
        bench.set(1000, 5).await;
        for name in ["a", "b", "c", "d", "e"] {
            bench.wrong(name, "2001:db8::1").await;
        }
        bench.hand.advance(Duration::from_secs(60));
        let refused = bench.guess("f", "2001:db8::ffff:1").await;
        assert!(matches!(refused, Err(Error::TooMany(wait)) if wait == WINDOW - Duration::from_secs(60)));
        assert!(bench.guess("a", "2001:db8:0:1::1").await.is_ok(), "the next /64 is another block");
        // Settings are live.
        bench.set(1000, 6).await;
        bench.right("f", "2001:db8::1").await;
        bench.hand.advance(WINDOW);
        bench.right("f", "2001:db8::1").await;
    }
}

#[tokio::test]
async fn a_slowed_name_counts_against_the_block_and_right_ones_do_not() {
    for bench in Bench::both().await {
        bench.set(2, 6).await;
        for _ in 0..50 {
            bench.right("bob", HOME).await;
        }
        for _ in 0..6 {
            bench.wrong("ada", HOME).await;
        }
        assert!(matches!(bench.guess("bob", HOME).await, Err(Error::TooMany(_))));
    }
}

#[tokio::test]
async fn nobody_keeps_a_user_from_where_the_user_logs_in() {
    for bench in Bench::both().await {
        bench.right("ada", HOME).await;
        for n in 0..20 {
            bench.wrong("ada", &format!("198.51.100.{n}")).await;
        }
        assert!(bench.is_slowed("ada", "198.51.100.200").await);
        assert!(bench.is_slowed("ada", "203.0.113.1").await, "the user, too, where the user has not been");
        bench.right("ada", HOME).await;
        // There the count is its own, and no looser.
        for _ in 0..3 {
            bench.wrong("ada", HOME).await;
        }
        assert!(bench.is_slowed("ada", HOME).await);
        bench.hand.advance(WINDOW);
        bench.right("ada", HOME).await;
        // A name does not stay known for ever.
        bench.hand.advance(limits::THROTTLE_LATELY);
        for _ in 0..3 {
            bench.wrong("ada", "198.51.100.1").await;
        }
        assert!(bench.is_slowed("ada", HOME).await);
    }
}

#[tokio::test]
async fn a_right_guess_at_a_slowed_name_opens_nothing() {
    for bench in Bench::both().await {
        for _ in 0..3 {
            bench.wrong("ada", HOME).await;
        }
        let guess = bench.guess("ada", HOME).await.unwrap();
        assert!(guess.is_slowed());
        guess.right().await;
        assert!(bench.is_slowed("ada", HOME).await, "it is not known to log in from there");
    }
}

#[tokio::test]
async fn of_many_at_once_no_more_are_looked_at_than_may_fail() {
    for bench in Bench::both().await {
        let nodes = [bench.throttle.clone(), bench.node()];
        let shared = if bench.link.is_some() { &nodes[..] } else { &nodes[..1] };
        bench.set(10, 100_000).await;
        let tries = (0..64).map(|n| {
            let throttle = shared[n % shared.len()].clone();
            tokio::spawn(async move {
                let guess = throttle.begin(of("ada", HOME)).await.unwrap();
                tokio::task::yield_now().await;
                !guess.is_slowed()
            })
        });
        let mut looked_at = 0;
        for looked in futures_util::future::join_all(tries).await {
            looked_at += u32::from(looked.unwrap());
        }
        assert_eq!(looked_at, 10);
        assert!(nodes.iter().all(|node| node.0.turns.is_empty()));
    }
}

#[tokio::test]
async fn of_many_right_ones_at_once_none_is_refused() {
    for bench in Bench::both().await {
        bench.set(2, 3).await;
        let tries = (0..100).map(|_| {
            let throttle = bench.throttle.clone();
            tokio::spawn(async move {
                let guess = throttle.begin(of("ada", HOME)).await.unwrap();
                assert!(!guess.is_slowed());
                tokio::task::yield_now().await;
                guess.right().await;
            })
        });
        for tried in futures_util::future::join_all(tries).await {
            tried.unwrap();
        }
        assert!(bench.throttle.0.turns.is_empty());
    }
}

#[tokio::test]
async fn who_hangs_up_has_guessed_and_keeps_nobody_waiting() {
    for bench in Bench::both().await {
        bench.set(1, 1000).await;
        let first = bench.guess("ada", HOME).await.unwrap();
        let mut waiting: Vec<_> = (0..5)
            .map(|_| {
                let throttle = bench.throttle.clone();
                tokio::spawn(async move { throttle.begin(of("ada", HOME)).await.map(|guess| guess.is_slowed()) })
            })
            .collect();
        // Whichever of them waits, some give up.
        tokio::task::yield_now().await;
        waiting.drain(..2).for_each(|given_up| given_up.abort());
        drop(first);
        for waiting in waiting {
            assert!(waiting.await.unwrap().unwrap(), "the one before it has failed");
        }
    }
}

#[tokio::test]
async fn invented_names_and_blocks_fill_buckets_and_no_more() {
    let bench = Bench::new(None).await;
    let store = match &bench.throttle.0.store {
        Store::Memory(memory) => memory,
        Store::Redis(_) => unreachable!("there is no link"),
    };
    let bound = Bound { most: 10, window: WINDOW };
    let buckets = limits::THROTTLE_BUCKETS;
    for n in 0..3 * u64::from(buckets) {
        let bucket = u32::try_from(n % u64::from(buckets)).unwrap();
        let place = Place { kind: Kind::Name, bucket, print: Some(n) };
        let Taken::Counted(receipt) = store.take(&place, bound, bench.clock.now()) else { panic!("three of ten") };
        store.settle(&place, receipt, n % 7 == 0, bench.clock.now());
    }
    assert_eq!(store.entries(), buckets as usize);
    let place = bench.throttle.place(Kind::Name, &[b"any"]).unwrap();
    assert!(place.bucket < buckets);
}

#[tokio::test]
async fn a_bucket_knows_a_few_blocks_and_forgets_the_oldest() {
    for bench in Bench::both().await {
        let blocks: Vec<String> = (0..=limits::THROTTLE_KNOWN).map(|n| format!("192.0.2.{n}")).collect();
        for block in &blocks {
            bench.right("ada", block).await;
            bench.hand.advance(Duration::from_secs(1));
        }
        for _ in 0..3 {
            bench.wrong("ada", "198.51.100.1").await;
        }
        assert!(bench.is_slowed("ada", &blocks[0]).await);
        for block in &blocks[1..] {
            assert!(!bench.is_slowed("ada", block).await, "{block}");
        }
    }
}

#[tokio::test]
async fn without_an_address_there_is_one_count_and_no_known_block() {
    for bench in Bench::both().await {
        bench.right("ada", "").await;
        for _ in 0..3 {
            bench.wrong("ada", "").await;
        }
        assert!(bench.is_slowed("ada", "").await);
        bench.set(3, 3).await;
        assert!(matches!(bench.guess("bob", "").await, Err(Error::TooMany(_))));
    }
}

#[tokio::test]
async fn redis_is_told_no_name_and_no_address_and_nothing_without_an_end() {
    let link = shared::testing::link().await;
    let bench = Bench::new(Some(link.clone())).await;
    bench.right("canary-name", HOME).await;
    bench.wrong("canary-name", HOME).await;
    bench.wrong("canary-name", "198.51.100.1").await;
    bench.wrong("canary-other", HOME).await;
    let pattern = format!("{}:*", link.namespace());
    let Answer::List(keys) = link.command(&[b"KEYS", pattern.as_bytes()]).await.unwrap() else { panic!("keys") };
    assert_eq!(keys.len(), 4, "two names, two blocks: {keys:?}");
    for key in keys {
        let Answer::Bytes(key) = key else { panic!("a key") };
        let Answer::Int(left) = link.command(&[b"PTTL", &key]).await.unwrap() else { panic!("a time") };
        assert!(left > 0, "it ends");
        let fields = format!("{key:?} {:?}", link.command(&[b"HGETALL", &key]).await.unwrap());
        for told in ["canary", HOME, "198.51.100.1"] {
            let bytes = format!("{:?}", told.as_bytes());
            assert!(!fields.contains(bytes.trim_matches(['[', ']'])), "{told}");
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_away_decides_nothing_and_what_stands_there_is_not_believed() {
    let mut server = shared::testing::Server::start(&[]);
    let bench = Bench::new(Some(server.link().await)).await;
    bench.right("ada", HOME).await;
    server.kill();
    assert!(matches!(bench.guess("ada", HOME).await, Err(Error::Away(_))));
    assert!(bench.throttle.0.turns.is_empty());

    // Whoever writes to Redis can slow a name and free it, as they can end its sessions; rubbish is no count.
    let link = shared::testing::link().await;
    let bench = Bench::new(Some(link.clone())).await;
    bench.right("ada", HOME).await;
    let pattern = format!("{}:*", link.namespace());
    let Answer::List(keys) = link.command(&[b"KEYS", pattern.as_bytes()]).await.unwrap() else { panic!("keys") };
    for key in keys {
        let Answer::Bytes(key) = key else { panic!("a key") };
        for (field, value) in [("since", "x"), ("count", "-5"), ("0123456789abcdef", "1 2"), ("y", "")] {
            link.command(&[b"HSET", &key, field.as_bytes(), value.as_bytes()]).await.unwrap();
        }
    }
    bench.right("ada", "203.0.113.9").await;
    for _ in 0..3 {
        bench.wrong("ada", "198.51.100.1").await;
    }
    assert!(bench.is_slowed("ada", "198.51.100.1").await);
}
