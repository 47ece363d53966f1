//! Every prefix in the store, on one page. Below `core/` the seal keeps its own; all else is
//! ciphertext under the keyring. Keys hold paths and ids in the clear, never names of users,
//! subjects or e-mail: those only as HMAC.

use std::fmt;

use crate::ids::MountId;

/// A stretch of the store that one service owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prefix {
    /// `audit/<chain>`: the sealed head of each audit chain.
    AuditHead,
    /// `fence/<counter>`: what has changed, and how often.
    Fence,
    /// `plugin/<name>/<version>`: uploaded plugins.
    Plugin,
    /// `plugin-part/<name>/<version>/<number>`: the bytes of one, cut into pieces.
    PluginPart,
    /// `plugin-staged/<name>/<version>/<folder>`: pieces that are no plugin yet.
    PluginStaged,
    /// `mount/<kind>/<name>`: which mount id and plugin stands there.
    Mount,
    /// `data/<mount id>/…`: what a plugin stores.
    Data(MountId),
    /// `key/<mount id>/…`: keys that a plugin holds by handle.
    Key(MountId),
    /// `user/<user id>`.
    User,
    /// `name/<HMAC>`: user id by name.
    UserName,
    /// `link/<mount id>/<HMAC of subject>`: user id by identity.
    Link,
    /// `leaving/<mount id>/<user id>`: deleted users of whom a plugin is still to forget what it keeps.
    Leaving,
    /// `role/<name>`.
    Role,
    /// `holder/<role>`: the users that have a role which must not go without (`admin`).
    Holder,
    /// `session/…`: the embedded session store.
    Session,
    /// `ended/<session id>`, `generation/<session id>`, `uses/<session id>/…`: what must never come back.
    Ended,
    Generation,
    Uses,
    /// `epoch/<kind>/<id>`: endings of all of a user, a mount, a plugin.
    Epoch,
    /// `policy/<name>`.
    Policy,
    /// `lease/<id>`: what a plugin has lent, or has announced and not done.
    Lease,
    /// The same by when there is something to do: `lease-due/<mount id>/<millis>/<id>`.
    LeaseDue,
    /// By where it came from: `lease-path/secrets/<mount>/<path>/<id>`, …
    LeasePath,
    /// … from which mount, and to whom: `lease-mount/<mount id>/<user id>/<id>`, …
    LeaseMount,
    /// … to whom: `lease-user/<user id>/<id>`, …
    LeaseUser,
    /// … and to which session: `lease-session/<session id>/<id>`.
    LeaseSession,
    /// `lease-sweep/<what>`: one node at a time does it.
    LeaseSweep,
    /// `challenge/<id>`: logins under way.
    Challenge,
    /// `setting/<key>`, and its past below `setting-history/<key>/`.
    Setting,
    SettingHistory,
    /// `boot/…`: what belongs to the store itself (root token, marks).
    Boot,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Data(mount) => return write!(f, "data/{mount}/"),
            Self::Key(mount) => return write!(f, "key/{mount}/"),
            Self::AuditHead => "audit",
            Self::Fence => "fence",
            Self::Plugin => "plugin",
            Self::PluginPart => "plugin-part",
            Self::PluginStaged => "plugin-staged",
            Self::Mount => "mount",
            Self::User => "user",
            Self::UserName => "name",
            Self::Link => "link",
            Self::Leaving => "leaving",
            Self::Role => "role",
            Self::Holder => "holder",
            Self::Session => "session",
            Self::Ended => "ended",
            Self::Generation => "generation",
            Self::Uses => "uses",
            Self::Epoch => "epoch",
            Self::Policy => "policy",
            Self::Lease => "lease",
            Self::LeaseDue => "lease-due",
            Self::LeasePath => "lease-path",
            Self::LeaseMount => "lease-mount",
            Self::LeaseUser => "lease-user",
            Self::LeaseSession => "lease-session",
            Self::LeaseSweep => "lease-sweep",
            Self::Challenge => "challenge",
            Self::Setting => "setting",
            Self::SettingHistory => "setting-history",
            Self::Boot => "boot",
        };
        write!(f, "{name}/")
    }
}

/// `core/seal`: how the root key is kept. In the clear: it holds nothing secret that is not encrypted.
pub const SEAL: &str = "core/seal";
/// `core/keyring`: under the root key.
pub const KEYRING: &str = "core/keyring";
/// `core/sealed`: stands while somebody has sealed the whole store.
pub const SEALED: &str = "core/sealed";
/// Everything below it belongs to the seal.
pub const CORE: &str = "core/";
