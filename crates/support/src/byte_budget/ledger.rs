//! Ledger of the byte budget: the bytes of each owner, and the bodies that are being sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use bytes::Bytes;

use super::BudgetExhausted;
use crate::client_subnet::ClientSubnet;

/// All charges. An owner or a body without charges has no entry, so the bytes in flight bound the maps.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    used: usize,
    owners: HashMap<ClientSubnet, usize>,
    /// Sends of one body to one owner.
    sends: HashMap<(ClientSubnet, Allocation), usize>,
    /// Owners that one body is being sent to.
    receivers: HashMap<Allocation, usize>,
}

/// The memory of a body: all clones of one stored body are the same allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Allocation {
    address: usize,
    bytes: usize,
}

impl Allocation {
    pub(super) fn from_body(body: &Bytes) -> Self {
        Self { address: body.as_ptr().addr(), bytes: body.len() }
    }
}

impl Ledger {
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Charges `bytes` to `owner`.
    pub(super) fn charge(
        &mut self,
        owner: ClientSubnet,
        bytes: usize,
        limit: usize,
    ) -> Result<(), BudgetExhausted> {
        self.charge_owner_and_total(owner, bytes, bytes, limit)
    }

    /// Ends a charge.
    pub(super) fn release(&mut self, owner: ClientSubnet, bytes: usize) {
        self.release_owner_and_total(owner, bytes, bytes);
    }

    /// Charges one send of a body to `owner`.
    pub(super) fn begin_send(
        &mut self,
        owner: ClientSubnet,
        body: Allocation,
        overhead: usize,
        limit: usize,
    ) -> Result<(), BudgetExhausted> {
        let is_new_to_owner = !self.sends.contains_key(&(owner, body));
        let owner_bytes = if is_new_to_owner { body.bytes } else { 0 };
        let total_bytes = if self.receivers.contains_key(&body) { 0 } else { body.bytes };
        let (owner_bytes, total_bytes) =
            (owner_bytes.saturating_add(overhead), total_bytes.saturating_add(overhead));
        self.charge_owner_and_total(owner, owner_bytes, total_bytes, limit)?;
        *self.sends.entry((owner, body)).or_default() += 1;
        if is_new_to_owner {
            *self.receivers.entry(body).or_default() += 1;
        }
        Ok(())
    }

    /// Ends the charge of one send.
    pub(super) fn end_send(&mut self, owner: ClientSubnet, body: Allocation, overhead: usize) {
        let (mut owner_bytes, mut total_bytes) = (overhead, overhead);
        if decrement(&mut self.sends, (owner, body)) {
            owner_bytes += body.bytes;
            if decrement(&mut self.receivers, body) {
                total_bytes += body.bytes;
            }
        }
        self.release_owner_and_total(owner, owner_bytes, total_bytes);
    }

    /// Charges both, by the rule of the dynamic threshold: after the charge the owner holds no more bytes than are
    /// free.
    fn charge_owner_and_total(
        &mut self,
        owner: ClientSubnet,
        owner_bytes: usize,
        total_bytes: usize,
        limit: usize,
    ) -> Result<(), BudgetExhausted> {
        let charges = self.owners.entry(owner);
        let held = if let Entry::Occupied(charges) = &charges { *charges.get() } else { 0 };
        let (Some(held), Some(used)) = (held.checked_add(owner_bytes), self.used.checked_add(total_bytes))
        else {
            return Err(BudgetExhausted);
        };
        if limit.checked_sub(used).is_none_or(|free| held > free) {
            return Err(BudgetExhausted);
        }
        self.used = used;
        if held > 0 {
            charges.insert_entry(held);
        }
        Ok(())
    }

    fn release_owner_and_total(&mut self, owner: ClientSubnet, owner_bytes: usize, total_bytes: usize) {
        self.used = self.used.saturating_sub(total_bytes);
        if let Entry::Occupied(mut held) = self.owners.entry(owner) {
            *held.get_mut() = held.get().saturating_sub(owner_bytes);
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

/// Decrements a count. Returns true for the last one, whose entry is removed.
fn decrement<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) -> bool {
    let Entry::Occupied(mut count) = counts.entry(key) else { return false };
    *count.get_mut() -= 1;
    let is_last = *count.get() == 0;
    if is_last {
        count.remove();
    }
    is_last
}
