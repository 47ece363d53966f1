//! Which addresses a connection may go to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::OnceLock,
};

use ipnet::IpNet;

/// What no grant opens: this machine, its neighbours on the link, everybody, nobody, and the
/// places where clouds keep the keys of their machines.
const NEVER: [&str; 18] = [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "fe80::/10",
    "fd00:ec2::/32",
    "fd20:ce::/32",
    "ff00::/8",
    // Ways to write an IPv4 address that nobody needs any more: 6to4, Teredo, relays.
    "2002::/16",
    "2001::/32",
    "192.88.99.0/24",
    "64:ff9b:1::/48",
    "::ffff:0:0:0/96",
    "100::/64",
];

/// What needs a network in the grant beside the name.
const PRIVATE: [&str; 14] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "fc00::/7",
    "fec0::/10",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
];

struct Tables {
    never: Vec<IpNet>,
    private: Vec<IpNet>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a constant")).collect();
    TABLES.get_or_init(|| Tables { never: parse(&NEVER), private: parse(&PRIVATE) })
}

/// May a connection go there? `networks` are the grant's, `loopback` says that this is a dev server.
pub(super) fn is_permitted(address: IpAddr, networks: &[IpNet], loopback: bool) -> bool {
    let address = unwrapped(address);
    let among = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
    if address.is_loopback() {
        return loopback && among(networks);
    }
    if among(&tables().never) {
        return false;
    }
    let is_global = match address {
        IpAddr::V4(_) => !among(&tables().private),
        // Only this much of IPv6 has been given out.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000 && !among(&tables().private),
    };
    is_global || among(networks)
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, or by NAT64 (RFC 6052).
pub(super) fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let last = |v6: Ipv6Addr| Ipv4Addr::from_bits((v6.to_bits() & u128::from(u32::MAX)) as u32);
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => last(v6).into(),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 || low > 1 => last(v6).into(),
        _ => address,
    }
}
