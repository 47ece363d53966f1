use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use crate::limits;

/// Where a link has been led to: by its URL, by sentinels, by a cluster. What must not be reached by anybody else is
/// asked of it. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reached(Arc<Mutex<VecDeque<SocketAddr>>>);

impl Reached {
    pub fn note(&self, address: SocketAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&address) {
            return;
        }
        if known.len() >= limits::REDIS_REACHED {
            known.pop_front();
        }
        known.push_back(address);
    }

    pub fn on(&self, port: u16) -> Vec<IpAddr> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|address| address.port() == port).map(SocketAddr::ip).collect()
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fmt(f)
    }
}
