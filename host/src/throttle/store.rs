use std::time::Duration;

use super::{Error, in_memory::Memory, in_redis};
use crate::{clock::Timestamp, shared::Link};

/// Where counts are kept. Each operation is atomic for its place.
#[derive(Debug)]
pub(super) enum Store {
    Memory(Memory),
    Redis(Link),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    Block,
    Name,
}

/// A bucket; and of a name, from which block it is tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) bucket: u32,
    /// A MAC of name and block. A pair that has logged in lately has a count of its own.
    pub(super) print: Option<u64>,
}

/// So many failures within so long, from the first of them on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) most: u32,
    pub(super) window: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    Counted(Receipt),
    /// For so long.
    Full(Duration),
}

/// Which count it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Receipt {
    pub(super) since: Timestamp,
    /// That of a pair that has logged in lately.
    pub(super) known: bool,
}

impl Store {
    pub(super) fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    pub(super) async fn take(&self, place: &Place, bound: Bound, now: Timestamp) -> Result<Taken, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.take(place, bound, now)),
            Self::Redis(link) => in_redis::take(link, place, bound, now).await,
        }
    }

    /// What was counted was no failure; and, if it was a login, the pair has logged in.
    pub(super) async fn settle(
        &self,
        place: &Place,
        receipt: Receipt,
        login: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => memory.settle(place, receipt, login, now),
            Self::Redis(link) => in_redis::settle(link, place, receipt, login, now).await?,
        }
        Ok(())
    }
}
