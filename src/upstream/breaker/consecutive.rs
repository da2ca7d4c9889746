//! Consecutive failures of distinct scopes: evidence that what they have in common is at fault.

use std::time::Duration;

use crate::support::clock::Now;

/// Scopes that failed since the last answer. Bounded in number and age.
#[derive(Debug)]
pub(super) struct ConsecutiveFailures<K> {
    /// One element per scope, the latest failure last.
    failed: Vec<ScopeFailures<K>>,
}

#[derive(Debug)]
struct ScopeFailures<K> {
    scope: K,
    last: Now,
    failures: u32,
}

impl<K> Default for ConsecutiveFailures<K> {
    fn default() -> Self {
        Self { failed: Vec::new() }
    }
}

impl<K: Copy + PartialEq> ConsecutiveFailures<K> {
    /// Adds a failure of `scope`.
    pub(super) fn push(&mut self, scope: K, now: Now) {
        self.failed.retain(|failed| now.since(failed.last) < MAX_AGE);
        let known = self.failed.iter().position(|failed| failed.scope == scope);
        let before = known.map_or(0, |known| self.failed.remove(known).failures);
        if self.failed.len() >= MAX_SCOPES {
            self.failed.remove(0);
        }
        self.failed.push(ScopeFailures { scope, last: now, failures: before.saturating_add(1) });
    }

    /// Ends the consecutive: a request was answered.
    pub(super) fn clear(&mut self) {
        self.failed.clear();
    }

    /// Whether no scope has failed since the last answer, however long ago that is.
    pub(super) fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// Number of distinct values of `key` among the scopes.
    pub(super) fn count_distinct<T: PartialEq>(&self, now: Now, key: impl Fn(&K) -> T) -> usize {
        let mut seen = Vec::with_capacity(self.failed.len());
        for failed in self.failed.iter().filter(|failed| now.since(failed.last) < MAX_AGE) {
            let value = key(&failed.scope);
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen.len()
    }

    /// Number of distinct scopes, and of their failures.
    pub(super) fn count(&self, now: Now) -> (usize, u32) {
        let recent = self.failed.iter().filter(|failed| now.since(failed.last) < MAX_AGE);
        recent
            .fold((0, 0), |(scopes, failures), failed| (scopes + 1, failed.failures.saturating_add(failures)))
    }
}

/// Failures that lie further apart have no common cause.
const MAX_AGE: Duration = Duration::from_secs(30);
/// More than any threshold needs.
const MAX_SCOPES: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    fn at(seconds: u64) -> Now {
        Clock::manual(UNIX_EPOCH).now().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_row_counts_each_scope_once_and_every_failure() {
        let mut row = ConsecutiveFailures::default();
        for scope in [1, 1, 2, 1] {
            row.push(scope, at(0));
        }
        assert_eq!(row.count(at(1)), (2, 4));
        row.clear();
        assert_eq!(row.count(at(1)), (0, 0));
    }

    #[test]
    fn failures_that_lie_far_apart_are_no_row() {
        let mut row = ConsecutiveFailures::default();
        row.push(1, at(0));
        row.push(2, at(20));
        assert_eq!(row.count(at(29)), (2, 2));
        assert_eq!(row.count(at(30)), (1, 1));
        row.push(1, at(30));
        assert_eq!(row.count(at(30)), (2, 2), "the old failure of the first scope is forgotten");
    }

    #[test]
    fn a_row_keeps_the_latest_scopes_alone() {
        let mut row = ConsecutiveFailures::default();
        (0..1000).for_each(|scope| row.push(scope, at(0)));
        assert_eq!(row.count(at(0)), (MAX_SCOPES, 8));
        assert_eq!(row.failed.len(), MAX_SCOPES);
        assert!(row.failed.iter().all(|failed| failed.scope >= 992));
    }
}
