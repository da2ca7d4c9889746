//! Hierarchical fair queue: items wait in a tree of shares, and each share gives its items a fair part of a capacity.
//!
//! A [`SharePath`] names the owner of an item, from the widest share to the narrowest: tenant, application, token, or client
//! subnet, connection, token. Two rules hold at every level of the tree:
//!
//! * **Max-min fairness.** Of the shares that wait, the share with the least in use is served next; of equals the share
//!   that was served, or appeared, longest ago.
//! * **Dynamic threshold** (Choudhury and Hahne, 1998). A share may use at most [`SHARE_FACTOR`] times the capacity that
//!   is still free beside it. One share alone reaches four fifths of the capacity, and two shares eight ninths, so a
//!   newcomer finds a free place without preemption.
//! * **Reserve.** Many shares in step would leave less than one place. A part of the capacity is therefore for the widest
//!   shares that use nothing yet: see [`QueueCapacity`].
//!
//! The queue is a data structure without time and without wake-ups. Its owner provides the capacity at each call, and
//! bounds the number of items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Owner of an item, from the widest share to the narrowest.
pub type SharePath = [u128; LEVELS];

/// Levels of shares below the root.
pub const LEVELS: usize = 3;
/// Multiple of the free capacity beside a share that the share may use.
const SHARE_FACTOR: usize = 4;

/// Items that wait, and the capacity that each share uses.
#[derive(Debug)]
pub struct FairQueue<T> {
    root: Share<T>,
    next_id: u64,
    next_turn: u64,
}

/// Free capacity, and the part of it that only widest shares without any use may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCapacity {
    /// Places that are free.
    pub free: usize,
    /// Places among them that are reserved for newcomers.
    pub reserve: usize,
}

impl QueueCapacity {
    /// Returns the room that is left of `capacity`, of which a sixteenth is reserved.
    pub fn remaining(capacity: usize, in_use: usize) -> Self {
        Self { free: capacity.saturating_sub(in_use), reserve: capacity / RESERVED_PART }
    }

    /// Returns the same room with at most `free` places.
    #[must_use]
    pub fn at_most(self, free: usize) -> Self {
        Self { free: self.free.min(free), ..self }
    }

    /// Returns the free places for a share that uses so much.
    fn for_share(self, in_use: usize) -> usize {
        if in_use == 0 { self.free } else { self.free.saturating_sub(self.reserve) }
    }
}

/// One place in so many is reserved for newcomers.
const RESERVED_PART: usize = 16;

/// Position of a waiting item, for [`FairQueue::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePosition {
    path: SharePath,
    id: u64,
}

impl QueuePosition {
    /// Returns the owner of the item.
    pub fn path(self) -> SharePath {
        self.path
    }
}

/// Share of one owner: what it uses, and what waits in it.
#[derive(Debug)]
struct Share<T> {
    in_use: usize,
    waiting: usize,
    /// Turn in which the share was served last, or appeared.
    last_turn: u64,
    children: HashMap<u128, Share<T>>,
    /// Children with waiting items, the next to be served first.
    ready: BTreeSet<Rank>,
    /// Items of a leaf, by the order of their arrival.
    items: BTreeMap<u64, T>,
}

