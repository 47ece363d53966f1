//! How a listing moves through the keys: where it starts and ends, and what it jumps over.

use super::{Key, Page, Range};
use crate::limits;

/// A range in the terms of a query. Both databases step from name to name with it: past a cut
/// folder in one seek, however much lies below.
pub(super) struct Walk {
    /// The first key that may be told.
    pub start: Key,
    /// The first key behind the range.
    pub end: Key,
    /// Length of the prefix, in characters.
    pub prefix: i32,
    /// The delimiter, and what stands in its place to jump over all that begins with it.
    pub cut: Option<(String, String)>,
    /// One more than asked for: it tells whether there is more.
    pub rows: i64,
    range: Range,
}

impl Walk {
    pub(super) fn new(mut range: Range) -> Self {
        range.limit = range.limit.min(limits::LIST_EXAMINED);
        let start = range.after.as_deref().map(|after| match name(&range, after) {
            folder if folder == after && range.delimiter.is_some_and(|d| cut_at(&range, after, d).is_some()) => {
                behind(after)
            }
            // No key holds a NUL, so this is the least key that is greater.
            _ => format!("{after}\u{1}"),
        });
        Self {
            start: start.map_or_else(|| range.prefix.clone(), |start| start.max(range.prefix.clone())),
            end: behind(&range.prefix),
            prefix: i32::try_from(range.prefix.chars().count()).unwrap_or(i32::MAX),
            cut: range.delimiter.map(|d| (d.to_string(), successor(d).map_or_else(beyond_all, String::from))),
            rows: i64::try_from(range.limit + 1).unwrap_or(i64::MAX),
            range,
        }
    }

    /// The page that these keys make, each the first one of its name.
    pub(super) fn page(&self, keys: Vec<Key>) -> Page {
        let more = keys.len() > self.range.limit;
        let keys = keys.iter().take(self.range.limit).map(|key| name(&self.range, key).to_owned()).collect();
        Page { keys, more }
    }
}

/// What is told of a key: itself, or as far as its first delimiter beyond the prefix.
pub(super) fn name<'a>(range: &Range, key: &'a str) -> &'a str {
    let cut = range.delimiter.and_then(|delimiter| cut_at(range, key, delimiter));
    &key[..cut.unwrap_or(key.len())]
}

fn cut_at(range: &Range, key: &str, delimiter: char) -> Option<usize> {
    let rest = key.strip_prefix(range.prefix.as_str())?;
    rest.find(delimiter).map(|at| range.prefix.len() + at + delimiter.len_utf8())
}

/// The least text that is greater than every key with this prefix. Bytewise order of UTF-8 is
/// the order of its code points.
fn behind(prefix: &str) -> String {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        if let Some(next) = successor(last) {
            rest.push(next);
            return rest;
        }
    }
    beyond_all()
}

fn successor(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

/// Greater than any key: none is as long.
fn beyond_all() -> String {
    char::MAX.to_string().repeat(limits::KEY_BYTES / char::MAX.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_prefix_is_behind_all_its_keys() {
        assert_eq!(behind("a/"), "a0");
        assert_eq!(behind("a\u{D7FF}"), "a\u{E000}");
        assert_eq!(behind("a\u{10FFFF}"), "b");
        assert!(behind("") > char::MAX.to_string().repeat(limits::KEY_BYTES / 4));
    }
}
