//! What the last requests found, kept by each thread for itself: the same request again needs one look, and
//! no lock or counter that threads share.
//!
//! It is a memory of look-ups, not of answers: of which entry and which proof the store had for a request of
//! exactly this spelling. Both are judged anew each time. The store stays the authority. A memory is worth
//! nothing as soon as
//!
//! * a token of the same principal lost a proof since before the look-up began, for whatever reason (withdrawn, purged,
//!   renewed for other bytes, or gone for want of room), or an operator purged: the principal's [`Generation`] has moved on;
//! * the entry has left the store, or was replaced or superseded there: it says so itself;
//! * it is ten seconds old: the store must hear now and then what is still used, or it would evict that first.
//!
//! Only what the store has found is remembered, so a token without a proof leaves no trace here (promise 3).
//! An answer that `Vary` ties to other fields of its request is never remembered: a spelling does not have them.
//! Entries are held weakly: what the store lets go is gone.
//!
//! What is remembered grows as it is wanted, up to a [`Capacity`] that is a part of `cache.max_bytes`: about a place for
//! each entry of a few KiB. It is many small tables, so that none takes long to grow.

mod table;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::table::{SET_BYTES, Slot, Table};
use super::entry::Entry;
use crate::auth::{Principal, RequestDigest, TokenExpiry};
use crate::proxy::handler::LogTag;
use crate::support::clock::Now;

/// What the store had for a request.
#[derive(Debug)]
pub struct CachedLookup {
    /// The answer. The token's proof for it has the same digest.
    pub entry: Arc<Entry>,
    /// Time of the token's proof for it.
    pub granted: Now,
    /// When the token ends.
    pub end: TokenExpiry,
    /// The token, as the log knows it.
    pub tag: LogTag,
}

/// A state of what a store holds for one principal: it ends when a proof of one of the principal's tokens leaves the
/// store, and with every purge. The lowest bits are the principal's group, the others count how many have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    fn group(self) -> usize {
        usize::try_from(self.0 & (GROUPS as u64 - 1)).unwrap_or(0)
    }
}

/// The epochs of one store: of each group of principals, and of all of them. What happens to one principal ends the
/// epoch of few others.
#[derive(Debug)]
pub struct Generations {
    groups: Box<[AtomicU64; GROUPS]>,
    all: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self { groups: Box::new([const { AtomicU64::new(0) }; GROUPS]), all: AtomicU64::new(0) }
    }
}

impl Generations {
    /// The present epoch of a principal. To be taken before a proof is looked up that is to be remembered.
    pub fn now(&self, principal: Principal) -> Generation {
        self.present(usize::from(principal.spread()) % GROUPS)
    }

    /// Whether an epoch has not ended.
    pub fn is_now(&self, generation: Generation) -> bool {
        self.present(generation.group()) == generation
    }

    /// Ends a principal's epoch. To be called when what was withdrawn cannot be found any more: whoever looked it up
    /// before remembers it under the old one.
    pub fn end(&self, principal: Principal) {
        if let Some(group) = self.groups.get(usize::from(principal.spread()) % GROUPS) {
            group.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Ends the epochs of all principals.
    pub fn end_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    /// Both counts only grow, so their sum is the same again only if neither has changed.
    fn present(&self, group: usize) -> Generation {
        let own = self.groups.get(group).map_or(0, |count| count.load(Ordering::Acquire));
        let ended = own.wrapping_add(self.all.load(Ordering::Acquire));
        Generation(ended.wrapping_mul(GROUPS as u64) | group as u64)
    }
}

/// How much each thread may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Both are powers of two.
    tables: usize,
    sets: usize,
}

impl Capacity {
    /// As much as so many bytes hold in each thread; one set of places at least.
    pub fn within(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / SET_BYTES;
        let sets = most.checked_ilog2().map_or(1, |log| 1 << log);
        let tables = TABLES.min(sets);
        Self { tables, sets: sets / tables }
    }
}

/// What this thread remembers for a request, of what there is room for.
pub fn recall(
    spelling: RequestDigest,
    room: Capacity,
    generations: &Generations,
    now: Now,
) -> Option<CachedLookup> {
    THREAD_CACHE.with_borrow(|front| {
        let (table, hash) = front.place(spelling, room);
        let slot = front.tables.get(table)?.find(spelling, hash)?;
        slot.finding(generations, now.tick())
    })
}

/// Remembers what was found under `generation`, one of `generations`.
pub fn remember(
    spelling: RequestDigest,
    room: Capacity,
    (generations, generation): (&Generations, Generation),
    now: Now,
    found: &CachedLookup,
) {
    THREAD_CACHE.with_borrow_mut(|front| {
        let (table, hash) = front.place(spelling, room);
        let ThreadCache { tables, hasher } = front;
        if let Some(table) = tables.get_mut(table) {
            let hash_of = |slot: &Slot| hasher.hash_one(slot.spelling());
            table.put(hash, Slot::new(spelling, generation, now, found), generations, room.sets, hash_of);
        }
    });
}

/// What one thread remembers.
struct ThreadCache {
    tables: [Table; TABLES],
    hasher: RandomState,
}

impl ThreadCache {
    fn new() -> Self {
        Self { tables: std::array::from_fn(|_| Table::default()), hasher: RandomState::new() }
    }

    /// Its table, and what it is known by there.
    fn place(&self, spelling: RequestDigest, room: Capacity) -> (usize, u64) {
        let hash = self.hasher.hash_one(spelling);
        // Tables look at the lowest bits.
        (usize::try_from(hash >> 32).unwrap_or(0) & (room.tables - 1), hash)
    }
}

thread_local! {
    static THREAD_CACHE: RefCell<ThreadCache> = RefCell::new(ThreadCache::new());
}

const TABLES: usize = 64;
/// Groups of principals with epochs of their own: 8 KiB of counts, a power of two.
const GROUPS: usize = 1024;

#[cfg(test)]
mod tests;
