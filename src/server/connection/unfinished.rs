//! Count of a connection's unfinished responses: those that hyper has received from the service and has not written.
//!
//! Each response belongs to one of two generations. A response of the older generation that is still unfinished after a
//! full `limits.write_timeout` belongs to a stalled peer. Two counters replace a timer for each response.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Unfinished responses of one connection.
#[derive(Debug, Default)]
pub(super) struct UnfinishedResponses {
    counts: [AtomicUsize; 2],
    /// Index of the younger generation.
    current: AtomicUsize,
}

/// Generation that a response belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseGeneration(usize);

impl UnfinishedResponses {
    /// Adds a response to the younger generation.
    pub(super) fn add(&self) -> ResponseGeneration {
        let generation = self.current.load(Relaxed) & 1;
        self.counts[generation].fetch_add(1, Relaxed);
        ResponseGeneration(generation)
    }

    /// Removes a response that was written or dropped.
    pub(super) fn remove(&self, generation: ResponseGeneration) {
        self.counts[generation.0].fetch_sub(1, Relaxed);
    }

    /// Returns the number of unfinished responses.
    pub(super) fn count(&self) -> usize {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Rotates the two generations, if the older one is empty. Otherwise the peer is stalled: returns true and changes
    /// nothing.
    pub(super) fn rotate(&self) -> bool {
        let older = 1 - self.current.load(Relaxed);
        let is_stalled = self.counts[older].load(Relaxed) > 0;
        if !is_stalled {
            self.current.store(older, Relaxed);
        }
        is_stalled
    }
}
