//! What a change of a mount's setting makes of its record, and whether the version that it names answers then.

use std::sync::Arc;

use super::{
    Granted, Installed, Kind, Live, Mounts, Previous, Record, Refusal, Spec, Unmigrated, grant,
    prove::{Trial, Valid},
};
use crate::{clock::Timestamp, ids::MountName, problem::Problem};

/// The second is whether the version that the setting names is what answers then; else it waits.
pub(super) fn next(
    old: Option<&Record>,
    spec: &Spec,
    valid: &Valid,
    (now, adopts, proved_users): (Timestamp, bool, bool),
) -> Result<(Record, bool), Refusal> {
    let publisher = valid.found.publisher();
    let wanted = valid.installed(spec);
    let Some(old) = old else { return Ok((Record::new(spec.plugin.clone(), publisher, wanted, now), true)) };
    let same_owner = (&old.plugin, old.publisher) == (&spec.plugin, publisher);
    if !same_owner && !adopts {
        return Err(Problem::new("/plugin", "mount_holds_data", "holds what another plugin has stored").into());
    }
    let base = Record { plugin: spec.plugin.clone(), publisher, needs: None, ..old.clone() };
    let live = match &old.live {
        Some(live) if same_owner => live,
        _ => return Ok((Record { live: Some(wanted), rolled_back: None, ..base }.with(None, None), true)),
    };
    if live.digest == wanted.digest {
        return Ok((on_other_terms(base, live, wanted), true));
    }
    let goes_back = wanted.version < live.version;
    let reach = old.previous.as_ref().filter(|previous| previous.is_within_reach(now));
    if goes_back && !adopts && reach.is_none_or(|previous| previous.installed.digest != wanted.digest) {
        let why = "is older than what has written the data, which it need not understand";
        return Err(Problem::new("/version", "rollback_window", why).into());
    }
    let mut needs = grant::needs(spec, &wanted.asked, &live.asked);
    if proved_users {
        needs.subjects.clear();
    }
    // While the mount is off nothing is tried: it waits for that, if for nothing else.
    if !spec.enabled || (!needs.is_empty() && !valid.found.shipped()) {
        return Ok((Record { needs: Some(needs), ..base }, false));
    }
    let unmigrated = old.to_migrate();
    let (previous, unmigrated) = match goes_back {
        true => (None, unmigrated.and_then(|unmigrated| unmigrated.back_at(&wanted.version))),
        // However many versions have come and gone: none has moved on what the oldest has left.
        false => {
            let from = unmigrated.map_or_else(|| live.version.clone(), |unmigrated| unmigrated.from);
            let previous = Previous { installed: live.clone(), at: now, migrating: false };
            (Some(previous), Some(Unmigrated { from, at: now, begun: false }))
        }
    };
    Ok((Record { live: Some(wanted), rolled_back: None, ..base }.with(previous, unmigrated), true))
}

/// The live version goes on, with what it is given now. What the way back would restore of the configuration may have
/// been taken away since; what is to be moved on stays to be.
fn on_other_terms(record: Record, live: &Installed, now: Installed) -> Record {
    let unmigrated = record.to_migrate();
    let previous = record.previous.clone().filter(|_| live.has_terms_of(&now));
    Record { live: Some(now), ..record }.with(previous, unmigrated)
}

impl Mounts {
    /// While another version waits, the live one answers under what the setting says now: what was given or taken away is so
    /// at once. A configuration that it does not take is refused.
    pub(super) async fn on_terms_of(
        &self,
        (kind, name): (Kind, &MountName),
        spec: &Spec,
        waits: Record,
    ) -> Result<(Record, Option<Arc<Live>>), Refusal> {
        let Some(live) = waits.live.clone() else { return Ok((waits, None)) };
        let over = Spec { version: live.wanted.clone(), ..spec.clone() };
        let valid = match self.validate(kind, &over).await {
            Ok(valid) => Some(valid).filter(|valid| valid.found.component.digest == live.digest),
            Err(Refusal::Invalid(_)) => None,
            Err(failed) => return Err(failed),
        };
        let is_same = live.config == spec.config;
        if valid.is_none() && !is_same && spec.enabled {
            let why = "does not fit the version that answers while the other one waits for what it asks for: \
                       grant or deny that first, or with the same change";
            return Err(Problem::new("/config", "invalid_value", why).into());
        }
        let given = |given: &Granted, asked: &Granted| grant::of_asked(given, asked);
        let asked = valid.as_ref().map_or_else(|| live.asked.clone(), |valid| valid.asked.clone());
        let config = if valid.is_some() { spec.config.clone() } else { live.config.clone() };
        let (grant, deny) = (given(&spec.grant, &asked), given(&spec.deny, &asked));
        let now = Installed { config, grant, deny, asked, ..live.clone() };
        let tried = match valid.filter(|_| !is_same && spec.enabled) {
            Some(valid) => {
                let trial = Trial::Check(waits.id.clone());
                Some(self.prove((kind, name), &over, valid, trial).await?.1)
            }
            None => None,
        };
        Ok((on_other_terms(waits, &live, now), tried))
    }
}
