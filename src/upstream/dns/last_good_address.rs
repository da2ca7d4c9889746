//! Last good address: the peer of the last successful connection, as a fallback while name resolution fails.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::{LookupResult, lock};

/// Last good address of a name, if there is one.
#[derive(Debug, Default)]
pub(in crate::upstream) struct LastGoodAddress(Mutex<Option<GoodAddress>>);

#[derive(Debug)]
struct GoodAddress {
    address: IpAddr,
    /// Time of its last connection or response.
    last_success: Instant,
    /// Time since which lookups have not returned the address.
    missing_since: Option<Instant>,
    /// The address is tried before the addresses of the lookup, because the last attempt in the other order failed.
    is_first: bool,
}

impl LastGoodAddress {
    /// Registers a new connection: its address becomes the fallback.
    pub(in crate::upstream) fn record_connection(&self, address: IpAddr) {
        if !self.record_response(address) {
            let last_success = Instant::now();
            let new = GoodAddress { address, last_success, missing_since: None, is_first: false };
            *lock(&self.0) = Some(new);
        }
    }

    /// Registers a response on a connection to `address`. Returns whether this address is the fallback.
    pub(in crate::upstream) fn record_response(&self, address: IpAddr) -> bool {
        let mut good = lock(&self.0);
        let known = good.as_mut().filter(|good| good.address == address);
        known.map(|good| good.last_success = Instant::now()).is_some()
    }

    /// Registers a failed connection attempt: the next attempt uses the other order of addresses.
    pub(in crate::upstream) fn record_failure(&self) {
        if let Some(good) = &mut *lock(&self.0) {
            good.is_first = !good.is_first;
        }
    }

    /// Returns whether there is a fallback for a lookup without result.
    pub(super) fn has_fallback(&self) -> bool {
        self.fallback(&[]).is_some()
    }

    /// Returns the addresses of a lookup and the fallback, in the order in which they are tried.
    pub(super) fn addresses_to_try(&self, found: LookupResult) -> LookupResult {
        match (self.fallback(found.as_deref().unwrap_or_default()), found) {
            (None, found) => found,
            (Some((good, true)), Ok(found)) => Ok([vec![good], found].concat()),
            (Some((good, false)), Ok(found)) => Ok([found, vec![good]].concat()),
            (Some((good, _)), Err(_)) => Ok(vec![good]),
        }
    }

    /// Returns the fallback and whether it is tried first, if the lookup did not find it. Updates the time since which
    /// lookups have not found it.
    fn fallback(&self, found: &[IpAddr]) -> Option<(IpAddr, bool)> {
        let mut good = lock(&self.0);
        let good = good.as_mut()?;
        if found.contains(&good.address) {
            good.missing_since = None;
            return None;
        }
        let missing = good.missing_since.get_or_insert_with(Instant::now).elapsed();
        let is_recent = missing.max(good.last_success.elapsed()) <= LAST_GOOD_ADDRESS_TTL;
        is_recent.then_some((good.address, good.is_first))
    }
}

/// Time after which the address is no longer tried if lookups do not return it, or if it had no connection or response.
const LAST_GOOD_ADDRESS_TTL: Duration = Duration::from_mins(5);
