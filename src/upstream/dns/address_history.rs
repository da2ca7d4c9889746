//! History of the addresses of a name: the last good address, and the addresses that failed.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::{LookupResult, lock};

/// History of the addresses of one name.
///
/// The last good address is the peer of the last successful connection. It is the fallback while name resolution fails or
/// returns other addresses. A failed address is tried after all others until a connection to it succeeds, so that it delays
/// one connection only.
#[derive(Debug, Default)]
pub(in crate::upstream) struct AddressHistory(Mutex<History>);

#[derive(Debug, Default)]
struct History {
    good: Option<GoodAddress>,
    /// Failed addresses, the oldest failure first; at most [`MAX_FAILED_ADDRESSES`].
    failed: Vec<IpAddr>,
}

#[derive(Debug)]
struct GoodAddress {
    address: IpAddr,
    /// Time of its last connection or response.
    last_success: Instant,
    /// Time since which lookups have not returned the address.
    missing_since: Option<Instant>,
}

impl AddressHistory {
    /// Registers a new connection: its address becomes the fallback.
    pub(in crate::upstream) fn record_connection(&self, address: IpAddr) {
        let mut history = lock(&self.0);
        history.failed.retain(|failed| *failed != address);
        if !history.record_success(address) {
            history.good = Some(GoodAddress { address, last_success: Instant::now(), missing_since: None });
        }
    }

    /// Registers a response on a connection to `address`. Returns whether this address is the fallback.
    pub(in crate::upstream) fn record_response(&self, address: IpAddr) -> bool {
        lock(&self.0).record_success(address)
    }

    /// Registers a failed or overtaken connection attempt: the address is tried after all others from now on.
    pub(in crate::upstream) fn record_failure(&self, address: IpAddr) {
        let failed = &mut lock(&self.0).failed;
        failed.retain(|known| *known != address);
        if failed.len() == MAX_FAILED_ADDRESSES {
            failed.remove(0);
        }
        failed.push(address);
    }

    /// Returns whether there is a fallback for a lookup without result.
    pub(super) fn has_fallback(&self) -> bool {
        lock(&self.0).fallback(&[]).is_some()
    }

    /// Returns the addresses of a lookup and the fallback, in the order in which they are tried: the families in turn
    /// (RFC 8305, section 4), the fallback, and then the failed ones, the oldest failure first.
    pub(super) fn addresses_to_try(&self, found: LookupResult) -> LookupResult {
        let mut history = lock(&self.0);
        let fallback = history.fallback(found.as_deref().unwrap_or_default());
        let mut addresses = match (found, fallback) {
            (Err(error), None) => return Err(error),
            (found, _) => interleave_families(&found.unwrap_or_default()),
        };
        addresses.extend(fallback);
        addresses.sort_by_key(|address| history.failed.iter().position(|failed| failed == address));
        Ok(addresses)
    }
}

impl History {
    fn record_success(&mut self, address: IpAddr) -> bool {
        let known = self.good.as_mut().filter(|good| good.address == address);
        known.map(|good| good.last_success = Instant::now()).is_some()
    }

    /// Returns the last good address if the lookup did not find it. Updates the time since which lookups have not found it.
    fn fallback(&mut self, found: &[IpAddr]) -> Option<IpAddr> {
        let good = self.good.as_mut()?;
        if found.contains(&good.address) {
            good.missing_since = None;
            return None;
        }
        let missing = good.missing_since.get_or_insert_with(Instant::now).elapsed();
        let is_recent = missing.max(good.last_success.elapsed()) <= LAST_GOOD_ADDRESS_TTL;
        is_recent.then_some(good.address)
    }
}

/// Alternates the address families, beginning with the family that the resolver prefers.
fn interleave_families(found: &[IpAddr]) -> Vec<IpAddr> {
    let starts_with_v4 = found.first().is_some_and(IpAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = found.iter().partition(|ip| ip.is_ipv4() == starts_with_v4);
    let mut seconds = second.into_iter();
    let mut addresses: Vec<IpAddr> =
        first.into_iter().flat_map(|address| [Some(address), seconds.next()]).flatten().collect();
    addresses.extend(seconds);
    addresses
}

/// Time after which the address is no longer tried if lookups do not return it, or if it had no connection or response.
const LAST_GOOD_ADDRESS_TTL: Duration = Duration::from_mins(5);
/// Number of failed addresses. Lookups of Graph return up to 16 addresses.
const MAX_FAILED_ADDRESSES: usize = 64;
