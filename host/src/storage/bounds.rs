//! What every backend takes, and what it refuses before it looks.

use super::{Batch, Error, Key, Range, Write};
use crate::limits;

/// PostgreSQL cannot store a NUL in text, so no backend does.
fn key(key: &str) -> Result<(), Error> {
    if key.len() > limits::KEY_BYTES {
        return Err(Error::TooLarge("a key"));
    }
    if key.contains('\0') {
        return Err(Error::TooLarge("a NUL in a key"));
    }
    Ok(())
}

pub(super) fn keys(keys: &[Key]) -> Result<(), Error> {
    if keys.len() > limits::BATCH_ENTRIES {
        return Err(Error::TooLarge("the keys of one read"));
    }
    keys.iter().try_for_each(|k| key(k))
}

pub(super) fn range(range: &Range) -> Result<(), Error> {
    key(&range.prefix)?;
    range.after.as_deref().map_or(Ok(()), key)
}

pub(super) fn batch(batch: &Batch) -> Result<(), Error> {
    if batch.expects.len() > limits::BATCH_ENTRIES || batch.writes.len() > limits::BATCH_ENTRIES {
        return Err(Error::TooLarge("the entries of one batch"));
    }
    batch.expects.iter().try_for_each(|(k, _)| key(k))?;
    let mut bytes = 0;
    for (k, write) in &batch.writes {
        key(k)?;
        if let Write::Put(entry) = write {
            if entry.value.len() > limits::VALUE_BYTES {
                return Err(Error::TooLarge("a value"));
            }
            bytes += entry.value.len();
        }
    }
    if bytes > limits::BATCH_BYTES { Err(Error::TooLarge("a batch")) } else { Ok(()) }
}
