//! What a removed mount leaves: kept sealed for a while, in case it was a mistake, and then gone.

use std::{collections::HashSet, time::Duration};

use super::{Mount, Mounts, attend, tick};
use crate::{
    barrier::{Barrier, Error, Writes, layout::Prefix},
    clock::Timestamp,
    ids::MountId,
    limits,
};

/// Where it is noted when a mount was removed.
pub(super) fn key(id: &MountId) -> String {
    format!("{REMOVED}{id}")
}

const REMOVED: &str = "removed/";

/// Makes a batch rest on that this mount is not removed. False: it has been already.
pub async fn rest_on(barrier: &Barrier, to: &mut Writes, id: &MountId) -> Result<bool, Error> {
    let (mounts, key) = (barrier.view(Prefix::Mount), key(id));
    let note = mounts.get::<Timestamp>(&key).await?;
    mounts.expect_as_read(to, &key, note.as_ref());
    Ok(note.is_none())
}

impl Mounts {
    /// Makes a batch rest on that this mount stands where it stood, and is the same plugin's: for what that will be called
    /// about later, and the catalog has to keep it for.
    pub async fn rest_on(&self, to: &mut Writes, mount: &Mount) -> Result<(), super::Error> {
        let live = mount.live()?;
        let is_same = |record: &super::Record| {
            let owner = (&record.plugin, record.publisher) == (&live.manifest().name, live.publisher);
            owner && record.id == mount.id
        };
        let record = self.record(mount.kind, &mount.name).await?.filter(|record| is_same(&record.value));
        let record = record.ok_or(super::Error::Disabled)?;
        self.0.view.expect_as_read(to, &mount.kind.key(&mount.name), Some(&record));
        Ok(())
    }

    /// Deletes what mounts have left that were removed longer ago than the rules keep it, but for
    /// those that are `held`: something is still to be undone with it. Says how many mounts are gone for good.
    pub async fn sweep_removed(&self, held: &HashSet<MountId>) -> Result<usize, Error> {
        let keep = self.0.security.rules().mounts.keep_removed.duration();
        sweep(&self.0.barrier, self.0.clock.now(), (keep, held)).await
    }
}

async fn sweep(barrier: &Barrier, now: Timestamp, (keep, held): (Duration, &HashSet<MountId>)) -> Result<usize, Error> {
    let mounts = barrier.view(Prefix::Mount);
    let mut gone = 0;
    for key in mounts.list(REMOVED, None, None, limits::LIST_MOST).await?.keys {
        let Some(removed_at) = mounts.get::<Timestamp>(&key).await? else { continue };
        let Ok(id) = MountId::parse(&key[REMOVED.len()..]) else { continue };
        if now.since(removed_at.value) < keep || held.contains(&id) {
            continue;
        }
        empty(barrier, Prefix::Data(id.clone())).await?;
        empty(barrier, Prefix::Key(id.clone())).await?;
        // Last: a kill in between leaves the note, and it is done again.
        let mut writes = Writes::default();
        mounts.delete(&mut writes, &key);
        attend::forget(&mounts, &mut writes, &id);
        tick::forget(&mounts, &mut writes, &id);
        barrier.commit(writes).await?;
        gone += 1;
    }
    Ok(gone)
}

async fn empty(barrier: &Barrier, prefix: Prefix) -> Result<(), Error> {
    let view = barrier.view(prefix);
    loop {
        let page = view.list("", None, None, limits::LIST_MOST).await?;
        let mut writes = Writes::default();
        page.keys.iter().for_each(|key| view.delete(&mut writes, key));
        barrier.commit(writes).await?;
        if !page.more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::Clock, storage::Memory};

    #[tokio::test]
    async fn what_a_mount_left_is_kept_for_its_time_and_nothing_else_goes() {
        let start = Timestamp::from_millis(1_000_000);
        let (clock, hand) = Clock::manual(start);
        let barrier = Barrier::for_test(Arc::new(Memory::default()), clock.clone());
        let (removed, other) = (MountId::new(), MountId::new());
        let (data, others) = (barrier.view(Prefix::Data(removed.clone())), barrier.view(Prefix::Data(other)));
        let mut writes = Writes::default();
        for at in 0..2500 {
            data.put(&mut writes, &format!("k{at}"), &at, None);
        }
        others.put(&mut writes, "k", &1, None);
        barrier.view(Prefix::Mount).put(&mut writes, &key(&removed), &start, None);
        barrier.commit(writes).await.unwrap();

        let keep = Duration::from_secs(60);
        hand.advance(Duration::from_secs(59));
        let none = HashSet::new();
        assert_eq!(sweep(&barrier, clock.now(), (keep, &none)).await.unwrap(), 0);
        assert!(data.get::<i32>("k7").await.unwrap().is_some());
        hand.advance(Duration::from_secs(2));
        let held = HashSet::from([removed.clone()]);
        assert_eq!(sweep(&barrier, clock.now(), (keep, &held)).await.unwrap(), 0, "something is still to be undone");
        assert_eq!(sweep(&barrier, clock.now(), (keep, &none)).await.unwrap(), 1);
        assert!(data.list("", None, None, 1).await.unwrap().keys.is_empty());
        assert!(others.get::<i32>("k").await.unwrap().is_some());
        assert_eq!(sweep(&barrier, clock.now(), (keep, &none)).await.unwrap(), 0);
    }
}
