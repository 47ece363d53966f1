//! What a store of sessions can do. Every operation is atomic for one family: a script on one
//! slot in Redis, a conditional write in the embedded store.

use std::fmt;

use async_trait::async_trait;

use super::{Error, Record};
use crate::{
    barrier::Writes,
    clock::Timestamp,
    ids::{SessionId, UserId},
};

/// Where families are kept. It is the gate, never the authority: what must not come back stands
/// in storage as well, in the writes that come with an operation. Those are committed first, or
/// together with it.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Bound into every sealed record.
    fn namespace(&self) -> &str;

    async fn get(&self, id: &SessionId) -> Result<Option<Record>, Error>;

    /// A new family, gone by itself at `end`. `Conflict` if what `with` rests on has changed.
    async fn insert(&self, listed: &Listed, record: Record, end: Timestamp, with: Writes) -> Result<Verdict, Error>;

    /// Writes the sealed part anew, where the record is still the one that was read.
    async fn rewrite(&self, id: &SessionId, was: &Was, record: Record, with: Writes) -> Result<Verdict, Error>;

    /// Notes a use at `touch.now` and, if asked to, takes one from the block.
    async fn touch(&self, id: &SessionId, touch: &Touch) -> Result<Verdict, Error>;

    /// Puts a block that storage has released in the place of an empty one.
    async fn refill(&self, id: &SessionId, refill: &Refill) -> Result<Verdict, Error>;

    async fn remove(&self, id: &SessionId) -> Result<(), Error>;

    /// The index of a user's families: a convenience. It may name the dead.
    async fn of_user(&self, user: &UserId) -> Result<Vec<Listed>, Error>;

    async fn unlist(&self, listed: &Listed) -> Result<(), Error>;
}

/// A family's place in the index.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: SessionId,
    pub user: UserId,
    pub created_at: Timestamp,
}

/// The record that a rewrite replaces.
#[derive(Clone, Debug)]
pub struct Was {
    pub rev: String,
    /// Only while neither half of its pair has been accepted.
    pub unused: bool,
    /// The tokens change too: `a`, `r`, `used` and `seen` are written. Otherwise they stay.
    pub pair: bool,
}

/// What a use compares with and notes.
#[derive(Clone, Debug)]
pub struct Touch {
    pub rev: String,
    pub a: String,
    pub now: Timestamp,
    /// The access token ends then, or so many milliseconds after its last use.
    pub until: Timestamp,
    pub idle: i64,
    /// Take a use out of a block of at most this size.
    pub take: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Refill {
    pub rev: String,
    /// The empty block, and the one that was released after it.
    pub from: u32,
    pub block: u32,
    pub left: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Done,
    /// The writes rest on something that has changed; nothing was stored.
    Conflict,
    /// The record is gone, or another one; writes that came with the operation are in storage.
    Moved,
    /// No use is left of this block.
    Empty(u32),
}
