//! The tightest of what the plugin, the rules and the client want a session to be.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{Bind, Client, Error, Wish};
use crate::{
    limits,
    problem::Problem,
    runtime::types::SessionLimits,
    security::{self, Rules},
    session::{Lifetimes, intersect},
};

#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) addresses: Option<Vec<IpNet>>,
    pub(super) max_uses: Option<u32>,
    pub(super) lifetimes: Lifetimes,
    pub(super) renewable: bool,
}

pub(super) fn tightest(rules: &Rules, identity: &SessionLimits, wish: &Wish, client: &Client) -> Result<Bounds, Error> {
    let asked = &wish.session;
    let max_uses = uses(rules, identity, wish)?;
    let renewable = identity.renewable && max_uses.is_none();
    let sessions = &rules.sessions;
    let mut family = if renewable { sessions.refresh } else { sessions.absolute }.duration();
    let once = asked.one_time.then(|| sessions.one_time_ttl.min(sessions.max_ttl));
    let ttl = asked.ttl.or(once).map(|span| span.duration());
    if let Some(ttl) = ttl {
        if ttl.is_zero() || ttl > sessions.max_ttl.duration() {
            return Err(invalid("/session/ttl", "out_of_range", "must be at least 1 second and at most max_ttl"));
        }
        family = family.min(ttl);
    }
    family = family.min(identity.ttl.unwrap_or(Duration::MAX));
    // A session without a refresh token is over when its one access token is.
    let absolute = if renewable { sessions.absolute.duration() } else { sessions.absolute.duration().min(family) };
    let lifetimes = Lifetimes { idle: sessions.idle.duration(), absolute, family };
    let wished = wished(rules, wish, client)?;
    let addresses = match (identity.addresses.clone(), wished) {
        (Some(one), Some(other)) => Some(intersect(&one, &other)),
        (one, other) => one.or(other),
    };
    Ok(Bounds { addresses, max_uses, lifetimes, renewable })
}

fn uses(rules: &Rules, identity: &SessionLimits, wish: &Wish) -> Result<Option<u32>, Error> {
    let asked = match (wish.session.max_uses, wish.session.one_time) {
        (Some(0), _) => return Err(invalid("/session/max_uses", "out_of_range", "must be at least 1")),
        (Some(uses), true) if uses != 1 => {
            return Err(invalid("/session/max_uses", "invalid_value", "must be left out, or 1, with one_time"));
        }
        (_, true) => Some(1),
        (uses, false) => uses,
    };
    Ok([asked, identity.max_uses, rules.sessions.default_max_uses].into_iter().flatten().min())
}

fn wished(rules: &Rules, wish: &Wish, client: &Client) -> Result<Option<Vec<IpNet>>, Error> {
    let bind_all = rules.sessions.bind == security::Bind::Caller;
    if wish.session.addresses.as_ref().is_some_and(|list| list.len() > limits::SESSION_ADDRESSES) {
        return Err(invalid("/session/addresses", "too_many", "must be at most 64 networks"));
    }
    let own = || caller(rules, client);
    match (wish.session.bind, &wish.session.addresses) {
        (Some(Bind::List), None) => Err(invalid("/session/addresses", "missing", "is required to bind to a list")),
        (None | Some(Bind::List), Some(list)) if bind_all => Ok(Some(intersect(list, &own()?))),
        (None | Some(Bind::List), Some(list)) => Ok(Some(list.iter().map(IpNet::trunc).collect())),
        (_, Some(_)) => Err(invalid("/session/addresses", "invalid_value", "goes with bind: list only")),
        (Some(Bind::Caller), None) => own().map(Some),
        (None | Some(Bind::None), None) if bind_all => own().map(Some),
        (None | Some(Bind::None), None) => Ok(None),
    }
}

