//! How many connections there may be, in all and from one block of addresses.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{address::AddressBlock, limits};

#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub connections: usize,
    pub per_block: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { connections: limits::CONNECTIONS, per_block: limits::CONNECTIONS_PER_BLOCK }
    }
}

/// Counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caps: Caps,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    blocks: HashMap<AddressBlock, usize>,
}

/// One connection's place, free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    block: Option<AddressBlock>,
}

impl Slots {
    pub fn new(caps: Caps) -> Self {
        Self(Arc::new(Inner { caps, taken: Mutex::default() }))
    }

    /// None when there are too many. Everybody comes through a proxy, so for a trusted one the
    /// number from one block says nothing.
    pub fn take(&self, peer: IpAddr, is_proxy: bool) -> Option<Slot> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.0.caps.connections {
            return None;
        }
        let block = (!is_proxy).then(|| AddressBlock::of(peer));
        if let Some(block) = block {
            let count = taken.blocks.entry(block).or_default();
            if *count >= self.0.caps.per_block {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Slot { slots: self.clone(), block })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(block) = self.block else { return };
        match taken.blocks.get_mut(&block) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.blocks.remove(&block)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_has_only_so_many_and_gets_them_back() {
        let slots = Slots::new(Caps { connections: 100, per_block: 2 });
        let one = slots.take(ip("2001:db8::1"), false).unwrap();
        let _two = slots.take(ip("2001:db8::ffff:2"), false).unwrap();
        assert!(slots.take(ip("2001:db8::3"), false).is_none());
        assert!(slots.take(ip("2001:db8:0:1::3"), false).is_some());
        assert!(slots.take(ip("2001:db8::3"), true).is_some());
        drop(one);
        assert!(slots.take(ip("2001:db8::3"), false).is_some());
    }

    #[test]
    fn there_are_only_so_many_in_all_and_nothing_is_left_behind() {
        let slots = Slots::new(Caps { connections: 2, per_block: 2 });
        let held = [ip("192.0.2.1"), ip("::ffff:192.0.2.1")].map(|peer| slots.take(peer, false).unwrap());
        assert!(slots.take(ip("192.0.2.9"), true).is_none());
        drop(held);
        let taken = slots.0.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.blocks.is_empty());
    }
}
