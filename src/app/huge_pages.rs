//! Decision when transparent huge pages are worth their memory.
//!
//! A response that is stored in memory that the process has not used before causes page faults, which on a virtual machine take
//! 4 us each, before the caller receives the response. With huge pages there is one fault for each two megabytes, and a lookup among
//! very many entries needs fewer translations of addresses. In return the process holds memory that it does not use: a full cache of
//! 64 MiB took 4 to 5 MiB more (`docs/performance.md`). So huge pages are for the growth of a large cache: for a small one that is too
//! much, and a full one must stay below `cache.max_bytes`.

/// Whether huge pages are allowed now. They are not, at first.
#[derive(Debug)]
pub(super) struct HugePages {
    /// Weight of the store in bytes up to which they are allowed.
    max_stored: u64,
    are_allowed: bool,
}

impl HugePages {
    /// Creates the state for a store of at most `max_bytes` (`cache.max_bytes`).
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_stored: max_bytes / MAX_PART, are_allowed: false }
    }

    /// Decides by the weight of the store in bytes. Returns the decision if it has changed.
    pub(super) fn update(&mut self, stored_bytes: u64) -> Option<bool> {
        let are_allowed = (MIN_STORED..self.max_stored).contains(&stored_bytes);
        let is_change = are_allowed != self.are_allowed;
        self.are_allowed = are_allowed;
        is_change.then_some(are_allowed)
    }
}

/// Weight of the store in bytes from which huge pages are allowed.
const MIN_STORED: u64 = 16 << 20;
/// Divisor of `cache.max_bytes` that gives the weight up to which huge pages are allowed.
const MAX_PART: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_for_the_growth_of_a_large_cache() {
        let mut pages = HugePages::new(256 << 20);
        assert_eq!(pages.update(0), None);
        assert_eq!(pages.update((16 << 20) - 1), None);
        assert_eq!(pages.update(16 << 20), Some(true));
        assert_eq!(pages.update((64 << 20) - 1), None, "no change");
        assert_eq!(pages.update(64 << 20), Some(false), "a quarter");
        assert_eq!(pages.update(256 << 20), None, "no change");
        assert_eq!(pages.update(20 << 20), Some(true));
        assert_eq!(pages.update(0), Some(false), "after a purge");
    }

    #[test]
    fn a_small_cache_has_no_huge_pages() {
        let mut pages = HugePages::new(64 << 20);
        for megabytes in 0..64 {
            assert_eq!(pages.update(megabytes << 20), None, "{megabytes} MiB");
        }
    }
}
