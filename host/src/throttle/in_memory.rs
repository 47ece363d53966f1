//! Counts of one node alone. As many entries at most as there are buckets.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::store::{Bound, Kind, Place, Receipt, Taken};
use crate::{clock::Timestamp, limits};

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<(Kind, u32), Entry>>);

#[derive(Debug)]
struct Entry {
    all: Count,
    known: Vec<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Timestamp,
    count: u32,
}

/// A pair of name and block that has logged in.
#[derive(Debug)]
struct Known {
    print: u64,
    at: Timestamp,
    count: Count,
}

impl Memory {
    pub(super) fn take(&self, place: &Place, bound: Bound, now: Timestamp) -> Taken {
        let mut entries = self.lock();
        let entry = entries.entry((place.kind, place.bucket)).or_insert_with(|| Entry::new(now));
        entry.known.retain(|known| now < known.at.after(limits::THROTTLE_LATELY));
        let known = entry.known.iter_mut().find(|known| Some(known.print) == place.print);
        let (count, known) = known.map_or((&mut entry.all, false), |known| (&mut known.count, true));
        // A window begins with its first failure; one that lies ahead comes of a clock put back.
        if count.count == 0 || now < count.since || now >= count.since.after(bound.window) {
            *count = Count { since: now, count: 0 };
        }
        if count.count >= bound.most {
            return Taken::Full(count.since.after(bound.window).since(now));
        }
        count.count += 1;
        Taken::Counted(Receipt { since: count.since, known })
    }

    pub(super) fn settle(&self, place: &Place, receipt: Receipt, login: bool, now: Timestamp) {
        let mut entries = self.lock();
        let entry = entries.entry((place.kind, place.bucket)).or_insert_with(|| Entry::new(now));
        let known = entry.known.iter_mut().find(|known| Some(known.print) == place.print);
        let count = if receipt.known { known.map(|known| &mut known.count) } else { Some(&mut entry.all) };
        if let Some(count) = count.filter(|count| count.since == receipt.since) {
            count.count = count.count.saturating_sub(1);
        }
        if let (true, Some(print)) = (login, place.print) {
            entry.know(print, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, u32), Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.lock().len()
    }
}

impl Entry {
    fn new(now: Timestamp) -> Self {
        Self { all: Count { since: now, count: 0 }, known: Vec::new() }
    }

    /// The newest few: of what shares a bucket, none can push out more than that.
    fn know(&mut self, print: u64, now: Timestamp) {
        match self.known.iter_mut().find(|known| known.print == print) {
            Some(known) => known.at = now,
            None => self.known.push(Known { print, at: now, count: Count { since: now, count: 0 } }),
        }
        if self.known.len() > limits::THROTTLE_KNOWN
            && let Some(oldest) = (0..self.known.len()).min_by_key(|at| self.known[*at].at)
        {
            self.known.remove(oldest);
        }
    }
}
