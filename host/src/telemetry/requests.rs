use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::Clock,
    metrics::{Gauge, Histogram},
};

/// The requests of one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    in_flight: Gauge,
    /// By operation: as many as the server has, whatever is asked for.
    operations: Mutex<BTreeMap<&'static str, Arc<Operation>>>,
}

#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) took: Histogram,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

/// A request that is being served. Dropped without an answer, it was given up: nobody is told a status.
#[derive(Debug)]
pub struct Serving {
    requests: Requests,
    begun: Duration,
}

impl Requests {
    pub fn begin(&self) -> Serving {
        self.0.in_flight.more();
        Serving { requests: self.clone(), begun: Clock::system().monotonic() }
    }

    pub(super) fn in_flight(&self) -> i64 {
        self.0.in_flight.read()
    }

    pub(super) fn read(&self) -> Vec<(&'static str, Arc<Operation>)> {
        let operations = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.iter().map(|(name, operation)| (*name, operation.clone())).collect()
    }

    fn operation(&self, name: &'static str) -> Arc<Operation> {
        let mut operations = self.0.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.entry(name).or_default().clone()
    }
}

impl Operation {
    pub(super) fn statuses(&self) -> BTreeMap<u16, u64> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Serving {
    /// `operation` is one of the server's own words.
    pub fn answered(self, operation: &'static str, status: u16) {
        let of = self.requests.operation(operation);
        of.took.observe(Clock::system().monotonic().saturating_sub(self.begun));
        *of.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.requests.0.in_flight.less();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_status_and_leave_nothing_behind() {
        let requests = Requests::default();
        for status in [200, 200, 403] {
            requests.begin().answered("users.get", status);
        }
        let waiting = requests.begin();
        assert_eq!(requests.in_flight(), 1);
        drop(waiting);
        let [(name, operation)] = &requests.read()[..] else { panic!("one operation") };
        assert_eq!(
            (*name, operation.took.read().counts.iter().sum::<u64>(), requests.in_flight()),
            ("users.get", 3, 0)
        );
        assert_eq!(operation.statuses(), BTreeMap::from([(200, 2), (403, 1)]));
    }
}
