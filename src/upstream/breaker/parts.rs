//! Parts of an application that have failed, each with its own breaker: resources and tokens.

use super::state::{Breaker, Operation};

/// Parts with failures, the least recently used first. Bounded in number.
#[derive(Debug)]
pub(super) struct FailingParts<K, F> {
    parts: Vec<FailingPart<K, F>>,
    /// Operation that last removed a part. Outcomes of requests that started earlier do not count for a part that is added
    /// again.
    removed: u64,
}

/// One part with its breaker.
#[derive(Debug)]
pub(super) struct FailingPart<K, F> {
    key: K,
    pub(super) breaker: Breaker,
    /// Consecutive failures.
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

    /// Returns a part with failures and makes it the most recently used part.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut FailingPart<K, F>> {
        let position = self.position(key)?;
        let part = self.parts.remove(position);
        Some(self.parts.push_mut(part))
    }

    /// Returns a part and makes it the most recently used part; adds it if it is new. A full list drops the least recently
    /// used part.
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

    /// Returns the breakers of all parts, with their keys.
    pub(super) fn breakers(&self) -> impl Iterator<Item = (K, &Breaker)> {
        self.parts.iter().map(|part| (part.key, &part.breaker))
    }

    fn position(&self, key: K) -> Option<usize> {
        self.parts.iter().position(|part| part.key == key)
    }
}

/// Parts of one kind that are kept per application.
pub(super) const MAX_PARTS: usize = 32;
