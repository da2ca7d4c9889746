//! Consecutive failures of distinct scopes: evidence that the scopes share a cause.

use std::time::Duration;

use crate::support::clock::Now;

/// Scopes that failed since the last response, bounded in number and age.
#[derive(Debug)]
pub(super) struct ConsecutiveFailures<K> {
    /// One element per scope; the latest failure is the last element.
    scopes: Vec<ScopeFailures<K>>,
}

#[derive(Debug)]
struct ScopeFailures<K> {
    scope: K,
    last: Now,
    failures: u32,
}

impl<K> Default for ConsecutiveFailures<K> {
    fn default() -> Self {
        Self { scopes: Vec::new() }
    }
}

impl<K: Copy + PartialEq> ConsecutiveFailures<K> {
    /// Adds a failure of `scope`.
    pub(super) fn push(&mut self, scope: K, now: Now) {
        self.scopes.retain(|failed| now.since(failed.last) < MAX_AGE);
        let known = self.scopes.iter().position(|failed| failed.scope == scope);
        let before = known.map_or(0, |known| self.scopes.remove(known).failures);
        if self.scopes.len() >= MAX_SCOPES {
            self.scopes.remove(0);
        }
        self.scopes.push(ScopeFailures { scope, last: now, failures: before.saturating_add(1) });
    }

    /// Removes all failures: a request got a response.
    pub(super) fn clear(&mut self) {
        self.scopes.clear();
    }

    /// Returns whether no scope has failed since the last response, whatever the age of the failures.
    pub(super) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Returns the number of distinct values of `key` among the scopes.
    pub(super) fn count_distinct<T: PartialEq>(&self, now: Now, key: impl Fn(&K) -> T) -> usize {
        let mut seen = Vec::with_capacity(self.scopes.len());
        for failed in self.scopes.iter().filter(|failed| now.since(failed.last) < MAX_AGE) {
            let value = key(&failed.scope);
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen.len()
    }

    /// Returns the number of distinct scopes and of their failures.
    pub(super) fn count(&self, now: Now) -> (usize, u32) {
        let recent = self.scopes.iter().filter(|failed| now.since(failed.last) < MAX_AGE);
        recent
            .fold((0, 0), |(scopes, failures), failed| (scopes + 1, failed.failures.saturating_add(failures)))
    }
}

/// Age after which a failure is no evidence any more.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Scopes that are kept, more than any threshold needs.
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
    fn consecutive_failures_count_each_scope_once_and_every_failure() {
        let mut failures = ConsecutiveFailures::default();
        for scope in [1, 1, 2, 1] {
            failures.push(scope, at(0));
        }
        assert_eq!(failures.count(at(1)), (2, 4));
        failures.clear();
        assert_eq!(failures.count(at(1)), (0, 0));
    }

    #[test]
    fn failures_that_lie_far_apart_are_not_consecutive() {
        let mut failures = ConsecutiveFailures::default();
        failures.push(1, at(0));
        failures.push(2, at(20));
        assert_eq!(failures.count(at(29)), (2, 2));
        assert_eq!(failures.count(at(30)), (1, 1));
        failures.push(1, at(30));
        assert_eq!(failures.count(at(30)), (2, 2), "the old failure of the first scope does not count");
    }

    #[test]
    fn only_the_latest_scopes_are_kept() {
        let mut failures = ConsecutiveFailures::default();
        (0..1000).for_each(|scope| failures.push(scope, at(0)));
        assert_eq!(failures.count(at(0)), (MAX_SCOPES, 8));
        assert_eq!(failures.scopes.len(), MAX_SCOPES);
        assert!(failures.scopes.iter().all(|failed| failed.scope >= 992));
    }
}
