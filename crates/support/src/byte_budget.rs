//! Byte budget: the memory that bodies from Graph and unsent responses may take, divided among client addresses.
//!
//! Every charge has an owner, a client address. An owner may hold at most as many bytes as are still free (the dynamic
//! threshold of shared-memory switches: Choudhury and Hahne, 1998). So one owner gets at most half of the limit, two
//! get a third each, and an owner without charges always gets a part of the free bytes. A stored body that is being
//! sent to several callers is one allocation: it counts once in the total, and once for each owner.
//!
//! A charge that exceeds the limit fails at once; no request waits for bytes.

mod ledger;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::ledger::{Allocation, Ledger};
use crate::client_subnet::ClientSubnet;

/// The byte budget of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

struct Inner {
    limit: Box<dyn Fn() -> usize + Send + Sync>,
    ledger: Mutex<Ledger>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("limit", &(self.limit)()).finish_non_exhaustive()
    }
}

/// Bytes that are charged to an owner until the permit is dropped.
#[derive(Debug)]
pub struct BytePermit {
    budget: ByteBudget,
    owner: ClientSubnet,
    bytes: usize,
}

/// The limit, or the owner's share of it, is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

impl ByteBudget {
    /// Creates a budget of `limit` bytes (`limits.bytes_in_flight`).
    pub fn new(limit: usize) -> Self {
        Self::with_live_limit(move || limit)
    }

    /// Creates a budget whose limit, bytes, may change. Bytes that are charged stay charged.
    pub fn with_live_limit(limit: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { limit: Box::new(limit), ledger: Mutex::default() }))
    }

    /// Returns the limit, bytes.
    pub fn limit(&self) -> usize {
        (self.0.limit)()
    }

    /// Returns the bytes that are charged.
    pub fn used(&self) -> usize {
        self.ledger().used()
    }

    /// Charges `bytes` to the address of `owner`.
    pub fn acquire(&self, owner: IpAddr, bytes: usize) -> Result<BytePermit, BudgetExhausted> {
        let mut permit = BytePermit { budget: self.clone(), owner: ClientSubnet::of(owner), bytes: 0 };
        permit.grow_to(bytes).map(|()| permit)
    }

    /// Charges a body that is about to be sent to `owner`: its allocation unless that is charged already, and
    /// [`RESPONSE_BYTES`]. The charge ends with the last reference to the bytes that are returned.
    pub fn attach(&self, owner: IpAddr, body: Bytes) -> Result<Bytes, BudgetExhausted> {
        let (owner, allocation) = (ClientSubnet::of(owner), Allocation::from_body(&body));
        self.ledger().begin_send(owner, allocation, RESPONSE_BYTES, self.limit())?;
        Ok(Bytes::from_owner(Attached { body, budget: self.clone(), owner, allocation }))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BytePermit {
    /// Increases the charge to `bytes`. Never decreases it.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) {
            self.budget.ledger().charge(self.owner, more, self.budget.limit())?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Changes the charge to `bytes`, more or fewer than before.
    pub fn resize(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.budget.ledger().release(self.owner, less);
            self.bytes = bytes;
            return Ok(());
        }
        self.grow_to(bytes)
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.budget.ledger().release(self.owner, self.bytes);
    }
}

/// A body and its charge.
struct Attached {
    body: Bytes,
    budget: ByteBudget,
    owner: ClientSubnet,
    allocation: Allocation,
}

impl AsRef<[u8]> for Attached {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // The body is still alive, so no other allocation can have its address.
        self.budget.ledger().end_send(self.owner, self.allocation, RESPONSE_BYTES);
    }
}

/// Memory of one unsent response beside its body, bytes: its header map, its place in the connection and, over HTTP/2,
/// its stream and task. Measured with 10,000 unsent responses: docs/security-model.md, "Resources of one client address".
pub const RESPONSE_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests;
