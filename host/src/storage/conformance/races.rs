use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};

use super::*;

/// Increments a number under `key`, over and over until it succeeds.
async fn increment(storage: &Storage, key: &str) {
    loop {
        let found = one(storage, key).await;
        let number = found.as_ref().map_or(0, number) + 1;
        let expect = found.as_ref().map_or_else(|| absent(key), |entry| is(key, entry));
        match store(storage, [expect], [put(key, &entry(&number.to_string()))]).await {
            Ok(()) => return,
            Err(Error::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn number(entry: &Entry) -> i64 {
    std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).expect("a number")
}

pub(super) async fn counter(s: &Storage) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let storage = s.clone();
        tasks.spawn(async move {
            for _ in 0..15 {
                increment(&storage, "counter").await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(one(s, "counter").await.as_ref().map(number), Some(120));
}

/// What each does rests on what the other changes: in no order could both be right.
pub(super) async fn crossed(s: &Storage) {
    let mut won = [0, 0, 0];
    for _ in 0..200 {
        let (x, y) = (entry("x"), entry("y"));
        store(s, [], [put("x", &x), put("y", &y)]).await.expect("stored");
        let gate = Arc::new(Barrier::new(2));
        let writer = |expect: (Key, Expect), write: (Key, Write)| {
            let (storage, gate) = (s.clone(), gate.clone());
            tokio::spawn(async move {
                gate.wait().await;
                store(&storage, [expect], [write]).await.is_ok()
            })
        };
        let (a, b) = (writer(is("x", &x), put("y", &entry("a"))), writer(is("y", &y), put("x", &entry("b"))));
        let winners = usize::from(a.await.expect("no panic")) + usize::from(b.await.expect("no panic"));
        won[winners] += 1;
    }
    assert_eq!(won, [0, 200, 0], "nobody, one, both");
}

/// Several accounts, of which each may be emptied as long as the sum stays above zero.
pub(super) async fn skew(s: &Storage) {
    let keys: Vec<Key> = (0..4).map(|n| format!("account/{n}")).collect();
    for _ in 0..25 {
        let full: Vec<_> = keys.iter().map(|key| put(key, &entry("1"))).collect();
        store(s, [], full).await.expect("stored");
        let gate = Arc::new(Barrier::new(keys.len()));
        let mut tasks = JoinSet::new();
        for mine in 0..keys.len() {
            let (storage, keys, gate) = (s.clone(), keys.clone(), gate.clone());
            tasks.spawn(async move {
                gate.wait().await;
                loop {
                    let read = storage.get(&keys, NOW).await.expect("told");
                    let read: Vec<Entry> = read.into_iter().flatten().collect();
                    if read.iter().map(number).sum::<i64>() <= 1 {
                        return;
                    }
                    let expects: Vec<_> = keys.iter().zip(&read).map(|(key, entry)| is(key, entry)).collect();
                    match store(&storage, expects, [put(&keys[mine], &entry("0"))]).await {
                        Ok(()) => return,
                        Err(Error::Conflict) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        tasks.join_all().await;
        let left = s.get(&keys, NOW).await.expect("told");
        assert_eq!(left.iter().flatten().map(number).sum::<i64>(), 1);
    }
}

pub(super) async fn claim(s: &Storage) {
    for round in 0..20 {
        let key = format!("claim/{round}");
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (storage, key) = (s.clone(), key.clone());
            tasks.spawn(async move { store(&storage, [absent(&key)], [put(&key, &entry("mine"))]).await.is_ok() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    }
}

/// Some keys are their own, one is everybody's.
pub(super) async fn blind(s: &Storage) {
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let storage = s.clone();
        tasks.spawn(async move {
            for round in 0..15 {
                let writes = [put("everybody", &entry("x")), put(&format!("own/{task}/{round}"), &entry("x"))];
                store(&storage, [], writes).await.expect("nothing was expected");
            }
        });
    }
    tasks.join_all().await;
    let own = s.list(Range { prefix: "own/".into(), delimiter: None, after: None, limit: 999 }, NOW).await;
    assert_eq!(own.expect("told").keys.len(), 120);
}

pub(super) async fn snapshot(s: &Storage) {
    let keys: Vec<Key> = (0..600).map(|n| format!("set/{n}")).collect();
    let version = |n: usize| keys.iter().map(|key| put(key, &entry(&n.to_string()))).collect::<Vec<_>>();
    store(s, [], version(0)).await.expect("stored");
    let writer = {
        let (storage, rounds) = (s.clone(), (1..20).map(version).collect::<Vec<_>>());
        tokio::spawn(async move {
            for writes in rounds {
                store(&storage, [], writes).await.expect("stored");
            }
        })
    };
    while !writer.is_finished() {
        let told: Vec<_> = s.get(&keys, NOW).await.expect("told").into_iter().flatten().map(|e| e.value).collect();
        assert!(told.len() == keys.len() && told.windows(2).all(|pair| pair[0] == pair[1]), "half a batch");
    }
    writer.await.expect("no panic");
}
