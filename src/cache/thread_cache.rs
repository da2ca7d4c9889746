//! Thread cache: per-thread first-level cache of lookups. A repeated request needs one lookup, and neither a lock nor a
//! counter that threads share.
//!
//! The cache contains lookups, not responses: which entry and which proof the store returned for a request with this digest. The
//! freshness of both is assessed again for each request, and the store remains the authority. A cached lookup is invalid
//! when
//!
//! * a token of the same principal has lost a proof since the lookup began (revoked, purged, replaced by a proof of other
//!   bytes, or evicted), or an operator has purged: the principal's [`Generation`] has advanced;
//! * the entry has left the store, or was replaced or superseded: the entry records this itself;
//! * the lookup has its [maximum age](MaxAge), ten seconds or five minutes: the store must see accesses now and then, or it
//!   would evict the entries in use first.
//!
//! Only successful lookups of the store are cached, so a token without a proof leaves no trace here (promise 3). A
//! response with selecting fields in `Vary` is never cached here, because the request digest does not cover those fields.
//! Entries are referenced weakly, so that an evicted entry is freed.
//!
//! The cache grows on demand, up to a [`Capacity`] that is a part of `cache.max_bytes`: about one slot for each entry of a
//! few KiB. It consists of many small tables, so that growing one table takes little time.

mod max_age;
mod table;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::max_age::MaxAge;
use self::table::{SET_BYTES, Slot, Table};
use super::entry::Entry;
use crate::auth::{LogTag, Principal, RequestDigest, TokenExpiry};
use crate::support::clock::Now;

/// Result of a lookup in the store.
#[derive(Debug)]
pub struct CachedLookup {
    /// The entry. The token's proof for it has the same digest.
    pub entry: Arc<Entry>,
    /// Time of the token's proof for the entry.
    pub granted_at: Now,
    /// Expiry of the token.
    pub expiry: TokenExpiry,
    /// Tag of the token in the log.
    pub log_tag: LogTag,
}

/// Generation of a principal's proofs. It advances when a proof of one of the principal's tokens leaves the store, and with
/// every purge. The lowest bits are the principal's group, the others the number of advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    fn group(self) -> usize {
        usize::try_from(self.0 & (PRINCIPAL_GROUPS as u64 - 1)).unwrap_or(0)
    }
}

/// Generation counters of one store: one for each group of principals, and one for all. An advance for one principal
/// affects only the few others of its group.
#[derive(Debug)]
pub struct Generations {
    groups: Box<[AtomicU64; PRINCIPAL_GROUPS]>,
    all: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        Self { groups: Box::new([const { AtomicU64::new(0) }; PRINCIPAL_GROUPS]), all: AtomicU64::new(0) }
    }
}

impl Generations {
    /// Returns the current generation of a principal. Callers read it before the lookup of a proof that they cache.
    pub fn current(&self, principal: Principal) -> Generation {
        self.current_of_group(usize::from(principal.bucket_hash()) % PRINCIPAL_GROUPS)
    }

    /// Returns whether a generation is still current.
    pub fn is_current(&self, generation: Generation) -> bool {
        self.current_of_group(generation.group()) == generation
    }

    /// Advances a principal's generation. Callers remove the proof from the store first: a lookup that found the proof has
    /// read the old generation.
    pub fn advance(&self, principal: Principal) {
        if let Some(group) = self.groups.get(usize::from(principal.bucket_hash()) % PRINCIPAL_GROUPS) {
            group.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Advances the generations of all principals.
    pub fn advance_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the current generation of a group. Both counters only grow, so an equal sum means that neither has changed.
    fn current_of_group(&self, group: usize) -> Generation {
        let own = self.groups.get(group).map_or(0, |count| count.load(Ordering::Acquire));
        let ended = own.wrapping_add(self.all.load(Ordering::Acquire));
        Generation(ended.wrapping_mul(PRINCIPAL_GROUPS as u64) | group as u64)
    }
}

/// State of the store and time at which the validity of a lookup is assessed.
#[derive(Clone, Copy, Debug)]
pub struct Validity<'a> {
    generations: &'a Generations,
    max_age_ms: u32,
    /// Time as [`Now::monotonic_millis_u32`].
    at: u32,
}

impl<'a> Validity<'a> {
    /// Creates the validity at a time, by the generations of the store and the maximum age of lookups.
    pub fn new(generations: &'a Generations, max_age: &MaxAge, now: Now) -> Self {
        Self { generations, max_age_ms: max_age.millis(), at: now.monotonic_millis_u32() }
    }
}

/// Capacity of each thread's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Number of tables, a power of two.
    tables: usize,
    /// Limit on the sets of one table, a power of two.
    sets: usize,
}

impl Capacity {
    /// Computes the capacity for `bytes` in each thread; at least one set.
    pub fn from_bytes(bytes: u64) -> Self {
        let max_sets = usize::try_from(bytes).unwrap_or(usize::MAX) / SET_BYTES;
        let sets = max_sets.checked_ilog2().map_or(1, |log| 1 << log);
        let tables = TABLES_PER_THREAD.min(sets);
        Self { tables, sets: sets / tables }
    }
}

/// Returns the cached lookup for a request, if this thread has a valid one.
pub fn get(digest: RequestDigest, capacity: Capacity, validity: Validity<'_>) -> Option<CachedLookup> {
    THREAD_CACHE.with_borrow(|cache| {
        let (table, hash) = cache.locate(digest, capacity);
        cache.tables.get(table)?.get(digest, hash)?.to_lookup(validity)
    })
}

/// Caches a lookup that began in `generation`.
pub fn insert(
    digest: RequestDigest,
    capacity: Capacity,
    generation: Generation,
    validity: Validity<'_>,
    lookup: &CachedLookup,
) {
    THREAD_CACHE.with_borrow_mut(|cache| {
        let (table, hash) = cache.locate(digest, capacity);
        let ThreadCache { tables, hasher } = cache;
        if let Some(table) = tables.get_mut(table) {
            let slot = Slot::new(digest, generation, validity.at, lookup);
            table.insert(hash, slot, validity, capacity.sets, |slot| hasher.hash_one(slot.digest()));
        }
    });
}

/// Cache of one thread.
struct ThreadCache {
    tables: [Table; TABLES_PER_THREAD],
    hasher: RandomState,
}

impl ThreadCache {
    fn new() -> Self {
        Self { tables: std::array::from_fn(|_| Table::default()), hasher: RandomState::new() }
    }

    /// Returns the index of the table and the hash within it.
    fn locate(&self, digest: RequestDigest, capacity: Capacity) -> (usize, u64) {
        let hash = self.hasher.hash_one(digest);
        // The tables use the lowest bits.
        (usize::try_from(hash >> 32).unwrap_or(0) & (capacity.tables - 1), hash)
    }
}

thread_local! {
    static THREAD_CACHE: RefCell<ThreadCache> = RefCell::new(ThreadCache::new());
}

const TABLES_PER_THREAD: usize = 64;
/// Number of groups of principals with a generation of their own, a power of two: 8 KiB of counters.
const PRINCIPAL_GROUPS: usize = 1024;

#[cfg(test)]
mod tests;
