use std::time::Duration;

use super::{
    super::super::{Fault, sandbox::Sandbox, testing::Bench},
    halted, told,
};
use crate::{
    barrier::{self, Writes},
    limits,
    runtime::imports::wit::storage::Host,
};

const NOW: u64 = 1_000_000;

async fn commit(bench: &Bench, mut sandbox: Sandbox) -> Result<(), barrier::Error> {
    let mut writes = std::mem::take(&mut sandbox.writes);
    sandbox.storage.expect_reads(&mut writes);
    bench.view.commit(writes).await
}

async fn fill(bench: &Bench, keys: &[&str]) {
    let mut writes = Writes::default();
    for key in keys {
        bench.view.put_bytes(&mut writes, key, key.as_bytes().to_vec().into(), None);
    }
    bench.view.commit(writes).await.unwrap();
}

async fn value(sandbox: &mut Sandbox, key: &str) -> Option<String> {
    let entry = sandbox.get(key.to_owned()).await.unwrap()?;
    Some(String::from_utf8(entry.value).unwrap())
}

async fn names(
    sandbox: &mut Sandbox,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> String {
    let own = |text: &str| text.to_owned();
    let page = sandbox.list(own(prefix), delimiter.map(own), after.map(own), limit).await.unwrap();
    let next = page.next.map(|next| format!(" > {next}")).unwrap_or_default();
    format!("{}{next}", page.keys.join(" "))
}

#[tokio::test]
async fn reads_see_the_calls_own_writes_and_nothing_is_stored_before_the_commit() {
    let bench = Bench::new();
    fill(&bench, &["a", "b"]).await;
    let mut sandbox = bench.sandbox(&[]);
    sandbox.put("a".into(), b"new".to_vec(), None).unwrap();
    sandbox.delete("b".into()).unwrap();
    assert_eq!(value(&mut sandbox, "a").await.as_deref(), Some("new"));
    assert_eq!(value(&mut sandbox, "b").await, None);
    let mut other = bench.sandbox(&[]);
    assert_eq!(value(&mut other, "a").await.as_deref(), Some("a"));
    commit(&bench, sandbox).await.unwrap();
    let mut later = bench.sandbox(&[]);
    assert_eq!(value(&mut later, "a").await.as_deref(), Some("new"));
    assert_eq!(value(&mut later, "b").await, None);
}

#[tokio::test]
async fn a_key_read_twice_is_told_the_same_twice_and_then_the_commit_is_a_conflict() {
    let bench = Bench::new();
    fill(&bench, &["a"]).await;
    for (read, found) in [("a", Some("a")), ("absent", None)] {
        let mut sandbox = bench.sandbox(&[]);
        assert_eq!(value(&mut sandbox, read).await.as_deref(), found);
        let mut writes = Writes::default();
        bench.view.put_bytes(&mut writes, read, b"meanwhile".to_vec().into(), None);
        bench.view.commit(writes).await.unwrap();
        assert_eq!(value(&mut sandbox, read).await.as_deref(), found);
        assert!(sandbox.storage.is_stale().await.unwrap());
        sandbox.put("other".into(), b"x".to_vec(), None).unwrap();
        assert!(matches!(commit(&bench, sandbox).await, Err(barrier::Error::Conflict)));
    }
}

#[tokio::test]
async fn a_write_to_a_key_that_was_never_read_rests_on_nothing() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.sandbox(&[]), bench.sandbox(&[]));
    one.put("a".into(), b"1".to_vec(), None).unwrap();
    other.put("a".into(), b"2".to_vec(), None).unwrap();
    assert_eq!(value(&mut other, "a").await.as_deref(), Some("2"));
    commit(&bench, one).await.unwrap();
    commit(&bench, other).await.unwrap();
}

#[tokio::test]
async fn get_many_tells_what_get_tells() {
    let bench = Bench::new();
    fill(&bench, &["a", "b"]).await;
    let mut sandbox = bench.sandbox(&[]);
    sandbox.put("c".into(), b"c".to_vec(), None).unwrap();
    let keys = ["b", "x", "c", "b", "a"].map(str::to_owned).to_vec();
    let found = sandbox.get_many(keys).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|entry| entry.map(|e| String::from_utf8(e.value).unwrap())).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found, [some("b"), None, some("c"), some("b"), some("a")]);
    let many = vec!["k".to_owned(); limits::PLUGIN_GET_MANY + 1];
    assert_eq!(told(sandbox.get_many(many).await), "too-large");
}

