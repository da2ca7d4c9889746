//! Set-associative table of cached lookups.
//!
//! With thousands of keys the cost of a lookup is the number of cold cache lines and pages that it touches. The tags of a set
//! are one line, a slot is another on the same page, and the entry is not touched before the slot has matched.
//!
//! The crate `quick_cache` (0.6.24, `unsync::Cache`) does not replace this table, because an invalid slot keeps the memory of
//! its evicted entry allocated and only this table clears such slots as it goes. After an invalidation of 20,000 lookups
//! and 20,000 further insertions for 1,000 requests this table has freed all 20,000 entries, `quick_cache` none: 2.5 MB per
//! thread outside `cache.max_bytes`. A hit takes 275 instructions here and 283 there (`get` and check of the lookup, 10,000
//! keys), with 4.2 and 4.7 L1 read misses, and a lookup 104 and 126 bytes of memory. Counted with `valgrind --tool=callgrind
//! --cache-sim=yes` on a loop of either, built in release mode with `CARGO_PROFILE_RELEASE_LTO=off`.

use std::sync::{Arc, Weak};

use super::{CachedLookup, Generation, Validity};
use crate::auth::{LogTag, RequestDigest, TokenExpiry};
use crate::cache::entry::Entry;
use crate::support::clock::Now;

/// Sets of slots. The hash of the request digest selects the set. A new table has no sets.
#[derive(Default)]
pub(super) struct Table {
    sets: Vec<Set>,
    /// Number of occupied slots.
    taken: usize,
    /// Index of the set that is swept next.
    next: usize,
}

/// Slots with their tags, aligned to cache lines.
#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// For each slot the hash of its request digest, or [`EMPTY_TAG`].
    tags: [u64; SLOTS_PER_SET],
    slots: [Option<Slot>; SLOTS_PER_SET],
}

/// A cached lookup. Its size is one cache line.
pub(super) struct Slot {
    digest: RequestDigest,
    entry: Weak<Entry>,
    generation: Generation,
    granted_at: Now,
    expiry: TokenExpiry,
    /// Time of the lookup as [`Now::monotonic_millis_u32`].
    since: u32,
    log_tag: LogTag,
}

impl Table {
    fn new(sets: usize) -> Self {
        Self { sets: std::iter::repeat_with(Set::default).take(sets).collect(), taken: 0, next: 0 }
    }

    /// Returns the slot of a request digest with this hash.
    pub(super) fn get(&self, digest: RequestDigest, hash: u64) -> Option<&Slot> {
        let (set, tag) = self.locate(hash);
        let set = self.sets.get(set)?;
        set.slots.get(set.position(tag, digest)?)?.as_ref()
    }

    /// Inserts a slot: in the place of the same request, else of an empty slot, else of an invalid one, else of the oldest.
    /// Before it replaces a valid slot of another request, the table grows if it is nearly full and has fewer than `max_sets`.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        slot: Slot,
        validity: Validity<'_>,
        max_sets: usize,
        hash_of: impl Fn(&Slot) -> u64,
    ) {
        self.sweep(validity);
        loop {
            let ((set, tag), places) = (self.locate(hash), self.sets.len() * SLOTS_PER_SET);
            let grows = self.sets.len() < max_sets && self.taken >= places / 8 * 7;
            let set = self.sets.get_mut(set);
            if let Some((known, place)) = set.and_then(|set| set.place_for(tag, &slot, validity, grows)) {
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
        let last = (self.sets.len() as u64).wrapping_sub(1);
        (usize::try_from(hash & last).unwrap_or(usize::MAX), hash.max(EMPTY_TAG + 1))
    }

    /// Clears the invalid slots of one set, another set in each call. An invalid slot keeps the memory of its entry allocated
    /// until it is cleared.
    fn sweep(&mut self, validity: Validity<'_>) {
        let mut cleared = 0;
        for (tag, slot) in self.sets.get_mut(self.next).into_iter().flat_map(Set::places) {
            if slot.as_ref().is_some_and(|slot| slot.is_invalid(validity)) {
                (*tag, *slot) = (EMPTY_TAG, None);
                cleared += 1;
            }
        }
        self.taken -= cleared;
        self.next = (self.next + 1) & self.sets.len().saturating_sub(1);
    }

    fn grow(&mut self, hash_of: &impl Fn(&Slot) -> u64) {
        let mut larger = Self::new((self.sets.len() * 2).max(1));
        for slot in std::mem::take(&mut self.sets).into_iter().flat_map(|set| set.slots).flatten() {
            let (set, tag) = larger.locate(hash_of(&slot));
            let mut places = larger.sets.get_mut(set).into_iter().flat_map(Set::places);
            // The slots of one set move to two sets of the same size, so each finds an empty slot.
            if let Some((known, place)) = places.find(|(_, place)| place.is_none()) {
                (*known, *place) = (tag, Some(slot));
            }
        }
        larger.taken = self.taken;
        *self = larger;
    }

    /// Returns the number of sets.
    #[cfg(test)]
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Returns the number of occupied slots.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        assert_eq!(self.taken, self.sets.iter().flat_map(|set| &set.slots).flatten().count());
        self.taken
    }
}

