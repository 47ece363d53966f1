use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::storage::{Backend, Memory};

#[derive(Clone, Debug)]
enum Step {
    Apply { expects: Vec<(Key, Guess)>, writes: Vec<(Key, Option<Option<i64>>)> },
    Get(Vec<Key>),
    List { prefix: Key, delimiter: Option<char>, after: Option<Key>, limit: usize },
    Sweep,
    Wait(i64),
}

/// What a batch expects, told without knowing the versions: they are random.
#[derive(Clone, Copy, Debug)]
enum Guess {
    /// As it is in the model, so that batches succeed.
    True,
    Absent,
    Wrong,
}

fn key() -> impl Strategy<Value = Key> {
    let part = || select(vec!["", "a", "b", "A", "é", "/", "0", "\u{10FFFF}", "😀"]);
    (part(), part(), part(), part()).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
}

fn step() -> impl Strategy<Value = Step> {
    let guess = prop_oneof![6 => Just(Guess::True), 1 => Just(Guess::Absent), 1 => Just(Guess::Wrong)];
    let write = prop_oneof![3 => Just(Some(None)), 2 => (0_i64..40).prop_map(|end| Some(Some(end))), 2 => Just(None)];
    let apply = (vec((key(), guess), 0..4), vec((key(), write), 0..6));
    let list =
        (key(), prop::option::of(select(vec!['/', 'a', 'é', '\u{10FFFF}'])), prop::option::of(key()), 0_usize..6);
    prop_oneof![
        5 => apply.prop_map(|(expects, writes)| Step::Apply { expects, writes }),
        2 => vec(key(), 0..5).prop_map(Step::Get),
        4 => list.prop_map(|(prefix, delimiter, rest, limit)| {
            let after = rest.map(|rest| format!("{prefix}{rest}"));
            Step::List { prefix, delimiter, after, limit }
        }),
        1 => Just(Step::Sweep),
        1 => (1_i64..20).prop_map(Step::Wait),
    ]
}

/// Each key at most once, the first one stands.
fn unique<T>(mut pairs: Vec<(Key, T)>) -> Vec<(Key, T)> {
    let mut seen = std::collections::HashSet::new();
    pairs.retain(|(key, _)| seen.insert(key.clone()));
    pairs
}

/// One long walk, drawn anew each time; what went wrong is told with all that led there.
pub(super) async fn compared(storage: &Storage) {
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let steps = vec(step(), 400).new_tree(&mut runner).expect("steps").current();
    let (model, mut now) = (Memory::default(), NOW);
    for (n, step) in steps.iter().enumerate() {
        let history = || format!("after {:#?}", &steps[n.saturating_sub(20)..=n]);
        match step.clone() {
            Step::Apply { expects, writes } => {
                let batch = draw(&model, expects, writes, now).await;
                let (ours, theirs) = (model.apply(batch.clone(), now).await, storage.apply(batch, now).await);
                assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{}", history());
            }
            Step::Get(keys) => {
                let (ours, theirs) = (model.get(&keys, now).await, storage.get(&keys, now).await);
                assert_eq!(ours.expect("told"), theirs.expect("told"), "{}", history());
            }
            Step::List { prefix, delimiter, after, limit } => {
                let range = Range { prefix, delimiter, after, limit };
                let (ours, theirs) = (model.list(range.clone(), now).await, storage.list(range, now).await);
                assert_eq!(ours.expect("told"), theirs.expect("told"), "{}", history());
            }
            // Of everything: which ones a smaller sweep takes first is up to the backend.
            Step::Sweep => {
                let (ours, theirs) = (model.sweep(now, 1000).await, storage.sweep(now, 1000).await);
                assert_eq!(ours.expect("swept"), theirs.expect("swept"), "{}", history());
            }
            Step::Wait(millis) => now = at(now.millis() + millis),
        }
    }
}

async fn draw(
    model: &Memory,
    expects: Vec<(Key, Guess)>,
    writes: Vec<(Key, Option<Option<i64>>)>,
    now: Timestamp,
) -> Batch {
    let mut batch = Batch::default();
    for (key, guess) in unique(expects) {
        let found = model.get(std::slice::from_ref(&key), now).await.expect("told").pop().flatten();
        let expect = match (guess, found) {
            (Guess::True, Some(entry)) => Expect::Version(entry.version),
            (Guess::Wrong, _) => Expect::Version(Version::random()),
            (Guess::True | Guess::Absent, _) => Expect::Absent,
        };
        batch.expects.push((key, expect));
    }
    for (key, write) in unique(writes) {
        let put = |end: Option<i64>| Entry { expires_at: end.map(|end| at(now.millis() + end)), ..entry(&key) };
        let write = write.map_or(Write::Delete, |end| Write::Put(put(end)));
        batch.writes.push((key, write));
    }
    batch
}
