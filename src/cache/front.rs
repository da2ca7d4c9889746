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
//! The table grows with what is remembered, up to 16,384 places of about 100 bytes in each thread. It holds
//! entries weakly: what the store lets go is gone.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::entry::Entry;
use super::freshness::Proof;
use crate::answer::TokenTag;
use crate::clock::Now;
use crate::identity::{End, Spelling};
use crate::sabotage::sabotaged;

/// What the store had for a request.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The answer.
    pub entry: Weak<Entry>,
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
        let slot = table.set(spelling).iter().flatten().find(|slot| slot.spelling == spelling)?;
        let current = slot.epoch == epoch && now.since(slot.since) < REVISIT;
        current.then(|| slot.finding.clone())
    })
}

/// Remembers what was found under `epoch`.
pub fn remember(spelling: Spelling, epoch: Epoch, now: Now, finding: Finding) {
    TABLE.with_borrow_mut(|table| table.put(Slot { spelling, epoch, since: now, finding }));
}

struct Slot {
    spelling: Spelling,
    epoch: Epoch,
    since: Now,
    finding: Finding,
}

/// Sets of four places. A finding has its place in one set; which one says the hash of its spelling.
struct Table {
    sets: Vec<Set>,
    hasher: RandomState,
}

type Set = [Option<Slot>; 4];

impl Table {
    fn new() -> Self {
        Self { sets: vec_of_sets(FIRST_SETS), hasher: RandomState::new() }
    }

    fn place(&self, spelling: Spelling) -> usize {
        let hash = self.hasher.hash_one(spelling);
        // There is always a power of two of them.
        usize::try_from(hash & (self.sets.len() as u64 - 1)).unwrap_or(0)
    }

    fn set(&self, spelling: Spelling) -> &[Option<Slot>] {
        self.sets.get(self.place(spelling)).map_or(&[], |set| &set[..])
    }

    /// Takes the place of the same request, of nothing, of what is worth nothing any more, or of the oldest; the
    /// table grows before it loses what is worth something.
    fn put(&mut self, slot: Slot) {
        loop {
            let (place, grows) = (self.place(slot.spelling), self.sets.len() < LAST_SETS);
            let Some(set) = self.sets.get_mut(place) else { return };
            let rank = |other: &Option<Slot>| match other {
                Some(other) if other.spelling == slot.spelling => (0, 0),
                None => (1, 0),
                Some(other) if other.is_spent(slot.epoch, slot.since) => (2, 0),
                Some(other) => (3, other.since.unix_millis()),
            };
            let Some(worst) = set.iter_mut().min_by_key(|other| rank(other)) else { return };
            if rank(worst).0 < 3 || !grows {
                *worst = Some(slot);
                return;
            }
            self.grow();
        }
    }

    fn grow(&mut self) {
        let sets = vec_of_sets(self.sets.len() * 2);
        let old = std::mem::replace(&mut self.sets, sets);
        for slot in old.into_iter().flatten().flatten() {
            let place = self.place(slot.spelling);
            // A set's four go to two sets of four.
            if let Some(free) =
                self.sets.get_mut(place).and_then(|set| set.iter_mut().find(|it| it.is_none()))
            {
                *free = Some(slot);
            }
        }
    }
}

impl Slot {
    /// Whether it will not be used again.
    fn is_spent(&self, epoch: Epoch, now: Now) -> bool {
        self.epoch != epoch || now.since(self.since) >= REVISIT || self.finding.entry.strong_count() == 0
    }
}

fn vec_of_sets(count: usize) -> Vec<Set> {
    std::iter::repeat_with(Set::default).take(count).collect()
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table::new());
}

const FIRST_SETS: usize = 16;
const LAST_SETS: usize = 4096;
/// How long a finding may do without the store.
const REVISIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
