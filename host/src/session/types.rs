use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;

use super::{Digest, Epochs};
use crate::{
    clock::Timestamp,
    ids::{MountId, MountName, Scope, SessionId, UserId},
    sensitive::Secret,
    storage::Version,
};

/// What a login has found out, and what it asks for.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub user: UserId,
    pub mount: MountId,
    pub method: MountName,
    pub subject: String,
    /// As the plugin told them just now.
    pub groups: Vec<String>,
    /// Digest of the plugin that vouched.
    pub plugin: String,
    /// The program that asked, where it proved which it is.
    pub client: Option<UserId>,
    /// None: whatever policy allows.
    pub scope: Option<Scope>,
    /// None: from anywhere. An empty list: from nowhere.
    pub addresses: Option<Vec<IpNet>>,
    pub max_uses: Option<u32>,
    pub lifetimes: Lifetimes,
    /// Asks for a refresh token. Limited and child sessions get none.
    pub renewable: bool,
    /// What the plugin wants back when it is asked to refresh.
    pub internal: Vec<u8>,
    /// Read before the credential was looked at; of everything, the user, the mount, the plugin
    /// digest and the client if there is one.
    pub epochs: Epochs,
    pub parent: Option<SessionId>,
    /// Where the login came from, to be shown to the user.
    pub address: Option<IpAddr>,
    /// What the program called itself, to be shown to the user.
    pub device: String,
    pub login_at: Timestamp,
    /// The login came by a provider's device flow: whoever agreed to it there could not see who asked for it, so it
    /// never gives `admin`.
    pub by_device_flow: bool,
    /// None: no bound on how many a user has.
    pub per_user: Option<PerUser>,
}

#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An access token ends so long after its last use, …
    pub idle: Duration,
    /// … and so long after it was given out.
    pub absolute: Duration,
    /// A family that can be renewed ends so long after its login; another one after `absolute`.
    pub family: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct PerUser {
    pub most: u32,
    pub over: OverLimit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverLimit {
    EndOldest,
    Refuse,
}

/// A session that was alive when it was read. Holds no secret.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    pub mount: MountId,
    pub method: MountName,
    pub subject: String,
    pub groups: Vec<String>,
    pub plugin: String,
    pub client: Option<UserId>,
    pub scope: Option<Scope>,
    pub addresses: Option<Vec<IpNet>>,
    pub max_uses: Option<u32>,
    /// As of when it was read.
    pub uses_left: Option<u32>,
    /// The login; renewal does not move it.
    pub login_at: Timestamp,
    pub by_device_flow: bool,
    pub created_at: Timestamp,
    /// The access token ends then, at the latest, ...
    pub expires_at: Timestamp,
    /// ... and so long after its last use.
    pub idle: Duration,
    /// The family ends then, renewed or not.
    pub absolute_end: Timestamp,
    pub renewable: bool,
    pub parent: Option<SessionId>,
    pub address: Option<IpAddr>,
    pub device: String,
    pub(super) hold: Hold,
}

/// What `spend` compares.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) rev: String,
    pub(super) a: Digest,
    pub(super) generation: Version,
    pub(super) epochs: Epochs,
    pub(super) seen: AtomicI64,
    pub(super) used: AtomicBool,
}

impl Session {
    /// When it was last used.
    pub fn last_used(&self) -> Timestamp {
        Timestamp::from_millis(self.hold.seen.load(Ordering::Relaxed))
    }

    /// The access token ends then, unless it is used before.
    pub fn ends_at(&self) -> Timestamp {
        self.last_used().after(self.idle).min(self.expires_at).min(self.absolute_end)
    }

    /// One that needs no store behind it, for the tests of who asks what a session may do.
    #[cfg(test)]
    pub fn for_test(user: UserId) -> Self {
        let (now, end) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
        Self {
            id: SessionId::new(),
            user,
            mount: MountId::new(),
            method: MountName::parse("password").unwrap(),
            subject: "subject".to_owned(),
            groups: Vec::new(),
            plugin: "0".repeat(64),
            client: None,
            scope: None,
            addresses: None,
            max_uses: None,
            uses_left: None,
            login_at: now,
            by_device_flow: false,
            created_at: now,
            expires_at: end,
            idle: Duration::from_secs(60),
            absolute_end: end,
            renewable: true,
            parent: None,
            address: None,
            device: String::new(),
            hold: Hold {
                rev: String::new(),
                a: Digest::try_from(format!("1.{}", "0".repeat(64))).unwrap(),
                generation: Version::from_raw(0),
                epochs: Epochs::default(),
                seen: AtomicI64::new(0),
                used: AtomicBool::new(true),
            },
        }
    }
}

/// What the client is given, once.
#[derive(Debug)]
pub struct Tokens {
    pub access: Secret<String>,
    pub access_expires_in: Duration,
    pub refresh: Option<Secret<String>>,
    pub refresh_expires_in: Option<Duration>,
    pub session: Arc<Session>,
}

/// Who shows a refresh token.
#[derive(Clone, Debug, Default)]
pub struct Renewal {
    pub address: Option<IpAddr>,
    pub client: Option<UserId>,
}

/// What the plugin says of the subject when it is asked to refresh.
#[derive(Clone, Debug)]
pub struct Told {
    pub subject: String,
    pub groups: Vec<String>,
    pub internal: Vec<u8>,
    pub narrower: Narrower,
    /// Digest of the plugin that was asked, and the epochs read before it was.
    pub plugin: String,
    pub epochs: Epochs,
}

/// What the family may be at most from a renewal on. It never becomes more than it was.
#[derive(Clone, Debug)]
pub struct Narrower {
    /// From now on.
    pub ttl: Option<Duration>,
    /// Of the pair that is given out now; then it is the last one.
    pub max_uses: Option<u32>,
    /// None says nothing; an empty list allows nobody.
    pub addresses: Option<Vec<IpNet>>,
    /// False: the pair that is given out now is the last one.
    pub renewable: bool,
}

/// It stays as it is.
impl Default for Narrower {
    fn default() -> Self {
        Self { ttl: None, max_uses: None, addresses: None, renewable: true }
    }
}

/// A line of a user's own list of sessions.
#[derive(Clone, Debug)]
pub struct Summary {
    pub id: SessionId,
    pub device: String,
    pub address: Option<IpAddr>,
    pub method: MountName,
    pub created_at: Timestamp,
    pub last_used: Timestamp,
    /// Of the family.
    pub expires_at: Timestamp,
    pub scope: Option<Scope>,
    pub max_uses: Option<u32>,
    pub uses_left: Option<u32>,
    pub parent: Option<SessionId>,
}

impl From<&Session> for Summary {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.clone(),
            device: session.device.clone(),
            address: session.address,
            method: session.method.clone(),
            created_at: session.created_at,
            last_used: session.last_used(),
            expires_at: session.absolute_end,
            scope: session.scope.clone(),
            max_uses: session.max_uses,
            uses_left: session.uses_left,
            parent: session.parent.clone(),
        }
    }
}
