//! The way back from an upgrade that fails: by the server itself, within a window, to a version
//! that nobody has denied and whose data has not been moved on.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Kind, Mount, Mounts, Record, RolledBack, compiled::Patience, prove::barred};
use crate::{
    barrier::{self, Writes},
    document::Author,
    fence::Counter,
};

impl Mounts {
    /// Mounts whose new version fails for several principals, and why.
    pub fn failing(&self) -> Vec<(Arc<Mount>, String)> {
        let now = self.0.clock.now();
        let verdict = |mount: &Arc<Mount>| mount.live().ok()?.watch.as_ref()?.verdict(now);
        let mounts = [Kind::Auth, Kind::Secrets].into_iter().flat_map(|kind| self.of_kind(kind));
        mounts.filter_map(|mount| verdict(&mount).map(|why| (mount, why))).collect()
    }

    /// Puts the version before in place of the live one, in the setting too. None: there is no way
    /// back, or somebody was faster. `lends`: something is out that is still to be taken back.
    pub async fn roll_back(&self, mount: &Mount, why: &str, lends: bool) -> Result<Option<RolledBack>, barrier::Error> {
        let key = mount.kind.key(&mount.name);
        let (record, current) = (self.record(mount.kind, &mount.name).await?, self.0.documents.read(&key).await?);
        let (Some(record), Some(document)) = (record, current.document()) else { return Ok(None) };
        let now = self.0.clock.now();
        let (Some(live), Some(previous)) = (&record.value.live, &record.value.previous) else { return Ok(None) };
        let back = &previous.installed;
        let is_same = mount.live().is_ok_and(|live_now| *live_now.digest() == live.digest);
        let denied = barred(&self.0.security.rules(), &back.digest, record.value.publisher).is_some();
        let spec = back.over(&mount.spec);
        let is_needed = lends && mount.live().is_ok_and(|live| live.plugin.exports().leases);
        let comes_up = async {
            let valid = self.validate(mount.kind, &spec).await.ok()?;
            (valid.found.component.digest == back.digest).then_some(())?;
            (!is_needed || valid.found.component.takes_back()).then_some(())?;
            self.bring_up(valid, Patience::Endless).await.ok()
        };
        if !is_same || denied || !previous.is_within_reach(now) || comes_up.await.is_none() {
            mount.live().ok().and_then(|live| live.watch.as_ref()).inspect(|watch| watch.give_up());
            return Ok(None);
        }
        let mut value = document.value.clone();
        let parts = [("version", json!(back.wanted)), ("config", Value::Object(back.config.clone()))];
        let terms = [("grant", json!(back.grant)), ("deny", json!(back.deny))];
        for (name, part) in parts.into_iter().chain(terms) {
            value[name] = part;
        }
        let rolled_back =
            RolledBack { version: live.version.clone(), digest: live.digest.clone(), reason: why.to_owned(), at: now };
        let mut writes = Writes::default();
        let document = self.0.documents.write(&mut writes, &key, &current, Some(value), Author::server(now));
        let next = Record {
            number: Some(document.number),
            live: Some(back.clone()),
            needs: None,
            rolled_back: Some(rolled_back.clone()),
            ..record.value.clone()
        };
        let unmigrated = record.value.to_migrate().and_then(|unmigrated| unmigrated.back_at(&back.version));
        let next = next.with(None, unmigrated);
        self.0.view.expect_as_read(&mut writes, &key, Some(&record));
        self.0.view.put(&mut writes, &key, &next, None);
        [Counter::Settings, Counter::Mounts].iter().for_each(|counter| self.0.fence.raise(&mut writes, *counter));
        match self.0.barrier.commit(writes).await {
            Ok(()) => {}
            Err(barrier::Error::Conflict) => return Ok(None),
            Err(error) => return Err(error),
        }
        self.0.fence.settle(&[Counter::Settings, Counter::Mounts]).await;
        self.refresh().await?;
        Ok(Some(rolled_back))
    }
}
