//! Logins: credentials become a session, a session becomes a caller, and a session is renewed.
//!
//! Owns the order of things in a login: the guess is counted (`admit`), epochs are read before the
//! credential is looked at, the plugin proves who it is, the directory says which user that is, and
//! the session is refused if an ending overlapped. A login that takes more than one step waits in the
//! store, sealed, from step to step (`challenge`). Never decides what a caller may do. One more way in is an auth plugin.

mod admit;
mod authenticate;
mod begin;
mod bounds;
mod browser;
mod challenge;
mod child;
mod error;
mod given;
mod introspect;
mod own;
mod program;
mod provision;
mod renew;
mod request;
mod seats;
mod second;

pub use admit::Admitted;
pub use authenticate::Authenticated;
pub use browser::{Clicked, Cookie, Page};
pub use challenge::{Asked, Begun};
pub use error::{Error, Refusal};
pub use introspect::Introspected;
pub use own::OwnPath;
pub use program::CLIENTS;
pub use request::{Attempt, Bind, Client, Credentials, Program, SessionWish, Wish};

use std::sync::{Arc, OnceLock};

use crate::{
    barrier::{self, Barrier},
    clock::Clock,
    directory::Directory,
    fence::Fence,
    ids::MountId,
    mount::{self, Mount, Mounts},
    policy::Policies,
    security::{OverLimit, Security},
    session::{self, PerUser, Sessions},
    throttle::Throttle,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Login {
    barrier: Barrier,
    mounts: Mounts,
    directory: Directory,
    sessions: Sessions,
    security: Security,
    throttle: Throttle,
    policies: Policies,
    fence: Fence,
    clock: Clock,
    /// How browsers reach us, without a `/` at the end.
    public_url: Arc<OnceLock<String>>,
}

/// What the use case is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub barrier: Barrier,
    pub mounts: Mounts,
    pub directory: Directory,
    pub sessions: Sessions,
    pub security: Security,
    pub throttle: Throttle,
    pub policies: Policies,
    pub fence: Fence,
    pub clock: Clock,
    pub public_url: Option<String>,
}

impl Login {
    pub fn new(parts: Parts) -> Self {
        let Parts { barrier, mounts, directory, sessions, security, throttle, policies, fence, clock, .. } = parts;
        let public_url = Arc::new(parts.public_url.map(OnceLock::from).unwrap_or_default());
        Self { barrier, mounts, directory, sessions, security, throttle, policies, fence, clock, public_url }
    }

    /// Whoever has not heard of changes for too long uses nothing that it remembers: it asks, or it
    /// has stopped.
    async fn fresh(&self) -> Result<(), Error> {
        // What was remembered is gone with the keys: nothing can be said of any mount.
        if self.barrier.is_sealed() {
            return Err(barrier::Error::Sealed.into());
        }
        if !self.fence.is_fresh() {
            self.fence.ask().await?;
        }
        // Each is one comparison where nothing has changed.
        self.security.refresh().await?;
        self.policies.refresh().await?;
        Ok(self.mounts.refresh().await?)
    }

    /// Has what answers at this path been waited for? Then whoever asked is to be looked at again.
    pub async fn waited_for(&self, path: &str) -> Result<bool, Error> {
        Ok(self.mounts.come_up(path).await?)
    }

    /// Does this mount take logins? As of now, not of a while ago: to be asked once the epochs have
    /// been read, after which a mount that stops is noticed by them.
    async fn check_takes_logins(&self, mount: &MountId) -> Result<(), Error> {
        self.fence.ask().await?;
        self.mounts.refresh().await?;
        self.mount_by_id(mount)?.live()?;
        Ok(())
    }

    /// One that a login began with. Where it is gone, nobody answers any more.
    fn mount_by_id(&self, id: &MountId) -> Result<Arc<Mount>, Error> {
        self.mounts.by_id(id).ok_or(Error::Mount(mount::Error::Disabled))
    }

    /// How many sessions a user may have, and what becomes of one too many.
    fn per_user(&self) -> PerUser {
        let rules = self.security.rules();
        let over = match rules.sessions.over_limit {
            OverLimit::EndOldest => session::OverLimit::EndOldest,
            OverLimit::Refuse => session::OverLimit::Refuse,
        };
        PerUser { most: rules.sessions.max_per_user, over }
    }
}
