//! What an address says of who is behind it: which block of addresses is one party's, and what is this machine.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

/// The addresses that one party has whoever it is: an IPv4 address, or the /64 of an IPv6 address, for who holds one
/// address of it holds them all. An IPv4 address that is written as an IPv6 address is that IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressBlock(IpNet);

impl AddressBlock {
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 64 };
        Self(IpNet::new(address, bits).map_or_else(|_| IpNet::from(address), |net| net.trunc()))
    }

    /// The lowest address of it.
    pub fn first(&self) -> IpAddr {
        self.0.addr()
    }
}

/// With its length: `192.0.2.7/32`, `2001:db8:1:2::/64`.
impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The same of a host as URLs name it. A name may lead anywhere, but for one.
pub fn is_loopback_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_one_address_of_ipv4_and_a_64_of_ipv6() {
        let of = |text: &str| AddressBlock::of(text.parse().unwrap());
        for (address, block, first) in [
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1:2::"),
            ("::1", "::/64", "::"),
        ] {
            assert_eq!(
                (of(address).to_string(), of(address).first().to_string()),
                (block.to_owned(), first.to_owned())
            );
        }
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }

    #[test]
    fn this_machine_is_known_however_its_address_is_written() {
        for host in ["localhost", "127.0.0.1", "127.255.0.3", "::1", "[::1]", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "[]", "localhost.example", "127.0.0.1.example", "192.0.2.1", "::", "[::1", "::ffff:192.0.2.1"]
        {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
