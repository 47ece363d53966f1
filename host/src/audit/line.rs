use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::{Error, Record};
use crate::{
    barrier::{self, Barrier, Purpose},
    clock::Timestamp,
    ids, limits,
};

/// What the first line of a trail says it follows.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The first line of a chain.
pub(super) const START: &str = "audit.start";
/// The line after an unfinished one that a sink would not take back: says how long that is.
pub(super) const TORN: &str = "audit.torn";
/// The first line in a file that was put in place of the one before.
pub(super) const REOPENED: &str = "audit.reopened";
/// The sum of anonymous refusals.
pub(super) const SUMMED: &str = "audit.summed";

const MAC_BEFORE: &str = ",\"mac\":\"";
const MAC_AFTER: &str = "\"}";

/// The last line of a chain that is with the sink. Also how it is sealed in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) chain: String,
    pub(super) seq: u64,
    pub(super) mac: String,
    pub(super) time: Timestamp,
    /// The chain that stood before this one in the file.
    pub(super) after: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkKind {
    /// Made while sealed: anybody can compute it. The next keyed line holds it fast.
    Sha256,
    /// HMAC-SHA-256 under the key of `Purpose::Audit` that `key` names.
    Hmac,
}

#[derive(Serialize)]
struct Body<'a> {
    seq: u64,
    chain: &'a str,
    time: String,
    #[serde(flatten)]
    record: &'a Record,
    prev: &'a str,
    link: LinkKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
}

/// What of a line `verify` looks at.
#[derive(Deserialize)]
pub(super) struct Parsed {
    pub(super) seq: u64,
    pub(super) chain: String,
    pub(super) operation: String,
    #[serde(default)]
    pub(super) values: std::collections::BTreeMap<String, String>,
    pub(super) prev: String,
    pub(super) link: LinkKind,
    #[serde(default)]
    pub(super) key: Option<u32>,
    #[serde(skip)]
    pub(super) mac: String,
}

impl Head {
    /// Nothing written yet.
    pub(super) fn new(prev: Option<&Parsed>, now: Timestamp) -> Self {
        let mac = prev.map_or(GENESIS, |prev| &prev.mac).to_owned();
        let chain = hex::encode(ids::random::<16>());
        Self { chain, seq: 0, mac, time: now, after: prev.map(|prev| prev.chain.clone()) }
    }

    /// The line for `record`, its end of line included, and the head after it.
    pub(super) fn append(&self, record: &Record, now: Timestamp, barrier: &Barrier) -> Result<(Vec<u8>, Self), Error> {
        let key = match barrier.mac(Purpose::Audit) {
            Ok(key) => Some(key),
            Err(barrier::Error::Sealed) => None,
            Err(error) => return Err(error.into()),
        };
        let link = key.as_ref().map_or(LinkKind::Sha256, |_| LinkKind::Hmac);
        let (seq, version) = (self.seq + 1, key.as_ref().map(barrier::Mac::version));
        let body = Body { seq, chain: &self.chain, time: now.to_string(), record, prev: &self.mac, link, key: version };
        let mut line = serde_json::to_vec(&body).map_err(|_| Error::TooLarge)?;
        line.pop();
        let mac = mac(key.as_ref(), &line);
        line.extend([MAC_BEFORE, &mac, MAC_AFTER, "\n"].concat().as_bytes());
        if line.len() > limits::AUDIT_LINE_BYTES {
            return Err(Error::TooLarge);
        }
        Ok((line, Self { seq, mac, time: now, ..self.clone() }))
    }
}

impl Parsed {
    /// A line without its end of line; None if it has not the shape of one of ours.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (body, mac) = split(line)?;
        let mut parsed: Self = serde_json::from_str(&format!("{body}}}")).ok()?;
        parsed.mac = mac.to_owned();
        Some(parsed)
    }

    /// Is the line as it was written? The key it names must be there: `Corrupt` if it is not.
    pub(super) fn is_whole(&self, line: &str, barrier: &Barrier) -> Result<bool, barrier::Error> {
        let Some((body, _)) = split(line) else { return Ok(false) };
        let key = match (self.link, self.key) {
            (LinkKind::Sha256, None) => None,
            (LinkKind::Hmac, Some(version)) => Some(barrier.mac_at(Purpose::Audit, version)?),
            _ => return Ok(false),
        };
        // What is compared is no secret: the right one stands in the next line.
        Ok(mac(key.as_ref(), body.as_bytes()) == self.mac)
    }
}

fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_suffix(MAC_AFTER)?;
    let (body, mac) = line.split_at_checked(line.len().checked_sub(GENESIS.len())?)?;
    Some((body.strip_suffix(MAC_BEFORE)?, mac))
}

/// Over the bytes of the line as they stand, so that there is no other way to write the same.
fn mac(key: Option<&barrier::Mac>, body: &[u8]) -> String {
    match key {
        Some(key) => hex::encode(key.sign(&[b"coffer audit line", body])),
        None => hex::encode(digest::digest(&digest::SHA256, body)),
    }
}