/// Order of service among the shares of one parent: capacity in use, last turn, key.
type Rank = (usize, u64, u128);

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { root: Share::default(), next_id: 0, next_turn: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Returns the number of waiting items.
    pub fn waiting(&self) -> usize {
        self.root.waiting
    }

    /// Returns the capacity in use.
    pub fn in_use(&self) -> usize {
        self.root.in_use
    }

    /// Adds an item at the end of its leaf.
    pub fn push(&mut self, path: SharePath, item: T) -> QueuePosition {
        let (id, turn) = (self.next_id, self.turn());
        self.next_id += 1;
        self.root.push(&path, id, turn, item);
        QueuePosition { path, id }
    }

    /// Removes an item. Returns `None` if the item was served or dropped before.
    pub fn remove(&mut self, position: QueuePosition) -> Option<T> {
        self.root.remove(&position.path, position.id)
    }

    /// Takes capacity for an item that does not wait, if the room and the thresholds allow it.
    pub fn try_acquire(&mut self, path: SharePath, capacity: QueueCapacity) -> bool {
        let [widest, ..] = path;
        let in_use = self.root.children.get(&widest).map_or(0, |share| share.in_use);
        let allowed = self.root.allows(&path, capacity.for_share(in_use));
        if allowed {
            self.acquire(path);
        }
        allowed
    }

    /// The same as [`Self::try_acquire`] where the widest share has room of its own, for the shares in it.
    pub fn try_acquire_in(&mut self, path: SharePath, capacity: QueueCapacity) -> bool {
        let [widest, rest @ ..] = path;
        let [next, ..] = rest;
        let share = self.root.children.get(&widest);
        let in_use = share.and_then(|share| share.children.get(&next)).map_or(0, |share| share.in_use);
        let free = capacity.for_share(in_use);
        let allowed = share.map_or(free > 0, |share| share.allows(&rest, free));
        if allowed {
            self.acquire(path);
        }
        allowed
    }

    /// Takes capacity without a look at any threshold.
    pub fn acquire(&mut self, path: SharePath) {
        let turn = self.turn();
        self.root.change(&path, &mut |share| {
            share.in_use += 1;
            share.last_turn = turn;
        });
    }

    /// Returns capacity that [`Self::acquire`], [`Self::try_acquire`] or [`Self::pop`] took.
    pub fn release(&mut self, path: SharePath) {
        self.root.change(&path, &mut |share| share.in_use = share.in_use.saturating_sub(1));
    }

    /// Takes capacity for the item that is served next, and returns it. `eligible` may pass over an item by its path.
    pub fn pop(
        &mut self,
        capacity: QueueCapacity,
        eligible: &mut dyn FnMut(&SharePath) -> bool,
    ) -> Option<(SharePath, T)> {
        let (turn, mut path) = (self.turn(), [0; LEVELS]);
        let item = self.root.pop(0, &mut path, ShareLimit { capacity, turn }, eligible)?;
        Some((path, item))
    }

    /// The same as [`Self::pop`] within one of the widest shares, which has room of its own.
    pub fn pop_in(
        &mut self,
        widest: u128,
        capacity: QueueCapacity,
        eligible: &mut dyn FnMut(&SharePath) -> bool,
    ) -> Option<(SharePath, T)> {
        let (turn, mut path) = (self.turn(), [0; LEVELS]);
        let item = self.root.pop_child(widest, 0, &mut path, ShareLimit { capacity, turn }, eligible)?;
        self.root.in_use += 1;
        self.root.waiting -= 1;
        Some((path, item))
    }

    /// Removes the newest item of the fullest share at each level, and returns it: an owner that fills the queue loses
    /// its own items, and not the items of others.
    pub fn drop_longest(&mut self) -> Option<(SharePath, T)> {
        let mut path = [0; LEVELS];
        let mut share = &self.root;
        for key in &mut path {
            let (fullest, child) = share.children.iter().max_by_key(|(_, child)| child.waiting)?;
            *key = *fullest;
            share = child;
        }
        let id = *share.items.last_key_value()?.0;
        Some((path, self.root.remove(&path, id)?))
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

/// Free capacity beside a share, and the number of the present turn.
#[derive(Clone, Copy)]
struct ShareLimit {
    capacity: QueueCapacity,
    turn: u64,
}

impl ShareLimit {
    /// Returns the limit within a child, or `None` if the child has reached its threshold.
    fn within(self, in_use: usize) -> Option<Self> {
        let free = self.capacity.for_share(in_use).saturating_mul(SHARE_FACTOR).checked_sub(in_use)?;
        // Below the widest shares nothing is reserved.
        (free > 0).then_some(Self { capacity: QueueCapacity { free, reserve: 0 }, ..self })
    }
}

impl<T> Default for Share<T> {
    fn default() -> Self {
        Self {
            in_use: 0,
            waiting: 0,
            last_turn: 0,
            children: HashMap::new(),
            ready: BTreeSet::new(),
            items: BTreeMap::new(),
        }
    }
}

impl<T> Share<T> {
    fn rank(&self, key: u128) -> Rank {
        (self.in_use, self.last_turn, key)
    }

    fn is_idle(&self) -> bool {
        self.in_use == 0 && self.waiting == 0
    }

    fn allows(&self, path: &[u128], free: usize) -> bool {
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

    fn push(&mut self, path: &[u128], id: u64, turn: u64, item: T) {
        self.waiting += 1;
        match path {
            [] => {
                self.items.insert(id, item);
            }
            [key, rest @ ..] => {
                // A new share is served after those that wait already: first come, first served among equals.
                let new = || Self { last_turn: turn, ..Self::default() };
                let child = self.children.entry(*key).or_insert_with(new);
                child.push(rest, id, turn, item);
                self.ready.insert(child.rank(*key));
            }
        }
    }

    fn remove(&mut self, path: &[u128], id: u64) -> Option<T> {
        let removed = match path {
            [] => self.items.remove(&id),
            [key, rest @ ..] => {
                let child = self.children.get_mut(key)?;
                let removed = child.remove(rest, id);
                self.settle(*key, None);
                removed
            }
        }?;
        self.waiting -= 1;
        Some(removed)
    }

    /// Changes each share on a path.
    fn change(&mut self, path: &[u128], change: &mut dyn FnMut(&mut Self)) {
        change(self);
        if let [key, rest @ ..] = path {
            let child = self.children.entry(*key).or_default();
            let before = child.rank(*key);
            child.change(rest, change);
            self.settle(*key, Some(before));
        }
    }

    /// Brings the rank of a child up to date, and forgets an idle child.
    fn settle(&mut self, key: u128, before: Option<Rank>) {
        let Some(child) = self.children.get(&key) else { return };
        let (rank, waits, idle) = (child.rank(key), child.waiting > 0, child.is_idle());
        if let Some(before) = before {
            self.ready.remove(&before);
        }
        if waits {
            self.ready.insert(rank);
        } else {
            self.ready.remove(&rank);
        }
        if idle {
            self.children.remove(&key);
        }
    }

    fn pop(
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
        // The ranks are in ascending order of use, so a child above its threshold is followed by none below.
        let mut after = None;
        loop {
            let next = match after {
                None => self.ready.first(),
                Some(after) => {
                    self.ready.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)).next()
                }
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
    fn pop_child(
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
        self.settle(key, Some(before));
        Some(item)
    }
}

#[cfg(test)]
mod tests;
