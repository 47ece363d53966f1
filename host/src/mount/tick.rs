//! Work by the clock: plugins that export `maintenance` are called when they want to be, on one node at a time.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Mount, Mounts, claim::Claim};
use crate::{
    barrier::{self, Stored, Writes},
    catalog::Digest,
    clock::Timestamp,
    ids::{MountId, RequestId},
    limits,
    runtime::{Facts, Tick},
    storage::Expect,
};

/// Where it is kept when a mount was called last, and where a node says that it is calling it.
const TICKS: &str = "ticks/";
const CLAIM: &str = "ticking/";

/// How the last call went.
#[derive(Debug, Serialize, Deserialize)]
struct Ticked {
    at: Timestamp,
    /// None: it does not want to be called again.
    next: Option<Timestamp>,
    /// What said so: another version or another setting may want something else.
    plugin: Digest,
    setting: u64,
    /// Calls in a row that have failed.
    #[serde(default)]
    failures: u32,
}

/// A call that is this node's to make.
#[derive(Debug)]
pub struct Due {
    pub mount: Arc<Mount>,
    last: Option<Stored<Ticked>>,
    claim: Claim,
}

pub(super) fn forget(view: &barrier::View, to: &mut Writes, id: &MountId) {
    view.delete(to, &key(id));
}

fn key(id: &MountId) -> String {
    format!("{TICKS}{id}")
}

impl Ticked {
    fn is_due(&self, mount: &Mount, plugin: &Digest, now: Timestamp) -> bool {
        let same = self.plugin == *plugin && self.setting == mount.number;
        match self.next {
            Some(next) => next <= now || !same,
            None => !same,
        }
    }
}

impl Mounts {
    /// Mounts whose plugin is to be called now, as far as it is known.
    pub async fn due_ticks(&self) -> Result<Vec<Arc<Mount>>, barrier::Error> {
        let now = self.0.clock.now();
        let works = |mount: &Arc<Mount>| mount.live().is_ok_and(|live| live.plugin.exports().maintenance);
        let mounts = [Kind::Auth, Kind::Secrets].into_iter().flat_map(|kind| self.of_kind(kind)).filter(works);
        let mounts: Vec<_> = mounts.collect();
        let mut due = Vec::new();
        for some in mounts.chunks(limits::LIST_DEFAULT) {
            let keys: Vec<_> = some.iter().map(|mount| key(&mount.id)).collect();
            let ticked = self.0.view.get_many::<Ticked>(&keys).await?;
            for (mount, ticked) in some.iter().zip(ticked) {
                if is_due(mount, ticked.as_ref(), now) {
                    due.push(mount.clone());
                }
            }
        }
        Ok(due)
    }

    /// Makes the call this node's. None: it is another's, or has been made.
    pub async fn claim_tick(&self, mount: &Arc<Mount>) -> Result<Option<Due>, barrier::Error> {
        let Some(claim) = self.claim(format!("{CLAIM}{}", mount.id)).await? else { return Ok(None) };
        let last = self.0.view.get::<Ticked>(&key(&mount.id)).await;
        match last {
            Ok(last) if is_due(mount, last.as_ref(), self.0.clock.now()) => {
                Ok(Some(Due { mount: mount.clone(), last, claim }))
            }
            other => {
                self.release(claim).await?;
                other.map(|_| None)
            }
        }
    }

    /// Calls the plugin, and stores what it wrote together with when it wants to be called again.
    pub async fn tick(&self, due: Due, request: &RequestId) -> Result<(), Error> {
        let Due { mount, last, mut claim } = due;
        let ticked = self.tick_claimed((&mount, last.as_ref()), request, &mut claim).await;
        if ticked.is_err()
            && let Ok(live) = mount.live()
        {
            let failures = last.as_ref().map_or(0, |last| last.value.failures).saturating_add(1);
            let now = self.0.clock.now();
            let mut writes = Writes::default();
            let next = Some(now.after(pause(failures)));
            let (plugin, setting) = (live.digest().clone(), mount.number);
            self.note_tick(&mut writes, (&mount, last.as_ref()), Ticked { at: now, next, plugin, setting, failures });
            match self.0.barrier.commit(writes).await {
                Ok(()) | Err(barrier::Error::Conflict) => {}
                Err(error) => tracing::warn!(mount = %mount.name, %error, "it is not noted that work has failed"),
            }
        }
        self.release(claim).await?;
        ticked
    }

    async fn tick_claimed(
        &self,
        (mount, last): (&Mount, Option<&Stored<Ticked>>),
        request: &RequestId,
        claim: &mut Claim,
    ) -> Result<(), Error> {
        let facts = Facts { mount_path: mount.name.to_string(), request_id: request.to_string(), ..Facts::default() };
        let plugin = mount.live()?.digest().clone();
        let mut attempts = self.call(mount, facts, "")?;
        loop {
            let outcome = attempts.run(Tick).await?;
            let now = self.0.clock.now();
            let wait = outcome.value.map(|seconds| Duration::from_secs(seconds.into()).max(limits::TICK_SOONEST));
            let next = wait.map(|wait| now.after(wait));
            let mut writes = outcome.writes;
            let (plugin, setting) = (plugin.clone(), mount.number);
            self.note_tick(&mut writes, (mount, last), Ticked { at: now, next, plugin, setting, failures: 0 });
            let prolonged = self.prolong(&mut writes, claim);
            if attempts.commit(writes, outcome.may_rerun).await? {
                *claim = prolonged;
                return Ok(());
            }
            // Disabled, removed, changed, or another node's by now: what it did is dropped.
            let record = self.record(mount.kind, &mount.name).await?;
            if record.map(|record| record.version) != mount.revision || !self.holds(claim).await? {
                return Ok(());
            }
        }
    }

    /// Rests on the mount being as it was when the plugin was called.
    fn note_tick(&self, to: &mut Writes, (mount, last): (&Mount, Option<&Stored<Ticked>>), ticked: Ticked) {
        let view = &self.0.view;
        let expect = mount.revision.map_or(Expect::Absent, Expect::Version);
        view.expect(to, &mount.kind.key(&mount.name), expect);
        view.expect_as_read(to, &key(&mount.id), last);
        view.put(to, &key(&mount.id), &ticked, None);
    }
}

fn is_due(mount: &Mount, last: Option<&Stored<Ticked>>, now: Timestamp) -> bool {
    let Ok(live) = mount.live() else { return false };
    last.is_none_or(|last| last.value.is_due(mount, live.digest(), now))
}

/// After so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    limits::TICK_RETRY_FIRST.saturating_mul(doubled).min(limits::TICK_RETRY_LONGEST)
}
