//! One of the tables in which a thread remembers what it looked up.
//!
//! With thousands of keys what a look costs is how many lines of cold memory it touches. The tags of a set are one
//! line, a place is another, and the entry is not looked at before the place has said that it is the right one.

use std::sync::{Arc, Weak};

use super::{CachedLookup, Generation, Generations};
use crate::auth::{RequestDigest, TokenExpiry};
use crate::cache::entry::Entry;
use crate::proxy::handler::LogTag;
use crate::support::clock::Now;

/// Sets of places. A finding has its place in one set; which one says the hash of its spelling. Without sets at first.
#[derive(Default)]
pub(super) struct Table {
    /// For each place the hash of what is there, or [`FREE`].
    tags: Vec<[u64; WAYS]>,
    slots: Vec<[Option<Slot>; WAYS]>,
    /// Places that are taken.
    taken: usize,
    /// The set that is swept next.
    next: usize,
}

/// One line of memory.
pub(super) struct Slot {
    spelling: RequestDigest,
    entry: Weak<Entry>,
    generation: Generation,
    granted: Now,
    end: TokenExpiry,
    /// By [`Now::tick`].
    since: u32,
    tag: LogTag,
}

impl Table {
    fn new(sets: usize) -> Self {
        let slots = std::iter::repeat_with(Default::default).take(sets).collect();
        Self { tags: vec![[FREE; WAYS]; sets], slots, taken: 0, next: 0 }
    }

    /// What has this spelling, which has this hash.
    pub(super) fn find(&self, spelling: RequestDigest, hash: u64) -> Option<&Slot> {
        let (set, tag) = self.place(hash);
        let way = self.tags.get(set)?.iter().position(|known| *known == tag)?;
        self.slots.get(set)?.get(way)?.as_ref().filter(|slot| slot.spelling == spelling)
    }

    /// Takes the place of the same request, of nothing, of what is worth nothing any more, or of the oldest. Where
    /// that is worth something, and nearly all places are taken, the table grows, up to `most` sets.
    pub(super) fn put(
        &mut self,
        hash: u64,
        slot: Slot,
        generations: &Generations,
        most: usize,
        hash_of: impl Fn(&Slot) -> u64,
    ) {
        self.sweep(generations, slot.since);
        loop {
            let ((set, tag), places) = (self.place(hash), self.tags.len() * WAYS);
            let grows = self.tags.len() < most && self.taken >= places / 8 * 7;
            let rank = |other: &Option<Slot>| match other {
                Some(other) if other.spelling == slot.spelling => (0, 0),
                None => (1, 0),
                Some(other) if other.is_spent(generations, slot.since) => (2, 0),
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

    /// Its set, and what it is known by there. There is always a power of two of them, or none.
    fn place(&self, hash: u64) -> (usize, u64) {
        let last = (self.tags.len() as u64).wrapping_sub(1);
        (usize::try_from(hash & last).unwrap_or(usize::MAX), hash.max(FREE + 1))
    }

    /// The places of a set with their tags; none where there are no sets.
    fn set(&mut self, at: usize) -> impl Iterator<Item = (&mut u64, &mut Option<Slot>)> {
        let tags = self.tags.get_mut(at).into_iter().flatten();
        tags.zip(self.slots.get_mut(at).into_iter().flatten())
    }

    /// Clears what is worth nothing out of one set, another each time: though nobody comes to take its place, it holds
    /// the memory in which its entry was.
    fn sweep(&mut self, generations: &Generations, tick: u32) {
        let mut cleared = 0;
        for (tag, slot) in self.set(self.next) {
            if slot.as_ref().is_some_and(|slot| slot.is_spent(generations, tick)) {
                (*tag, *slot) = (FREE, None);
                cleared += 1;
            }
        }
        self.taken -= cleared;
        self.next = (self.next + 1) & self.tags.len().saturating_sub(1);
    }

    fn grow(&mut self, hash_of: &impl Fn(&Slot) -> u64) {
        let mut larger = Self::new((self.tags.len() * 2).max(1));
        for slot in std::mem::take(&mut self.slots).into_iter().flatten().flatten() {
            let (set, tag) = larger.place(hash_of(&slot));
            // What was in one set goes to two of the same size, so all of it has room.
            if let Some((known, place)) = larger.set(set).find(|(_, place)| place.is_none()) {
                (*known, *place) = (tag, Some(slot));
            }
        }
        larger.taken = self.taken;
        *self = larger;
    }

    /// Sets that it has.
    #[cfg(test)]
    pub(super) fn sets(&self) -> usize {
        self.tags.len()
    }

    /// Places that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        assert_eq!(self.taken, self.slots.iter().flatten().flatten().count());
        self.taken
    }
}

impl Slot {
    /// What was found under `generation`.
    pub(super) fn new(
        spelling: RequestDigest,
        generation: Generation,
        now: Now,
        found: &CachedLookup,
    ) -> Self {
        let CachedLookup { granted, end, tag, .. } = *found;
        Self {
            spelling,
            entry: Arc::downgrade(&found.entry),
            generation,
            granted,
            end,
            since: now.monotonic_millis_u32(),
            tag,
        }
    }

    /// What it is known by.
    pub(super) fn spelling(&self) -> RequestDigest {
        self.spelling
    }

    /// What was found, if that is worth anything now.
    pub(super) fn finding(&self, generations: &Generations, tick: u32) -> Option<CachedLookup> {
        if self.is_spent(generations, tick) {
            return None;
        }
        let Self { granted, end, tag, .. } = *self;
        Some(CachedLookup { entry: self.entry.upgrade()?, granted, end, tag })
    }

    /// Whether it will not be used again, at a [`Now::tick`].
    pub(super) fn is_spent(&self, generations: &Generations, tick: u32) -> bool {
        !generations.is_now(self.generation)
            || tick.wrapping_sub(self.since) >= REVISIT
            || self.entry.strong_count() == 0
    }
}

/// What a set of places takes.
pub(super) const SET_BYTES: usize = size_of::<[u64; WAYS]>() + size_of::<[Option<Slot>; WAYS]>();
/// Nothing is there.
const FREE: u64 = 0;
/// Places of a set: their tags are 64 bytes.
pub(super) const WAYS: usize = 8;
/// How long a finding may do without the store, milliseconds.
pub(super) const REVISIT: u32 = 10_000;
