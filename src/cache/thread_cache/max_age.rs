//! Maximum age of a cached lookup.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Age at which a lookup is repeated in the store: five minutes while the store has space, ten seconds while it evicts.
///
/// The store evicts the least recently used pairs, and sees only the lookups that a thread cache does not answer. While
/// nothing is evicted, the order does not matter. The flag is only read on the path of a hit, and written when it changes.
#[derive(Debug, Default)]
pub struct MaxAge {
    is_space_scarce: AtomicBool,
}

impl MaxAge {
    /// Records whether the store evicts pairs to gain space.
    pub fn record_scarcity(&self, is_space_scarce: bool) {
        if self.is_space_scarce.load(Relaxed) != is_space_scarce {
            self.is_space_scarce.store(is_space_scarce, Relaxed);
        }
    }

    /// Returns the maximum age now, milliseconds.
    pub(super) fn millis(&self) -> u32 {
        if self.is_space_scarce.load(Relaxed) { WITH_EVICTIONS_MS } else { WITH_SPACE_MS }
    }
}

/// Maximum age while the store evicts pairs to gain space, milliseconds.
pub(super) const WITH_EVICTIONS_MS: u32 = 10_000;
/// Maximum age while the store has space, milliseconds.
pub(super) const WITH_SPACE_MS: u32 = 300_000;
