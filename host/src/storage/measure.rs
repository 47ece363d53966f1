//! How fast, roughly: `cargo test --release -p coffer --lib storage::measure -- --ignored --nocapture`.

use std::{io::Write as _, time::Duration};

use tokio::task::JoinSet;

use super::{Batch, Entry, Expect, Key, Range, Storage, Version, Write, for_test::Place};
use crate::clock::{Clock, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const SPAN: Duration = Duration::from_secs(3);

fn batch(key: Key) -> Batch {
    let entry = Entry { value: vec![7; 400], version: Version::random(), expires_at: None };
    Batch { expects: vec![(key.clone(), Expect::Absent)], writes: vec![(key, Write::Put(entry))] }
}

/// Runs `work` over and over in so many tasks, and says how often it was done per second.
async fn per_second<F>(tasks: usize, work: impl Fn(String) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let clock = Clock::system();
    let begun = clock.monotonic();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (work, clock) = (work.clone(), clock.clone());
        running.spawn(async move {
            let mut done = 0_u32;
            while clock.monotonic() - begun < SPAN {
                work(format!("{tasks}/{task}/{done}")).await;
                done += 1;
            }
            done
        });
    }
    let done: u32 = running.join_all().await.into_iter().sum();
    f64::from(done) / (clock.monotonic() - begun).as_secs_f64()
}

async fn measure(name: &str, storage: Storage) {
    for tasks in [1, 64] {
        let s = storage.clone();
        let commits = per_second(tasks, move |key| {
            let s = s.clone();
            async move { s.apply(batch(format!("key/{key}")), NOW).await.expect("stored") }
        });
        tell(name, "commits", tasks, commits.await);
    }
    for tasks in [1, 64] {
        let s = storage.clone();
        let reads = per_second(tasks, move |_| {
            let s = s.clone();
            async move { s.get(&["key/64/7/7".to_owned()], NOW).await.map(drop).expect("told") }
        });
        tell(name, "reads", tasks, reads.await);
    }
    let lists = per_second(1, move |_| {
        let s = storage.clone();
        let range = Range { prefix: "key/64/".into(), delimiter: Some('/'), after: None, limit: 100 };
        async move { s.list(range, NOW).await.map(drop).expect("told") }
    });
    tell(name, "lists of 64 folders", 1, lists.await);
}

fn tell(name: &str, what: &str, tasks: usize, per_second: f64) {
    writeln!(std::io::stdout(), "{name}: {tasks} tasks, {per_second:.0} {what} per second").expect("said");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn sqlite() {
    let place = Place::sqlite().await;
    measure("sqlite", place.storage.clone()).await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn postgres() {
    let place = Place::postgres().await;
    measure("postgres", place.storage.clone()).await;
    place.end().await;
}
