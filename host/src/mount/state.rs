use semver::Version;

use super::{Error, Granted, Mount, Mounts, RolledBack, prove::barred};
use crate::{catalog::Digest, ids::PluginName};

/// How a mount is, for the operator.
#[derive(Clone, Debug)]
pub struct Condition {
    pub live: Option<(Version, Digest)>,
    /// The version that the setting names, and what it waits for.
    pub pending: Option<(String, Granted)>,
    pub health: Health,
    pub reason: Option<String>,
    pub rolled_back: Option<RolledBack>,
    /// Nodes on which it answers as it is set now, as far as they have told, and how many there are.
    pub nodes: (usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    Ok,
    Disabled,
    /// Soon.
    Compiling,
    Broken,
}

impl Health {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Disabled => "disabled",
            Self::Compiling => "compiling",
            Self::Broken => "broken",
        }
    }
}

impl Mounts {
    pub fn condition(&self, mount: &Mount) -> Condition {
        let rules = self.0.security.rules();
        let (live, health, reason) = match mount.live() {
            Ok(live) => {
                let told = Some((live.manifest().version.clone(), live.digest().clone()));
                match barred(&rules, live.digest(), live.publisher) {
                    None => (told, Health::Ok, None),
                    Some(barred) => (None, Health::Broken, Some(format!("the plugin {}", barred.why))),
                }
            }
            Err(Error::Disabled) => (None, Health::Disabled, None),
            Err(error @ Error::Compiling(_)) => (None, Health::Compiling, Some(error.to_string())),
            Err(error) => (None, Health::Broken, Some(error.to_string())),
        };
        let (pending, rolled_back) = (mount.pending.clone(), mount.rolled_back.clone());
        let (ready, others) = self.0.fence.others_with(mount.id.as_str());
        let ready = match health {
            Health::Ok => ready + 1,
            // Its own switch, or the rules: that is the same everywhere.
            _ if mount.live().is_ok() || health == Health::Disabled => 0,
            _ => ready,
        };
        Condition { live, pending, health, reason, rolled_back, nodes: (ready, others + 1) }
    }

    /// Keys of the settings of mounts that use a version of a plugin, or may have to again.
    pub fn users_of(&self, plugin: &PluginName, version: &Version) -> Vec<String> {
        let now = self.0.clock.now();
        let uses = |mount: &Mount| {
            let text = version.to_string();
            let live = mount.live().is_ok_and(|live| live.manifest().version == *version);
            let wanted = mount.spec.version == text;
            let pending = mount.pending.as_ref().is_some_and(|(pending, _)| *pending == text);
            let reach = mount.previous.as_ref().filter(|previous| previous.is_within_reach(now));
            let previous = reach.is_some_and(|previous| previous.installed.version == *version);
            mount.spec.plugin == *plugin && (live || wanted || pending || previous)
        };
        let mounts = [super::Kind::Auth, super::Kind::Secrets].into_iter().flat_map(|kind| self.of_kind(kind));
        mounts.filter(|mount| uses(mount)).map(|mount| mount.kind.key(&mount.name)).collect()
    }
}
