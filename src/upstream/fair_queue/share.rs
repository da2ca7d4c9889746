//! Share of one owner in a fair queue, with the shares below it.

use std::collections::btree_map::{Entry, OccupiedEntry};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::capacity::QueueCapacity;
use super::{LEVELS, SharePath};

/// Share of one owner: its capacity in use, and its waiting items.
#[derive(Debug)]
pub(super) struct Share<T> {
    pub(super) in_use: usize,
    pub(super) waiting: usize,
    /// Turn in which the share was last served, or was added.
    pub(super) last_turn: u64,
    pub(super) children: BTreeMap<u128, Share<T>>,
    /// Children with waiting items, the next to be served first.
    pub(super) ready: BTreeSet<Rank>,
    /// Items of a leaf in the order of their arrival.
    pub(super) items: BTreeMap<u64, T>,
}

/// Order of service among the shares of one parent: capacity in use, last turn, key.
pub(super) type Rank = (usize, u64, u128);

/// Free capacity beside a share, and the number of the current turn.
#[derive(Clone, Copy)]
pub(super) struct ShareLimit {
    pub(super) capacity: QueueCapacity,
    pub(super) turn: u64,
}

impl ShareLimit {
    /// Returns the limit within a child, or `None` if the child has reached its threshold.
    fn within(self, in_use: usize) -> Option<Self> {
        let free = self.capacity.for_share(in_use).saturating_mul(SHARE_FACTOR).checked_sub(in_use)?;
        // Only the level of the widest shares has a reserve.
        (free > 0).then_some(Self { capacity: QueueCapacity { free, reserve: 0 }, ..self })
    }
}

impl<T> Default for Share<T> {
    fn default() -> Self {
        Self {
            in_use: 0,
            waiting: 0,
            last_turn: 0,
            children: BTreeMap::new(),
            ready: BTreeSet::new(),
            items: BTreeMap::new(),
        }
    }
}

impl<T> Share<T> {
    pub(super) fn rank(&self, key: u128) -> Rank {
        (self.in_use, self.last_turn, key)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_use == 0 && self.waiting == 0
    }

    pub(super) fn allows(&self, path: &[u128], free: usize) -> bool {
        let [key, rest @ ..] = path else { return free > 0 };
        let child = self.children.get(key);
        let capacity = QueueCapacity { free, reserve: 0 };
        let limit = ShareLimit { capacity, turn: 0 }.within(child.map_or(0, |child| child.in_use));
        match (child, limit) {
            (_, None) => false,
            (Some(child), Some(limit)) => child.allows(rest, limit.capacity.free),
            (None, Some(_)) => true,
        }
    }

    pub(super) fn push(&mut self, path: &[u128], id: u64, turn: u64, item: T) {
        self.waiting += 1;
        match path {
            [] => {
                self.items.insert(id, item);
            }
            [key, rest @ ..] => {
                // A new share is served after the shares that wait already: first come, first served among equal shares.
                let new = || Self { last_turn: turn, ..Self::default() };
                let child = self.children.entry(*key).or_insert_with(new);
                child.push(rest, id, turn, item);
                self.ready.insert(child.rank(*key));
            }
        }
    }

    pub(super) fn remove(&mut self, path: &[u128], id: u64) -> Option<T> {
        let removed = match path {
            [] => self.items.remove(&id),
            [key, rest @ ..] => {
                let child = self.children.get_mut(key)?;
                let removed = child.remove(rest, id);
                self.update_rank(*key, None);
                removed
            }
        }?;
        self.waiting -= 1;
        Some(removed)
    }

    /// Changes each share on a path.
    pub(super) fn change(&mut self, path: &[u128], change: &mut dyn FnMut(&mut Self)) {
        change(self);
        if let [key, rest @ ..] = path {
            let mut child = match self.children.entry(*key) {
                Entry::Occupied(child) => child,
                Entry::Vacant(place) => place.insert_entry(Self::default()),
            };
            let before = child.get().rank(*key);
            child.get_mut().change(rest, change);
            update_rank(&mut self.ready, child, Some(before));
        }
    }

    /// Updates the rank of a child, and removes an idle child.
    fn update_rank(&mut self, key: u128, before: Option<Rank>) {
        if let Entry::Occupied(child) = self.children.entry(key) {
            update_rank(&mut self.ready, child, before);
        }
    }

    pub(super) fn pop(
        &mut self,
        level: usize,
        path: &mut SharePath,
        limit: ShareLimit,
        eligible: &mut dyn FnMut(&SharePath) -> bool,
    ) -> Option<T> {
        if level == LEVELS {
            let item = if eligible(path) { self.items.pop_first()?.1 } else { return None };
            self.waiting -= 1;
            self.in_use += 1;
            return Some(item);
        }
        // The ranks ascend by capacity in use, so all children after a child above its threshold are above it as well.
        let mut after = None;
        loop {
            let next = match after {
                None => self.ready.first(),
                Some(after) => self.ready.range((Bound::Excluded(after), Bound::Unbounded)).next(),
            };
            let rank = *next?;
            let within = limit.within(rank.0)?;
            if let Some(item) = self.pop_child(rank.2, level, path, within, eligible) {
                self.waiting -= 1;
                self.in_use += 1;
                return Some(item);
            }
            after = Some(rank);
        }
    }

    /// Serves an item of one child within the limit of this child. The caller changes the counts of this share.
    pub(super) fn pop_child(
        &mut self,
        key: u128,
        level: usize,
        path: &mut SharePath,
        within: ShareLimit,
        eligible: &mut dyn FnMut(&SharePath) -> bool,
    ) -> Option<T> {
        let child = self.children.get_mut(&key)?;
        let before = child.rank(key);
        path.get_mut(level).map(|part| *part = key)?;
        let item = child.pop(level + 1, path, within, eligible)?;
        child.last_turn = within.turn;
        self.update_rank(key, Some(before));
        Some(item)
    }
}

/// Updates the rank of a child among the `ready` children of its parent, and removes an idle child.
fn update_rank<T>(
    ready: &mut BTreeSet<Rank>,
    child: OccupiedEntry<'_, u128, Share<T>>,
    before: Option<Rank>,
) {
    let rank = child.get().rank(*child.key());
    if let Some(before) = before {
        ready.remove(&before);
    }
    if child.get().waiting > 0 {
        ready.insert(rank);
    } else {
        ready.remove(&rank);
    }
    if child.get().is_idle() {
        child.remove();
    }
}

/// Multiple of the free capacity beside a share that the share may use.
const SHARE_FACTOR: usize = 4;
