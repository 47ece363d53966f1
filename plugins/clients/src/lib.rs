//! Machines log in with a client id and a secret. The id is the name of a machine user; a machine may have
//! several secrets, so that one replaces another without a pause, each with an end, a number of uses and addresses of its own.
//!
//! A secret is told once. Kept is its digest, at `secret/<user id>/<id>`, until it ends.

use std::net::IpAddr;

use coffer_plugin_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use ipnet::IpNet;
use serde::Deserializer;

mod secret;

use secret::ClientSecret;

/// The configuration of a mount.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    max_ttl: Option<Span>,
    session_ttl: Option<Span>,
}

/// Secrets of one machine.
const SECRETS: u32 = 32;
const ADDRESSES: usize = 64;
const LABEL_BYTES: usize = 100;
/// Ten years.
const TTL_MOST: u64 = 10 * 366 * 24 * 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Whom it names the host has found out: `context::login_user`.
    #[serde(rename = "client_id")]
    _client_id: String,
    client_secret: String,
}

/// To enrol: how far a secret is to reach. To verify: the secret.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default, deserialize_with = "told")]
    label: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    ttl: Option<Option<Span>>,
    #[serde(default, deserialize_with = "told")]
    max_uses: Option<Option<u32>>,
    #[serde(default, deserialize_with = "told")]
    addresses: Option<Option<Vec<String>>>,
    client_secret: Option<String>,
}

/// There, even if it is null.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Serialize, Deserialize)]
struct Stored {
    digest: String,
    label: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    expires_at: Option<Timestamp>,
    uses_left: Option<u32>,
    /// What it had of them at first, for the one that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_uses: Option<u32>,
    /// CIDR. None says nothing; an empty list allows nobody.
    addresses: Option<Vec<IpNet>>,
}

impl Stored {
    /// How long it was to live when it was made: nothing but a new secret moves `updated_at`.
    fn ttl(&self) -> Option<Span> {
        let left = self.expires_at?.millis().saturating_sub(self.updated_at.millis());
        Some(Span::from_secs(left.div_ceil(1000)))
    }

    /// Of one from before this was kept, what was left of it.
    fn max_uses(&self) -> Option<u32> {
        self.max_uses.or(self.uses_left).map(|uses| uses.max(1))
    }
}

impl Check for Clients {
    fn check(&self) -> Result<Vec<String>> {
        for (at, span) in [("/max_ttl", self.max_ttl), ("/session_ttl", self.session_ttl)] {
            if span.is_some_and(|span| span.as_secs() == 0 || span.as_secs() > TTL_MOST) {
                return Err(Error::invalid(at, "out_of_range", "must be from 1 second to ten years"));
            }
        }
        Ok(Vec::new())
    }
}

impl Auth for Clients {
    type Login = Login;

    fn login(&self, login: Login) -> Result<Step> {
        let user = context::login_user();
        let (mut stored, place) = find(user.as_deref(), &login.client_secret)?.ok_or_else(Error::denied)?;
        let user = user.ok_or_else(Error::denied)?;
        match stored.uses_left {
            Some(0) => return Err(Error::denied()),
            Some(left) => {
                stored.uses_left = Some(left - 1);
                storage::put(&place, &stored, stored.expires_at)?;
            }
            None => {}
        }
        let mut identity = Identity::new(user);
        // RFC 6749 section 4.4.3: who has the secret needs no refresh token.
        identity.limits.renewable = false;
        identity.limits.addresses = stored.addresses.map(|nets| nets.iter().map(ToString::to_string).collect());
        let left = stored.expires_at.map(|end| end.millis().saturating_sub(time::now().millis()).div_ceil(1000));
        identity.limits.ttl_seconds = left.into_iter().chain(self.session_ttl.map(Span::as_secs)).min();
        Ok(identity.into())
    }
}

impl Credentials for Clients {
    type Credential = Wanted;

    /// With an id, that one gets another secret, which reaches as far as the one before where nothing else is said.
    fn enroll(&self, subject: &str, id: Option<&str>, wanted: Wanted) -> Result<Option<Value>> {
        let now = time::now();
        let before = match id {
            Some(id) => Some(storage::get::<Stored>(&place(subject, id))?.ok_or_else(unknown)?.value),
            None => {
                let others = storage::list(&place(subject, ""), None, None, SECRETS)?;
                if others.keys.len() >= SECRETS as usize {
                    return Err(Error::invalid("", "too_many", "a client has at most 32 secrets"));
                }
                None
            }
        };
        let before = before.as_ref();
        let expires_at = self.ttl(&wanted, before)?.map(|ttl| now.after(ttl));
        let (max_uses, addresses) = (wanted.max_uses(before)?, wanted.addresses(before)?);
        let label = wanted.label.unwrap_or_else(|| before?.label.clone());
        if label.as_ref().is_some_and(|label| label.is_empty() || label.len() > LABEL_BYTES) {
            return Err(Error::invalid("/label", "out_of_range", "must be 1 to 100 bytes long"));
        }
        let secret = ClientSecret::new(id);
        let stored = Stored {
            digest: secret.digest(subject)?,
            label,
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
            expires_at,
            uses_left: max_uses,
            max_uses,
            addresses,
        };
        storage::put(&place(subject, &secret.id), &stored, expires_at)?;
        Ok(Some(json!({ "id": secret.id, "client_secret": secret.text(), "expires_at": expires_at })))
    }

