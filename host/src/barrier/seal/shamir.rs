//! Shamir's sharing over GF(2^8), by `vsss-rs`: no tables, no branches on secrets.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use super::{Error, Root, limits, share::Share};
use crate::ids::random;

/// Any `threshold` of the shares make the root key; fewer tell nothing about it.
pub(super) fn split(root: &Root, threshold: u8, shares: u8) -> Result<Vec<Share>, Error> {
    check(threshold, shares)?;
    if shares == 1 {
        return Ok(vec![Share::new(1, *root.bytes())]);
    }
    let parts = Gf256::split_bytes(threshold.into(), shares.into(), root.bytes(), System);
    let parts = Zeroizing::new(parts.map_err(|_| Error::Seal("cannot be shared like this"))?);
    let share = |part: &Vec<u8>| Share::from_bytes(part).ok_or(Error::Seal("cannot be shared like this"));
    parts.iter().map(share).collect()
}

/// Can a key be shared like this?
pub(super) fn check(threshold: u8, shares: u8) -> Result<(), Error> {
    let alone = (threshold, shares) == (1, 1);
    match shares > limits::SHARES || threshold > shares || (threshold < 2 && !alone) {
        true => Err(Error::Seal("needs 1 of 1, or 2 or more of at most 64 shares")),
        false => Ok(()),
    }
}

/// None if these are no shares of anything. Whether it is the right key is for the caller to see.
pub(super) fn combine<'a>(shares: impl Iterator<Item = &'a Share>) -> Option<Root> {
    let parts: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(shares.map(|share| share.bytes().to_vec()).collect());
    match &parts[..] {
        [alone] => Root::new(&alone[1..]),
        _ => Root::new(&Zeroizing::new(Gf256::combine_bytes(&parts[..]).ok()?)),
    }
}

/// The system's randomness, as `rand_core` wants it.
struct System;

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(random()))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for chunk in to.chunks_mut(32) {
            chunk.copy_from_slice(&Zeroizing::new(random::<32>())[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for System {}
