//! Set-associative table of cached lookups.
//!
//! With thousands of keys the cost of a lookup is the number of cold cache lines that it touches. The tags of a set are one
//! line, a slot is another, and the entry is not touched before the slot has matched.
//!
//! The crate `quick_cache` (0.6.24, `unsync::Cache`) does not replace this table, because an invalid slot keeps the memory of
//! its evicted entry allocated and only this table clears such slots as it goes. After an invalidation of 20,000 lookups
//! and 20,000 further insertions for 1,000 requests this table has freed all 20,000 entries, `quick_cache` none: 2.5 MB per
//! thread outside `cache.max_bytes`. A hit takes 275 instructions here and 283 there (`get` and check of the lookup, 10,000
//! keys), with 4.2 and 4.7 L1 read misses, and a lookup 104 and 126 bytes of memory. Counted with `valgrind --tool=callgrind
//! --cache-sim=yes` on a loop of either, built in release mode with `CARGO_PROFILE_RELEASE_LTO=off`.

use std::sync::{Arc, Weak};

use super::{CachedLookup, Generation, Generations};
use crate::auth::{LogTag, RequestDigest, TokenExpiry};
use crate::cache::entry::Entry;
use crate::support::clock::Now;

/// Sets of slots. The hash of the request digest selects the set. A new table has no sets.
#[derive(Default)]
pub(super) struct Table {
    /// For each slot the hash of its request digest, or [`EMPTY_TAG`].
    tags: Vec<[u64; SLOTS_PER_SET]>,
    slots: Vec<[Option<Slot>; SLOTS_PER_SET]>,
    /// Number of occupied slots.
    taken: usize,
    /// Index of the set that is swept next.
    next: usize,
}

/// A cached lookup. Its size is one cache line.
pub(super) struct Slot {
    digest: RequestDigest,
    entry: Weak<Entry>,
    generation: Generation,
    granted_at: Now,
    expiry: TokenExpiry,
    /// Time of the lookup as [`Now::tick`].
    since: u32,
    log_tag: LogTag,
}

impl Table {
    fn new(sets: usize) -> Self {
        let slots = std::iter::repeat_with(Default::default).take(sets).collect();
        Self { tags: vec![[EMPTY_TAG; SLOTS_PER_SET]; sets], slots, taken: 0, next: 0 }
    }

    /// Returns the slot of a request digest with this hash.
    pub(super) fn get(&self, digest: RequestDigest, hash: u64) -> Option<&Slot> {
        let (set, tag) = self.locate(hash);
        let way = self.tags.get(set)?.iter().position(|known| *known == tag)?;
        self.slots.get(set)?.get(way)?.as_ref().filter(|slot| slot.digest == digest)
    }

