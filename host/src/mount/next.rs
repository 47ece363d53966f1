//! What a change of a mount's setting makes of its record, and whether the version that it names answers then.

use super::{Installed, Previous, Record, Refusal, Spec, Unmigrated, grant, prove::Valid};
use crate::{clock::Timestamp, problem::Problem};

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
