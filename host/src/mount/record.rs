use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Granted, Spec};
use crate::{
    catalog::{Digest, Publisher},
    clock::Timestamp,
    ids::{MountId, PluginName},
    limits,
};

/// What the store keeps of a mount besides its setting. Members beyond the first three came
/// later, and are absent in older stores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: MountId,
    /// What stands in the mount belongs to this plugin of this publisher.
    pub(super) plugin: PluginName,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) publisher: Publisher,
    /// Of the setting that the rest goes with.
    #[serde(default)]
    pub(super) number: Option<u64>,
    /// What answers.
    #[serde(default)]
    pub(super) live: Option<Installed>,
    /// What the version that the setting names asks for beyond the live one: until it is granted
    /// or denied, that version waits and the live one goes on.
    #[serde(default)]
    pub(super) needs: Option<Granted>,
    /// The way back: what the live version took the place of.
    #[serde(default)]
    pub(super) previous: Option<Previous>,
    /// See `to_migrate`: older stores have only `previous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unmigrated: Option<Unmigrated>,
    #[serde(default)]
    pub(super) rolled_back: Option<RolledBack>,
}

/// A version of the plugin with what it was given.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Installed {
    pub(super) version: Version,
    pub(super) digest: Digest,
    /// As the setting had it: exact, or `shipped`.
    pub(super) wanted: String,
    pub(super) config: Map<String, Value>,
    pub(super) grant: Granted,
    pub(super) deny: Granted,
    pub(super) asked: Granted,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) installed: Installed,
    /// When it was replaced.
    pub(super) at: Timestamp,
    /// The data is being moved on: there is no way back.
    #[serde(default)]
    pub(super) migrating: bool,
}

/// What stands in the mount may still be as a version before has left it, whether there is a way back to that or not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Unmigrated {
    /// The oldest such version.
    pub(super) from: Version,
    /// When what is to move it on came to answer.
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) begun: bool,
}

/// A version that failed, and was left by the server itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RolledBack {
    pub version: Version,
    pub digest: Digest,
    pub reason: String,
    pub at: Timestamp,
}

impl Record {
    /// Of a mount that is new: nothing was there before.
    pub(super) fn new(plugin: PluginName, publisher: Publisher, live: Installed, now: Timestamp) -> Self {
        Self {
            id: MountId::new(),
            plugin,
            created_at: now,
            publisher,
            number: None,
            live: Some(live),
            needs: None,
            previous: None,
            unmigrated: None,
            rolled_back: None,
        }
    }

    pub(super) fn to_migrate(&self) -> Option<Unmigrated> {
        let of_previous = |previous: &Previous| Unmigrated {
            from: previous.installed.version.clone(),
            at: previous.at,
            begun: previous.migrating,
        };
        self.unmigrated.clone().or_else(|| self.previous.as_ref().map(of_previous))
    }

    /// The same with another way back, and this still to be moved on.
    pub(super) fn with(self, previous: Option<Previous>, unmigrated: Option<Unmigrated>) -> Self {
        Self { previous, unmigrated, ..self }
    }
}

impl Unmigrated {
    /// There is no way back any more.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.begun || now.since(self.at) >= limits::ROLLBACK_WINDOW
    }

    /// What is left of it when this version answers again, which has seen it before.
    pub(super) fn back_at(self, version: &Version) -> Option<Self> {
        (self.from < *version).then_some(self)
    }
}

impl Installed {
    /// The setting, as if it named this version.
    pub(super) fn over(&self, spec: &Spec) -> Spec {
        Spec {
            version: self.wanted.clone(),
            config: self.config.clone(),
            grant: self.grant.clone(),
            deny: self.deny.clone(),
            ..spec.clone()
        }
    }

    /// The same as that, but for what is asked of the version.
    pub(super) fn has_terms_of(&self, other: &Self) -> bool {
        (&self.config, &self.grant, &self.deny) == (&other.config, &other.grant, &other.deny)
    }
}

impl Previous {
    /// The old version could be gone back to: it has not been so long, and the data is still its.
    pub(super) fn is_within_reach(&self, now: Timestamp) -> bool {
        !self.migrating && now.since(self.at) < limits::ROLLBACK_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As stores have it: nothing else in them says that there is something to move on.
    #[test]
    fn a_record_of_before_says_by_its_way_back_what_is_to_be_moved_on() {
        let text = format!(
            r#"{{"id":"{0}","plugin":"hello","created_at":1,"previous":{{"installed":{{"version":"1.2.3",
            "digest":"{1}","wanted":"1.2.3","config":{{}},"grant":{{}},"deny":{{}},"asked":{{}}}},"at":7,"migrating":true}}}}"#,
            MountId::new(),
            "ab".repeat(32),
        );
        let record: Record = serde_json::from_str(&text).unwrap();
        let at = Timestamp::from_millis(7);
        assert_eq!(record.to_migrate(), Some(Unmigrated { from: Version::new(1, 2, 3), at, begun: true }));
        let done = record.with(None, None);
        assert_eq!(done.to_migrate(), None);
        assert!(!serde_json::to_string(&done).unwrap().contains("unmigrated"));
    }
}
