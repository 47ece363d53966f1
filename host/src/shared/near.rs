//! What counts as this machine. A name may lead elsewhere, and so may a sentinel or a cluster that
//! names its servers: so it is the address that is connected to which is looked at.

use std::net::SocketAddr;

use redis::{ErrorKind, RedisError, RedisFuture, io::AsyncDNSResolver};

use super::Reached;
use crate::address::is_loopback;

/// Resolves names, and remembers to what.
#[derive(Clone, Default)]
pub(super) struct Resolver {
    /// To loopback alone.
    pub(super) near_only: bool,
    pub(super) reached: Reached,
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
            found.iter().for_each(|address| self.reached.note(*address));
            match !self.near_only || found.iter().all(|address| is_loopback(address.ip())) {
                true => Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>),
                false => Err(RedisError::from((ErrorKind::InvalidClientConfig, FAR))),
            }
        })
    }
}

/// Ours, and nobody else's error.
pub(super) fn is_far(error: &RedisError) -> bool {
    error.kind() == ErrorKind::InvalidClientConfig && error.to_string().contains(FAR)
}

const FAR: &str = "in the clear, and not on this machine";
