use super::*;
use crate::limits;

pub(super) async fn told_in_order(s: &Storage) {
    let (a, b) = (entry("a"), until("b", NOW.millis() + 1));
    store(s, [], [put("x/b", &b), put("x/a", &a)]).await.expect("stored");
    let keys = ["x/b", "none", "x/a", "x/b", "x"].map(str::to_owned);
    let told = s.get(&keys, NOW).await.expect("told");
    assert_eq!(told, [Some(b.clone()), None, Some(a), Some(b), None]);
    assert_eq!(s.get(&[], NOW).await.expect("told"), []);
}

pub(super) async fn expiry(s: &Storage) {
    let old = until("old", 500);
    s.apply(Batch { expects: vec![], writes: vec![put("k", &old)] }, at(100)).await.expect("stored");
    let get = |now| async move { s.get(&["k".to_owned()], at(now)).await.expect("told").pop().flatten() };
    assert_eq!((get(499).await, get(500).await), (Some(old.clone()), None));
    let list = |now| s.list(Range { prefix: "k".into(), delimiter: None, after: None, limit: 9 }, at(now));
    assert_eq!(list(499).await.expect("told").keys, ["k"]);
    assert_eq!(list(500).await.expect("told"), Page::default());
    let try_at = |now, expect, writes| s.apply(Batch { expects: vec![expect], writes }, at(now));
    assert!(matches!(try_at(500, is("k", &old), vec![delete("k")]).await, Err(Error::Conflict)));
    assert!(matches!(try_at(499, absent("k"), vec![delete("k")]).await, Err(Error::Conflict)));
    try_at(500, absent("k"), vec![put("k", &entry("new"))]).await.expect("the old one has expired");
    assert_eq!(get(9999).await.map(|entry| entry.value), Some(b"new".to_vec()));
}

pub(super) async fn expectations(s: &Storage) {
    let (first, second) = (entry("1"), entry("2"));
    store(s, [absent("k")], [put("k", &first)]).await.expect("it was absent");
    assert!(matches!(store(s, [absent("k")], [put("k", &second)]).await, Err(Error::Conflict)));
    assert!(matches!(store(s, [is("k", &second)], [put("k", &second)]).await, Err(Error::Conflict)));
    assert!(matches!(store(s, [is("other", &first)], [put("k", &second)]).await, Err(Error::Conflict)));
    store(s, [is("k", &first)], [put("k", &second)]).await.expect("it was so");
    // What is only expected, and not written, counts as much.
    assert!(matches!(store(s, [is("k", &first)], [put("l", &first)]).await, Err(Error::Conflict)));
    store(s, [is("k", &second), absent("m")], [put("l", &first)]).await.expect("it was so");
    assert!(matches!(store(s, [is("k", &first)], [delete("k")]).await, Err(Error::Conflict)));
    store(s, [is("k", &second)], [delete("k"), delete("never was")]).await.expect("it was so");
    assert_eq!(one(s, "k").await, None);
    // Nothing written, only asked.
    store(s, [absent("k")], []).await.expect("it is so");
    assert!(matches!(store(s, [absent("l")], []).await, Err(Error::Conflict)));
    store(s, [], []).await.expect("nothing is wanted");
}

pub(super) async fn recreated(s: &Storage) {
    let (old, new) = (entry("same"), entry("same"));
    store(s, [], [put("k", &old)]).await.expect("stored");
    store(s, [is("k", &old)], [delete("k")]).await.expect("deleted");
    store(s, [absent("k")], [put("k", &new)]).await.expect("made again");
    assert!(matches!(store(s, [is("k", &old)], [put("k", &entry("late"))]).await, Err(Error::Conflict)));
    assert_eq!(one(s, "k").await, Some(new));
}

pub(super) async fn all_or_nothing(s: &Storage) {
    let kept = entry("kept");
    store(s, [], [put("a", &kept), put("b", &kept)]).await.expect("stored");
    let writes = [put("a", &entry("x")), delete("b"), put("c", &entry("y"))];
    assert!(matches!(store(s, [is("a", &kept), absent("b")], writes).await, Err(Error::Conflict)));
    let told = s.get(&["a", "b", "c"].map(str::to_owned), NOW).await.expect("told");
    assert_eq!(told, [Some(kept.clone()), Some(kept), None]);
}