#[tokio::test]
async fn what_expires_is_gone_and_its_end_can_be_moved() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    sandbox.put("a".into(), b"a".to_vec(), Some(NOW + 1000)).unwrap();
    sandbox.put("past".into(), b"x".to_vec(), Some(NOW)).unwrap();
    assert_eq!(value(&mut sandbox, "past").await, None);
    assert_eq!(told(sandbox.expire("past".into(), None).await), "not-found");
    sandbox.expire("a".into(), Some(NOW + 5000)).await.unwrap();
    commit(&bench, sandbox).await.unwrap();
    bench.hand.advance(Duration::from_secs(2));
    let mut later = bench.sandbox(&[]);
    let entry = later.get("a".into()).await.unwrap().unwrap();
    assert_eq!((entry.value, entry.expires_at_ms), (b"a".to_vec(), Some(NOW + 5000)));
    later.expire("a".into(), Some(NOW + 3000)).await.unwrap();
    commit(&bench, later).await.unwrap();
    bench.hand.advance(Duration::from_secs(2));
    assert_eq!(value(&mut bench.sandbox(&[]), "a").await, None);
}

#[tokio::test]
async fn a_list_has_the_calls_own_writes_in_it() {
    let bench = Bench::new();
    fill(&bench, &["a/1", "a/2", "b/1", "c", "d/x/y"]).await;
    let mut sandbox = bench.sandbox(&[]);
    assert_eq!(names(&mut sandbox, "", Some("/"), None, 10).await, "a/ b/ c d/");
    sandbox.delete("b/1".into()).unwrap();
    sandbox.delete("a/1".into()).unwrap();
    sandbox.put("bb".into(), Vec::new(), None).unwrap();
    sandbox.put("e/new".into(), Vec::new(), None).unwrap();
    sandbox.put("gone".into(), Vec::new(), Some(NOW)).unwrap();
    assert_eq!(names(&mut sandbox, "", Some("/"), None, 10).await, "a/ bb c d/ e/");
    assert_eq!(names(&mut sandbox, "", None, None, 10).await, "a/2 bb c d/x/y e/new");
    assert_eq!(names(&mut sandbox, "", Some("/"), None, 2).await, "a/ bb > bb");
    assert_eq!(names(&mut sandbox, "", Some("/"), Some("bb"), 2).await, "c d/ > d/");
    assert_eq!(names(&mut sandbox, "", Some("/"), Some("d/"), 2).await, "e/");
    assert_eq!(names(&mut sandbox, "d/", Some("/"), None, 2).await, "d/x/");
    assert_eq!(names(&mut sandbox, "d/", None, Some("a"), 2).await, "d/x/y");
    assert_eq!(names(&mut sandbox, "d/", None, Some("e"), 2).await, "");
}

/// Every page of every size, against the plain model: all keys, cut, sorted, told once.
#[tokio::test]
async fn pages_of_any_size_tell_every_name_once_and_in_order() {
    let bench = Bench::new();
    let committed: Vec<String> = (0..40).map(|i| format!("{}/{:02}", i % 7, i)).collect();
    fill(&bench, &committed.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut sandbox = bench.sandbox(&[]);
    let mut keys: std::collections::BTreeSet<String> = committed.iter().cloned().collect();
    for i in (0..40).filter(|i| i % 7 == 3 || i % 3 == 0) {
        let key = format!("{}/{:02}", i % 7, i);
        sandbox.delete(key.clone()).unwrap();
        keys.remove(&key);
    }
    for i in 0..5 {
        let key = format!("{}x", i * 2);
        sandbox.put(key.clone(), Vec::new(), None).unwrap();
        keys.insert(key);
    }
    for delimiter in [None, Some("/")] {
        let cut = |key: &String| match (delimiter, key.find('/')) {
            (Some(_), Some(at)) => key[..=at].to_owned(),
            _ => key.clone(),
        };
        let expected: std::collections::BTreeSet<String> = keys.iter().map(cut).collect();
        for limit in [1, 2, 3, 7, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                sandbox.call.bounds.storage_operations = u32::MAX;
                let page = sandbox.list(String::new(), delimiter.map(str::to_owned), after, limit).await.unwrap();
                seen.extend(page.keys);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected.iter().cloned().collect::<Vec<_>>(), "{delimiter:?} {limit}");
        }
    }
}

