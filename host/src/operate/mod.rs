//! Operating the store: made, unsealed, sealed, and brought up.
//!
//! Owns what happens once in a store's life (shares, root token, the shipped mounts) and each time
//! it is unsealed. Never answers anything while sealed but its status. One more operation is one
//! more file.

mod bring_up;
mod error;
mod init;
mod removed;
mod root;
mod shares;
mod trail;
mod upgrades;

pub use error::Error;
pub use init::{Initialised, Shares};
pub use shares::{Bring, Brought};

use crate::{
    audit::Audit,
    barrier::{self, Barrier, InitCode, SealStatus, Writes},
    clock::Clock,
    config::Seal,
    directory::Directory,
    document::Documents,
    fence::{Counter, Fence},
    lease::Leases,
    mount::Mounts,
    policy::{Manage, Permit, Resource},
    security::Security,
    sensitive::Secret,
    session::Sessions,
};

/// The use case: a cheap handle.
#[derive(Clone, Debug)]
pub struct Operate(std::sync::Arc<Parts>);

/// What the use case is made of.
#[derive(Debug)]
pub struct Parts {
    pub audit: Audit,
    pub barrier: Barrier,
    pub clock: Clock,
    /// Until the store is made.
    pub code: tokio::sync::Mutex<Option<InitCode>>,
    pub data_dir: std::path::PathBuf,
    pub directory: Directory,
    pub documents: Documents,
    pub fence: Fence,
    pub leases: Leases,
    pub mounts: Mounts,
    pub seal: Seal,
    pub security: Security,
    pub sessions: Sessions,
}

/// A thing of the server itself in policy: `sys/seal`.
#[derive(Clone, Copy, Debug)]
pub struct SysPath(pub &'static str);

impl Resource for SysPath {
    fn path(&self) -> String {
        format!("sys/{}", self.0)
    }
}

impl Operate {
    pub fn new(parts: Parts) -> Self {
        Self(std::sync::Arc::new(parts))
    }

    pub async fn status(&self) -> Result<SealStatus, Error> {
        Ok(self.0.barrier.status().await?)
    }

    /// One share of those that open the store; the last one that is needed opens it.
    pub async fn unseal(&self, share: &Secret<String>) -> Result<SealStatus, Error> {
        let status = match self.0.seal {
            Seal::Shamir => self.0.barrier.unseal_share(share).await?,
            // The key itself is the one share there is: it lifts an order to seal.
            Seal::KeyFile(_) | Seal::Key(_) | Seal::Dev => {
                let key = barrier::parse_key(share)?;
                self.0.barrier.unseal_key_by_order(&key).await?;
                self.0.barrier.status().await?
            }
        };
        if !status.sealed {
            self.finish().await?;
        }
        Ok(status)
    }

    /// The whole store, on every node and over restarts; or this node alone.
    pub async fn seal(&self, _permit: &Permit<Manage, SysPath>, node_only: bool) -> Result<(), Error> {
        if node_only {
            self.0.fence.leave().await;
        } else {
            // While there are keys to write it with: other nodes forget what they remember.
            let mut writes = Writes::default();
            self.0.fence.raise(&mut writes, Counter::Seal);
            self.0.barrier.commit(writes).await?;
        }
        let sealed = self.0.barrier.seal(node_only).await;
        self.0.mounts.clear();
        self.0.directory.forget();
        if !node_only {
            // Without the keys nobody can be asked; every node obeys within this time, or has stopped.
            self.0.fence.outlast().await;
        }
        Ok(sealed?)
    }

    /// Ready: unsealed, the store answers, and what is remembered is fresh.
    pub async fn health(&self) -> Health {
        let sealed = self.0.barrier.is_sealed();
        let initialised = self.0.barrier.status().await.is_ok_and(|status| status.initialized);
        let ready = !sealed && self.0.fence.is_fresh();
        Health { initialised, sealed, ready }
    }
}

/// What a load balancer asks.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    pub initialised: bool,
    pub sealed: bool,
    pub ready: bool,
}
