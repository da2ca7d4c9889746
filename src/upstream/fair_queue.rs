//! Hierarchical fair queue: items wait in a tree of shares, and each share gets a fair part of a capacity.
//!
//! A [`SharePath`] names the owner of an item, from the widest share to the narrowest: tenant, application, token, or client
//! subnet, connection, token. Three rules apply:
//!
//! * **Max-min fairness.** Of the waiting shares, the share with the least capacity in use is served next; of equal shares
//!   the share that was served, or added, longest ago.
//! * **Dynamic threshold** (Choudhury and Hahne, 1998). A share may use at most four times the capacity that
//!   is still free beside it. One share alone reaches four fifths of the capacity, and two shares eight ninths, so a
//!   new owner finds free capacity without preemption.
//! * **Reserve.** Many shares that grow together would leave no free capacity. Therefore a part of the capacity is reserved
//!   for widest shares that use nothing yet: see [`QueueCapacity`].
//!
//! The first two rules apply at each level of the tree. The queue is a data structure without time and without wake-ups.
//! Its owner provides the capacity at each call, and bounds the number of items.

mod capacity;
mod share;

pub use self::capacity::QueueCapacity;
use self::share::{Share, ShareLimit};

/// Owner of an item, from the widest share to the narrowest.
pub type SharePath = [u128; LEVELS];

/// Levels of shares below the root.
pub const LEVELS: usize = 3;

/// Queue of waiting items, with the capacity that each share uses.
#[derive(Debug)]
pub struct FairQueue<T> {
    root: Share<T>,
    next_id: u64,
    next_turn: u64,
}

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

    /// Takes capacity for an item that does not wait. Returns false if the capacity or a threshold does not allow it.
    pub fn try_acquire(&mut self, path: SharePath, capacity: QueueCapacity) -> bool {
        let [widest, ..] = path;
        let in_use = self.root.children.get(&widest).map_or(0, |share| share.in_use);
        let allowed = self.root.allows(&path, capacity.for_share(in_use));
        if allowed {
            self.acquire(path);
        }
        allowed
    }

    /// Takes capacity like [`Self::try_acquire`], from a capacity of the widest share alone.
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

    /// Takes capacity, whatever the thresholds.
    pub fn acquire(&mut self, path: SharePath) {
        let turn = self.turn();
        self.root.change(&path, &mut |share| {
            share.in_use += 1;
            share.last_turn = turn;
        });
    }

    /// Gives back capacity that [`Self::acquire`], [`Self::try_acquire`] or [`Self::pop`] took.
    pub fn release(&mut self, path: SharePath) {
        self.root.change(&path, &mut |share| share.in_use = share.in_use.saturating_sub(1));
    }

    /// Takes capacity for the item that is served next, and returns the item. `eligible` may exclude an item by its path.
    pub fn pop(
        &mut self,
        capacity: QueueCapacity,
        eligible: &mut dyn FnMut(&SharePath) -> bool,
    ) -> Option<(SharePath, T)> {
        let (turn, mut path) = (self.turn(), [0; LEVELS]);
        let item = self.root.pop(0, &mut path, ShareLimit { capacity, turn }, eligible)?;
        Some((path, item))
    }

    /// Serves an item like [`Self::pop`], from one of the widest shares with a capacity of its own.
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

#[cfg(test)]
mod tests;
