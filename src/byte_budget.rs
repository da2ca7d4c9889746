//! Bytes in flight: bodies that come from Graph, and large answers that are on their way to callers.
//!
//! Each takes room before it is there and gives it back when its last byte is gone, whatever ends it. Where there is
//! no room, nobody waits: the request is refused, and what is on its way goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use crate::dial::Dial;

/// The byte budget of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: Dial<usize>,
    used: AtomicUsize,
}

/// Bytes that are charged. Dropping it gives them back.
#[derive(Debug)]
pub struct BytePermit {
    budget: ByteBudget,
    bytes: usize,
}

/// There is no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

impl ByteBudget {
    /// A budget of so many bytes (`limits.bytes_in_flight`).
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit: Dial::new(limit), used: AtomicUsize::new(0) }))
    }

    /// Changes the limit. What is held stays held.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.set(limit);
    }

    /// Bytes that may be held.
    pub fn limit(&self) -> usize {
        self.0.limit.get()
    }

    /// Bytes that are held.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// Takes room for `bytes`.
    pub fn acquire(&self, bytes: usize) -> Result<BytePermit, BudgetExhausted> {
        let mut held = BytePermit { budget: self.clone(), bytes: 0 };
        held.grow_to(bytes).map(|()| held)
    }
}

impl BytePermit {
    /// Takes more, until there is room for `bytes` in all.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let Some(more) = bytes.checked_sub(self.bytes) else { return Ok(()) };
        let Inner { limit, used } = &*self.budget.0;
        let limit = limit.get();
        let fits = |used: usize| used.checked_add(more).filter(|all| *all <= limit);
        used.fetch_update(Relaxed, Relaxed, fits).map_err(|_| BudgetExhausted)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Ties this room to the bytes it was used for: it is given back with the last reference to what is returned.
    pub fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Attached { bytes, _held: self })
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Relaxed);
    }
}

struct Attached {
    bytes: Bytes,
    _held: BytePermit,
}

impl AsRef<[u8]> for Attached {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let budget = ByteBudget::new(100);
        let mut held = budget.acquire(60).unwrap();
        assert_eq!(budget.acquire(41).err(), Some(BudgetExhausted));
        let rest = budget.acquire(40).unwrap();
        assert_eq!((held.grow_to(61), held.grow_to(10)), (Err(BudgetExhausted), Ok(())));
        assert_eq!(budget.used(), 100, "what was refused took nothing, and what is held stays");
        drop(rest);
        assert_eq!(held.grow_to(100), Ok(()));
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn tied_room_is_given_back_with_the_last_reference() {
        let budget = ByteBudget::new(100);
        let bytes = budget.acquire(3).unwrap().attach(Bytes::from_static(b"abc"));
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!((&*part, budget.used()), (&b"bc"[..], 3));
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_smaller_room_takes_nothing_away_and_lets_nothing_more_in() {
        let budget = ByteBudget::new(100);
        let held = budget.acquire(100).unwrap();
        budget.set_limit(50);
        drop(held);
        assert_eq!((budget.acquire(51).err(), budget.acquire(50).is_ok()), (Some(BudgetExhausted), true));
    }
}
