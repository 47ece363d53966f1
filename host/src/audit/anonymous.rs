use std::{collections::BTreeMap, time::Duration};

use super::{Phase, Record, line};
use crate::{address::AddressBlock, limits};

const REASON_BYTES: usize = 64;

/// Lets so many refusals a second through, and sums the others: a flood fills no disk.
#[derive(Debug, Default)]
pub(super) struct Anonymous {
    second: u64,
    admitted: u32,
    summed: Summed,
}

/// How many, by reason and address block.
#[derive(Debug, Default)]
pub(super) struct Summed(BTreeMap<String, u64>);

impl Anonymous {
    /// True: record it by itself. False: it has been counted.
    pub(super) fn admit(&mut self, record: &Record, now: Duration) -> bool {
        if now.as_secs() != self.second {
            (self.second, self.admitted) = (now.as_secs(), 0);
        }
        if self.admitted < limits::ANONYMOUS_RECORDS {
            self.admitted += 1;
            return true;
        }
        self.summed.add(bucket(record), 1);
        false
    }

    pub(super) fn take(&mut self) -> Summed {
        std::mem::take(&mut self.summed)
    }

    pub(super) fn put_back(&mut self, summed: Summed) {
        summed.0.into_iter().for_each(|(bucket, count)| self.summed.add(bucket, count));
    }
}

impl Summed {
    fn add(&mut self, bucket: String, count: u64) {
        let full = self.0.len() >= limits::ANONYMOUS_BUCKETS && !self.0.contains_key(&bucket);
        let bucket = if full { "others".to_owned() } else { bucket };
        let sum = self.0.entry(bucket).or_default();
        *sum = sum.saturating_add(count);
    }

    pub(super) fn record(&self) -> Option<Record> {
        let values = self.0.iter().map(|(bucket, count)| (bucket.clone(), count.to_string())).collect();
        (!self.0.is_empty()).then(|| Record { values, ..Record::new(Phase::Refused, line::SUMMED) })
    }
}

fn bucket(record: &Record) -> String {
    let reason = record.cause.as_deref().unwrap_or(record.operation);
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES)];
    let block = record.address.map(|address| AddressBlock::of(address).to_string());
    format!("{reason} {}", block.as_deref().unwrap_or("unknown"))
}
