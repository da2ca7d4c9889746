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
//! The table grows with what is remembered, up to 32,768 places of 72 bytes in each thread. It holds entries weakly:
//! what the store lets go is gone.
//!
//! With thousands of keys what a look costs is how many lines of cold memory it touches. The tags of a set are one
//! line, a place is another, and the entry is not looked at before the place has said that it is the right one.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

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

/// What this thread remembers for a request.
pub fn recall(spelling: Spelling, epoch: Epoch, now: Now) -> Option<Finding> {
    TABLE.with_borrow(|table| {
        let slot = table.find(spelling).filter(|slot| !slot.is_spent(epoch, now.tick()))?;
        let Slot { proof, end, tag, .. } = *slot;
        Some(Finding { entry: slot.entry.upgrade()?, proof, end, tag })
    })
}

/// Remembers what was found under `epoch`.
pub fn remember(spelling: Spelling, epoch: Epoch, now: Now, found: &Finding) {
    TABLE.with_borrow_mut(|table| table.put(Slot::new(spelling, epoch, now, found)));
}

/// One line of memory.
struct Slot {
    spelling: Spelling,
    entry: Weak<Entry>,
    epoch: Epoch,
    proof: Proof,
    end: End,
    /// By [`Now::tick`].
    since: u32,
    tag: TokenTag,
}

/// Sets of places. A finding has its place in one set; which one says the hash of its spelling.
struct Table {
    /// For each place the hash of what is there, or [`FREE`].
    tags: Vec<[u64; WAYS]>,
    slots: Vec<[Option<Slot>; WAYS]>,
    hasher: RandomState,
}

impl Table {
    fn new(sets: usize) -> Self {
        let slots = std::iter::repeat_with(Default::default).take(sets).collect();
        Self { tags: vec![[FREE; WAYS]; sets], slots, hasher: RandomState::new() }
    }

    /// Its set, and what it is known by there.
    fn place(&self, spelling: Spelling) -> (usize, u64) {
        let hash = self.hasher.hash_one(spelling);
        // There is always a power of two of them.
        (usize::try_from(hash & (self.tags.len() as u64 - 1)).unwrap_or(0), hash.max(FREE + 1))
    }

    fn find(&self, spelling: Spelling) -> Option<&Slot> {
        let (set, tag) = self.place(spelling);
        let way = self.tags.get(set)?.iter().position(|known| *known == tag)?;
        self.slots.get(set)?.get(way)?.as_ref().filter(|slot| slot.spelling == spelling)
    }

    /// Takes the place of the same request, of nothing, of what is worth nothing any more, or of the oldest; the
    /// table grows before it loses what is worth something.
    fn put(&mut self, slot: Slot) {
        loop {
            let ((set, tag), grows) = (self.place(slot.spelling), self.tags.len() < LAST_SETS);
            let (Some(tags), Some(slots)) = (self.tags.get_mut(set), self.slots.get_mut(set)) else { return };
            let rank = |other: &Option<Slot>| match other {
                Some(other) if other.spelling == slot.spelling => (0, 0),
                None => (1, 0),
                Some(other) if other.is_spent(slot.epoch, slot.since) => (2, 0),
                Some(other) => (3, u32::MAX - slot.since.wrapping_sub(other.since)),
            };
            let worst = tags.iter_mut().zip(slots).min_by_key(|(_, other)| rank(other));
            let Some((known, place)) = worst else { return };
            if rank(place).0 < 3 || !grows {
                (*known, *place) = (tag, Some(slot));
                return;
            }
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mut larger = Self::new(self.tags.len() * 2);
        larger.hasher = self.hasher.clone();
        // What was in one set goes to two of the same size, so all of it has room.
        std::mem::take(&mut self.slots).into_iter().flatten().flatten().for_each(|slot| larger.put(slot));
        *self = larger;
    }
}

impl Slot {
    fn new(spelling: Spelling, epoch: Epoch, now: Now, found: &Finding) -> Self {
        let Finding { proof, end, tag, .. } = *found;
        Self { spelling, entry: Arc::downgrade(&found.entry), epoch, proof, end, since: now.tick(), tag }
    }

    /// Whether it will not be used again, at a [`Now::tick`].
    fn is_spent(&self, epoch: Epoch, tick: u32) -> bool {
        self.epoch != epoch || tick.wrapping_sub(self.since) >= REVISIT || self.entry.strong_count() == 0
    }
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table::new(FIRST_SETS));
}

/// Nothing is there.
const FREE: u64 = 0;
/// Places of a set: their tags are 64 bytes.
const WAYS: usize = 8;
const FIRST_SETS: usize = 8;
const LAST_SETS: usize = 4096;
/// How long a finding may do without the store, milliseconds.
const REVISIT: u32 = 10_000;

#[cfg(test)]
mod tests;
