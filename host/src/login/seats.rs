//! Room for logins that wait for their next step: so much for each mount, and so much for each address block there.
//! Whoever begins logins and never ends them takes room from their own block.

use crate::{
    barrier::{Purpose, Writes, layout::Prefix},
    ids::{MountId, random},
    limits,
    storage::Expect,
    throttle,
};

use super::{Error, Login};

impl Login {
    /// Takes a seat of the mount's and one of the block's, and says which: they are free again when the challenge has
    /// been answered or has expired.
    pub(super) async fn seats(&self, to: &mut Writes, mount: &MountId, block: &str) -> Result<Vec<String>, Error> {
        let block = hex::encode(self.barrier.mac(Purpose::Token)?.sign(&[b"challenge block", block.as_bytes()]));
        let rows = [
            (format!("seat/{mount}/block/{block}"), limits::CHALLENGES_PER_BLOCK),
            (format!("seat/{mount}/all"), limits::CHALLENGES_PER_MOUNT),
        ];
        let view = self.barrier.view(Prefix::Challenge);
        let mut taken = Vec::new();
        for (row, seats) in rows {
            // From somewhere on, so that those who come at once seldom want the same.
            let from = u64::from_be_bytes(random());
            let tried = limits::CHALLENGE_SEATS_TRIED.min(seats);
            let keys: Vec<String> =
                (0..tried).map(|n| format!("{row}/{}", from.wrapping_add(n).wrapping_mul(STRIDE) % seats)).collect();
            let found = view.get_many(&keys).await?;
            let free = keys.into_iter().zip(found).find_map(|(key, found)| found.is_none().then_some(key));
            let full = || Error::Throttle(throttle::Error::TooMany(limits::CHALLENGES_FULL));
            let free = free.ok_or_else(full)?;
            view.expect(to, &free, Expect::Absent);
            taken.push(free);
        }
        Ok(taken)
    }
}

/// Prime, so it meets every seat once.
const STRIDE: u64 = 7919;
