//! Where a request comes from: the peer's address or, behind trusted proxies, what they say.
//!
//! Hops are read from the right, where trusted proxies write, to the first that is none of them: what stands further
//! left was written by whoever wanted to be somebody else, and says nothing, not even by being no address. Where that
//! hop is no address, or there are too many of them, no address is known, which a bound session does not survive and
//! an unbound one does not need.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};

use super::running::Untrusted;
use crate::{config::ClientAddressHeader, limits};

/// Whom we believe, and in which one header. The others are ignored from everyone.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ClientAddressHeader,
    untrusted: Untrusted,
}

/// Stands in the extensions of every request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// None: no trustworthy address.
    pub address: Option<IpAddr>,
    /// A forwarding header came from a peer that is no trusted proxy: `address` may be that of a
    /// proxy which nobody told us about.
    pub untrusted_forwarding: bool,
}

/// What a peer says about how the client reached it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    Https,
    /// Anything but exactly one `https`.
    NotHttps,
    /// Nothing, or nothing from somebody who is believed.
    Nothing,
}

const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

impl Proxies {
    pub fn new(trusted: impl IntoIterator<Item = IpNet>, header: ClientAddressHeader) -> Self {
        Self { trusted: trusted.into_iter().map(unmapped).collect(), header, untrusted: Untrusted::default() }
    }

    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        if self.trusts(peer) {
            return ClientAddress { address: self.forwarded(headers), untrusted_forwarding: false };
        }
        let untrusted_forwarding = FORWARDING.iter().any(|name| headers.contains_key(*name));
        if untrusted_forwarding {
            self.untrusted.note(peer.to_canonical());
        }
        ClientAddress { address: Some(peer.to_canonical()), untrusted_forwarding }
    }

    /// What came from peers that are not trusted.
    pub fn untrusted(&self) -> &Untrusted {
        &self.untrusted
    }

    /// `X-Forwarded-Proto`, from trusted peers only.
    pub fn told(&self, peer: IpAddr, headers: &HeaderMap) -> Told {
        let mut values = headers.get_all("x-forwarded-proto").iter();
        match (values.next(), values.next()) {
            _ if !self.trusts(peer) => Told::Nothing,
            (None, _) => Told::Nothing,
            (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"https") => Told::Https,
            _ => Told::NotHttps,
        }
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ClientAddressHeader::XForwardedFor => ("x-forwarded-for", hop),
            ClientAddressHeader::Forwarded => ("forwarded", element),
            ClientAddressHeader::None => return None,
        };
        let text = lines(headers, name)?;
        let hops = if name == "forwarded" { split(&text, ',')? } else { text.split(',').collect() };
        if hops.len() > limits::FORWARDED_HOPS {
            return None;
        }
        // One that is no address ends the search, as one that is not trusted does.
        hops.into_iter().rev().map(read).find(|hop| hop.is_none_or(|hop| !self.trusts(hop))).flatten()
    }
}

/// All lines of a header as one list, in the order they came (RFC 9110 section 5.2).
fn lines(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Result<Vec<&str>, _> = headers.get_all(name).iter().map(|line| line.to_str()).collect();
    Some(lines.ok()?.join(","))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let address = address.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok());
    address.map(|address| address.to_canonical())
}

/// The `for` of an element (RFC 7239 section 4). An element without one is a hop without address.
fn element(text: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(text, ';')? {
        let (name, value) = pair.split_once('=')?;
        if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for") {
            let value = value.trim_matches([' ', '\t']);
            let address = match value.strip_prefix('"') {
                Some(quoted) => hop(quoted.strip_suffix('"')?),
                // Without quotes a colon cannot stand in it, so neither IPv6 nor a port.
                None => value.parse().ok().map(IpAddr::V4),
            };
            if found.replace(address?).is_some() {
                return None;
            }
        }
    }
    found
}

/// Splits where the separator is not inside quotation marks. None if they are not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(&text[begin..at]);
                begin = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!quoted).then_some(parts)
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn unmapped(net: IpNet) -> IpNet {
    let v4 = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped().map(|addr| (addr, v6.prefix_len() - 96)),
        _ => None,
    };
    v4.and_then(|(addr, prefix)| Ipv4Net::new(addr, prefix).ok()).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests;
