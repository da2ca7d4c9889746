//! Share of one owner in a fair queue, with the shares below it.

use std::collections::btree_map::Entry;
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
    /// Child that became idle last. It stays until another one becomes idle: most owners that send a request send a further one,
    /// and a tree that is built for each request costs more than all else here.
    last_idle: Option<u128>,
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
            last_idle: None,
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
                let child = self.children.entry(*key).or_default();
                // A new share is served after the shares that wait already: first come, first served among equal shares.
                if child.is_idle() {
                    child.last_turn = turn;
                }
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
            let child = self.children.entry(*key).or_default();
            let before = child.rank(*key);
            child.change(rest, change);
            self.update_rank(*key, Some(before));
        }
    }

    /// Updates the rank of a child among the `ready` children. If the child is idle, the one that became idle before is removed.
    fn update_rank(&mut self, key: u128, before: Option<Rank>) {
        let Some(child) = self.children.get(&key) else { return };
        if let Some(before) = before {
            self.ready.remove(&before);
        }
        if child.waiting > 0 {
            self.ready.insert(child.rank(key));
        } else {
            self.ready.remove(&child.rank(key));
        }
        if child.is_idle()
            && let Some(other) = self.last_idle.replace(key).filter(|other| *other != key)
            && let Entry::Occupied(other) = self.children.entry(other)
            && other.get().is_idle()
        {
            other.remove();
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

/// Multiple of the free capacity beside a share that the share may use.
const SHARE_FACTOR: usize = 4;
