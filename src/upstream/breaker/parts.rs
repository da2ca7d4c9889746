//! FailingParts of an application that have failed, each with a breaker of its own: its resources and its tokens.

use super::state::{Breaker, Operation};

/// The parts with failures, the least recently used first. Bounded in number.
#[derive(Debug)]
pub(super) struct FailingParts<K, F> {
    parts: Vec<FailingPart<K, F>>,
    /// Operation that last removed a part. Results of requests that started before do not count for one that is added
    /// again.
    removed: u64,
}

/// One part.
#[derive(Debug)]
pub(super) struct FailingPart<K, F> {
    key: K,
    pub(super) breaker: Breaker,
    /// Failures in a row.
    pub(super) failures: F,
}

impl<K, F> Default for FailingParts<K, F> {
    fn default() -> Self {
        Self { parts: Vec::new(), removed: 0 }
    }
}

impl<K: Copy + PartialEq, F: Default> FailingParts<K, F> {
    /// Returns a part with failures.
    pub(super) fn get(&self, key: K) -> Option<&FailingPart<K, F>> {
        self.parts.iter().find(|part| part.key == key)
    }

    /// The same, and makes it the most recently used one.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut FailingPart<K, F>> {
        let position = self.position(key)?;
        let part = self.parts.remove(position);
        Some(self.parts.push_mut(part))
    }

    /// The same, added if it is new. The least recently used one makes room.
    pub(super) fn get_or_add(&mut self, key: K, at: Operation) -> &mut FailingPart<K, F> {
        let part = match self.position(key) {
            Some(position) => self.parts.remove(position),
            None => FailingPart { key, breaker: Breaker::new(self.removed), failures: F::default() },
        };
        if self.parts.len() >= MAX_PARTS {
            self.parts.remove(0);
            self.removed = at.number;
        }
        self.parts.push_mut(part)
    }

    /// Removes a part.
    pub(super) fn remove(&mut self, key: K, at: Operation) {
        if let Some(position) = self.position(key) {
            self.parts.remove(position);
            self.removed = at.number;
        }
    }

    /// The breakers of the parts.
    pub(super) fn breakers(&self) -> impl Iterator<Item = &Breaker> {
        self.parts.iter().map(|part| &part.breaker)
    }

    fn position(&self, key: K) -> Option<usize> {
        self.parts.iter().position(|part| part.key == key)
    }
}

/// FailingParts of one kind with failures that are remembered per application.
pub(super) const MAX_PARTS: usize = 32;