impl Set {
    /// Returns the tags and slots.
    fn places(&mut self) -> impl Iterator<Item = (&mut u64, &mut Option<Slot>)> {
        self.tags.iter_mut().zip(&mut self.slots)
    }

    /// Returns the index of the slot of a request digest, which has this tag.
    fn position(&self, tag: u64, digest: RequestDigest) -> Option<usize> {
        let mut places = self.tags.iter().zip(&self.slots);
        places.position(|(known, slot)| {
            *known == tag && slot.as_ref().is_some_and(|slot| slot.digest == digest)
        })
    }

    /// Returns the place for a slot with this tag: of the same request, else empty, else invalid, else the oldest one unless
    /// the table `grows`. Entries are read only if all places are occupied by other requests.
    fn place_for(
        &mut self,
        tag: u64,
        slot: &Slot,
        validity: Validity<'_>,
        grows: bool,
    ) -> Option<(&mut u64, &mut Option<Slot>)> {
        let same = self.position(tag, slot.digest);
        let empty = || self.tags.iter().position(|known| *known == EMPTY_TAG);
        let place = same.or_else(empty).or_else(|| self.replaceable(slot.since, validity, grows))?;
        self.tags.get_mut(place).zip(self.slots.get_mut(place))
    }

    /// Returns the index of an invalid slot, else of the oldest one at the time `since` unless the table `grows`.
    fn replaceable(&self, since: u32, validity: Validity<'_>, grows: bool) -> Option<usize> {
        let rank = |slot: &Slot| (!slot.is_invalid(validity), u32::MAX - since.wrapping_sub(slot.since));
        let occupied = self.slots.iter().enumerate();
        let ranked = occupied.filter_map(|(at, slot)| Some((rank(slot.as_ref()?), at)));
        let ((is_valid, _), at) = ranked.min()?;
        (!is_valid || !grows).then_some(at)
    }
}

impl Slot {
    /// Creates a slot for a lookup that began in `generation`.
    pub(super) fn new(
        digest: RequestDigest,
        generation: Generation,
        since: u32,
        lookup: &CachedLookup,
    ) -> Self {
        let CachedLookup { granted_at, expiry, log_tag, .. } = *lookup;
        Self { digest, entry: Arc::downgrade(&lookup.entry), generation, granted_at, expiry, since, log_tag }
    }

    /// Returns the request digest.
    pub(super) fn digest(&self) -> RequestDigest {
        self.digest
    }

    /// Returns the lookup, if it is valid.
    pub(super) fn to_lookup(&self, validity: Validity<'_>) -> Option<CachedLookup> {
        if self.is_invalid(validity) {
            return None;
        }
        let Self { granted_at, expiry, log_tag, .. } = *self;
        Some(CachedLookup { entry: self.entry.upgrade()?, granted_at, expiry, log_tag })
    }

    /// Returns whether the lookup is invalid. It can become valid again only if the maximum age grows.
    pub(super) fn is_invalid(&self, validity: Validity<'_>) -> bool {
        !validity.generations.is_current(self.generation)
            || validity.at.wrapping_sub(self.since) >= validity.max_age_ms
            || self.entry.strong_count() == 0
    }
}

/// Size of a set, bytes.
pub(super) const SET_BYTES: usize = size_of::<Set>();
/// Tag of an empty slot.
const EMPTY_TAG: u64 = 0;
/// Slots of a set: their tags are 64 bytes, one cache line.
pub(super) const SLOTS_PER_SET: usize = 8;
