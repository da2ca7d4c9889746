//! What the last requests found, kept by each thread for itself: the same request again needs one look, and
//! no lock or counter that threads share.
//!
//! It is a memory of look-ups, not of answers: of which entry and which proof the store had for a request of
//! exactly this spelling. Both are judged anew each time. The store stays the authority. A memory is worth
//! nothing as soon as
//!
//! * anything was purged or withdrawn, or a token lost its proofs for want of room, since before the look-up began:
//!   the store's [`Epoch`] has moved on;
//! * the entry has left the store or was replaced there: it says so itself;
//! * it is ten seconds old: the store must hear now and then what is still used, or it would evict that first.
//!
//! Only what the store has found is remembered, so a token without a proof leaves no trace here (promise 3).
//! An answer that `Vary` ties to other fields of its request is never remembered: a spelling does not have them.
//! Entries are held weakly: what the store lets go is gone.
//!
//! What is remembered grows as it is wanted, up to a [`Room`] that is a part of `cache.max_bytes`: about a place for
//! each entry of a few KiB. It is many small tables, so that none takes long to grow.

mod table;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::table::{SET_BYTES, Slot, Table};
use super::entry::Entry;
use super::freshness::Proof;
use crate::answer::TokenTag;
use crate::clock::Now;
use crate::identity::{End, Spelling};
use crate::sabotage::sabotaged;

/// What the store had for a request.
#[derive(Debug)]
pub struct Finding {
    /// The answer.
    pub entry: Arc<Entry>,
    /// The token's proof for it.
    pub proof: Proof,
    /// When the token ends.
    pub end: End,
    /// The token, as the log knows it.
    pub tag: TokenTag,
}

/// A state of a store: it ends with every purge and every withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

/// The epochs of one store.
#[derive(Debug, Default)]
pub struct Epochs(AtomicU64);

impl Epochs {
    /// The present one. To be taken before a look-up whose finding is to be remembered.
    pub fn now(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    /// Begins a new one. To be called when what was withdrawn cannot be found any more: whoever looked it up
    /// before remembers it under the old one.
    pub fn next(&self) {
        sabotaged!(FrontMissesWithdrawals, return);
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// How much each thread may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Both are powers of two.
    tables: usize,
    sets: usize,
}

impl Room {
    /// As much as so many bytes hold in each thread; one set of places at least.
    pub fn within(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / SET_BYTES;
        let sets = most.checked_ilog2().map_or(1, |log| 1 << log);
        let tables = TABLES.min(sets);
        Self { tables, sets: sets / tables }
    }
}

/// What this thread remembers for a request, of what there is room for.
pub fn recall(spelling: Spelling, room: Room, epoch: Epoch, now: Now) -> Option<Finding> {
    FRONT.with_borrow(|front| {
        let (table, hash) = front.place(spelling, room);
        let slot = front.tables.get(table)?.find(spelling, hash)?;
        slot.finding(epoch, now.tick())
    })
}

/// Remembers what was found under `epoch`.
pub fn remember(spelling: Spelling, room: Room, epoch: Epoch, now: Now, found: &Finding) {
    FRONT.with_borrow_mut(|front| {
        let (table, hash) = front.place(spelling, room);
        let Front { tables, hasher } = front;
        if let Some(table) = tables.get_mut(table) {
            let hash_of = |slot: &Slot| hasher.hash_one(slot.spelling());
            table.put(hash, Slot::new(spelling, epoch, now, found), room.sets, hash_of);
        }
    });
}

/// What one thread remembers.
struct Front {
    tables: [Table; TABLES],
    hasher: RandomState,
}

impl Front {
    fn new() -> Self {
        Self { tables: std::array::from_fn(|_| Table::default()), hasher: RandomState::new() }
    }

    /// Its table, and what it is known by there.
    fn place(&self, spelling: Spelling, room: Room) -> (usize, u64) {
        let hash = self.hasher.hash_one(spelling);
        // Tables look at the lowest bits.
        (usize::try_from(hash >> 32).unwrap_or(0) & (room.tables - 1), hash)
    }
}

thread_local! {
    static FRONT: RefCell<Front> = RefCell::new(Front::new());
}

const TABLES: usize = 64;

#[cfg(test)]
mod tests;
