//! What a plugin answers is looked at as the server does: what it would not believe is a mistake of the plugin's.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::{Challenge, Identity, LeaseSpec, Response, SessionLimits, Step};

/// Or why the server answers 502.
pub(super) type Checked = Result<(), &'static str>;

const NOTES: usize = 32;
const TEXT_BYTES: usize = 1024;
const GROUPS: usize = 1000;
const LISTED: usize = 64;
const INTERNAL_BYTES: usize = 64 * 1024;
const CHALLENGE_SECONDS: u32 = 3600;
const LEASE_SECONDS: u64 = 10 * 366 * 24 * 3600;

pub(super) fn believe(checked: Checked) {
    if let Err(why) = checked {
        panic!("{why}: the server answers 502");
    }
}

fn hold(holds: bool, otherwise: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// What its type alone says enough of.
pub(super) fn unchecked<T>(_: &T) -> Checked {
    Ok(())
}

pub(super) fn response(response: &Response) -> Checked {
    object(&response.body)?;
    let answer: Map<String, Value> = serde_json::from_slice(&response.body).unwrap_or_default();
    let reserved = ["secret_id", "lease", "warnings"];
    hold(!reserved.iter().any(|name| answer.contains_key(*name)), "a reserved name in the answer")?;
    hold(response.warnings.len() <= NOTES, "it gives too many warnings")?;
    response.lease.as_ref().map_or(Ok(()), lease)
}

pub(super) fn lease(spec: &LeaseSpec) -> Checked {
    let seconds = 1..=LEASE_SECONDS;
    let has_end = seconds.contains(&spec.ttl_seconds) && seconds.contains(&spec.max_ttl_seconds);
    hold(has_end, "its lease has no usable end")?;
    hold(spec.ttl_seconds <= spec.max_ttl_seconds, "its lease is longer than its longest")?;
    internal(&spec.internal)
}

pub(super) fn step(step: &Step) -> Checked {
    match step {
        Step::Identity(answer) => identity(answer),
        Step::Challenge(answer) => challenge(answer),
    }
}

pub(super) fn identity(answer: &Identity) -> Checked {
    let named = |text: &String| !text.is_empty() && text.len() <= TEXT_BYTES && !text.contains('\0');
    hold(named(&answer.subject), "its identity has no usable subject")?;
    let groups = &answer.groups;
    hold(groups.len() <= GROUPS && groups.iter().all(named), "its identity has no usable groups")?;
    hold(answer.metadata.len() <= LISTED, "its identity has too much metadata")?;
    limits(&answer.limits)?;
    internal(&answer.internal)
}

fn limits(said: &SessionLimits) -> Checked {
    hold(said.ttl_seconds != Some(0) && said.max_uses != Some(0), "it limits the session to nothing")?;
    let addresses = said.addresses.as_deref().unwrap_or_default();
    hold(addresses.len() <= LISTED, "it names too many addresses")?;
    hold(addresses.iter().all(|text| is_network(text)), "it names an address that is none")
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

fn challenge(answer: &Challenge) -> Checked {
    let kind = answer.kind.as_bytes();
    let is_kind = (1..=32).contains(&kind.len()) && kind.iter().all(|b| b.is_ascii_lowercase() || *b == b'-');
    hold(is_kind, "its challenge is of no kind")?;
    hold((1..=CHALLENGE_SECONDS).contains(&answer.expires_in_seconds), "its challenge has no usable end")?;
    object(&answer.details)?;
    internal(&answer.state)
}

/// A JSON object, or nothing.
pub(super) fn object(bytes: &[u8]) -> Checked {
    let is_one = bytes.is_empty() || serde_json::from_slice::<Map<String, Value>>(bytes).is_ok();
    hold(is_one, "its answer is no JSON object")
}

fn internal(bytes: &[u8]) -> Checked {
    hold(bytes.len() <= INTERNAL_BYTES, "it gives too much to keep")
}