    /// Costs the secret no use.
    fn verify(&self, subject: &str, wanted: Wanted) -> Result<bool> {
        let missing = || Error::invalid("/client_secret", "missing", "is required");
        let found = find(Some(subject), &wanted.client_secret.ok_or_else(missing)?)?;
        Ok(found.is_some_and(|(stored, _)| stored.uses_left != Some(0)))
    }

    fn list(&self, subject: &str) -> Result<Vec<Credential>> {
        let keys = storage::list(&place(subject, ""), None, None, SECRETS)?.keys;
        let entries = storage::get_many::<Stored>(&keys)?;
        let told = |(key, entry): (&String, Option<storage::Entry<Stored>>)| {
            let stored = entry?.value;
            let id = key.rsplit('/').next().unwrap_or_default();
            let told = Credential::new(id, stored.created_at).updated_at(stored.updated_at);
            let told = told.with("label", stored.label).with("uses_left", stored.uses_left);
            let nets = stored.addresses.map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>());
            Some(told.with("expires_at", stored.expires_at.map(|end| end.to_string())).with("addresses", nets))
        };
        Ok(keys.iter().zip(entries).filter_map(told).collect())
    }

    fn remove(&self, subject: &str, id: Option<&str>) -> Result<()> {
        match id {
            Some(id) if !is_id(id) => Ok(()),
            Some(id) => storage::delete(&place(subject, id)),
            None => {
                let keys = storage::list(&place(subject, ""), None, None, SECRETS)?.keys;
                keys.iter().try_for_each(|key| storage::delete(key))
            }
        }
    }
}

impl Clients {
    fn ttl(&self, wanted: &Wanted, before: Option<&Stored>) -> Result<Option<Span>> {
        let most = self.max_ttl.map_or(TTL_MOST, Span::as_secs);
        match wanted.ttl {
            Some(Some(ttl)) if ttl.as_secs() == 0 || ttl.as_secs() > most => {
                Err(Error::invalid("/ttl", "out_of_range", "must be at least 1 second and at most max_ttl"))
            }
            Some(Some(ttl)) => Ok(Some(ttl)),
            Some(None) => Ok(self.max_ttl),
            // The configuration may have become stricter since.
            None => Ok(match before.and_then(Stored::ttl) {
                Some(ttl) => Some(Span::from_secs(ttl.as_secs().min(most))),
                None => self.max_ttl,
            }),
        }
    }
}

impl Wanted {
    fn max_uses(&self, before: Option<&Stored>) -> Result<Option<u32>> {
        match self.max_uses {
            Some(Some(0)) => Err(Error::invalid("/max_uses", "out_of_range", "must be at least 1")),
            Some(uses) => Ok(uses),
            None => Ok(before.and_then(Stored::max_uses)),
        }
    }

    fn addresses(&self, before: Option<&Stored>) -> Result<Option<Vec<IpNet>>> {
        let texts = match &self.addresses {
            Some(Some(texts)) => texts,
            Some(None) => return Ok(None),
            None => return Ok(before.and_then(|before| before.addresses.clone())),
        };
        if texts.is_empty() || texts.len() > ADDRESSES {
            return Err(Error::invalid("/addresses", "out_of_range", "must be 1 to 64 networks"));
        }
        let net = |(at, text): (usize, &String)| {
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            let wrong = || Error::invalid(format!("/addresses/{at}"), "invalid_value", "must be a network: 10.0.0.0/8");
            Ok(net.ok_or_else(wrong)?.trunc())
        };
        texts.iter().enumerate().map(net).collect::<Result<_>>().map(Some)
    }
}

fn place(user: &str, id: &str) -> String {
    format!("secret/{user}/{id}")
}

fn unknown() -> Error {
    Error::invalid("/id", "not_found", "is not a secret of this client")
}

/// An id must not lead elsewhere.
fn is_id(id: &str) -> bool {
    id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The secret of that user, if it is right, has not ended and is shown from where it may be. An unknown user, an unknown
/// secret and a wrong one cost the same: one look and one digest.
fn find(user: Option<&str>, text: &str) -> Result<Option<(Stored, String)>> {
    let Some(secret) = ClientSecret::parse(text) else { return Ok(None) };
    // Nobody's id.
    let subject = user.unwrap_or("-");
    let place = place(subject, &secret.id);
    let stored = storage::get::<Stored>(&place)?.map(|entry| entry.value);
    let digest = secret.digest(subject)?;
    let kept = stored.as_ref().map_or("", |stored| stored.digest.as_str());
    let is_right = crypto::constant_time_eq(kept.as_bytes(), digest.as_bytes());
    let is_here = |stored: &Stored| stored.addresses.as_ref().is_none_or(|nets| is_within(nets));
    let now = time::now();
    let is_good = |stored: &Stored| is_right && stored.expires_at.is_none_or(|end| end > now) && is_here(stored);
    Ok(stored.filter(is_good).map(|stored| (stored, place)))
}

/// Without a trustworthy address nobody is anywhere.
fn is_within(nets: &[IpNet]) -> bool {
    let address = context::client_address().and_then(|address| address.parse::<IpAddr>().ok());
    address.is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
}

coffer_plugin_sdk::export!(Clients: auth, credentials, check);
