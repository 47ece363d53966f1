use std::{io, net::IpAddr};

use async_trait::async_trait;

use crate::limits;

/// Addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's: its files, its servers.
pub(super) struct System;

#[async_trait]
impl Resolve for System {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = Vec::new();
        for address in tokio::net::lookup_host((name, 0)).await?.take(limits::EGRESS_ADDRESSES) {
            if !found.contains(&address.ip()) {
                found.push(address.ip());
            }
        }
        Ok(found)
    }
}
