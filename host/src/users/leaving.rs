//! What deleted users leave with plugins that could not be asked to forget it, or failed: noted in the
//! batch that deletes the user, and asked again until it is gone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, Users};
use crate::{
    audit::{Phase, Record},
    barrier::{self, Stored, View, Writes, layout::Prefix},
    clock::Timestamp,
    directory::User,
    ids::{MountId, RequestId, UserId},
    limits,
    mount::{self, Kind, Mount},
    runtime::{self, Facts, Fault},
};

/// Stands at `<mount id>/<user id>`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Leaving {
    since: Timestamp,
    failures: u32,
    /// Not before then.
    again_at: Timestamp,
}

impl Users {
    /// Has every auth mount forget what it keeps of a user. A plugin that cannot be asked, or fails,
    /// keeps nobody from being deleted: it is asked again later.
    pub(super) async fn forget(&self, to: &mut Writes, user: &User, request: &RequestId) -> Result<(), Error> {
        let (leavings, now) = (self.leavings(), self.clock.now());
        for mount in self.mounts.of_kind(Kind::Auth) {
            match self.asked_to_forget(&mount, &user.id, request).await {
                Ok(Some(writes)) => to.merge(writes),
                Ok(None) => {}
                Err(mount::Error::Fault(Fault::Store(error))) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(mount = %mount.name, %error, "credentials of a deleted user are removed later");
                    let leaving = Leaving { since: now, failures: 0, again_at: now };
                    leavings.put(to, &key(&mount.id, &user.id), &leaving, None);
                }
            }
        }
        Ok(())
    }

    /// Asks again where it is due.
    pub async fn sweep_leavings(&self) -> Result<(), Error> {
        if self.barrier.is_sealed() {
            return Ok(());
        }
        // Before it is said of a mount that it is gone for good.
        self.mounts.refresh().await?;
        let leavings = self.leavings();
        let (mut after, mut asked, mut gone) = (None::<String>, 0, 0);
        loop {
            let page = leavings.list("", None, after.as_deref(), limits::LIST_MOST).await?;
            for key in &page.keys {
                let Some(stored) = leavings.get::<Leaving>(key).await? else { continue };
                if stored.value.again_at > self.clock.now() || asked >= limits::LEAVINGS_AT_ONCE {
                    continue;
                }
                asked += 1;
                gone += usize::from(self.ask_again(&leavings, key, stored).await?);
            }
            match page.more {
                true => after = page.keys.last().cloned(),
                false => break,
            }
        }
        if gone > 0 {
            let mut record = Record::new(Phase::Work, "users.sweep");
            record.values.insert("credentials".to_owned(), gone.to_string());
            if let Err(error) = self.audit.record(record).await {
                tracing::error!(%error, "the trail does not take what was swept");
            }
        }
        Ok(())
    }

    /// True: there is nothing left of it.
    async fn ask_again(&self, leavings: &View, at: &str, stored: Stored<Leaving>) -> Result<bool, Error> {
        let mut writes = Writes::default();
        leavings.expect_as_read(&mut writes, at, Some(&stored));
        let named =
            at.split_once('/').and_then(|(mount, user)| Some((MountId::parse(mount).ok()?, UserId::parse(user).ok()?)));
        let found = named.and_then(|(mount, user)| Some((self.mounts.by_id(&mount)?, user)));
        let done = match found {
            // What a removed mount has left goes with the mount.
            None => Ok(None),
            Some((mount, user)) => self.asked_to_forget(&mount, &user, &RequestId::new()).await,
        };
        let is_gone = done.is_ok();
        match done {
            Ok(forgotten) => {
                writes.merge(forgotten.unwrap_or_default());
                leavings.delete(&mut writes, at);
            }
            Err(error) => {
                tracing::warn!(%error, since = %stored.value.since, "credentials of a deleted user stay for now");
                let failures = stored.value.failures.saturating_add(1);
                let wait = Duration::from_secs(1 << failures.min(12)).min(limits::LEAVINGS_WAIT);
                let again_at = self.clock.now().after(wait);
                leavings.put(&mut writes, at, &Leaving { failures, again_at, ..stored.value }, None);
            }
        }
        match self.barrier.commit(writes).await {
            Ok(()) => Ok(is_gone),
            // Another node was faster, or it is for the next time.
            Err(barrier::Error::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// None: it keeps no credentials.
    async fn asked_to_forget(
        &self,
        mount: &Mount,
        user: &UserId,
        request: &RequestId,
    ) -> Result<Option<Writes>, mount::Error> {
        if !mount.live()?.plugin.exports().credentials {
            return Ok(None);
        }
        let facts = Facts { mount_path: mount.name.to_string(), request_id: request.to_string(), ..Facts::default() };
        let mut attempt = self.mounts.call(mount, facts, user.as_str())?;
        let outcome = attempt.run(runtime::Remove { subject: user.to_string(), id: None }).await?;
        Ok(Some(outcome.writes))
    }

    fn leavings(&self) -> View {
        self.barrier.view(Prefix::Leaving)
    }
}

fn key(mount: &MountId, user: &UserId) -> String {
    format!("{mount}/{user}")
}
