//! How requests of plugins leave: to the hosts that a grant names, and to no other.
//!
//! A URL is read once, and what was read is what is compared with the grant, resolved, connected
//! to and sent. The name is resolved once; its addresses are checked; the connection goes to one
//! of those. No redirect is followed, no proxy of the environment used, and no connection kept:
//! what one mount may reach, another may not. Credentials are put in here, after the guest.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use ipnet::IpNet;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::{limits, shared::Reached};

mod address;
mod connect;
mod credential;
mod echo;
mod exchange;
mod grant;
mod resolve;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod trail;

pub use credential::{Credential, Credentials, Place};
pub use grant::HostGrant;
pub use resolve::Resolve;
pub use trail::{OutgoingRequest, Stage, Trail, Unrecorded};

use resolve::System;
use target::Target;
use trail::Open;

/// Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    options: Options,
    trail: Arc<dyn Trail>,
    resolver: Box<dyn Resolve>,
    /// Made with the first request: reading the system's certificates takes a while.
    tls: OnceLock<Arc<ClientConfig>>,
    at_once: Semaphore,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("options", &self.0.options).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Loopback is like any private address: in a dev server only.
    pub loopback: bool,
    /// What this server listens on, whichever of its own addresses it is reached by.
    pub listeners: Vec<u16>,
    /// Its database and its Redis: host and port.
    pub services: Vec<(String, u16)>,
    /// Where its Redis is in fact: sentinels and clusters name more servers than a URL does.
    pub reached: Reached,
    /// PEM, beside the system's certificates.
    pub extra_ca: Option<Vec<u8>>,
}

/// What a guest wants sent, and what its mount may do.
pub(super) struct Order<'a> {
    pub(super) mount: &'a str,
    pub(super) request: &'a str,
    pub(super) grants: &'a [HostGrant],
    pub(super) credentials: &'a Credentials,
    pub(super) wanted: Wanted,
    /// What is left of the call, less what it takes to tell it how this ended.
    pub(super) left: Duration,
    /// The URL holds what must not be written down.
    pub(super) hidden: bool,
    /// Set before anything is sent that may change something.
    pub(super) acted: &'a AtomicBool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Option<Duration>,
    pub(super) credential: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// A code of the contract, and words of ours: never what a resolver or a peer has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

pub(super) const fn refusal(code: &'static str, message: &'static str) -> Refusal {
    Refusal { code, message }
}

pub(super) const SLOW: Refusal = refusal("unavailable", "the host did not answer in time");

impl Egress {
    pub fn new(options: Options, trail: Arc<dyn Trail>) -> Self {
        Self::with(options, trail, Box::new(System))
    }

    pub fn with(options: Options, trail: Arc<dyn Trail>, resolver: Box<dyn Resolve>) -> Self {
        let at_once = Semaphore::new(limits::EGRESS_AT_ONCE);
        Self(Arc::new(Inner { options, trail, resolver, tls: OnceLock::new(), at_once }))
    }

    pub(super) async fn send(&self, order: &Order<'_>) -> Result<Answer, Refusal> {
        let target = Target::parse(&order.wanted.url);
        let to = target.as_ref().map_or_else(|_| String::new(), |target| written(order, target));
        let outgoing = OutgoingRequest {
            mount: order.mount.to_owned(),
            request: order.request.to_owned(),
            method: known_method(&order.wanted.method).unwrap_or("other"),
            to,
            credential: None,
            stage: Stage::Begun,
        };
        let mut open = Open::new(self.0.trail.clone(), outgoing);
        let ended = match target {
            Ok(target) => self.permitted(order, &target, &mut open).await,
            Err(refusal) => Err(refusal),
        };
        let stage = match &ended {
            Ok(answer) => Stage::Answered(answer.status),
            Err(refusal) => Stage::Failed(refusal.message),
        };
        open.ended(stage).await?;
        ended
    }

    async fn permitted(&self, order: &Order<'_>, target: &Target, open: &mut Open) -> Result<Answer, Refusal> {
        let networks = networks(order.grants, target).ok_or(refusal("denied", "the grant does not name this host"))?;
        let request = exchange::request(&order.wanted, target, order.credentials)?;
        let wait = order.wanted.timeout.unwrap_or(limits::EGRESS_WAIT).min(limits::EGRESS_WAIT).min(order.left);
        let work = async {
            let _room = self.0.at_once.acquire().await.map_err(|_| SLOW)?;
            let stream = self.connect(target, &networks).await?;
            open.begun(order.wanted.credential.as_deref()).await?;
            if !matches!(order.wanted.method.as_str(), "GET" | "HEAD") {
                order.acted.store(true, Relaxed);
            }
            exchange::exchange(stream, request).await
        };
        let answer = tokio::time::timeout(wait, work).await.map_err(|_| SLOW)??;
        order.credentials.keep_secret(target, answer).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Refusal> {
        if let Some(tls) = self.0.tls.get() {
            return Ok(tls.clone());
        }
        let tls = tls::config(self.0.options.extra_ca.as_deref())?;
        Ok(self.0.tls.get_or_init(|| tls).clone())
    }
}

/// Where it goes, as the trail has it: of a URL that holds a secret, what the grant says of it.
fn written(order: &Order<'_>, target: &Target) -> String {
    match (order.hidden, order.grants.iter().find(|grant| grant.matches(target))) {
        (false, _) => target.to_string(),
        (true, Some(grant)) => format!("{}:{}", grant.host, grant.port),
        (true, None) => "[withheld]".to_owned(),
    }
}

/// Private networks that come with a host; none at all if no grant names it.
fn networks(grants: &[HostGrant], target: &Target) -> Option<Vec<IpNet>> {
    let naming: Vec<&HostGrant> = grants.iter().filter(|grant| grant.matches(target)).collect();
    (!naming.is_empty()).then(|| naming.iter().flat_map(|grant| grant.networks.iter().copied()).collect())
}

/// Those that a plugin may use; also what the trail says in place of whatever it wrote.
pub(super) fn known_method(method: &str) -> Option<&'static str> {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method)
}
