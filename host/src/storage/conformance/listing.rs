use super::*;

async fn fill(s: &Storage, keys: &[&str]) {
    let writes: Vec<_> = keys.iter().map(|key| put(key, &entry("x"))).collect();
    store(s, [], writes).await.expect("stored");
}

async fn list(s: &Storage, prefix: &str, delimiter: Option<char>, after: Option<&str>, limit: usize) -> Page {
    let range = Range { prefix: prefix.to_owned(), delimiter, after: after.map(str::to_owned), limit };
    s.list(range, NOW).await.expect("told")
}

pub(super) async fn plain(s: &Storage) {
    // In the order of bytes, which no locale has.
    let keys =
        ["", "!", "-a", "A", "Z", "_", "a", "a b", "a!", "aB", "ab", "a~", "z", "é", "ü", "ｚ", "😀", "\u{10FFFF}"];
    let mut shuffled = keys;
    shuffled.reverse();
    shuffled.swap(3, 9);
    fill(s, &shuffled).await;
    assert_eq!(list(s, "", None, None, 99).await, Page { keys: keys.map(str::to_owned).to_vec(), more: false });
    assert_eq!(list(s, "a", None, None, 99).await.keys, ["a", "a b", "a!", "aB", "ab", "a~"]);
    assert_eq!(list(s, "\u{10FFFF}", None, None, 99).await.keys, ["\u{10FFFF}"]);
    assert_eq!(list(s, "nothing", None, None, 99).await, Page::default());
}

pub(super) async fn pages(s: &Storage) {
    fill(s, &["p/a", "p/b", "p/c", "p/d", "q"]).await;
    let page = |keys: &[&str], more| Page { keys: keys.iter().map(|key| (*key).to_owned()).collect(), more };
    assert_eq!(list(s, "p/", None, None, 2).await, page(&["p/a", "p/b"], true));
    assert_eq!(list(s, "p/", None, Some("p/b"), 2).await, page(&["p/c", "p/d"], false));
    assert_eq!(list(s, "p/", None, Some("p/bb"), 1).await, page(&["p/c"], true));
    assert_eq!(list(s, "p/", None, Some("p/d"), 2).await, page(&[], false));
    assert_eq!(list(s, "p/", None, Some("q"), 2).await, page(&[], false));
    assert_eq!(list(s, "p/", None, None, 0).await, page(&[], true));
    assert_eq!(list(s, "x/", None, None, 0).await, page(&[], false));
    assert_eq!(list(s, "p/", None, None, usize::MAX).await, page(&["p/a", "p/b", "p/c", "p/d"], false));
}

pub(super) async fn folders(s: &Storage) {
    fill(s, &["p/a", "p/a/1", "p/a/2/x", "p/a0", "p/b/1", "p/c", "p//", "p/ü/1", "p/ü/2"]).await;
    assert_eq!(list(s, "p/", Some('/'), None, 99).await.keys, ["p//", "p/a", "p/a/", "p/a0", "p/b/", "p/c", "p/ü/"]);
    assert_eq!(list(s, "p", Some('/'), None, 99).await.keys, ["p/"]);
    assert_eq!(list(s, "p/a/", Some('/'), None, 99).await.keys, ["p/a/1", "p/a/2/"]);
    assert_eq!(list(s, "p/", Some('/'), Some("p/a/"), 2).await.keys, ["p/a0", "p/b/"]);
    assert_eq!(list(s, "p/", Some('/'), Some("p/a"), 1).await, Page { keys: vec!["p/a/".into()], more: true });
    // As before, though it is no name that a listing would tell.
    assert_eq!(list(s, "p/", Some('/'), Some("p/a/1"), 1).await.keys, ["p/a/"]);
    assert_eq!(list(s, "p/", Some('ü'), None, 99).await.keys.last().map(String::as_str), Some("p/ü"));
    assert_eq!(list(s, "", Some('\u{10FFFF}'), None, 2).await.keys, ["p//", "p/a"]);
    // Only what lives makes a folder.
    let gone = until("x", NOW.millis());
    store(s, [], [put("p/0/gone", &gone), put("p/b/0", &gone)]).await.expect("stored");
    assert_eq!(list(s, "p/", Some('/'), None, 2).await.keys, ["p//", "p/a"]);
}

pub(super) async fn crowded(s: &Storage) {
    for folder in 0..5 {
        let keys: Vec<String> = (0..2000).map(|n| format!("crowd/{folder}/{n}")).collect();
        fill(s, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let mut told = Vec::new();
    loop {
        let page = list(s, "crowd/", Some('/'), told.last().map(String::as_str), 2).await;
        told.extend(page.keys);
        if !page.more {
            break;
        }
    }
    assert_eq!(told, (0..5).map(|folder| format!("crowd/{folder}/")).collect::<Vec<_>>());
}

pub(super) async fn odd(s: &Storage) {
    fill(s, &["a%b", "a_b", "axb", "a\\b", "a*b", "a?b", "a'b", "a\"b", "a\u{1}", "a"]).await;
    assert_eq!(list(s, "a%", None, None, 99).await.keys, ["a%b"]);
    assert_eq!(list(s, "a_", Some('b'), None, 99).await.keys, ["a_b"]);
    assert_eq!(list(s, "a", None, Some("a"), 1).await.keys, ["a\u{1}"]);
    assert_eq!(list(s, "a\\", None, None, 99).await.keys, ["a\\b"]);
    assert_eq!(list(s, "a'", None, None, 99).await.keys, ["a'b"]);
}