    /// Inserts a slot: in the place of the same request, else of an empty slot, else of an invalid one, else of the oldest.
    /// Before it replaces a valid slot of another request, the table grows if it is nearly full and has fewer than `max_sets`.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        slot: Slot,
        generations: &Generations,
        max_sets: usize,
        hash_of: impl Fn(&Slot) -> u64,
    ) {
        self.sweep(generations, slot.since);
        loop {
            let ((set, tag), places) = (self.locate(hash), self.tags.len() * SLOTS_PER_SET);
            let grows = self.tags.len() < max_sets && self.taken >= places / 8 * 7;
            let rank = |other: &Option<Slot>| match other {
                Some(other) if other.digest == slot.digest => (0, 0),
                None => (1, 0),
                Some(other) if other.is_invalid(generations, slot.since) => (2, 0),
                Some(other) => (3, u32::MAX - slot.since.wrapping_sub(other.since)),
            };
            let worst = self.set(set).min_by_key(|(_, other)| rank(other));
            if let Some((known, place)) = worst.filter(|(_, place)| rank(place).0 < 3 || !grows) {
                let is_new = place.is_none();
                (*known, *place) = (tag, Some(slot));
                self.taken += usize::from(is_new);
                return;
            }
            self.grow(&hash_of);
        }
    }

    /// Returns the index of the set and the tag within it. The number of sets is a power of two, or zero.
    fn locate(&self, hash: u64) -> (usize, u64) {
        let last = (self.tags.len() as u64).wrapping_sub(1);
        (usize::try_from(hash & last).unwrap_or(usize::MAX), hash.max(EMPTY_TAG + 1))
    }

    /// Returns the slots of a set with their tags; none if the table has no sets.
    fn set(&mut self, at: usize) -> impl Iterator<Item = (&mut u64, &mut Option<Slot>)> {
        let tags = self.tags.get_mut(at).into_iter().flatten();
        tags.zip(self.slots.get_mut(at).into_iter().flatten())
    }

    /// Clears the invalid slots of one set, another set in each call. An invalid slot keeps the memory of its entry allocated
    /// until it is cleared.
    fn sweep(&mut self, generations: &Generations, tick: u32) {
        let mut cleared = 0;
        for (tag, slot) in self.set(self.next) {
            if slot.as_ref().is_some_and(|slot| slot.is_invalid(generations, tick)) {
                (*tag, *slot) = (EMPTY_TAG, None);
                cleared += 1;
            }
        }
        self.taken -= cleared;
        self.next = (self.next + 1) & self.tags.len().saturating_sub(1);
    }

    fn grow(&mut self, hash_of: &impl Fn(&Slot) -> u64) {
        let mut larger = Self::new((self.tags.len() * 2).max(1));
        for slot in std::mem::take(&mut self.slots).into_iter().flatten().flatten() {
            let (set, tag) = larger.locate(hash_of(&slot));
            // The slots of one set move to two sets of the same size, so each finds an empty slot.
            if let Some((known, place)) = larger.set(set).find(|(_, place)| place.is_none()) {
                (*known, *place) = (tag, Some(slot));
            }
        }
        larger.taken = self.taken;
        *self = larger;
    }

    /// Returns the number of sets.
    #[cfg(test)]
    pub(super) fn sets(&self) -> usize {
        self.tags.len()
    }

    /// Returns the number of occupied slots.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        assert_eq!(self.taken, self.slots.iter().flatten().flatten().count());
        self.taken
    }
}

impl Slot {
    /// Creates a slot for a lookup that began in `generation`.
    pub(super) fn new(
        digest: RequestDigest,
        generation: Generation,
        now: Now,
        lookup: &CachedLookup,
    ) -> Self {
        let CachedLookup { granted_at, expiry, log_tag, .. } = *lookup;
        Self {
            digest,
            entry: Arc::downgrade(&lookup.entry),
            generation,
            granted_at,
            expiry,
            since: now.monotonic_millis_u32(),
            log_tag,
        }
    }

    /// Returns the request digest.
    pub(super) fn digest(&self) -> RequestDigest {
        self.digest
    }

    /// Returns the lookup, if it is valid.
    pub(super) fn to_lookup(&self, generations: &Generations, tick: u32) -> Option<CachedLookup> {
        if self.is_invalid(generations, tick) {
            return None;
        }
        let Self { granted_at, expiry, log_tag, .. } = *self;
        Some(CachedLookup { entry: self.entry.upgrade()?, granted_at, expiry, log_tag })
    }

    /// Returns whether the lookup is invalid at `tick`, a [`Now::tick`]. An invalid lookup stays invalid.
    pub(super) fn is_invalid(&self, generations: &Generations, tick: u32) -> bool {
        !generations.is_current(self.generation)
            || tick.wrapping_sub(self.since) >= MAX_LOOKUP_AGE_MS
            || self.entry.strong_count() == 0
    }
}

/// Size of a set, bytes.
pub(super) const SET_BYTES: usize =
    size_of::<[u64; SLOTS_PER_SET]>() + size_of::<[Option<Slot>; SLOTS_PER_SET]>();
/// Tag of an empty slot.
const EMPTY_TAG: u64 = 0;
/// Slots of a set: their tags are 64 bytes, one cache line.
pub(super) const SLOTS_PER_SET: usize = 8;
/// Age at which a lookup must be repeated in the store, milliseconds.
pub(super) const MAX_LOOKUP_AGE_MS: u32 = 10_000;