pub(super) async fn sweep(s: &Storage) {
    let writes: Vec<_> = (0..10).map(|n| put(&format!("k{n}"), &until("x", NOW.millis() + 1 + n))).collect();
    store(s, [], writes).await.expect("stored");
    store(s, [], [put("stays", &entry("x"))]).await.expect("stored");
    assert_eq!(s.sweep(NOW, 100).await.expect("swept"), 0);
    let later = at(NOW.millis() + 6);
    assert_eq!(s.sweep(later, 4).await.expect("swept"), 4);
    assert_eq!(s.sweep(later, 4).await.expect("swept"), 2);
    assert_eq!(s.sweep(later, 4).await.expect("swept"), 0);
    let left =
        s.list(Range { prefix: String::new(), delimiter: None, after: None, limit: 99 }, NOW).await.expect("told");
    assert_eq!(left.keys, ["k6", "k7", "k8", "k9", "stays"]);
}

pub(super) async fn limits(s: &Storage) {
    let longest = "ü".repeat(limits::KEY_BYTES / 2);
    let key = |key: &str| (key.to_owned(), Write::Put(entry("x")));
    store(s, [], [key(&longest), key("")]).await.expect("just within");
    assert!(one(s, &longest).await.is_some() && one(s, "").await.is_some());
    let long = format!("{longest}x");
    assert!(matches!(store(s, [], [key(&long)]).await, Err(Error::TooLarge(_))));
    assert!(matches!(store(s, [absent(&long)], []).await, Err(Error::TooLarge(_))));
    assert!(matches!(store(s, [], [key("a\0b")]).await, Err(Error::TooLarge(_))));
    assert!(matches!(s.get(std::slice::from_ref(&long), NOW).await, Err(Error::TooLarge(_))));
    assert!(matches!(s.get(&vec![String::new(); limits::BATCH_ENTRIES + 1], NOW).await, Err(Error::TooLarge(_))));
    let range = |prefix: &str| Range { prefix: prefix.into(), delimiter: None, after: None, limit: 1 };
    assert!(matches!(s.list(range(&long), NOW).await, Err(Error::TooLarge(_))));
    assert!(matches!(s.list(range("\0"), NOW).await, Err(Error::TooLarge(_))));
    let value = |bytes| Entry { value: vec![7; bytes], ..entry("") };
    store(s, [], [put("v", &value(limits::VALUE_BYTES))]).await.expect("just within");
    assert_eq!(one(s, "v").await.map(|entry| entry.value.len()), Some(limits::VALUE_BYTES));
    let too_large = store(s, [], [put("v", &value(limits::VALUE_BYTES + 1))]).await;
    assert!(matches!(too_large, Err(Error::TooLarge(_))));
    let crowd: Vec<_> = (0..=limits::BATCH_ENTRIES).map(|n| delete(&n.to_string())).collect();
    assert!(matches!(store(s, [], crowd).await, Err(Error::TooLarge(_))));
}

pub(super) async fn large(s: &Storage) {
    let keys: Vec<Key> = (0..limits::BATCH_ENTRIES).map(|n| format!("k/{n:05}")).collect();
    let entries: Vec<Entry> = keys.iter().map(|key| entry(key)).collect();
    let writes: Vec<_> = keys.iter().zip(&entries).map(|(key, entry)| put(key, entry)).collect();
    let expects: Vec<_> = keys.iter().map(|key| absent(key)).collect();
    store(s, expects, writes).await.expect("stored");
    let told = s.get(&keys, NOW).await.expect("told");
    assert!(told.iter().flatten().eq(entries.iter()));
    let expects: Vec<_> = keys.iter().zip(&entries).map(|(key, entry)| is(key, entry)).collect();
    let deletes: Vec<_> = keys.iter().map(|key| delete(key)).collect();
    store(s, expects, deletes).await.expect("stored");
    assert!(s.get(&keys, NOW).await.expect("told").iter().all(Option::is_none));
}

pub(super) async fn ping(s: &Storage) {
    s.ping().await.expect("it is there");
    s.close().await;
}
