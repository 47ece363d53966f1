use std::collections::BTreeMap;

use super::{Counter, Fence, Peers, ask::Found};
use crate::limits;

/// Another node, and how often it had confirmed anything when it was first looked at after the
/// commit; None until its entry was.
type Waiting = BTreeMap<String, Option<u64>>;

impl Fence {
    /// To be awaited after the commit of what was raised, and before the answer: from then on no
    /// node uses anything that it remembers of before.
    pub async fn settle(&self, counters: &[Counter]) {
        let until = self.0.clock.monotonic() + limits::FENCE_SETTLE;
        self.0.raised.send_modify(|raised| *raised += 1);
        let (mut waiting, mut told): (Option<Waiting>, bool) = (None, false);
        loop {
            match self.look().await {
                Ok(found) => {
                    let first = || found.roll.others(&self.0.node).map(|node| (node.clone(), None)).collect();
                    let waiting = waiting.get_or_insert_with(first);
                    waiting.retain(|node, before| !has_seen(&found, node, before, counters));
                    if waiting.is_empty() {
                        return;
                    }
                }
                // The store is away, but that these were raised is known without it.
                Err(_) if !told => {
                    counters.iter().for_each(|counter| self.step(*counter));
                    told = true;
                }
                Err(_) => {}
            }
            if self.0.peers == Peers::Impossible || self.0.clock.monotonic() >= until {
                return;
            }
            tokio::time::sleep(limits::FENCE_LOOK).await;
        }
    }

    /// Until every other node has stopped that has not heard, whoever it is: after an ending of
    /// which none can be asked.
    pub async fn outlast(&self) {
        if self.0.peers != Peers::Impossible {
            tokio::time::sleep(limits::FENCE_SETTLE).await;
        }
    }
}

fn has_seen(found: &Found, node: &str, before: &mut Option<u64>, counters: &[Counter]) -> bool {
    // Who has left uses nothing; who was struck off has not been fresh for long.
    if !found.roll.has(node) {
        return true;
    }
    let Some(entry) = found.confirmed.get(node) else { return false };
    let confirmed = entry.as_ref().map(|entry| &entry.value);
    let count = confirmed.map_or(0, |confirmed| confirmed.count);
    // In one snapshot: what it has seen is what is there now.
    let same = confirmed.is_some_and(|confirmed| {
        counters.iter().all(|counter| confirmed.has(*counter, found.versions[*counter as usize]))
    });
    // Or it has confirmed twice since: the second time rests on a look after the first, hence after
    // ours. While others change things all the time, they are never quite the same.
    same || count >= before.get_or_insert(count).saturating_add(2)
}
