//! Limit of open connections for each client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::client_subnet::ClientSubnet;

/// Counts of the open connections of one listener, by client address.
#[derive(Debug, Default)]
pub(super) struct PerAddressLimit(Mutex<HashMap<ClientSubnet, usize>>);

/// Counts one connection of an address until dropped.
#[derive(Debug)]
pub(super) struct AddressSlot {
    addresses: Arc<PerAddressLimit>,
    address: ClientSubnet,
}

impl PerAddressLimit {
    /// Acquires a slot for `peer`, unless its address has `max` slots.
    pub(super) fn acquire(self: &Arc<Self>, peer: IpAddr, max: usize) -> Option<AddressSlot> {
        let address = ClientSubnet::of(peer);
        let mut counts = self.lock();
        let count = counts.entry(address).or_default();
        // An address without connections is below any limit, so an entry with a count of zero never remains.
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(AddressSlot { addresses: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientSubnet, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut counts = self.addresses.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
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
    fn an_address_has_its_slots_and_no_more_and_takes_none_of_another_address() {
        let addresses = Arc::new(PerAddressLimit::default());
        let slots = [addresses.acquire(ip("10.0.0.1"), 2), addresses.acquire(ip("::ffff:10.0.0.1"), 2)];
        assert!(slots.iter().all(Option::is_some));
        assert!(addresses.acquire(ip("10.0.0.1"), 2).is_none());
        assert!(addresses.acquire(ip("10.0.0.2"), 2).is_some());
        drop(slots);
        assert!(addresses.lock().is_empty(), "no count of an address without connections remains");
        assert!(addresses.acquire(ip("10.0.0.1"), 2).is_some());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_their_slots() {
        let addresses = Arc::new(PerAddressLimit::default());
        let _slot = addresses.acquire(ip("2001:db8::1"), 1);
        assert!(addresses.acquire(ip("2001:db8::ffff:2"), 1).is_none());
        assert!(addresses.acquire(ip("2001:db8:0:1::1"), 1).is_some());
    }
}