/// The block of the caller's own address.
fn caller(rules: &Rules, client: &Client) -> Result<Vec<IpNet>, Error> {
    if client.forwarded {
        return Err(invalid("/session/bind", "untrusted_proxy", "came through a proxy that is not in trusted_proxies"));
    }
    let address = client.address.ok_or_else(|| invalid("/session/bind", "no_address", "has no trustworthy address"))?;
    let prefix = if address.is_ipv4() { 32 } else { rules.sessions.bind_ipv6_prefix };
    Ok(vec![block(address, prefix)])
}

fn block(address: IpAddr, prefix: u8) -> IpNet {
    IpNet::new(address, prefix).map_or_else(|_| IpNet::from(address), |net| net.trunc())
}

fn invalid(at: &str, code: &'static str, message: &'static str) -> Error {
    Error::Invalid(vec![Problem::new(at, code, message)])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ids::RequestId;

    fn client(address: &str) -> Client {
        Client {
            address: address.parse().ok(),
            forwarded: false,
            device: String::new(),
            request: RequestId::new(),
            headers: Arc::default(),
        }
    }

    fn bounds(rules: &Rules, session: serde_json::Value) -> Result<Bounds, Error> {
        let wish = Wish { scope: None, session: serde_json::from_value(session).unwrap() };
        let identity = SessionLimits { renewable: true, ..SessionLimits::default() };
        tightest(rules, &identity, &wish, &client("192.0.2.7"))
    }

    #[test]
    fn nothing_asked_gives_what_the_rules_say() {
        let bounds = bounds(&Rules::default(), json!({})).unwrap();
        assert_eq!((bounds.addresses, bounds.max_uses, bounds.renewable), (None, None, true));
        assert_eq!(bounds.lifetimes.family, Duration::from_secs(30 * 86_400));
    }

    #[test]
    fn a_limited_session_has_no_refresh_token_and_ends_with_its_access_token() {
        let bounds = bounds(&Rules::default(), json!({"one_time": true})).unwrap();
        assert_eq!((bounds.max_uses, bounds.renewable), (Some(1), false));
        assert_eq!(bounds.lifetimes.absolute, Duration::from_secs(600));
    }

    #[test]
    fn a_client_can_only_tighten() {
        let mut rules = Rules::default();
        rules.sessions.bind = security::Bind::Caller;
        rules.sessions.default_max_uses = Some(5);
        let bound = bounds(&rules, json!({"bind": "none", "max_uses": 9})).unwrap();
        assert_eq!((bound.max_uses, bound.addresses.unwrap()), (Some(5), vec!["192.0.2.7/32".parse().unwrap()]));
        let elsewhere = bounds(&rules, json!({"bind": "list", "addresses": ["10.0.0.0/8"]})).unwrap();
        assert_eq!(elsewhere.addresses, Some(vec![]));
        assert!(bounds(&rules, json!({"ttl": "33d"})).is_err() && bounds(&rules, json!({"ttl": 0})).is_err());
    }

    #[test]
    fn lists_of_addresses_are_bounded_however_often_they_meet() {
        let many = vec!["10.0.0.0/8"; 65];
        assert!(bounds(&Rules::default(), json!({"bind": "list", "addresses": many})).is_err());
        let ranges: Vec<IpNet> = (0..64).map(|at| format!("10.{at}.0.0/16").parse().unwrap()).collect();
        let same = intersect(&ranges, &ranges);
        assert_eq!(same, ranges);
        assert_eq!(intersect(&vec!["10.0.0.0/8".parse().unwrap(); 64], &ranges), ranges);
    }

    #[test]
    fn a_caller_behind_an_unknown_proxy_cannot_be_bound_to() {
        let wish = Wish { scope: None, session: SessionWish { bind: Some(Bind::Caller), ..Default::default() } };
        let mut client = client("192.0.2.7");
        client.forwarded = true;
        assert!(tightest(&Rules::default(), &SessionLimits::default(), &wish, &client).is_err());
    }

    use super::super::SessionWish;
}
