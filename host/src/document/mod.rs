//! Documents: JSON values under a key, each with a number, an author and a past.
//!
//! Owns how settings are stored. Never knows what a document means: `mount` and `security` read
//! theirs, the use case `settings` checks and applies changes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    barrier::{Barrier, Error, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::UserId,
    limits,
    storage::Version,
};

/// A document as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    pub value: Value,
    /// Counts the changes of this key, from 1; a deleted key goes on counting.
    pub number: u64,
    pub updated_at: Timestamp,
    /// None: the server itself.
    pub updated_by: Option<UserId>,
    /// Deleted: the key is back at its default, and only its number is kept.
    #[serde(default)]
    pub deleted: bool,
}

/// A document that was read, and what a change of it must rest on.
#[derive(Clone, Debug)]
pub struct Current {
    document: Option<Document>,
    version: Option<Version>,
}

/// Who changes a document, and when.
#[derive(Clone, Debug)]
pub struct Author {
    /// None: the server itself.
    pub user: Option<UserId>,
    pub at: Timestamp,
}

impl Author {
    pub const fn server(at: Timestamp) -> Self {
        Self { user: None, at }
    }
}

#[derive(Clone, Debug)]
pub struct Documents {
    view: View,
    past: View,
}

impl Current {
    /// None where the key has never been set, or is deleted.
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref().filter(|document| !document.deleted)
    }

    /// The number that `expected_version` is compared with: 0 where there is no document.
    pub fn number(&self) -> u64 {
        self.document().map_or(0, |document| document.number)
    }
}

impl Documents {
    pub fn new(barrier: &Barrier) -> Self {
        Self { view: barrier.view(Prefix::Setting), past: barrier.view(Prefix::SettingHistory) }
    }

    pub async fn read(&self, key: &str) -> Result<Current, Error> {
        let stored: Option<Stored<Document>> = self.view.get(key).await?;
        let version = stored.as_ref().map(|stored| stored.version);
        Ok(Current { document: stored.map(|stored| stored.value), version })
    }

    /// Every document whose key begins with `prefix`, in the order of keys.
    pub async fn below(&self, prefix: &str) -> Result<Vec<(String, Document)>, Error> {
        let each = self.each_below(prefix).await?;
        each.into_iter().map(|(key, document)| Ok((key, document?))).collect()
    }

    /// The same where one that cannot be read takes nothing else with it.
    pub async fn each_below(&self, prefix: &str) -> Result<Vec<(String, Result<Document, Error>)>, Error> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.view.list(prefix, None, after.as_deref(), limits::LIST_MOST).await?;
            for (key, stored) in page.keys.iter().zip(self.view.get_each::<Document>(&page.keys).await?) {
                match stored {
                    Ok(stored) => {
                        let there = stored.filter(|stored| !stored.value.deleted);
                        found.extend(there.map(|stored| (key.clone(), Ok(stored.value))));
                    }
                    Err(error) => found.push((key.clone(), Err(error))),
                }
            }
            match page.more {
                true => after = page.keys.last().cloned(),
                false => return Ok(found),
            }
        }
    }

    /// Proposes a change that rests on `current`. `None` deletes.
    pub fn write(&self, to: &mut Writes, key: &str, current: &Current, value: Option<Value>, by: Author) -> Document {
        let number = current.document.as_ref().map_or(0, |document| document.number) + 1;
        let deleted = value.is_none();
        let Author { user: updated_by, at: updated_at } = by;
        let document = Document { value: value.unwrap_or(Value::Null), number, updated_at, updated_by, deleted };
        let expect = current.version.map_or(crate::storage::Expect::Absent, crate::storage::Expect::Version);
        self.view.expect(to, key, expect);
        self.view.put(to, key, &document, None);
        self.past.put(to, &history_key(key, number), &document, None);
        if let Some(old) = number.checked_sub(limits::SETTING_HISTORY) {
            self.past.delete(to, &history_key(key, old));
        }
        document
    }

    /// What the key has been, newest first; deletions among them.
    pub async fn history(&self, key: &str) -> Result<Vec<Document>, Error> {
        let page = self.past.list(&format!("{key}\n"), None, None, limits::LIST_MOST).await?;
        let found = self.past.get_many::<Document>(&page.keys).await?;
        Ok(found.into_iter().rev().flatten().map(|stored| stored.value).collect())
    }
}

/// A line feed stands in no key, so one key's past is never below another's.
fn history_key(key: &str, number: u64) -> String {
    format!("{key}\n{number:020}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{clock::Clock, storage::Memory};

    fn documents() -> (Documents, Barrier) {
        let barrier = Barrier::for_test(Arc::new(Memory::default()), Clock::system());
        (Documents::new(&barrier), barrier)
    }

    const NOW: Timestamp = Timestamp::from_millis(1);

    #[tokio::test]
    async fn a_document_counts_its_changes_and_keeps_its_past() {
        let (documents, barrier) = documents();
        for value in [Some(json!(1)), None, Some(json!(3))] {
            let current = documents.read("custom/a").await.unwrap();
            let mut writes = Writes::default();
            documents.write(&mut writes, "custom/a", &current, value, Author::server(NOW));
            barrier.commit(writes).await.unwrap();
        }
        let current = documents.read("custom/a").await.unwrap();
        assert_eq!((current.number(), &current.document().unwrap().value), (3, &json!(3)));
        let numbers: Vec<u64> = documents.history("custom/a").await.unwrap().iter().map(|d| d.number).collect();
        assert_eq!(numbers, [3, 2, 1]);
        assert_eq!(documents.below("custom/").await.unwrap().len(), 1);
        assert_eq!(documents.history("custom").await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn of_two_changes_that_rest_on_the_same_document_one_is_refused() {
        let (documents, barrier) = documents();
        let current = documents.read("security").await.unwrap();
        let change = |value| {
            let mut writes = Writes::default();
            documents.write(&mut writes, "security", &current, Some(value), Author::server(NOW));
            writes
        };
        let (one, other) = (change(json!(1)), change(json!(2)));
        barrier.commit(one).await.unwrap();
        assert!(matches!(barrier.commit(other).await, Err(Error::Conflict)));
    }
}
