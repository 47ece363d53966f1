use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::{
    super::{
        Fault,
        sandbox::{Sandbox, Stop},
    },
    bounded,
    read_tracker::{self, check_key},
    wit::storage::{Entry, Host, Page},
};
use crate::{clock::Timestamp, limits};

impl Host for Sandbox {
    async fn get(&mut self, key: String) -> Result<Option<Entry>, Stop> {
        check_key(&key)?;
        self.spend_operations(1)?;
        let now = self.clock.now();
        Ok(self.storage.get(&self.writes, &key, now).await?.map(tell))
    }

    async fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Entry>>, Stop> {
        if keys.len() > limits::PLUGIN_GET_MANY {
            return Err(Stop::told("too-large", "at most 128 keys at once"));
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        self.spend_operations(keys.len())?;
        let now = self.clock.now();
        let found = self.storage.get_many(&self.writes, &keys, now).await?;
        Ok(found.into_iter().map(|entry| entry.map(tell)).collect())
    }

    async fn list(
        &mut self,
        prefix: String,
        delimiter: Option<String>,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page, Stop> {
        let too_long = |text: &str| text.len() > limits::PLUGIN_KEY_BYTES || text.contains('\0');
        if too_long(&prefix) || after.as_deref().is_some_and(too_long) {
            return Err(Stop::told("invalid", "a prefix must be at most 1200 bytes without NUL"));
        }
        let mut characters = delimiter.as_deref().unwrap_or_default().chars();
        let delimiter = match (&delimiter, characters.next(), characters.next()) {
            (None, ..) => None,
            (Some(_), Some(one), None) if one != '\0' => Some(one),
            _ => return Err(Stop::told("invalid", "a delimiter must be one character")),
        };
        let after = match after {
            // What lies before the prefix leaves nothing out, what lies beyond it everything.
            Some(after) if !after.starts_with(&prefix) && after < prefix => None,
            Some(after) if !after.starts_with(&prefix) => return Ok(Page { keys: Vec::new(), next: None }),
            after => after,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, limits::LIST_MOST);
        Ok(self.list_merged(Stretch { prefix, delimiter, after, limit }).await?)
    }

    fn put(&mut self, key: String, value: Vec<u8>, expires_at_ms: Option<u64>) -> Result<(), Stop> {
        let value = Zeroizing::new(value);
        check_key(&key)?;
        if value.len() > limits::PLUGIN_VALUE_BYTES {
            return Err(Stop::told("too-large", "a value must be smaller than 2 MiB"));
        }
        self.put_entry(&key, value, expires_at_ms.map(moment))
    }

    fn delete(&mut self, key: String) -> Result<(), Stop> {
        check_key(&key)?;
        self.spend_write(key.len())?;
        self.storage.view().delete(&mut self.writes, &key);
        Ok(())
    }

    async fn expire(&mut self, key: String, expires_at_ms: Option<u64>) -> Result<(), Stop> {
        check_key(&key)?;
        self.spend_operations(1)?;
        let now = self.clock.now();
        let Some(entry) = self.storage.get(&self.writes, &key, now).await? else {
            return Err(Stop::told("not-found", "there is no such key"));
        };
        self.put_entry(&key, entry.value, expires_at_ms.map(moment))
    }
}

struct Stretch {
    prefix: String,
    delimiter: Option<char>,
    after: Option<String>,
    limit: usize,
}

impl Stretch {
    /// How a key is told: whole, or cut after the delimiter.
    fn name<'k>(&self, key: &'k str) -> &'k str {
        let cut = self.delimiter.and_then(|d| key[self.prefix.len()..].find(d).map(|at| at + d.len_utf8()));
        &key[..cut.map_or(key.len(), |at| self.prefix.len() + at)]
    }

    fn is_cut(&self, name: &str) -> bool {
        self.delimiter.is_some_and(|d| name[self.prefix.len()..].ends_with(d))
    }

    fn includes(&self, key: &str) -> bool {
        self.after.as_deref().is_none_or(|after| key > after && self.name(key) != after)
    }
}

impl Sandbox {
    fn put_entry(&mut self, key: &str, value: Zeroizing<Vec<u8>>, end: Option<Timestamp>) -> Result<(), Stop> {
        self.spend_write(key.len() + value.len())?;
        self.storage.view().put_bytes(&mut self.writes, key, value, end);
        Ok(())
    }

    /// What is committed, plus what this call has put, less what it has deleted.
    async fn list_merged(&mut self, stretch: Stretch) -> Result<Page, Fault> {
        let now = self.clock.now();
        let (mut put, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (key, _) in self.storage.view().pending_below(&self.writes, &stretch.prefix) {
            let pending = self.storage.view().pending(&self.writes, &key).flatten();
            match pending.is_some_and(|entry| entry.expires_at.is_none_or(|end| end > now)) {
                true => put.insert(key),
                false => gone.insert(key),
            };
        }
        let mut names: BTreeSet<String> =
            put.iter().filter(|key| stretch.includes(key)).map(|key| stretch.name(key).to_owned()).collect();
        let (mut after, mut committed) = (stretch.after.clone(), 0);
        loop {
            let page = self.committed(&stretch, after.as_deref()).await?;
            for name in &page.keys {
                if self.survives(&stretch, name, &gone).await? {
                    names.insert(name.clone());
                    committed += 1;
                }
            }
            after = page.keys.last().cloned();
            if !page.more || after.is_none() || committed > stretch.limit {
                break;
            }
        }
        let more = names.len() > stretch.limit;
        let keys: Vec<String> = names.into_iter().take(stretch.limit).collect();
        let next = keys.last().cloned().filter(|_| more);
        Ok(Page { keys, next })
    }

    async fn committed(&mut self, of: &Stretch, after: Option<&str>) -> Result<crate::storage::Page, Fault> {
        self.spend_operations(1)?;
        // One more than asked for says whether there is more.
        let listed = self.storage.view().list(&of.prefix, of.delimiter, after, of.limit + 1);
        bounded(listed).await?.map_err(Fault::Store)
    }

    /// Is a committed name still there once `gone` is? A folder is while any key is left in it.
    async fn survives(&mut self, stretch: &Stretch, name: &str, gone: &BTreeSet<String>) -> Result<bool, Fault> {
        if !stretch.is_cut(name) {
            return Ok(!gone.contains(name));
        }
        let below = gone.range(name.to_owned()..).take_while(|key| key.starts_with(name)).count();
        if below == 0 {
            return Ok(true);
        }
        self.spend_operations(1)?;
        let listed = self.storage.view().list(name, None, None, below + 1);
        let page = bounded(listed).await?.map_err(Fault::Store)?;
        Ok(page.keys.iter().any(|key| !gone.contains(key)))
    }
}

fn moment(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn tell(mut entry: read_tracker::Entry) -> Entry {
    Entry {
        value: std::mem::take(&mut *entry.value),
        revision: u64::try_from(entry.version.raw()).unwrap_or(0),
        expires_at_ms: entry.expires_at.map(|end| u64::try_from(end.millis()).unwrap_or(0)),
    }
}
