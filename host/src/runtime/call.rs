use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use super::{
    egress::{Credentials, HostGrant},
    types::GuestError,
};
use crate::{
    barrier::{self, View, Writes},
    ids::MountId,
    limits,
    sensitive::Secret,
};

/// One call: who asks, and what the plugin may do meanwhile.
#[derive(Clone, Debug)]
pub struct Call {
    pub facts: Facts,
    /// The mount's own entries.
    pub storage: View,
    /// The keys that the plugin holds by handle.
    pub keys: View,
    /// JSON, valid against the manifest's schema, `writeOnly` members replaced.
    pub config: Arc<[u8]>,
    pub grant: Arc<Grant>,
    /// What the host adds to requests of the plugin's.
    pub credentials: Arc<Credentials>,
    pub bounds: Bounds,
    pub passwords: PasswordCosts,
    /// The call came by GET: it may neither write nor `intend`.
    pub read_only: bool,
    /// Whose its intents are. None: it may have none.
    pub origin: Option<Origin>,
}

/// Where a call comes from, for what it leaves outside.
#[derive(Clone, Debug)]
pub struct Origin {
    pub mount: MountId,
    /// As policy knows it: `secrets/db/creds/app`.
    pub path: String,
}

/// What `context` tells the plugin.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub mount_path: String,
    pub request_id: String,
    /// Id of the user on whose behalf the call is made.
    pub principal: Option<String>,
    pub principal_name: Option<String>,
    /// In a login: id of the user whom the credentials name.
    pub login_user: Option<String>,
    pub client_address: Option<IpAddr>,
    /// Lower-case names; of these the guest sees those that the grant exposes.
    pub headers: Vec<(String, String)>,
    pub callback: Option<Callback>,
}

/// Where a browser comes back to, and the one-time value that finds the login again.
#[derive(Clone, Debug)]
pub struct Callback {
    pub url: String,
    pub state: Secret<String>,
}

/// What a mount may do: asked for by the manifest, granted, and allowed by server policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// `password-hash`, and the algorithms of keys.
    pub crypto: BTreeSet<String>,
    pub http: Vec<HostGrant>,
    /// Request headers that the guest sees, in lower case.
    pub headers: BTreeSet<String>,
}

/// What one call may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes, over all memories and tables of the instance.
    pub memory: usize,
    /// Time on a processor, waiting not counted.
    pub cpu: Duration,
    /// From the asking to the answer, queueing counted.
    pub wall: Duration,
    /// Keys read, written and listed.
    pub storage_operations: u32,
    /// Bytes that the call may want stored.
    pub storage_bytes: usize,
    pub log_bytes: usize,
    /// Bytes of the answer.
    pub answer: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            cpu: Duration::from_millis(50),
            wall: Duration::from_secs(5),
            storage_operations: 1024,
            storage_bytes: 8 << 20,
            log_bytes: 16 << 10,
            answer: 2 << 20,
        }
    }
}

/// What password hashes cost.
#[derive(Clone, Debug, Default)]
pub struct PasswordCosts {
    /// Of new ones.
    pub present: Argon2Cost,
    /// Of older ones that may still be about. A refusal costs the sum, whatever was compared: so
    /// its time does not tell a user with an old hash from one with a new hash, or from nobody.
    pub earlier: Arc<[Argon2Cost]>,
    /// The most that it was ever set to: such hashes are verified, and no dearer ones.
    pub dearest: Dearest,
}

/// What a hash costs at most, in memory and in memory times passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dearest {
    pub memory_kib: u32,
    pub work: u64,
}

impl Default for Dearest {
    fn default() -> Self {
        Self { memory_kib: limits::PASSWORD_COMMON_KIB, work: limits::PASSWORD_COMMON_WORK }
    }
}

impl Dearest {
    /// The dearer of both, memory and work each.
    #[must_use]
    pub fn or(self, memory_kib: u32, passes: u32) -> Self {
        let work = u64::from(memory_kib) * u64::from(passes);
        Self { memory_kib: self.memory_kib.max(memory_kib), work: self.work.max(work) }
    }
}

impl PasswordCosts {
    pub(super) fn cover(&self, cost: Argon2Cost) -> bool {
        let known = [&self.present].into_iter().chain(&*self.earlier);
        let most = known.fold(self.dearest, |most, known| most.or(known.memory_kib, known.passes));
        most.or(cost.memory_kib, cost.passes) == most
    }
}

impl From<Argon2Cost> for PasswordCosts {
    fn from(present: Argon2Cost) -> Self {
        Self { present, earlier: Arc::default(), dearest: Dearest::default() }
    }
}

/// Parameters for password hashes, Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Default for Argon2Cost {
    /// The first choice of RFC 9106 for little memory would be 64 MiB; this is OWASP's.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A call that succeeded. Nothing is stored yet: that is for whoever commits `writes`.
#[derive(Debug)]
pub struct Outcome<T> {
    pub value: T,
    /// What the plugin wrote, resting on everything that it got.
    pub writes: Writes,
    /// False once the call has acted outside: then a conflict must not run it again.
    pub may_rerun: bool,
}

/// Why a call did not succeed. Nothing of it is to be stored.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The plugin's own error. Its text is for the caller only as `plugins.md` says, and for the operator where the
    /// caller is told nothing.
    #[error("the plugin refuses: {}", .0.for_operator())]
    Refused(GuestError),
    /// For the operator's log.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    #[error("the plugin used more than its bound: {0}")]
    Limit(&'static str),
    #[error("the plugin did not answer in time")]
    Deadline,
    /// Too many calls wait for this plugin already.
    #[error("too many calls of this plugin")]
    Busy,
    /// Its instances cannot be made: for so long it is not called at all.
    #[error("the plugin's instances cannot be made at present")]
    Resting(Duration),
    /// The plugin did or answered what the contract forbids.
    #[error("the plugin broke the contract: {0}")]
    Invalid(String),
    #[error(transparent)]
    Store(barrier::Error),
}
