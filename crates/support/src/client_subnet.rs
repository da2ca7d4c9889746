//! The key of limits for each client address.

use std::net::IpAddr;

/// Subnet of a client: the IPv4 address, also of an IPv4-mapped IPv6 address, or the /64 network of an IPv6 address, which one
/// host usually has to itself. One number, because it is hashed several times for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientSubnet(u128);

impl ClientSubnet {
    /// Returns the subnet of an address.
    pub fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(address) => Self(address.to_bits().into()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }

    /// Returns the key of a fair share.
    pub fn share_key(self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_subnet() {
        let of = |text: &str| ClientSubnet::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
