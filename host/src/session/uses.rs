//! Uses are released by storage before they are used: one by one below 64, in blocks from there
//! on. So never more than `max_uses` succeed, whatever becomes of Redis; at most one block more
//! each time that Redis loses or repeats what it acknowledged, and none below 64.

use std::{sync::atomic::Ordering, time::Duration};

use super::{Error, Record, Refill, Session, Sessions, Touch, Verdict, record::Facts};
use crate::{
    barrier::{self, View, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{SessionId, random},
    limits,
    storage::Expect,
};

/// Between two looks at a block that another node is installing.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });

/// How many uses storage releases at a time.
pub(super) fn block_size(max_uses: u32) -> u32 {
    (max_uses / 32).clamp(1, limits::SESSION_BLOCK)
}

impl Sessions {
    /// Takes one use where the session is limited, and notes when it was used. After everything
    /// that can be refused without a use, and before the request runs. A loser gets `Unknown`.
    pub async fn spend(&self, session: &Session) -> Result<(), Error> {
        match session.max_uses {
            None => self.note(session).await,
            Some(most) if block_size(most) == 1 => {
                self.note(session).await?;
                self.take_one(session, most).await
            }
            Some(most) => self.take_of_block(session, most).await,
        }
    }

    pub(super) async fn uses_left(&self, id: &SessionId, facts: &Facts, record: &Record) -> Result<Option<u32>, Error> {
        let Some(most) = facts.max_uses else { return Ok(None) };
        let size = block_size(most);
        let uses = self.uses(id);
        if size == 1 {
            let taken = uses.list("", None, None, most as usize).await?.keys.len();
            return Ok(Some(most.saturating_sub(taken as u32)));
        }
        let released = uses.get::<u32>(RELEASED).await?.map_or(0, |row| row.value);
        let of_block = if record.block == released { record.left.min(size) } else { 0 };
        Ok(Some(most.saturating_sub(released.saturating_mul(size)) + of_block))
    }

    /// Below 64 every use is a row of its own, inserted if absent. A place is picked at random
    /// among the free ones, so that a crowd of callers does not fight over the same.
    async fn take_one(&self, session: &Session, most: u32) -> Result<(), Error> {
        let uses = self.uses(&session.id);
        // Whoever meets a conflict has seen somebody else succeed; the rest is the database's.
        for _ in 0..most as usize + limits::SESSION_ATTEMPTS {
            let taken = uses.list("", None, None, most as usize).await?.keys;
            let free: Vec<_> = (0..most).map(place).filter(|place| !taken.contains(place)).collect();
            let Some(place) = pick(&free) else { return Err(Error::Unknown) };
            let mut writes = Writes::default();
            uses.expect(&mut writes, place, Expect::Absent);
            uses.put(&mut writes, place, &(), kept_until(session));
            if self.release(session, writes).await? {
                return Ok(());
            }
        }
        Err(Error::Away("uses are too much in demand".to_owned()))
    }

    async fn take_of_block(&self, session: &Session, most: u32) -> Result<(), Error> {
        let size = block_size(most);
        loop {
            let Verdict::Empty(_) = self.touched(session, Some(size)).await? else { return Ok(()) };
            let _one_at_a_time = self.releases[stripe(&session.id, self.releases.len())].lock().await;
            let Verdict::Empty(block) = self.touched(session, Some(size)).await? else { return Ok(()) };
            self.next_block(session, most, size, block).await?;
        }
    }

    /// Releases a block in storage and puts it in the place of the empty one.
    async fn next_block(&self, session: &Session, most: u32, size: u32, empty: u32) -> Result<(), Error> {
        let uses = self.uses(&session.id);
        let mut row = uses.get::<u32>(RELEASED).await?;
        let mut released = row.as_ref().map_or(0, |row| row.value);
        // Another node has released a block and not yet installed it; or has died, or Redis was put
        // back: then that block is lost. Never is a block installed that was not released just now.
        for _ in 0..limits::SESSION_ATTEMPTS {
            if released == empty {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            if self.store.get(&session.id).await?.is_none_or(|record| record.block != empty) {
                return Ok(());
            }
            row = uses.get::<u32>(RELEASED).await?;
            released = row.as_ref().map_or(0, |row| row.value);
        }
        let spoken_for = released.saturating_mul(size);
        if spoken_for >= most {
            return Err(Error::Unknown);
        }
        let mut writes = Writes::default();
        uses.expect_as_read(&mut writes, RELEASED, row.as_ref());
        uses.put(&mut writes, RELEASED, &(released + 1), kept_until(session));
        if self.release(session, writes).await? {
            let rev = session.hold.rev.clone();
            let refill = Refill { rev, from: empty, block: released + 1, left: size.min(most - spoken_for) };
            self.store.refill(&session.id, &refill).await?;
        }
        Ok(())
    }

    /// Commits what spends, resting on the session being alive. False: somebody else was faster.
    async fn release(&self, session: &Session, mut writes: Writes) -> Result<bool, Error> {
        let (rows, epochs) = (self.rows(), super::epochs::view(&self.barrier));
        rows.expect(&mut writes, session.id.as_str(), Expect::Version(session.hold.generation));
        session.hold.epochs.expect(&epochs, &mut writes);
        match self.barrier.commit(writes).await {
            Ok(()) => Ok(true),
            Err(barrier::Error::Conflict) => {
                let row = self.row(&session.id).await?;
                let same = row.is_some_and(|row| row.version == session.hold.generation);
                let alive = same && session.hold.epochs.hold(&epochs).await?;
                if alive { Ok(false) } else { Err(Error::Unknown) }
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Notes a use, unless one was noted just now.
    async fn note(&self, session: &Session) -> Result<(), Error> {
        let now = self.clock.now();
        if now >= session.ends_at() {
            return Err(Error::Unknown);
        }
        let lately = now.since(session.last_used()) < limits::FENCE_STALE.min(session.idle / 32);
        if lately && session.hold.used.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.touched(session, None).await.map(|_| ())
    }

    async fn touched(&self, session: &Session, take: Option<u32>) -> Result<Verdict, Error> {
        let now = self.clock.now();
        let touch = Touch {
            rev: session.hold.rev.clone(),
            a: session.hold.a.text(),
            now,
            until: session.expires_at.min(session.absolute_end),
            idle: i64::try_from(session.idle.as_millis()).unwrap_or(i64::MAX),
            take,
        };
        let verdict = self.store.touch(&session.id, &touch).await?;
        match verdict {
            Verdict::Done => {
                session.hold.seen.fetch_max(now.millis(), Ordering::Relaxed);
                session.hold.used.store(true, Ordering::Relaxed);
                Ok(verdict)
            }
            Verdict::Empty(_) => Ok(verdict),
            Verdict::Moved | Verdict::Conflict => {
                self.copies.forget(&session.id);
                Err(Error::Unknown)
            }
        }
    }

    fn uses(&self, id: &SessionId) -> View {
        self.barrier.view(Prefix::Uses).within(&format!("{id}/"))
    }
}

/// A little longer than the family's own row: what has expired is swept in order, so that a clock
/// which is set forth and back leaves no session that has forgotten its uses.
fn kept_until(session: &Session) -> Option<Timestamp> {
    Some(session.absolute_end.after(limits::USES_KEPT))
}

/// Which block was released last, counted from one.
const RELEASED: &str = "released";

fn place(at: u32) -> String {
    format!("{at:02}")
}

fn pick(free: &[String]) -> Option<&String> {
    let at = u64::from_be_bytes(random()).checked_rem(free.len() as u64)?;
    free.get(at as usize)
}

/// Families share locks; that costs a wait and nothing else.
pub(super) fn stripe(id: &SessionId, stripes: usize) -> usize {
    id.as_str().bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % stripes
}
