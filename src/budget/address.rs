//! Who counts as one client.

use std::net::{IpAddr, Ipv6Addr};

/// Who counts as one: an IPv4 address, or the /64 that an IPv6 host has to itself.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
