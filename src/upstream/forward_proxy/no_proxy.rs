//! `NO_PROXY`: hosts that are reached without the proxy.
//!
//! Entries are separated by commas or blanks. `*` is every host. `host`, `.host` and `*.host` are the host and its
//! subdomains, as in curl. An address or a range in CIDR notation is for a base URL with an address; names are not resolved.
//! Each form may end with `:port`, as in Go; an IPv6 address then stands in brackets. Letter case and a trailing dot of a name
//! do not matter. Entries of other forms match nothing.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

/// Returns whether an entry of `no_proxy` matches the host and port of `url`.
pub(super) fn is_exempt(no_proxy: &str, url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
    let mut entries = no_proxy.split([',', ' ', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let (entry_host, entry_port) = split_port(entry);
        entry_port.is_none_or(|entry_port| entry_port.parse() == Ok(port)) && matches_host(entry_host, &host)
    })
}

/// Splits the port off an entry. An IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

fn matches_host(entry: &str, host: &Host<&str>) -> bool {
    if entry == "*" {
        return true;
    }
    match host {
        Host::Ipv4(address) => contains(entry, (*address).into()),
        Host::Ipv6(address) => contains(entry, (*address).into()),
        Host::Domain(name) => {
            let entry = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')).unwrap_or(entry);
            let (entry, name) = (entry.trim_end_matches('.'), name.trim_end_matches('.'));
            let Some((before, end)) = name.len().checked_sub(entry.len()).map(|at| name.split_at(at)) else {
                return false;
            };
            !entry.is_empty()
                && end.eq_ignore_ascii_case(entry)
                && (before.is_empty() || before.ends_with('.'))
        }
    }
}

/// Returns whether `address` is the address of `entry`, or in its range.
fn contains(entry: &str, address: IpAddr) -> bool {
    let entry = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let (network, length) = match entry.split_once('/') {
        Some((network, length)) => (network, Some(length)),
        None => (entry, None),
    };
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let width = if network.is_ipv4() { 32 } else { 128 };
    let Some(length) = length.map_or(Some(width), |length| length.parse().ok().filter(|n| *n <= width))
    else {
        return false;
    };
    match (network, length == width) {
        (_, true) => network.to_canonical() == address.to_canonical(),
        (_, false) if network.is_ipv4() != address.is_ipv4() => false,
        // An IPv4 address is the end of its mapped form, so that the first `length` bits begin at bit 96.
        (_, false) => (bits(network) ^ bits(address)).leading_zeros() >= length + 128 - width,
    }
}

/// Returns the bits of an address; those of an IPv4 address in its mapped form.
fn bits(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    Ipv6Addr::to_bits(address)
}
