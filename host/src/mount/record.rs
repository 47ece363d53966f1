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
    /// What the live version took the place of.
    #[serde(default)]
    pub(super) previous: Option<Previous>,
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

/// A version that failed, and was left by the server itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RolledBack {
    pub version: Version,
    pub digest: Digest,
    pub reason: String,
    pub at: Timestamp,
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
