//! Free capacity of a fair queue.

/// Free capacity, and the part of it that is reserved for widest shares without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCapacity {
    /// Free units.
    pub free: usize,
    /// Units among the free ones that are reserved for shares without use.
    pub reserve: usize,
}

impl QueueCapacity {
    /// Returns the free part of `capacity`, of which a sixteenth is reserved.
    pub fn remaining(capacity: usize, in_use: usize) -> Self {
        Self { free: capacity.saturating_sub(in_use), reserve: capacity / RESERVED_PART }
    }

    /// Returns the same capacity with at most `free` units.
    #[must_use]
    pub fn at_most(self, free: usize) -> Self {
        Self { free: self.free.min(free), ..self }
    }

    /// Returns the free units for a share with `in_use` units.
    pub(super) fn for_share(self, in_use: usize) -> usize {
        if in_use == 0 { self.free } else { self.free.saturating_sub(self.reserve) }
    }
}

/// Part of the capacity that is reserved for shares without use: one unit in 16.
const RESERVED_PART: usize = 16;