#[tokio::test]
async fn a_key_is_a_name_and_leads_nowhere_else() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    for bad in ["", "a\0b", &"k".repeat(limits::PLUGIN_KEY_BYTES + 1), &"k".repeat(10_000)] {
        assert_eq!(told(sandbox.put(bad.into(), Vec::new(), None)), "invalid");
        assert_eq!(told(sandbox.get(bad.into()).await), "invalid");
        assert_eq!(told(sandbox.get_many(vec![bad.into()]).await), "invalid");
        assert_eq!(told(sandbox.delete(bad.into())), "invalid");
        assert_eq!(told(sandbox.expire(bad.into(), None).await), "invalid");
    }
    let tricks = ["../", "..", "/", "//", "../../core/seal", "a/../b", "%2e%2e/", "\\..\\", "\u{202e}x", "ключ"];
    for key in tricks {
        sandbox.put(key.into(), key.as_bytes().to_vec(), None).unwrap();
    }
    commit(&bench, sandbox).await.unwrap();
    let page = bench.view.list("", None, None, 100).await.unwrap();
    let mut expected = tricks.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(page.keys, expected);
    let all: Vec<String> = bench.memory.dump().into_iter().map(|(key, _)| key).collect();
    assert!(all.iter().all(|key| key.starts_with("data/")), "{all:?}");
}

#[tokio::test]
async fn a_list_takes_no_nonsense() {
    let bench = Bench::new();
    let mut sandbox = bench.sandbox(&[]);
    for delimiter in ["", "ab", "\0"] {
        assert_eq!(told(sandbox.list(String::new(), Some(delimiter.into()), None, 1).await), "invalid");
    }
    assert_eq!(told(sandbox.list("\0".into(), None, None, 1).await), "invalid");
    assert_eq!(told(sandbox.list("k".repeat(limits::PLUGIN_KEY_BYTES + 1), None, None, 1).await), "invalid");
    assert_eq!(names(&mut sandbox, "", Some("ü"), None, 0).await, "");
}

#[tokio::test]
async fn a_call_that_may_only_read_ends_at_its_first_write() {
    let mut bench = Bench::new();
    bench.call.read_only = true;
    let mut sandbox = bench.sandbox(&[]);
    assert!(matches!(halted(sandbox.put("a".into(), Vec::new(), None)), Fault::Invalid(_)));
    assert!(matches!(halted(sandbox.delete("a".into())), Fault::Invalid(_)));
}

#[tokio::test]
async fn a_key_that_is_asked_for_many_times_counts_each_time() {
    let bench = Bench::new();
    let mut writes = Writes::default();
    bench.view.put_bytes(&mut writes, "stored", vec![0; 2_000_000].into(), None);
    bench.view.commit(writes).await.unwrap();
    let mut sandbox = bench.sandbox(&[]);
    sandbox.put("own".into(), vec![0; 2_000_000], None).unwrap();
    for key in ["stored", "own"] {
        assert_eq!(sandbox.get_many(vec![key.to_owned(); 16]).await.unwrap().len(), 16);
        let many = sandbox.get_many(vec![key.to_owned(); 17]).await;
        assert!(matches!(halted(many), Fault::Limit("storage reads")), "{key}");
    }
}

#[tokio::test]
async fn what_a_call_reads_is_bounded() {
    let bench = Bench::new();
    let keys: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let mut writes = Writes::default();
    for key in &keys {
        bench.view.put_bytes(&mut writes, key, vec![0; 2_000_000].into(), None);
    }
    bench.view.commit(writes).await.unwrap();
    let mut sandbox = bench.sandbox(&[]);
    assert!(matches!(halted(sandbox.get_many(keys).await), Fault::Limit("storage reads")));
}
