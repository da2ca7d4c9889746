//! How many connections each client address has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::client_subnet::client_subnet;

/// The addresses with connections on one listener.
#[derive(Debug, Default)]
pub(super) struct PerAddressLimit(Mutex<HashMap<IpAddr, usize>>);

/// One connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct AddressSlot {
    addresses: Arc<PerAddressLimit>,
    address: IpAddr,
}

impl PerAddressLimit {
    /// Takes a place for `peer`, unless its address has `most` already.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr, most: usize) -> Option<AddressSlot> {
        let address = client_subnet(peer);
        let mut open = self.lock();
        let count = open.entry(address).or_default();
        // An address without connections is below any limit, so no empty count stays behind.
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(AddressSlot { addresses: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut open = self.addresses.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_places_and_no_more_and_takes_none_of_others() {
        let addresses = Arc::new(PerAddressLimit::default());
        let places = [addresses.enter(ip("10.0.0.1"), 2), addresses.enter(ip("::ffff:10.0.0.1"), 2)];
        assert!(places.iter().all(Option::is_some));
        assert!(addresses.enter(ip("10.0.0.1"), 2).is_none());
        assert!(addresses.enter(ip("10.0.0.2"), 2).is_some());
        drop(places);
        assert!(addresses.lock().is_empty(), "nothing is remembered of who is gone");
        assert!(addresses.enter(ip("10.0.0.1"), 2).is_some());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let addresses = Arc::new(PerAddressLimit::default());
        let _place = addresses.enter(ip("2001:db8::1"), 1);
        assert!(addresses.enter(ip("2001:db8::ffff:2"), 1).is_none());
        assert!(addresses.enter(ip("2001:db8:0:1::1"), 1).is_some());
    }
}
