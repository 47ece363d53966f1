use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tokio::sync::OwnedSemaphorePermit;

use super::{Fault, gate::Gate};
use crate::address::AddressBlock;

/// What one address block may have of a mount that anybody can call: a quarter of its calls at
/// once, and a quarter of its queue, in a queue of the block's own. So whoever floods a login
/// waits behind nobody but himself.
pub(super) struct Shares {
    at_once: usize,
    queue: usize,
    blocks: Mutex<HashMap<AddressBlock, Block>>,
}

struct Block {
    gate: Gate,
    /// Calls that run or wait; with the last of them it is forgotten.
    users: usize,
}

/// A call's part in its block.
pub(super) struct Share<'a> {
    of: Option<(&'a Shares, AddressBlock)>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// A quarter.
const PART: usize = 4;

impl Shares {
    pub(super) fn new(calls: usize, queue: usize) -> Self {
        Self { at_once: (calls / PART).max(1), queue: queue / PART, blocks: Mutex::default() }
    }

    /// A call without an address is the server's own.
    pub(super) async fn enter(&self, address: Option<IpAddr>) -> Result<Share<'_>, Fault> {
        let Some(address) = address else { return Ok(Share { of: None, _turn: None }) };
        let block = AddressBlock::of(address);
        let gate = self.join(block);
        // Before it waits: if it is given up meanwhile, the block is still left.
        let mut share = Share { of: Some((self, block)), _turn: None };
        share._turn = Some(gate.enter().await?);
        Ok(share)
    }

    fn join(&self, block: AddressBlock) -> Gate {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Block { gate: Gate::new(self.at_once, self.queue), users: 0 };
        let block = blocks.entry(block).or_insert_with(fresh);
        block.users += 1;
        block.gate.clone()
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.blocks.lock().unwrap().len()
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let Some((shares, block)) = self.of else { return };
        let mut blocks = shares.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = blocks.get_mut(&block) {
            known.users -= 1;
            if known.users == 0 {
                blocks.remove(&block);
            }
        }
    }
}
