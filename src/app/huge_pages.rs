//! Decision when transparent huge pages are worth their memory.
//!
//! A response that is stored in memory that the process has not used before causes page faults, which on a virtual machine take
//! 4 us each, before the caller receives the response. With huge pages there is one fault for each two megabytes, and a lookup among
//! very many entries needs fewer translations of addresses. In return the process holds memory that it does not use, up to 8 MiB
//! (`docs/performance.md`). That is too much for a small cache, or for one with few entries.

/// Whether huge pages are allowed now. They are not, at first.
#[derive(Debug)]
pub(super) struct HugePages {
    /// Weight of the store in bytes from which huge pages are allowed. `None`: never.
    allowed_from: Option<u64>,
    are_allowed: bool,
}

impl HugePages {
    /// Creates the state for a store of at most `max_bytes` (`cache.max_bytes`).
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { allowed_from: (max_bytes >= MIN_CAPACITY).then_some(ALLOWED_FROM), are_allowed: false }
    }

    /// Decides by the weight of the store in bytes. Returns the decision if it has changed.
    pub(super) fn update(&mut self, stored_bytes: u64) -> Option<bool> {
        // Half as much forbids them again, so that a store of varying weight does not change the decision each time.
        let limit = self.allowed_from.map(|limit| if self.are_allowed { limit / 2 } else { limit });
        let are_allowed = limit.is_some_and(|limit| stored_bytes >= limit);
        let is_change = are_allowed != self.are_allowed;
        self.are_allowed = are_allowed;
        is_change.then_some(are_allowed)
    }
}

/// Smallest `cache.max_bytes` with huge pages. Their unused memory is 3 % of it: the process stays below `cache.max_bytes` and its
/// size at rest.
const MIN_CAPACITY: u64 = 256 << 20;
/// Weight of the store from which huge pages are allowed.
const ALLOWED_FROM: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_for_a_store_with_many_entries() {
        let mut pages = HugePages::new(MIN_CAPACITY);
        assert_eq!(pages.update(0), None);
        assert_eq!(pages.update(ALLOWED_FROM - 1), None);
        assert_eq!(pages.update(ALLOWED_FROM), Some(true));
        assert_eq!(pages.update(2 * ALLOWED_FROM), None, "no change");
        assert_eq!(pages.update(ALLOWED_FROM / 2), None, "no change");
        assert_eq!(pages.update(ALLOWED_FROM / 2 - 1), Some(false), "after a purge");
        assert_eq!(pages.update(ALLOWED_FROM / 2), None, "no change");
    }

    #[test]
    fn a_small_cache_has_no_huge_pages() {
        assert_eq!(HugePages::new(MIN_CAPACITY - 1).update(u64::MAX), None);
    }
}
